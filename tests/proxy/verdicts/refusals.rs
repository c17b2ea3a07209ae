//! Refusals of a pool or of several targets, and what leads to another target.

use crate::kit::{self, CHAT, CHAT_PATH, Format};
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::{Then, Upstream, json};

const LIMITED: &str = r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;

/// The alias `chat` over the providers `first` and `second`.
fn alias(first: &Upstream, second: &Upstream) -> Proxy {
    let provider = |name: &str, upstream: &Upstream| {
        format!(
            "  {name}: {{wire: openai, baseUrl: \"{}\", keys: [{{secret: pool}}]}}\n",
            upstream.url()
        )
    };
    let config = format!(
        "version: 1\nproviders:\n{}{}models:\n  chat: {{targets: [{{model: first/one}}, {{model: second/two}}]}}\n",
        provider("first", first),
        provider("second", second)
    );
    kit::with_keys(Setup::default().config(&config), &["only"]).start()
}

fn ask() -> String {
    CHAT.replace("gpt-4o", "chat")
}

#[test]
fn an_alias_goes_to_its_first_target_under_that_target_s_own_name() {
    let (first, second) = (kit::healthy_provider(), kit::healthy_provider());
    let proxy = alias(&first, &second);
    for _ in 0..5 {
        let reply = kit::post(&proxy, CHAT_PATH, &ask());
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-keyweir-provider"), Some("first"));
        assert_eq!(reply.header("x-keyweir-model"), Some("one"));
    }
    assert!(second.take().is_empty());
    for request in first.take() {
        assert_eq!(request.text(), CHAT.replace("gpt-4o", "one"), "nothing but the name changes");
    }
}

#[test]
fn a_provider_may_be_named_before_the_model() {
    let (first, second) = (kit::healthy_provider(), kit::healthy_provider());
    let proxy = alias(&first, &second);
    let reply = kit::post(&proxy, CHAT_PATH, &CHAT.replace("gpt-4o", "second/some/model"));
    assert_eq!((reply.status, reply.header("x-keyweir-provider")), (200, Some("second")));
    assert_eq!(second.take()[0].text(), CHAT.replace("gpt-4o", "some/model"));
    assert!(first.take().is_empty());
}

#[test]
fn a_target_that_fails_yields_to_the_next_and_that_is_counted() {
    for (status, body) in [(500, "{}"), (429, LIMITED), (401, super::keys::DEAD)] {
        let (first, second) = (Upstream::answering(status, body), kit::healthy_provider());
        let proxy = alias(&first, &second);
        let reply = kit::post(&proxy, CHAT_PATH, &ask());
        assert_eq!((reply.status, reply.header("x-keyweir-provider")), (200, Some("second")));
        assert_eq!(second.take()[0].text(), CHAT.replace("gpt-4o", "two"));
        let way = [("from", "first"), ("to", "second")];
        kit::until_sum(&proxy, "keyweir_failovers_total", &way, 1.0);
        assert_eq!(first.take().len(), 1, "{status}");
    }
}

#[test]
fn a_request_s_own_fault_does_not_lead_to_another_target() {
    const FAULT: &str = r#"{"error":{"message":"bad","type":"invalid_request_error","param":"messages","code":null}}"#;
    let (first, second) = (Upstream::answering(400, FAULT), kit::healthy_provider());
    let proxy = alias(&first, &second);
    let reply = kit::post(&proxy, CHAT_PATH, &ask());
    assert_eq!((reply.status, reply.text().as_str()), (400, FAULT));
    assert!(second.take().is_empty());
}

#[test]
fn where_every_target_fails_the_providers_are_unavailable() {
    let (first, second) = (Upstream::answering(500, "{}"), Upstream::answering(503, "{}"));
    let proxy = alias(&first, &second);
    let reply = kit::post_at_once(&proxy, CHAT_PATH, &ask());
    Format::OpenAi.assert_refusal(&reply, 503, "providers_unavailable");
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    let message = reply.text();
    assert!(message.contains("first") && message.contains("second"), "{message}");
    assert_eq!((first.take().len(), second.take().len()), (1, 1));
}

#[test]
fn a_single_target_that_fails_until_the_deadline_is_seen_with_its_own_last_answer() {
    const FAILED: &str =
        r#"{"error":{"message":"boom","type":"server_error","param":null,"code":null}}"#;
    let upstream = Upstream::answering(500, FAILED);
    let proxy = kit::openai_proxy(&upstream, &["a", "b"]);
    let patience = [("x-keyweir-max-wait", "300ms")];
    let reply = kit::post_with(&proxy, CHAT_PATH, &patience, CHAT);
    assert_eq!((reply.status, reply.text().as_str()), (500, FAILED));
    assert_eq!(reply.header("x-keyweir-error"), None);
    assert!(upstream.take().len() >= 2, "both groups were tried");
}

#[test]
fn sending_again_to_a_group_already_tried_is_bounded_by_the_budget() {
    let upstream = Upstream::answering(500, "{}");
    let config = kit::openai_at(&upstream.url(), "")
        + "retry: {budget: 0%, floor: 0}\nbreaker: {failures: 1000}\n";
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let patience = [("x-keyweir-max-wait", "2s")];
    // The budget is whole at the start, by at most a handful.
    for _ in 0..8 {
        assert_eq!(kit::post_with(&proxy, CHAT_PATH, &patience, CHAT).status, 500);
    }
    let asked = upstream.take().len();
    assert!((8..=18).contains(&asked), "{asked}");
}

#[test]
fn every_key_held_is_told_with_the_soonest_of_them() {
    let upstream = Upstream::start(|request, connection| {
        let seconds = if kit::key_of(request) == "soon" { "5" } else { "40" };
        connection.send(kit::answer(429, &[("retry-after", seconds)], LIMITED));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["soon", "later"]);
    let reply = kit::post_at_once(&proxy, CHAT_PATH, CHAT);
    Format::OpenAi.assert_refusal(&reply, 429, "keys_temporarily_exhausted");
    let seconds: u64 = reply.header("retry-after").expect("it").parse().expect("seconds");
    assert!((4..=7).contains(&seconds), "{seconds}");
    assert_eq!(upstream.take().len(), 2, "both were asked before that was said");
    kit::until_sum(
        &proxy,
        "keyweir_refusals_total",
        &[("code", "keys_temporarily_exhausted")],
        1.0,
    );
    kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "refused")], 1.0);
}

#[test]
fn a_moment_beyond_a_minute_is_told_without_anything_an_sdk_would_sleep_for() {
    let upstream = Upstream::start(|_, connection| {
        connection.send(kit::answer(429, &[("retry-after", "7200")], LIMITED));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    Format::OpenAi.assert_refusal(&reply, 429, "keys_temporarily_exhausted");
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    assert_eq!((reply.header("retry-after"), reply.header("retry-after-ms")), (None, None));
    let at: jiff::Timestamp =
        reply.header("x-keyweir-retry-at").expect("it").parse().expect("RFC 3339");
    let away = at.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((7_100..=7_210).contains(&away), "{away}");
}

#[test]
fn one_request_larger_than_the_whole_bucket_is_nobody_s_hold() {
    const TOO_LARGE: &str = r#"{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 250011.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    let upstream = Upstream::start(|request, connection| {
        let large = request.text().contains("LARGE");
        connection.send(if large { json(429, TOO_LARGE) } else { kit::healthy(request) });
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["a", "b"]);
    let reply = kit::post_at_once(&proxy, CHAT_PATH, &CHAT.replace("hi", "LARGE"));
    assert!(matches!(reply.status, 400 | 429), "{reply:?} {}", reply.text());
    if reply.status == 400 {
        Format::OpenAi.assert_refusal(&reply, 400, "request_exceeds_limit");
    }
    assert!(upstream.take().len() <= 2);
    for _ in 0..10 {
        let reply = kit::post_at_once(&proxy, CHAT_PATH, CHAT);
        assert_eq!(reply.status, 200, "a key was held for it: {}", reply.text());
    }
}

#[test]
fn a_caller_who_may_not_use_a_model_is_told_so() {
    let upstream = kit::healthy_provider();
    let rules = "callers: {rules: [{name: nightly, match: {header: {x-keyweir-caller: nightly}}, models: [\"gpt-4o-mini*\"]}]}\n";
    let config = kit::all_at(&upstream.url(), rules);
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let nightly = [("x-keyweir-caller", "nightly")];
    for format in Format::ALL {
        let reply = kit::post_with(&proxy, format.path(), &nightly, format.ask());
        format.assert_refusal(&reply, 403, "model_not_allowed");
        assert_eq!(kit::post(&proxy, format.path(), format.ask()).status, 200);
    }
    let allowed = CHAT.replace("gpt-4o", "gpt-4o-mini-x");
    assert_eq!(kit::post_with(&proxy, CHAT_PATH, &nightly, &allowed).status, 200);
    // Nor is there a way around it: without a model, or in a body that is not read.
    let nameless = CHAT.replace("model", "models");
    let reply = kit::post_with(&proxy, CHAT_PATH, &nightly, &nameless);
    Format::OpenAi.assert_refusal(&reply, 403, "model_not_allowed");
    let mut connection = proxy.connect();
    connection.send(format!(
        "POST /openai{CHAT_PATH} HTTP/1.1\r\nhost: x\r\nx-keyweir-caller: nightly\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{CHAT}",
        CHAT.len()
    ));
    Format::OpenAi.assert_refusal(&connection.reply(), 403, "model_not_allowed");
    let labels = [("caller", "nightly"), ("outcome", "refused")];
    kit::until_sum(&proxy, "keyweir_requests_total", &labels, 3.0);
}
