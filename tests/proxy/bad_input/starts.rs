//! Configurations and ports with which nothing can start: every mistake is told at once, with its
//! place, in the log and where Kubernetes shows it.

use std::fs;
use std::net::TcpListener;

use crate::kit;
use crate::support::mount::Mount;
use crate::support::process::{Finished, Setup};

/// Runs to the end that must come, and returns all that was written.
fn refused(setup: Setup) -> (Finished, String) {
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(2), "{}{}", finished.stdout, finished.stderr);
    let text = [finished.stdout.as_str(), finished.stderr.as_str()].concat();
    (finished, text)
}

#[track_caller]
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "No {word:?} in:\n{text}");
    }
}

#[test]
fn a_base_url_that_cannot_be_is_told_with_its_place() {
    for url in ["ftp://host", "not a url", "https://", "https://host:99999", "https://u:p@host"] {
        let config = format!("version: 1\nproviders:\n  openai:\n    baseUrl: \"{url}\"\n");
        let (_, text) = refused(Setup::default().config(&config));
        assert_says(&text, &["keyweir.yaml:4:14", "providers.openai.baseUrl"]);
    }
}

#[test]
fn every_mistake_is_told_at_once_in_the_log_and_to_kubernetes() {
    let folder = tempfile::tempdir().expect("a folder");
    let termination = folder.path().join("termination-log");
    fs::write(&termination, "").expect("make the file");
    let config = "version: 1\nproviders:\n  openai:\n    baseUrl: ftp://x\n    waits: 3\nmodel: {}\ncallers: {default: {maxWait: soon}}\n";
    let setup = Setup::default().config(config).arg("--termination-log").arg(&termination);
    let (_, text) = refused(setup);
    let told = fs::read_to_string(&termination).expect("read it");
    for text in [text, told] {
        assert_says(&text, &["keyweir.yaml:4:14", "keyweir.yaml:5:5", "keyweir.yaml:6:1"]);
        assert_says(&text, &["keyweir.yaml:7:", "did you mean"]);
    }
}

#[test]
fn a_second_configuration_that_contradicts_the_first_is_told_with_both_places() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("keyweir.yaml"), "providers:\n  own: {wire: anthropic}\n")
        .expect("write");
    let config = "version: 1\nproviders:\n  own: {wire: openai, baseUrl: \"http://127.0.0.1:1\"}\n";
    let setup = Setup::default().config(config).arg("--config").arg(folder.path());
    let (_, text) = refused(setup);
    assert_says(&text, &["providers.own.wire", "keyweir.yaml:2:", "keyweir.yaml:3:"]);
}

#[test]
fn a_second_configuration_merges_over_the_first_field_by_field() {
    let upstream = kit::healthy_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let second = "telemetry: {responseHeaders: false}\n";
    fs::write(folder.path().join("keyweir.yaml"), second).expect("write");
    let config = kit::openai_at(&upstream.url(), "") + "telemetry: {accessLog: all}\n";
    let setup = Setup::default().config(&config).arg("--config").arg(folder.path());
    let proxy = kit::with_keys(setup, &["one"]).start();
    let reply = kit::post(&proxy, kit::CHAT_PATH, kit::CHAT);
    assert_eq!((reply.status, reply.header("x-keyweir-key")), (200, None));
    proxy.log_line(&["\"access\"", "gpt-4o"]);
}

#[test]
fn two_providers_under_one_name_are_told_with_both_places() {
    let config = "version: 1\nproviders:\n  openai:\n    baseUrl: https://a.test\n  openai:\n    baseUrl: https://b.test\n";
    let (_, text) = refused(Setup::default().config(config));
    assert_says(&text, &["keyweir.yaml:5:3", "keyweir.yaml:3:3", "openai"]);
}

#[test]
fn yaml_that_is_none_is_told_with_its_place() {
    for config in
        ["providers: [", "a: b: c", "just text", "version: 2\n", "providers: {a: &x {b: *y}}"]
    {
        let (_, text) = refused(Setup::default().config(config));
        assert_says(&text, &["keyweir.yaml:"]);
    }
}

#[test]
fn a_configuration_that_is_not_there_keeps_nothing_from_starting_and_is_taken_when_it_comes() {
    let upstream = kit::healthy_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("not-there-yet");
    let setup = Setup::default().arg("--config").arg(&place);
    let proxy = kit::with_keys(setup, &["one"]).start();
    let reply = kit::post(&proxy, kit::CHAT_PATH, kit::CHAT);
    kit::Format::OpenAi.assert_refusal(&reply, 503, "keys_invalid");
    assert_says(&kit::status(&proxy).to_string(), &["not-there-yet"]);
    let config = kit::openai_at(&upstream.url(), "");
    let _mount = Mount::new(place, &[("keyweir.yaml", &config)]);
    proxy.until("served", || {
        (kit::post(&proxy, kit::CHAT_PATH, kit::CHAT).status == 200).then_some(())
    });
}

#[test]
fn a_port_in_use_is_told_and_so_is_the_flag_that_chooses_another() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("its address").to_string();
    for flag in ["--listen", "--admin"] {
        let finished = Setup::default().arg(format!("{flag}={address}")).run();
        let text = [finished.stdout.as_str(), finished.stderr.as_str()].concat();
        assert!(!finished.status.success(), "{text}");
        assert_says(&text, &[&address, "in use", flag]);
    }
}

#[test]
fn a_proxy_s_port_is_in_use_for_a_second_proxy_too() {
    let first = Setup::default().start();
    let address = first.data.to_string();
    let finished = Setup::default().arg(format!("--listen={address}")).run();
    assert!(!finished.status.success(), "two proxies share {address}");
}
