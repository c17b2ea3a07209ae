use std::fs;
use std::path::Path;

use tempfile::{TempDir, tempdir};
use tokio::time::timeout;

use super::*;
use crate::keys::Secret;
use crate::sources::testing::Mount;

/// Longer than any test takes: what happens within it was not polled.
const NEVER: Duration = Duration::from_hours(1);
/// When a test gives up on an event of the real file system.
const GIVE_UP: Duration = Duration::from_secs(20);

fn places(folder: &Path) -> Places {
    let configs = vec![folder.join("config")];
    Places { configs, secrets: Some(folder.join("secrets")), ..Places::default() }
}

fn mounted() -> (TempDir, Mount, Mount) {
    let folder = tempdir().unwrap();
    let config = Mount::with(&folder.path().join("config"), &[("keyweir.yaml", b"version: 1")]);
    let secret = Mount::with(&folder.path().join("secrets/pool"), &[("a", b"sk-1")]);
    (folder, config, secret)
}

fn by_events() -> Pace {
    Pace { poll: NEVER, hurried_poll: NEVER, ..Pace::default() }
}

async fn next(watch: &mut Watch) -> Arc<Letter> {
    timeout(GIVE_UP, watch.changed()).await.expect("a change is seen")
}

fn key(letter: &Arc<Letter>) -> Option<&str> {
    letter.secrets.value("pool", "a").map(|value| Secret::expose(value))
}

#[tokio::test]
async fn a_swap_of_a_secret_or_of_the_configuration_is_told() {
    let (folder, config, secret) = mounted();
    let mut watch = Watch::start(places(folder.path()), by_events());
    assert_eq!(key(watch.letter()), Some("sk-1"));
    secret.write(&[("a", b"sk-2")]);
    assert_eq!(key(&next(&mut watch).await), Some("sk-2"));
    config.write(&[("keyweir.yaml", b"version: 2")]);
    assert_eq!(&*next(&mut watch).await.texts[0].text, "version: 2");
    secret.write(&[("a", b"sk-3")]);
    assert_eq!(key(&next(&mut watch).await), Some("sk-3"), "the watch outlives each swap");
}

#[tokio::test]
async fn a_secret_that_comes_late_goes_and_comes_again_is_told_each_time() {
    let (folder, _config, _secret) = mounted();
    let mut watch = Watch::start(places(folder.path()), by_events());
    let late = folder.path().join("secrets/late");
    for round in 0..3 {
        let secret = Mount::with(&late, &[("k", format!("sk-{round}").as_bytes())]);
        while watch.letter().secrets.value("late", "k").is_none() {
            next(&mut watch).await;
        }
        secret.write(&[("k", b"sk-new")]);
        while watch.letter().secrets.value("late", "k").map(|it| it.expose()) != Some("sk-new") {
            next(&mut watch).await;
        }
        fs::remove_dir_all(&late).unwrap();
        while watch.letter().secrets.entries("late").is_some() {
            next(&mut watch).await;
        }
    }
}

#[tokio::test]
async fn plain_files_are_followed_through_an_editors_ways() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("my.yaml");
    fs::write(&file, "one").unwrap();
    let places = Places { configs: vec![file.clone()], ..Places::default() };
    let mut watch = Watch::start(places, by_events());
    fs::write(&file, "two").unwrap();
    assert_eq!(&*next(&mut watch).await.texts[0].text, "two", "written in place");
    fs::write(folder.path().join("my.yaml~"), "three").unwrap();
    fs::rename(folder.path().join("my.yaml~"), &file).unwrap();
    assert_eq!(&*next(&mut watch).await.texts[0].text, "three", "replaced by renaming");
}

#[tokio::test]
async fn a_burst_of_changes_gives_one_reading() {
    let (folder, _config, secret) = mounted();
    let mut watch = Watch::start(places(folder.path()), by_events());
    for version in 2..=5 {
        secret.write(&[("a", format!("sk-{version}").as_bytes())]);
    }
    assert_eq!(key(&next(&mut watch).await), Some("sk-5"));
    let again = timeout(Duration::from_millis(400), watch.changed()).await;
    assert!(again.is_err(), "reading is no change itself");
}

#[tokio::test(start_paused = true)]
async fn what_a_watch_cannot_see_is_found_by_polling() {
    let (folder, _config, secret) = mounted();
    let mut watch = Watch::start_polling(places(folder.path()), Pace::default());
    let start = Instant::now();
    assert!(timeout(Duration::from_secs(100), watch.changed()).await.is_err(), "nothing changed");
    secret.write(&[("a", b"sk-2")]);
    assert_eq!(key(&watch.changed().await), Some("sk-2"));
    assert!(start.elapsed() <= Duration::from_secs(110));
}

#[tokio::test(start_paused = true)]
async fn missing_folders_are_no_error_and_are_found_within_a_second_of_coming() {
    let folder = tempdir().unwrap();
    let mut watch = Watch::start(places(folder.path()), Pace::default());
    assert_eq!(watch.letter().texts, []);
    assert_eq!(watch.letter().problems.len(), 2);
    assert!(timeout(Duration::from_secs(5), watch.changed()).await.is_err());
    let start = Instant::now();
    Mount::with(&folder.path().join("config"), &[("keyweir.yaml", b"version: 1")]);
    Mount::with(&folder.path().join("secrets/pool"), &[("a", b"sk-1")]);
    let letter = watch.changed().await;
    assert_eq!((key(&letter), letter.texts.len()), (Some("sk-1"), 1));
    assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(letter.problems, []);
}

#[tokio::test(start_paused = true)]
async fn the_same_content_in_a_new_version_is_no_change() {
    let (folder, config, secret) = mounted();
    let mut watch = Watch::start_polling(places(folder.path()), Pace::default());
    secret.write(&[("a", b"sk-1")]);
    config.write(&[("keyweir.yaml", b"version: 1")]);
    assert!(timeout(Duration::from_mins(1), watch.changed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_prompt_reads_at_once_and_answers_even_without_a_change() {
    let (folder, _config, _secret) = mounted();
    let mut watch = Watch::start_polling(places(folder.path()), by_events());
    let start = Instant::now();
    watch.prompter().prompt();
    assert_eq!(key(&watch.changed().await), Some("sk-1"));
    assert!(start.elapsed() < Duration::from_millis(200));
    assert!(timeout(NEVER * 3, watch.changed()).await.is_err(), "a prompt is answered once");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_half_way_misses_nothing() {
    let (folder, _config, secret) = mounted();
    let mut watch = Watch::start_polling(places(folder.path()), by_events());
    secret.write(&[("a", b"sk-2")]);
    watch.bell.rung.notify_one();
    let dropped = timeout(Duration::from_millis(20), watch.changed()).await;
    assert!(dropped.is_err(), "it waits for silence");
    let start = Instant::now();
    assert_eq!(key(&watch.changed().await), Some("sk-2"));
    assert!(start.elapsed() < Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn an_endless_stir_is_read_after_the_patience() {
    let (folder, _config, secret) = mounted();
    let mut watch = Watch::start_polling(places(folder.path()), by_events());
    secret.write(&[("a", b"sk-2")]);
    let (bell, start) = (Arc::clone(&watch.bell), Instant::now());
    let stirring = async {
        loop {
            bell.rung.notify_one();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        letter = watch.changed() => assert_eq!(key(&letter), Some("sk-2")),
        () = stirring => unreachable!(),
    }
    assert_eq!(start.elapsed(), Duration::from_millis(150));
}

#[tokio::test]
async fn a_watch_may_be_waited_for_in_a_task() {
    let (folder, _config, _secret) = mounted();
    let mut watch = Watch::start(places(folder.path()), by_events());
    let prompter = watch.prompter();
    let task = crate::lifecycle::Tasks::default().spawn(async move { watch.changed().await });
    prompter.prompt();
    assert_eq!(key(&task.await.unwrap()), Some("sk-1"));
}
