use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::{TempDir, tempdir};

use super::*;
use crate::keys::Secret;
use crate::sources::letter::Finding;
use crate::sources::testing::Mount;

const VARIABLES: [&str; 1] = ["OPENAI_API_KEY"];

fn places() -> (TempDir, Places) {
    let folder = tempdir().unwrap();
    let configs = vec![folder.path().join("config")];
    let secrets = Some(folder.path().join("secrets"));
    let environment = Environment::read_from(&VARIABLES, |_| None);
    (folder, Places { configs, secrets, environment })
}

fn value<'a>(letter: &'a Letter, secret: &str, entry: &str) -> Option<&'a str> {
    letter.secrets.value(secret, entry).map(|value| Secret::expose(value))
}

fn findings<'a>(letter: &'a Letter, secret: &str, entry: &str) -> &'a [Finding] {
    let entries = letter.secrets.entries(secret).unwrap();
    &entries.iter().find(|it| *it.name == *entry).unwrap().findings
}

#[test]
fn mounted_folders_and_plain_files_read_alike() {
    let (folder, places) = places();
    Mount::with(&folder.path().join("config"), &[("keyweir.yaml", b"version: 1")]);
    Mount::with(&folder.path().join("secrets/mounted"), &[("a", b"sk-a"), ("b", b"sk-b")]);
    fs::create_dir(folder.path().join("secrets/plain")).unwrap();
    fs::write(folder.path().join("secrets/plain/c"), "sk-c").unwrap();
    let letter = places.read();
    assert_eq!(letter.problems, []);
    assert_eq!(&*letter.texts[0].text, "version: 1");
    assert!(letter.texts[0].name.ends_with("config/keyweir.yaml"));
    assert_eq!(value(&letter, "mounted", "a"), Some("sk-a"));
    assert_eq!(value(&letter, "plain", "c"), Some("sk-c"));
    let names: Vec<_> =
        letter.secrets.iter().map(|(name, entries)| (name, entries.len())).collect();
    assert_eq!(names, [("mounted", 2), ("plain", 1)], "`..data` is not an entry");
}

#[test]
fn a_configuration_may_be_a_file_and_several_keep_their_order() {
    let (folder, mut places) = places();
    places.configs = ["z.yaml", "missing", "a.yaml"].map(|name| folder.path().join(name)).into();
    places.secrets = None;
    fs::write(folder.path().join("z.yaml"), "z").unwrap();
    fs::write(folder.path().join("a.yaml"), "a").unwrap();
    let letter = places.read();
    let texts: Vec<_> = letter.texts.iter().map(|text| &*text.text).collect();
    assert_eq!(texts, ["z", "a"]);
    assert_eq!(letter.problems, [Problem::new(&places.configs[1], Trouble::Missing)]);
}

#[test]
fn odd_entries_are_named_and_the_good_ones_are_taken() {
    let (folder, places) = places();
    let secret = folder.path().join("secrets/openai-keys");
    let long = vec![b'k'; MAX_ENTRY + 1];
    let payload: [(&str, &[u8]); 6] = [
        ("binary", b"\x00\xff"),
        ("empty", b""),
        ("good", b"sk-1"),
        ("long", &long),
        ("newline", b"sk-2\n"),
        ("same", b"sk-1\n"),
    ];
    Mount::with(&secret, &payload);
    fs::create_dir(secret.join("folder")).unwrap();
    let letter = places.read();
    let named: Vec<_> =
        letter.secrets.entries("openai-keys").unwrap().iter().map(|it| &*it.name).collect();
    assert_eq!(named, ["binary", "empty", "good", "long", "newline", "same"]);
    assert_eq!(findings(&letter, "openai-keys", "binary"), [Finding::Binary]);
    assert_eq!(findings(&letter, "openai-keys", "empty"), [Finding::Empty]);
    assert_eq!(findings(&letter, "openai-keys", "good"), []);
    assert_eq!(findings(&letter, "openai-keys", "long"), [Finding::TooLong]);
    assert_eq!(findings(&letter, "openai-keys", "newline"), [Finding::Trimmed]);
    let same = Finding::Duplicate { secret: "openai-keys".into(), entry: "good".into() };
    assert_eq!(findings(&letter, "openai-keys", "same"), [Finding::Trimmed, same]);
    assert_eq!(value(&letter, "openai-keys", "newline"), Some("sk-2"));
    assert!(!format!("{letter:?}").contains("sk-"), "no output may hold a key");
}

#[test]
fn lists_make_pools_in_the_environment_and_in_the_default_secret_only() {
    let (folder, mut places) = places();
    let secrets = folder.path().join("secrets");
    Mount::with(&secrets.join("keyweir-keys"), &[("OPENAI_API_KEY", b"a,b"), ("other", b"c,d")]);
    Mount::with(&secrets.join("else"), &[("OPENAI_API_KEY", b"e,f")]);
    places.environment = Environment::read_from(&VARIABLES, |_| Some("g,a".into()));
    let letter = places.read();
    assert_eq!(value(&letter, "keyweir-keys", "OPENAI_API_KEY-2"), Some("b"));
    assert_eq!(value(&letter, "keyweir-keys", "other"), Some("c,d"));
    assert_eq!(value(&letter, "else", "OPENAI_API_KEY"), Some("e,f"));
    assert_eq!(value(&letter, ENVIRONMENT, "OPENAI_API_KEY"), Some("g"));
    let same = Finding::Duplicate { secret: ENVIRONMENT.into(), entry: "OPENAI_API_KEY-2".into() };
    assert_eq!(findings(&letter, "keyweir-keys", "OPENAI_API_KEY"), [same]);
}

#[test]
fn a_thousand_swaps_are_never_seen_half_done() {
    let (folder, places) = places();
    let secret = Mount::new(&folder.path().join("secrets/pool"));
    let versions = |version: u32| ["a", "b", "c"].map(|name| (name, format!("{name}-{version}")));
    let write = |version: u32| {
        let versions = versions(version);
        secret.write(&versions.each_ref().map(|(name, value)| (*name, value.as_bytes())));
    };
    write(0);
    let mut last = places.read();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            (1..=1_000).for_each(&write);
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            last = places.read_again(&last);
            let held = ["a", "b", "c"].map(|name| value(&last, "pool", name).unwrap());
            let version = held.map(|value| value.split_once('-').unwrap().1);
            assert!(version.iter().all(|it| *it == version[0]), "a mix of versions: {version:?}");
        }
        assert_eq!(value(&places.read(), "pool", "c"), Some("c-1000"));
    });
}

#[test]
fn all_secrets_may_be_one_projected_volume() {
    let (folder, places) = places();
    Mount::with(&folder.path().join("config"), &[("keyweir.yaml", b"version: 1")]);
    let root = Mount::new(&folder.path().join("secrets"));
    root.write(&[("one/a", b"1"), ("two/b", b"2")]);
    assert_eq!(value(&places.read(), "two", "b"), Some("2"));
    root.write(&[("two/b", b"3")]);
    let letter = places.read();
    assert_eq!((value(&letter, "one", "a"), value(&letter, "two", "b")), (None, Some("3")));
    assert_eq!(letter.problems, []);
}

#[test]
fn a_secret_mounted_without_its_folder_is_a_problem_that_says_what_to_do() {
    let (folder, places) = places();
    Mount::with(&folder.path().join("secrets"), &[("OPENAI_API_KEY", b"sk-1")]);
    let letter = places.read();
    let told = letter.problems.iter().map(ToString::to_string).find(|it| it.contains("secrets/"));
    assert!(
        told.unwrap().contains("OPENAI_API_KEY is not a Secret's folder; put it into a folder")
    );
}

#[test]
fn what_cannot_be_read_for_the_moment_stays_as_it_was_and_what_is_gone_is_gone() {
    let (folder, places) = places();
    let secrets = folder.path().join("secrets");
    for secret in ["kept", "gone"] {
        fs::create_dir_all(secrets.join(secret)).unwrap();
        fs::write(secrets.join(secret).join("k"), secret).unwrap();
    }
    fs::create_dir(folder.path().join("config")).unwrap();
    let config = folder.path().join("config/keyweir.yaml");
    fs::write(&config, "version: 1").unwrap();
    let first = places.read();
    // A link to itself cannot be read, whoever asks; permissions do not hold back root.
    for path in [secrets.join("kept/k"), config] {
        fs::remove_file(&path).unwrap();
        symlink(&path, &path).unwrap();
    }
    fs::remove_dir_all(secrets.join("gone")).unwrap();
    let second = places.read_again(&first);
    assert_eq!(value(&second, "kept", "k"), Some("kept"));
    assert!(second.secrets.entries("gone").is_none());
    assert_eq!(second.texts, first.texts);
    assert_eq!(second.problems.len(), 2);
    assert!(second.problems.iter().all(|it| it.trouble.is_passing()), "{:?}", second.problems);
    assert_eq!(places.read().texts, [], "nothing stands in at a first reading");
}

#[test]
fn a_folder_of_secrets_that_cannot_be_reached_keeps_every_secret() {
    let (folder, places) = places();
    let secrets = folder.path().join("secrets");
    Mount::with(&secrets.join("pool"), &[("a", b"1")]);
    let first = places.read();
    fs::rename(&secrets, folder.path().join("away")).unwrap();
    symlink(&secrets, &secrets).unwrap();
    let second = places.read_again(&first);
    assert_eq!(second.secrets, first.secrets);
    fs::remove_file(&secrets).unwrap();
    let third = places.read_again(&second);
    assert_eq!(third.secrets, Secrets::default());
    assert!(third.problems.contains(&Problem::new(&secrets, Trouble::Missing)));
}

#[test]
fn permissions_that_are_lost_are_told_in_the_systems_words() {
    let (folder, places) = places();
    let config = folder.path().join("config");
    fs::create_dir(&config).unwrap();
    let file = config.join("keyweir.yaml");
    fs::write(&file, "version: 1").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(&file).is_ok() {
        return; // root reads everything
    }
    let told = places.read().problems[0].to_string();
    assert!(told.contains("keyweir.yaml cannot be read: Permission denied"), "{told}");
    assert!(told.ends_with("let Keyweir's user read it"), "{told}");
}

#[test]
fn more_secrets_entries_and_bytes_than_the_bounds_are_left_out_and_said() {
    let (folder, places) = places();
    let secrets = folder.path().join("secrets");
    for nth in 0..=MAX_SECRETS {
        fs::create_dir_all(secrets.join(format!("s{nth}"))).unwrap();
    }
    assert!(
        places.read().problems.contains(&Problem::new(&secrets, Trouble::TooMany(MAX_SECRETS)))
    );
    fs::remove_dir_all(&secrets).unwrap();
    let large = secrets.join("large");
    fs::create_dir_all(&large).unwrap();
    for nth in 0..=MAX_SECRET / MAX_ENTRY {
        fs::write(large.join(format!("k{nth:02}")), vec![b'k'; MAX_ENTRY]).unwrap();
    }
    let letter = places.read();
    assert_eq!(letter.secrets.entries("large").unwrap().len(), MAX_SECRET / MAX_ENTRY);
    assert!(letter.problems.contains(&Problem::new(&large, Trouble::TooLarge(MAX_SECRET as u64))));
    for nth in 0..=MAX_ENTRIES {
        fs::write(large.join(format!("k{nth:02}")), "k").unwrap();
    }
    let letter = places.read();
    assert_eq!(letter.secrets.entries("large").unwrap().len(), MAX_ENTRIES);
    assert!(letter.problems.contains(&Problem::new(&large, Trouble::TooMany(MAX_ENTRIES))));
}
