//! What cannot be sent now waits for the soonest moment at which it can.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::kit::{self, CHAT, CHAT_ANSWER, CHAT_PATH, Format};
use crate::support::process::Setup;
use crate::support::upstream::{Then, Upstream, json};

const LIMITED: &str = r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;

/// Refuses the first `refused` requests for a second, and serves what comes after.
fn limited_at_first(refused: usize) -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |request, connection| {
        let first = count.fetch_add(1, Ordering::SeqCst) < refused;
        let limited = || kit::answer(429, &[("retry-after", "1")], LIMITED);
        connection.send(if first { limited() } else { kit::healthy(request) });
        Then::Next
    })
}

#[expect(clippy::disallowed_methods, reason = "a test is outside the house: it times the process")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn a_request_waits_for_the_moment_told_and_is_served() {
    let upstream = limited_at_first(1);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER));
    let queued: u64 = reply.header("x-keyweir-queued-ms").expect("it").parse().expect("a number");
    assert!((900..5_000).contains(&queued), "{queued}");
    assert_eq!(reply.header("x-keyweir-attempts"), Some("2"));
    assert_eq!(upstream.take().len(), 2);
    assert!(kit::sum(&proxy, "keyweir_queue_wait_seconds_count", &[]) >= 1.0);
    assert!(kit::sum(&proxy, "keyweir_absorbed_total", &[("verdict", "rateLimited")]) >= 1.0);
}

#[test]
fn a_hundred_requests_wait_together_and_each_is_served() {
    let upstream = limited_at_first(1);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let replies = kit::in_parallel(100, |_| kit::post(&proxy, CHAT_PATH, CHAT));
    for reply in replies {
        assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER));
    }
    assert!(kit::sum(&proxy, "keyweir_queue_depth", &[]) < 1.0, "nobody waits any more");
}

#[test]
fn who_does_not_want_to_wait_is_refused_at_once() {
    let upstream = limited_at_first(usize::MAX);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    kit::post_at_once(&proxy, CHAT_PATH, CHAT);
    let began = now();
    let reply = kit::post_at_once(&proxy, CHAT_PATH, CHAT);
    Format::OpenAi.assert_refusal(&reply, 429, "keys_temporarily_exhausted");
    assert!(now() - began < Duration::from_millis(700), "{:?}", now() - began);
    assert_eq!(upstream.take().len(), 1);
}

#[test]
fn a_wait_that_would_be_longer_than_the_deadline_is_refused_at_once() {
    let upstream = Upstream::start(|_, connection| {
        connection.send(kit::answer(429, &[("retry-after", "50")], LIMITED));
        Then::Next
    });
    let config = kit::openai_at(&upstream.url(), "") + "callers: {default: {maxWait: 20s}}\n";
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let began = now();
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    Format::OpenAi.assert_refusal(&reply, 429, "keys_temporarily_exhausted");
    assert!(now() - began < Duration::from_secs(5), "{:?}", now() - began);
}

#[test]
fn the_deadline_is_never_later_than_the_client_s_own_timeout() {
    let upstream = Upstream::start(|_, connection| {
        connection.send(kit::answer(429, &[("retry-after", "10")], LIMITED));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    for name in ["x-stainless-timeout", "x-server-timeout"] {
        let began = now();
        let reply = kit::post_with(&proxy, CHAT_PATH, &[(name, "2")], CHAT);
        Format::OpenAi.assert_refusal(&reply, 429, "keys_temporarily_exhausted");
        assert!(now() - began < Duration::from_secs(4), "{:?}", now() - began);
    }
}

#[test]
fn who_leaves_while_waiting_is_not_sent() {
    let upstream = limited_at_first(1);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut leaver = proxy.connect();
    leaver.post(CHAT_PATH, &[], CHAT);
    kit::until_sum(&proxy, "keyweir_queue_depth", &[], 1.0);
    drop(leaver);
    kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "cancelled")], 1.0);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    assert_eq!(reply.status, 200);
    assert_eq!(upstream.take().len(), 2, "the one refused and the one that stayed");
}

#[test]
fn a_capacity_that_comes_back_early_is_used_by_those_who_wait() {
    // Two groups, one held for long; the other comes back within the wait.
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |request, connection| {
        let answer = match kit::key_of(request).as_str() {
            "long" => kit::answer(429, &[("retry-after", "3000")], LIMITED),
            _ if count.fetch_add(1, Ordering::SeqCst) == 0 => {
                kit::answer(429, &[("retry-after-ms", "400")], LIMITED)
            }
            _ => json(200, CHAT_ANSWER),
        };
        connection.send(answer);
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["long", "short"]);
    for _ in 0..6 {
        let reply = kit::post(&proxy, CHAT_PATH, CHAT);
        assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER));
    }
    assert!(kit::uses(&upstream.take()).get("long").is_none_or(|met| *met <= 1));
}

#[test]
fn who_waits_for_an_alias_is_served_by_whichever_target_comes_back_first() {
    let held = |seconds: u64| {
        let began = std::sync::OnceLock::new();
        Upstream::start(move |_, connection| {
            let over = *began.get_or_init(now) + Duration::from_secs(seconds);
            let left = over.saturating_duration_since(now()).as_millis().to_string();
            let limited = kit::answer(429, &[("retry-after-ms", &left)], LIMITED);
            connection.send(if now() < over { limited } else { json(200, CHAT_ANSWER) });
            Then::Next
        })
    };
    let (first, second) = (held(25), held(1));
    let provider = |name: &str, upstream: &Upstream| {
        let url = upstream.url();
        format!("  {name}: {{wire: openai, baseUrl: \"{url}\", keys: [{{secret: pool}}]}}\n")
    };
    let config = format!(
        "version: 1\nproviders:\n{}{}models:\n  chat: {{targets: [{{model: first/one}}, {{model: second/two}}]}}\n",
        provider("first", &first),
        provider("second", &second)
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["only"]).start();
    let ask = CHAT.replace("gpt-4o", "chat");
    let reply = kit::post_at_once(&proxy, CHAT_PATH, &ask);
    Format::OpenAi.assert_refusal(&reply, 429, "keys_temporarily_exhausted");
    let began = now();
    let replies = kit::in_parallel(40, |_| kit::post(&proxy, CHAT_PATH, &ask));
    for reply in replies {
        assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER));
        assert_eq!(reply.header("x-keyweir-provider"), Some("second"));
    }
    assert!(now() - began < Duration::from_secs(10), "{:?}", now() - began);
    assert_eq!(first.take().len(), 1, "a target that is held is not asked");
}

#[test]
fn the_sooner_deadline_is_served_first_and_nobody_is_forgotten() {
    let upstream = limited_at_first(1);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let waits = ["28s", "3s", "20s", "4s", "12s", "5s", "25s", "6s"];
    let replies = kit::in_parallel(64, |number| {
        let patience = [("x-keyweir-max-wait", waits[number % waits.len()])];
        kit::post_with(&proxy, CHAT_PATH, &patience, CHAT)
    });
    for reply in replies {
        assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER));
        let queued = reply.header("x-keyweir-queued-ms").expect("it");
        assert!(queued.parse::<u64>().expect("a number") < 8_000, "{queued}");
    }
    assert_eq!(upstream.take().len(), 65);
}
