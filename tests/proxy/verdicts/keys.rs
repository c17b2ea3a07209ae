//! What a verdict does to keys and groups beyond the request that met it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use crate::kit::{self, CHAT, CHAT_ANSWER, CHAT_PATH, Format};
use crate::support::process::Setup;
use crate::support::upstream::{Then, Upstream, json};

pub(super) const DEAD: &str = r#"{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#;
pub(super) const BROKE: &str = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
pub(super) const NO_MODEL: &str = r#"{"error":{"message":"The model `gpt-4o` does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;

fn dead() -> Upstream {
    kit::failing_on_bad(|connection| {
        connection.send(json(401, DEAD));
        Then::Next
    })
}

#[test]
fn a_dead_key_is_met_at_most_twice_under_fifty_requests_at_once() {
    // Who is refused, who is served and who waits fall differently each time.
    for _ in 0..10 {
        meet_a_dead_key_at_once();
    }
}

fn meet_a_dead_key_at_once() {
    let upstream = dead();
    let proxy = kit::openai_proxy(&upstream, &["bad", "good"]);
    let start = Barrier::new(50);
    kit::in_parallel(50, |_| {
        let mut connection = proxy.connect();
        start.wait();
        for _ in 0..4 {
            connection.post(CHAT_PATH, &[], CHAT);
            let reply = connection.reply();
            assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER));
        }
    });
    let uses = kit::uses(&upstream.take());
    assert_eq!(uses.get("good"), Some(&200), "{uses:?}");
    assert!(uses.get("bad").is_some_and(|met| *met <= 2), "{uses:?}");
}

#[test]
fn a_key_refused_twice_is_disabled_and_said_to_be() {
    let upstream = dead();
    let proxy = kit::openai_proxy(&upstream, &["bad", "good"]);
    proxy.until("disabled", || {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
        (kit::key_state(&proxy, "bad")? == "disabled").then_some(())
    });
    assert_eq!(kit::uses(&upstream.take()).get("bad"), Some(&2));
    let state = [("key", "bad"), ("state", "disabled"), ("provider", "openai")];
    kit::until_sum(&proxy, "keyweir_key_state", &state, 1.0);
    for _ in 0..30 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    assert_eq!(kit::uses(&upstream.take()).get("bad"), None);
    assert_eq!(kit::key_state(&proxy, "good").as_deref(), Some("healthy"));
}

#[test]
fn billing_benches_the_whole_group_and_spares_the_others() {
    let upstream = Upstream::start(|request, connection| {
        let answer = match kit::key_of(request).as_str() {
            "broke1" | "broke2" => json(429, BROKE),
            _ => kit::healthy(request),
        };
        connection.send(answer);
        Then::Next
    });
    let config = format!(
        "version: 1\nproviders:\n  openai:\n    baseUrl: {}\n    keys:\n      - {{secret: pool, entries: [broke1, broke2], quotaGroup: broke}}\n      - {{secret: pool, entries: [rich]}}\n",
        upstream.url()
    );
    let setup = Setup::default().config(&config);
    let proxy = kit::with_keys(setup, &["broke1", "broke2", "rich"]).start();
    for _ in 0..40 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    let uses = kit::uses(&upstream.take());
    let broke = uses.get("broke1").unwrap_or(&0) + uses.get("broke2").unwrap_or(&0);
    assert_eq!((broke, uses.get("rich")), (1, Some(&40)), "{uses:?}");
    let groups = kit::status(&proxy)["providers"][0]["quotaGroups"].clone();
    let group = groups.as_array().and_then(|groups| groups.iter().find(|it| it["name"] == "broke"));
    assert_eq!(group.map(|group| group["state"].clone()), Some("benched".into()), "{groups}");
    let state = [("quota_group", "broke"), ("state", "benched")];
    kit::until_sum(&proxy, "keyweir_quota_group_state", &state, 1.0);
}

#[test]
fn a_rate_limit_holds_the_whole_group_for_that_model_until_the_moment_told() {
    let upstream = Upstream::start(|request, connection| {
        let limited = kit::key_of(request).starts_with("full") && request.text().contains("gpt-4o");
        let answer = if limited {
            kit::answer(
                429,
                &[("retry-after", "30")],
                r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            )
        } else {
            kit::healthy(request)
        };
        connection.send(answer);
        Then::Next
    });
    let config = format!(
        "version: 1\nproviders:\n  openai:\n    baseUrl: {}\n    keys:\n      - {{secret: pool, entries: [full1, full2], quotaGroup: full}}\n      - {{secret: pool, entries: [free]}}\n",
        upstream.url()
    );
    let setup = Setup::default().config(&config);
    let proxy = kit::with_keys(setup, &["full1", "full2", "free"]).start();
    for _ in 0..40 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    let uses = kit::uses(&upstream.take());
    let full = uses.get("full1").unwrap_or(&0) + uses.get("full2").unwrap_or(&0);
    assert_eq!((full, uses.get("free")), (1, Some(&40)), "{uses:?}");
    // Other models of that group are not held.
    for _ in 0..40 {
        let body = CHAT.replace("gpt-4o", "gpt-3.5-turbo");
        assert_eq!(kit::post(&proxy, CHAT_PATH, &body).status, 200);
    }
    let uses = kit::uses(&upstream.take());
    assert!(uses.contains_key("full1") || uses.contains_key("full2"), "{uses:?}");
}

#[test]
fn a_key_forbidden_one_model_still_serves_the_others() {
    let upstream = Upstream::start(|request, connection| {
        let forbidden = kit::key_of(request) == "narrow" && request.text().contains("gpt-4o");
        let answer = if forbidden { json(403, NO_MODEL) } else { kit::healthy(request) };
        connection.send(answer);
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["narrow", "wide"]);
    for _ in 0..40 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    assert_eq!(kit::uses(&upstream.take()).get("narrow"), Some(&1));
    for _ in 0..40 {
        let body = CHAT.replace("gpt-4o", "o3");
        assert_eq!(kit::post(&proxy, CHAT_PATH, &body).status, 200);
    }
    assert!(kit::uses(&upstream.take()).contains_key("narrow"));
}

#[test]
fn where_every_key_is_forbidden_the_model_the_client_sees_the_provider_s_own_answer() {
    for status in [403, 404] {
        let upstream = Upstream::answering(status, NO_MODEL);
        let proxy = kit::openai_proxy(&upstream, &["a", "b", "c"]);
        let reply = kit::post(&proxy, CHAT_PATH, CHAT);
        assert_eq!((reply.status, reply.text().as_str()), (status, NO_MODEL));
        assert_eq!(reply.header("x-keyweir-error"), None);
        // A 404 is believed at the second group, a 403 when all have said so.
        let asked = if status == 404 { 2 } else { 3 };
        assert_eq!(upstream.take().len(), asked, "{status}");
    }
}

#[test]
fn a_key_is_used_only_for_the_models_it_is_for() {
    let upstream = kit::healthy_provider();
    let config = format!(
        "version: 1\nproviders:\n  openai:\n    baseUrl: {}\n    keys:\n      - {{secret: pool, entries: [small], models: [\"gpt-4o-mini*\"]}}\n      - {{secret: pool, entries: [large], models: [gpt-4o]}}\n",
        upstream.url()
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["small", "large"]).start();
    for (model, key) in [("gpt-4o", "large"), ("gpt-4o-mini-2024", "small")] {
        for _ in 0..10 {
            let body = CHAT.replace("gpt-4o", model);
            assert_eq!(kit::post(&proxy, CHAT_PATH, &body).status, 200);
        }
        let uses = kit::uses(&upstream.take());
        assert_eq!(uses.into_iter().collect::<Vec<_>>(), [(key.to_owned(), 10)]);
    }
}

#[test]
fn nothing_is_replayed_after_the_first_byte() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let upstream = Upstream::start(move |_, connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        connection.send(kit::sse::HEAD);
        connection.send(kit::sse::chunk(&kit::sse::delta("a")));
        connection.send(kit::sse::chunk(
            "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":\"503\"}}\n\n",
        ));
        connection.send(kit::sse::LAST);
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["a", "b"]);
    let reply = kit::post(&proxy, CHAT_PATH, kit::CHAT_STREAM);
    assert_eq!(reply.status, 200);
    assert!(reply.complete && reply.text().contains("\"code\":\"503\""), "{}", reply.text());
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn five_failures_in_a_row_open_the_breaker_and_one_probe_closes_it() {
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let still = Arc::clone(&broken);
    let upstream = Upstream::start(move |request, connection| {
        let failing = still.load(Ordering::SeqCst);
        connection.send(if failing { json(500, "{}") } else { kit::healthy(request) });
        Then::Next
    });
    let config = kit::openai_at(&upstream.url(), "") + "retry: {budget: 0%, floor: 0}\n";
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    for _ in 0..5 {
        kit::post_at_once(&proxy, CHAT_PATH, CHAT);
    }
    let open = [("provider", "openai"), ("state", "open")];
    kit::until_sum(&proxy, "keyweir_breaker_state", &open, 1.0);
    let asked = upstream.take().len();
    assert_eq!(asked, 5);
    let reply = kit::post_at_once(&proxy, CHAT_PATH, CHAT);
    Format::OpenAi.assert_refusal(&reply, 503, "providers_unavailable");
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    assert!(upstream.take().is_empty(), "an open breaker lets nothing through");
    broken.store(false, Ordering::SeqCst);
    // Who waits is served as soon as the probe has found out.
    assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    let closed = [("provider", "openai"), ("state", "closed")];
    kit::until_sum(&proxy, "keyweir_breaker_state", &closed, 1.0);
}
