//! Observing first: nothing is changed, and what would have been done is counted.

use super::{AT_ONCE, setup};
use crate::kit::{self, CHAT, CHAT_PATH, Format};
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::Upstream;

const LIMITED: &str = r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;

fn would(proxy: &Proxy, action: &str) -> f64 {
    kit::sum(proxy, "keyweir_would_total", &[("action", action)])
}

#[test]
fn a_caller_s_limits_and_bounds_are_only_counted() {
    let upstream = kit::healthy_provider();
    let callers = "  default: {maxWait: 90s, models: [\"gpt*\"], maxOutputTokens: 10, limits: {requestsPerMinute: 2}}
  rules: [{name: day, match: {header: {x-team: day}}, limits: {requestsPerDay: 1}}]";
    let proxy = setup(&upstream, &format!("{callers}\nmode: observe")).start();
    let post = |headers: &[(&str, &str)], body: &str| {
        let reply = kit::post_with(&proxy, CHAT_PATH, headers, body);
        assert_eq!((reply.status, reply.header("x-keyweir-queued-ms")), (200, Some("0")));
    };
    (0..4).for_each(|_| post(&[], CHAT));
    assert_eq!((would(&proxy, "waited"), would(&proxy, "refused")), (2.0, 0.0));
    (0..3).for_each(|_| post(&[("x-team", "day")], CHAT));
    assert_eq!((would(&proxy, "waited"), would(&proxy, "refused")), (2.0, 2.0));
    post(
        &[("x-team", "day"), AT_ONCE],
        &CHAT.replace("\"messages\"", "\"max_tokens\":99,\"messages\""),
    );
    post(&[AT_ONCE], &CHAT.replace("gpt-4o", "other"));
    assert!((would(&proxy, "refused") - 4.0).abs() < 0.1, "each request counts once");
    let sent: Vec<_> = upstream.take().iter().map(|request| request.text()).collect();
    assert_eq!(sent.iter().filter(|body| *body == CHAT).count(), 7, "nothing is put in");
    assert_eq!(kit::status(&proxy)["mode"], "observe");
}

/// Two providers behind one alias, the first with a limit of one request a minute.
fn alias(first: &Upstream, second: &Upstream) -> Proxy {
    let provider = |name: &str, upstream: &Upstream, more: &str| {
        format!(
            "  {name}: {{wire: openai, baseUrl: \"{}\", keys: [{{secret: pool}}]{more}}}\n",
            upstream.url()
        )
    };
    let limits = ", adaptive: false, limits: {requestsPerMinute: 1}";
    let config = format!(
        "version: 1\nmode: observe\nproviders:\n{}{}models:\n  chat: {{targets: [{{model: first/one}}, {{model: second/two}}]}}\n",
        provider("first", first, limits),
        provider("second", second, "")
    );
    kit::with_keys(Setup::default().config(&config), &["only"]).start()
}

#[test]
fn a_provider_s_limits_are_only_counted() {
    let (first, second) = (kit::healthy_provider(), kit::healthy_provider());
    let proxy = alias(&first, &second);
    let direct = |headers: &[(&str, &str)]| {
        let body = CHAT.replace("gpt-4o", "first/one");
        assert_eq!(kit::post_with(&proxy, CHAT_PATH, headers, &body).status, 200);
    };
    direct(&[]);
    direct(&[]);
    assert_eq!((would(&proxy, "waited"), would(&proxy, "refused")), (0.0, 1.0), "a minute is long");
    let unmet = [("provider", "first"), ("limit", "requestsPerMinute")];
    kit::until_sum(&proxy, "keyweir_unmet_total", &unmet, 1.0);
    let reply = kit::post(&proxy, CHAT_PATH, &CHAT.replace("gpt-4o", "chat"));
    assert_eq!((reply.status, reply.header("x-keyweir-provider")), (200, Some("first")));
    assert!((would(&proxy, "moved") - 1.0).abs() < 0.1);
    assert!(second.take().is_empty());
}

#[test]
fn a_provider_s_own_refusal_reaches_the_application_once_every_key_has_been_tried() {
    let upstream = Upstream::answering(429, LIMITED);
    let config = kit::openai_at(&upstream.url(), "mode: observe\n");
    let proxy = kit::with_keys(Setup::default().config(&config), &["one", "two"]).start();
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    assert_eq!((reply.status, reply.text().as_str()), (429, LIMITED));
    assert_eq!(reply.header("x-keyweir-error"), None, "it is the provider's own");
    assert_eq!(reply.header("x-keyweir-queued-ms"), Some("0"));
    assert_eq!(upstream.take().len(), 2);
}

#[test]
fn a_limit_may_be_observed_alone() {
    let upstream = kit::healthy_provider();
    let callers = "  default: {limits: [{requestsPerDay: 1, mode: observe, warnAt: 100%}, {requestsPerDay: 3}]}";
    let proxy = setup(&upstream, callers).start();
    let ask = || kit::post_with(&proxy, CHAT_PATH, &[AT_ONCE], CHAT);
    assert_eq!(ask().status, 200);
    let second = ask();
    assert_eq!(second.header("x-keyweir-limit-warning"), Some("requestsPerDay 200%"));
    assert_eq!((second.status, ask().status), (200, 200));
    Format::OpenAi.assert_refusal(&ask(), 429, "caller_limit_exceeded");
    assert!(would(&proxy, "refused") >= 2.0);
}
