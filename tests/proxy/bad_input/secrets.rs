//! Secrets that are missing, empty or not what a key can be.

use crate::kit::{self, CHAT, CHAT_PATH, Format};
use crate::support::mount::Mount;
use crate::support::process::Setup;

fn setup(url: &str) -> Setup {
    Setup::default().config(&kit::all_at(url, ""))
}

#[test]
fn without_its_secret_it_is_ready_refuses_for_want_of_keys_and_says_what_is_missing() {
    let upstream = kit::healthy_provider();
    let proxy = setup(&upstream.url()).start();
    for format in Format::ALL {
        let reply = kit::post(&proxy, format.path(), format.ask());
        format.assert_refusal(&reply, 503, "keys_invalid");
        assert_eq!(reply.header("retry-after"), None);
    }
    let missing = kit::status(&proxy)["missing"].to_string();
    assert!(missing.contains("pool"), "{missing}");
    assert!(upstream.take().is_empty());
}

#[test]
fn a_secret_that_comes_later_is_taken_when_it_comes() {
    let upstream = kit::healthy_provider();
    let proxy = setup(&upstream.url()).start();
    let value = kit::value_of("late");
    let _mount = Mount::new(proxy.secret_path("pool"), &[("late", &value)]);
    proxy.until("served", || (kit::post(&proxy, CHAT_PATH, CHAT).status == 200).then_some(()));
    assert_eq!(kit::key_of(&upstream.take()[0]), "late");
    assert_eq!(kit::status(&proxy)["missing"], serde_json::json!([]));
}

#[test]
fn empty_secrets_and_empty_entries_are_no_keys() {
    let upstream = kit::healthy_provider();
    let proxy = setup(&upstream.url()).secret("pool", &[]).start();
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    Format::OpenAi.assert_refusal(&reply, 503, "keys_invalid");
    let entries = [("empty", ""), ("blank", " \n\t\n")];
    let proxy = setup(&upstream.url()).secret("pool", &entries).start();
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    Format::OpenAi.assert_refusal(&reply, 503, "keys_invalid");
    assert!(upstream.take().is_empty());
}

#[test]
fn entries_that_can_be_no_key_are_passed_over_and_told_and_the_others_serve() {
    let upstream = kit::healthy_provider();
    let good = kit::value_of("good");
    let long = "x".repeat(100_000);
    let entries =
        [("good", good.as_str()), ("binary", "a\0\u{1}b"), ("lines", "a\nb"), ("long", &long)];
    let proxy = setup(&upstream.url()).secret("pool", &entries).start();
    for _ in 0..20 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    let uses = kit::uses(&upstream.take());
    assert_eq!(uses.into_iter().collect::<Vec<_>>(), [("good".to_owned(), 20)]);
    let told = kit::status(&proxy).to_string() + &proxy.log();
    for name in ["binary", "lines", "long"] {
        assert!(told.contains(name), "{name}: {told}");
    }
}

#[test]
fn bytes_that_are_no_text_are_no_key() {
    let upstream = kit::healthy_provider();
    let proxy = setup(&upstream.url()).start();
    let good = kit::value_of("good");
    let entries: [(&str, &[u8]); 2] = [("good", good.as_bytes()), ("raw", b"\xff\xfe\x00\x01")];
    let _mount = Mount::new(proxy.secret_path("pool"), &entries);
    proxy.until("served", || (kit::post(&proxy, CHAT_PATH, CHAT).status == 200).then_some(()));
    for _ in 0..10 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    assert_eq!(kit::uses(&upstream.take()).into_keys().collect::<Vec<_>>(), ["good"]);
}

#[test]
fn white_space_around_a_key_is_trimmed() {
    let upstream = kit::healthy_provider();
    let value = kit::value_of("one");
    let proxy = setup(&upstream.url()).secret("pool", &[("one", &format!("{value}\n"))]).start();
    assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    let sent = upstream.take();
    assert_eq!(sent[0].header("authorization"), Some(format!("Bearer {value}").as_str()));
    let proxy =
        setup(&upstream.url()).secret("pool", &[("one", &format!(" {value}\r\n\n"))]).start();
    assert_eq!(kit::post(&proxy, kit::MESSAGE_PATH, kit::MESSAGE).status, 200);
    assert_eq!(upstream.take()[0].header("x-api-key"), Some(value.as_str()));
}

#[test]
fn the_same_key_twice_is_one_key() {
    let upstream = kit::failing_on_bad(|connection| {
        connection.send(crate::support::upstream::json(
            401,
            r#"{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        ));
        crate::support::upstream::Then::Next
    });
    let (bad, good) = (kit::value_of("bad"), kit::value_of("good"));
    let entries = [("bad", bad.as_str()), ("twin", bad.as_str()), ("good", good.as_str())];
    let proxy = setup(&upstream.url()).secret("pool", &entries).start();
    for _ in 0..30 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    let uses = kit::uses(&upstream.take());
    assert!(uses.get("bad").is_some_and(|met| *met <= 2), "{uses:?}");
    let told = kit::status(&proxy).to_string() + &proxy.log();
    assert!(told.contains("same key"), "{told}");
}

#[test]
fn keys_come_from_the_environment_where_nothing_is_configured() {
    let key = kit::value_of("env");
    let proxy = Setup::default().env("OPENAI_API_KEY", &format!("{key}, {key}2")).start();
    let status = kit::status(&proxy);
    assert_eq!(status["config"]["state"], "defaults", "{status}");
    let keys = status["providers"][0]["keys"].as_array().map(Vec::len);
    assert_eq!((status["providers"][0]["name"].as_str(), keys), (Some("openai"), Some(2)));
    assert!(!status.to_string().contains("SECRETMARKER"));
}
