//! Callers' own limits: who is counted with whom, what is refused, and what is given back.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::{AT_ONCE, ask, proxy, setup, statuses};
use crate::kit::{self, CHAT, CHAT_PATH, Format};
use crate::support::http::Reply;
use crate::support::upstream::{Then, Upstream};

#[test]
fn who_has_used_a_limit_up_is_told_in_its_own_protocol_when_to_come_back() {
    for format in Format::ALL {
        let upstream = kit::healthy_provider();
        let proxy = proxy(&upstream, "  default: {maxWait: 1s, limits: {requestsPerMinute: 2}}");
        for _ in 0..2 {
            assert_eq!(kit::post(&proxy, format.path(), format.ask()).status, 200);
        }
        let reply = kit::post(&proxy, format.path(), format.ask());
        format.assert_refusal(&reply, 429, "caller_limit_exceeded");
        let text = reply.text();
        assert!(text.contains("requestsPerMinute") && text.contains("default"), "{text}");
        let seconds: u64 = reply.header("retry-after").expect("it").parse().expect("seconds");
        assert!((1..=30).contains(&seconds), "{seconds}");
        assert!(reply.header("retry-after-ms").is_some());
        assert!(reply.header("x-keyweir-retry-at").is_some_and(|at| at.ends_with('Z')));
        assert_eq!(upstream.take().len(), 2);
        let refused = [("code", "caller_limit_exceeded")];
        kit::until_sum(&proxy, "keyweir_refusals_total", &refused, 1.0);
    }
}

#[test]
fn nobody_is_told_to_sleep_for_a_day() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream, "  default: {limits: {requestsPerDay: 1}}");
    assert_eq!(ask(&proxy, &[]).status, 200);
    let reply = ask(&proxy, &[]);
    Format::OpenAi.assert_refusal(&reply, 429, "caller_limit_exceeded");
    assert_eq!(reply.header("retry-after"), None);
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    assert!(reply.header("x-keyweir-retry-at").is_some());
}

#[test]
fn who_can_wait_is_served_when_its_turn_has_come() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream, "  default: {maxWait: 20s, limits: {requestsPerSecond: 4}}");
    let replies = kit::in_parallel(8, |_| kit::post(&proxy, CHAT_PATH, CHAT));
    assert!(replies.iter().all(|reply| reply.status == 200));
    let queued = |reply: &Reply| reply.header("x-keyweir-queued-ms").map(str::to_owned);
    let waited = replies.iter().filter(|reply| queued(reply).is_some_and(|it| it != "0"));
    assert!(waited.count() >= 3, "four go at once, one more each quarter of a second");
    assert!(kit::sum(&proxy, "keyweir_queue_wait_seconds_count", &[]) >= 3.0);
    assert!(kit::sum(&proxy, "keyweir_queue_depth", &[]) < 1.0, "nobody waits any more");
}

#[test]
fn rules_and_users_are_counted_apart() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(
        &upstream,
        "  default: {limits: {requestsPerDay: 1}}
  rules:
    - {name: web, per: user, match: {header: {x-team: web}}, limits: {requestsPerDay: 2}}
    - {name: free, match: {header: {x-team: free}}, limits: []}",
    );
    assert_eq!(statuses(&proxy, &[], 2), [200, 429]);
    let web = |user| [("x-team", "web"), ("x-keyweir-user", user)];
    assert_eq!(statuses(&proxy, &web("ann"), 3), [200, 200, 429]);
    assert_eq!(statuses(&proxy, &web("bob"), 3), [200, 200, 429]);
    assert_eq!(statuses(&proxy, &[("x-team", "web")], 3), [200, 200, 429], "nobody in particular");
    assert_eq!(statuses(&proxy, &[("x-team", "free")], 5), [200; 5]);
    let status = kit::status(&proxy);
    let web = &status["callers"][1];
    assert_eq!(
        (&web["name"], &web["per"], &web["accounts"]),
        (&"web".into(), &"user".into(), &3.into())
    );
    assert_eq!(web["limits"][0]["limit"], "requestsPerDay");
    let page = proxy.ask_admin("/metrics").text() + &status.to_string() + &proxy.log();
    assert!(!page.contains("\"ann\"") && !page.contains("bob"), "users are nobody's business");
    let used = kit::sum(&proxy, "keyweir_caller_limit_used_ratio", &[("caller", "web")]);
    assert!(used > 0.99, "{used}");
}

#[test]
fn models_are_counted_apart_where_asked_for_and_a_limit_may_be_for_some() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(
        &upstream,
        "  rules:
    - {name: each, per: model, match: {header: {x-team: each}}, limits: {requestsPerDay: 1}}
    - {name: some, match: {header: {x-team: some}}, limits: {requestsPerDay: 1, models: [gpt-4o]}}",
    );
    let ask = |team: &str, model: &str| {
        let body = CHAT.replace("gpt-4o", model);
        kit::post_with(&proxy, CHAT_PATH, &[("x-team", team), AT_ONCE], &body).status
    };
    assert_eq!([ask("each", "a"), ask("each", "b"), ask("each", "a")], [200, 200, 429]);
    assert_eq!([ask("some", "gpt-4o"), ask("some", "x"), ask("some", "x")], [200, 200, 200]);
    assert_eq!(ask("some", "gpt-4o"), 429);
}

#[test]
fn a_budget_is_spent_at_the_price_of_what_was_used() {
    let upstream = kit::healthy_provider();
    // An answer costs 11 x 2.5 + 7 x 10 = 97.5 millionths of a dollar; 16 tokens of output are
    // reserved, which is 160 and more.
    let proxy = proxy(&upstream, "  default: {limits: {costPerDay: 0.0004}}");
    let body = CHAT.replace("\"messages\"", "\"max_tokens\":16,\"messages\"");
    let ask = || kit::post_with(&proxy, CHAT_PATH, &[AT_ONCE], &body);
    let statuses: Vec<_> = (0..5).map(|_| ask().status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429], "three answers are 292, and 452 are too many");
    let refused = ask();
    assert!(refused.text().contains("costPerDay"), "{}", refused.text());
    let status = kit::status(&proxy);
    let used = status["callers"][0]["limits"][0]["usedRatio"].as_f64().expect("a number");
    assert!((0.70..0.76).contains(&used), "{used}");
}

#[test]
fn a_model_without_a_price_is_told_of_once() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream, "  default: {limits: {costPerDay: 1}}");
    for _ in 0..3 {
        let body = CHAT.replace("gpt-4o", "home-made");
        assert_eq!(kit::post(&proxy, CHAT_PATH, &body).status, 200);
    }
    proxy.log_line(&["No price is known", "home-made"]);
    assert_eq!(proxy.log().matches("No price is known").count(), 1);
    let warnings = kit::status(&proxy)["warnings"].to_string();
    assert!(warnings.contains("home-made"), "{warnings}");
}

/// Answers once it is allowed to.
fn held_back() -> (Upstream, Arc<(Mutex<usize>, Condvar)>) {
    let allowed = Arc::<(Mutex<usize>, Condvar)>::default();
    let wait = Arc::clone(&allowed);
    let upstream = Upstream::start(move |request, connection| {
        let (lock, news) = &*wait;
        let left = lock.lock().expect("no panic");
        let mut left = news.wait_while(left, |left| *left == 0).expect("no panic");
        *left -= 1;
        drop(left);
        connection.send(kit::healthy(request));
        Then::Next
    });
    (upstream, allowed)
}

fn allow(allowed: &(Mutex<usize>, Condvar), more: usize) {
    *allowed.0.lock().expect("no panic") += more;
    allowed.1.notify_all();
}

#[test]
fn as_many_are_under_way_at_once_as_may_be() {
    let (upstream, allowed) = held_back();
    let proxy = proxy(&upstream, "  default: {limits: {concurrency: 2}}");
    thread::scope(|scope| {
        let two: Vec<_> =
            (0..2).map(|_| scope.spawn(|| kit::post(&proxy, CHAT_PATH, CHAT))).collect();
        proxy.until("two are under way", || (upstream.seen() == 2).then_some(()));
        Format::OpenAi.assert_refusal(&ask(&proxy, &[]), 429, "caller_limit_exceeded");
        let third = scope.spawn(|| kit::post(&proxy, CHAT_PATH, CHAT));
        kit::until_sum(&proxy, "keyweir_queue_depth", &[], 1.0);
        allow(&allowed, 3);
        for asked in two.into_iter().chain([third]) {
            assert_eq!(asked.join().expect("no panic").status, 200);
        }
    });
    assert_eq!(upstream.take().len(), 3);
}

#[test]
fn what_was_refused_or_never_sent_costs_nothing() {
    let upstream = Upstream::answering(503, "{}");
    // An alias, so that Keyweir answers for the providers.
    let proxy = proxy(
        &upstream,
        "  default: {limits: {requestsPerDay: 1, tokensPerDay: 5k}}
models: {chat: {targets: [{model: openai/gpt-4o}]}}",
    );
    for _ in 0..3 {
        let reply = kit::post_with(&proxy, CHAT_PATH, &[AT_ONCE], &CHAT.replace("gpt-4o", "chat"));
        assert_ne!(reply.header("x-keyweir-error"), Some("caller_limit_exceeded"));
    }
    let unreadable = kit::post(&proxy, CHAT_PATH, "{");
    Format::OpenAi.assert_refusal(&unreadable, 400, "invalid_request");
}

#[test]
fn a_client_that_leaves_before_an_answer_is_charged_and_makes_way() {
    let (upstream, allowed) = held_back();
    let proxy = proxy(&upstream, "  default: {limits: {concurrency: 1, requestsPerDay: 2}}");
    let mut client = proxy.connect();
    client.post(CHAT_PATH, &[], CHAT);
    proxy.until("it is under way", || (upstream.seen() == 1).then_some(()));
    drop(client);
    kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "cancelled")], 1.0);
    allow(&allowed, 9);
    assert_eq!(statuses(&proxy, &[], 2), [200, 429]);
}

#[test]
fn much_used_limits_are_warned_of_with_each_answer_and_once_in_the_log() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream, "  default: {limits: {requestsPerDay: 4, warnAt: 50%}}");
    let warning = || ask(&proxy, &[]).header("x-keyweir-limit-warning").map(str::to_owned);
    assert_eq!(warning(), None);
    assert_eq!(warning().as_deref(), Some("requestsPerDay 50%"));
    assert_eq!(warning().as_deref(), Some("requestsPerDay 75%"));
    proxy.log_line(&["nearly used up", "requestsPerDay"]);
    assert_eq!(proxy.log().matches("nearly used up").count(), 1);
    let limit = [("owner", "default"), ("limit", "requestsPerDay")];
    assert!((kit::sum(&proxy, "keyweir_limit_warnings_total", &limit) - 1.0).abs() < 0.1);
}

#[test]
fn a_limit_is_shared_among_the_sidecars_that_there_are() {
    let upstream = kit::healthy_provider();
    let callers = "  default: {limits: {requestsPerDay: 6}}";
    let shared = setup(&upstream, callers).env("KEYWEIR_REPLICAS", "3").start();
    assert_eq!(statuses(&shared, &[], 3), [200, 200, 429]);
    let status = kit::status(&shared);
    assert_eq!(status["replicasAssumed"], 3);
    assert_eq!(status["callers"][0]["limits"][0]["configured"], 6);
    let alone = setup(&upstream, &format!("{callers}\nfleet: {{replicas: 2}}"));
    let alone = alone.env("KEYWEIR_REPLICAS", "3").start();
    assert_eq!(statuses(&alone, &[], 4), [200, 200, 200, 429], "the configuration weighs more");
    let strange = setup(&upstream, callers).env("KEYWEIR_REPLICAS", "many").start();
    assert!(kit::status(&strange)["warnings"].to_string().contains("KEYWEIR_REPLICAS"));
}

#[test]
fn a_reload_keeps_what_was_used_and_lets_those_in_for_whom_there_is_room_now() {
    let upstream = kit::healthy_provider();
    let mut proxy = proxy(&upstream, "  default: {limits: {requestsPerDay: 2}}");
    assert_eq!(statuses(&proxy, &[], 3), [200, 200, 429]);
    let config =
        kit::all_at(&upstream.url(), "callers: {default: {limits: {requestsPerDay: 3}}}\n");
    proxy.config.as_mut().expect("one").swap(&[("keyweir.yaml", config)]);
    kit::until_sum(&proxy, "keyweir_config_reloads_total", &[("result", "success")], 2.0);
    assert_eq!(statuses(&proxy, &[], 2), [200, 429]);
}
