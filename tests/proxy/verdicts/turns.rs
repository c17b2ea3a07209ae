//! Who waits is called when it is his turn, and held up by nobody who waits for something else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::kit::{self, CHAT, CHAT_PATH};
use crate::support::http::Raw;
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::{Then, Upstream, json};

const LIMITED: &str = r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
const FORBIDDEN: &str = r#"{"error":{"message":"Project does not have access to model","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;

#[expect(clippy::disallowed_methods, reason = "a test is outside the house: it times the process")]
fn now() -> Instant {
    Instant::now()
}

fn limited(seconds: &'static str) -> String {
    kit::answer(429, &[("retry-after", seconds)], LIMITED)
}

/// Refuses its first request for that long, and serves what comes after.
fn limited_once(seconds: &'static str) -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |request, connection| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        connection.send(if first { limited(seconds) } else { kit::healthy(request) });
        Then::Next
    })
}

fn ask(proxy: &Proxy, headers: &[(&str, &str)], body: &str) -> Raw {
    let mut connection = proxy.connect();
    connection.post(CHAT_PATH, headers, body);
    connection
}

fn until_waiting(proxy: &Proxy, count: f64) {
    kit::until_sum(proxy, "keyweir_queue_depth", &[], count);
}

#[test]
fn a_newcomer_who_comes_first_does_not_put_the_line_to_sleep() {
    let upstream = limited_once("2");
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let began = now();
    let patient = ask(&proxy, &[], CHAT);
    until_waiting(&proxy, 1.0);
    // Its deadline is earlier, so it stands before the one who waits already.
    let hurried = ask(&proxy, &[("x-keyweir-max-wait", "15s")], CHAT);
    for mut connection in [patient, hurried] {
        assert_eq!(connection.reply().status, 200);
    }
    assert!(now() - began < Duration::from_secs(9), "{:?}", now() - began);
}

#[test]
fn who_waits_for_an_alias_is_served_by_whichever_target_is_free_first() {
    let slow = Upstream::start(|_, connection| {
        connection.send(limited("25"));
        Then::Next
    });
    let quick = limited_once("2");
    let config = format!(
        "version: 1\nproviders:\n  slow: {{wire: openai, baseUrl: \"{}\", keys: [{{secret: pool}}]}}\n  quick: {{wire: openai, baseUrl: \"{}\", keys: [{{secret: pool}}]}}\nmodels:\n  chat: {{targets: [{{model: slow/one}}, {{model: quick/two}}]}}\n",
        slow.url(),
        quick.url()
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["only"]).start();
    let body = CHAT.replace("gpt-4o", "chat");
    let began = now();
    let mut waiting = vec![ask(&proxy, &[], &body)];
    until_waiting(&proxy, 1.0);
    waiting.extend((0..5).map(|_| ask(&proxy, &[], &body)));
    for mut connection in waiting {
        let reply = connection.reply();
        assert_eq!((reply.status, reply.header("x-keyweir-provider")), (200, Some("quick")));
    }
    assert!(now() - began < Duration::from_secs(10), "{:?}", now() - began);
    assert_eq!(slow.take().len(), 1);
}

#[test]
fn a_caller_with_keys_of_its_own_does_not_stand_behind_those_who_wait_for_the_others() {
    let upstream = Upstream::start(|request, connection| {
        let own = kit::key_of(request) == "vip";
        connection.send(if own { kit::healthy(request) } else { limited("20") });
        Then::Next
    });
    let config = format!(
        "version: 1\nproviders:\n  openai:\n    baseUrl: {}\n    keys:\n      - {{secret: pool, entries: [shared]}}\n      - {{secret: pool, entries: [vip], callers: [vip]}}\ncallers: {{rules: [{{name: vip, match: {{header: {{x-keyweir-caller: vip}}}}}}]}}\n",
        upstream.url()
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["shared", "vip"]).start();
    let waiting = ask(&proxy, &[], CHAT);
    until_waiting(&proxy, 1.0);
    let began = now();
    let vip = [("x-keyweir-caller", "vip")];
    for _ in 0..5 {
        let reply = kit::post_with(&proxy, CHAT_PATH, &vip, CHAT);
        assert_eq!((reply.status, reply.header("x-keyweir-key")), (200, Some("vip")));
    }
    assert!(now() - began < Duration::from_secs(5), "{:?}", now() - began);
    drop(waiting);
}

#[test]
fn who_waits_for_a_breaker_waits_for_its_probe_too() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |request, connection| {
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => connection.send(json(500, "{}")),
            1 => {
                // The probe takes its time.
                thread::sleep(Duration::from_millis(1_500));
                connection.send(kit::healthy(request));
            }
            _ => connection.send(kit::healthy(request)),
        }
        Then::Next
    });
    let config = kit::openai_at(&upstream.url(), "") + "breaker: {failures: 1, open: 500ms}\n";
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let mut waiting = vec![ask(&proxy, &[], CHAT)];
    until_waiting(&proxy, 1.0);
    waiting.extend((0..8).map(|_| ask(&proxy, &[], CHAT)));
    for mut connection in waiting {
        let reply = connection.reply();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[test]
fn a_probe_s_first_byte_frees_those_who_wait_however_long_its_stream_is() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |request, connection| {
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => connection.send(json(500, "{}")),
            1 => {
                connection.send(kit::sse::HEAD);
                connection.send(kit::sse::chunk(&kit::sse::delta("begun")));
                connection.closed();
                return Then::Close;
            }
            _ => connection.send(kit::healthy(request)),
        }
        Then::Next
    });
    let config = kit::openai_at(&upstream.url(), "") + "breaker: {failures: 1, open: 500ms}\n";
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let mut probe = ask(&proxy, &[], kit::CHAT_STREAM);
    until_waiting(&proxy, 1.0);
    let began = now();
    let mut other = ask(&proxy, &[], CHAT);
    assert_eq!(other.reply().status, 200);
    assert!(now() - began < Duration::from_secs(6), "{:?}", now() - began);
    assert_eq!(probe.head().status, 200);
}

#[test]
fn nothing_is_sent_again_after_the_deadline() {
    let upstream = Upstream::start(|_, connection| {
        thread::sleep(Duration::from_millis(1_600));
        connection.send(json(500, "{}"));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one", "two", "three"]);
    let patience = [("x-keyweir-max-wait", "300ms")];
    let reply = kit::post_with(&proxy, CHAT_PATH, &patience, CHAT);
    assert_eq!((reply.status, reply.text().as_str()), (500, "{}"), "the target's own last answer");
    assert_eq!(upstream.take().len(), 1);
}

#[test]
fn a_model_forbidden_to_one_group_is_not_the_last_word_while_another_is_only_held() {
    let upstream = Upstream::start(|request, connection| {
        let forbidden = kit::key_of(request) == "forbidden";
        connection.send(if forbidden { json(403, FORBIDDEN) } else { limited("50") });
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["forbidden", "held"]);
    for _ in 0..4 {
        let reply = kit::post_at_once(&proxy, CHAT_PATH, CHAT);
        kit::Format::OpenAi.assert_refusal(&reply, 429, "keys_temporarily_exhausted");
        let seconds: u64 = reply.header("retry-after").expect("it").parse().expect("seconds");
        assert!((40..=52).contains(&seconds), "{seconds}");
    }
}
