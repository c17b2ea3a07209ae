//! The admin port: what it shows, to whom, and that it never grows without bound.

use std::collections::BTreeSet;
use std::fs;

use crate::kit::{self, CHAT, CHAT_PATH};
use crate::support::http::Reply;
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::{Then, Upstream, json};

fn ask(proxy: &Proxy, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut connection = crate::support::http::Raw::connect(proxy.admin);
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    connection.send(head + "\r\n");
    connection.reply()
}

#[test]
fn it_shows_metrics_status_readiness_and_a_page() {
    let upstream = kit::healthy_provider();
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    kit::post(&proxy, CHAT_PATH, CHAT);
    for path in ["/ready", "/live", "/metrics", "/status", "/"] {
        assert_eq!(proxy.ask_admin(path).status, 200, "{path}");
    }
    let metrics = proxy.ask_admin("/metrics");
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let page = proxy.ask_admin("/");
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(page.text().contains("openai") && page.text().contains("one"));
    let status = kit::status(&proxy);
    assert_eq!(status["ready"], true);
    assert_eq!(status["config"]["state"], "inForce");
    let names: Vec<_> = status["providers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(names, ["openai", "anthropic", "gemini"]);
    assert_eq!(kit::key_state(&proxy, "one").as_deref(), Some("healthy"));
    assert_eq!(proxy.ask_admin("/nothing").status, 404);
    assert_eq!(ask(&proxy, "POST", "/status", &[]).status, 405);
}

#[test]
fn every_metric_of_the_contract_that_has_a_meaning_is_there() {
    let upstream = kit::healthy_provider();
    let config = kit::openai_at(
        &upstream.url(),
        "    limits: [{requestsPerMinute: 1000, tokensPerMinute: 1M}]\n",
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    kit::post(&proxy, CHAT_PATH, CHAT);
    kit::post(&proxy, "/v1/nothing", CHAT);
    kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "ok")], 1.0);
    let page = proxy.ask_admin("/metrics").text();
    for name in [
        "requests_total",
        "refusals_total",
        "upstream_responses_total",
        "tokens_total",
        "cost_usd_total",
        "request_duration_seconds_bucket",
        "time_to_first_token_seconds_bucket",
        "overhead_seconds_bucket",
        "queue_depth",
        "queue_wait_seconds_bucket",
        "limit_level_ratio",
        "limit_used_ratio",
        "limit_configured",
        "quota_group_state",
        "key_state",
        "breaker_state",
        "retries_total",
        "config_reloads_total",
        "source_up",
        "config_generation",
        "config_last_success_timestamp_seconds",
        "build_info",
    ] {
        let name = format!("\nkeyweir_{name}");
        assert!(page.contains(&name), "no {name} in\n{page}");
    }
    for series in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(series.starts_with("keyweir_"), "{series}");
    }
}

#[test]
fn a_token_is_asked_for_everything_but_readiness() {
    let upstream = kit::healthy_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    fs::write(&token, "ADMINTOKEN\n").expect("write");
    let setup = Setup::default().config(&kit::openai_at(&upstream.url(), ""));
    let setup = setup.arg("--admin-token-file").arg(&token);
    let proxy = kit::with_keys(setup, &["one"]).start();
    for path in ["/ready", "/live"] {
        assert_eq!(ask(&proxy, "GET", path, &[]).status, 200, "{path}");
    }
    for path in ["/metrics", "/status", "/", "/nothing"] {
        for given in ["", "Bearer wrong", "Bearer ", "ADMINTOKEN", "Basic ADMINTOKEN"] {
            let reply = ask(&proxy, "GET", path, &[("authorization", given)]);
            assert_eq!(reply.status, 401, "{path} {given}");
            assert!(!reply.text().contains("keyweir_") && !reply.text().contains("openai"));
        }
        let reply = ask(&proxy, "GET", path, &[("authorization", "Bearer ADMINTOKEN")]);
        assert!(matches!(reply.status, 200 | 404), "{path}: {}", reply.status);
    }
    let finished = proxy.stop();
    finished.assert_no_leak(&["ADMINTOKEN"]);
}

/// Goes through every verdict in turn, whatever it is asked.
fn every_verdict() -> Upstream {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Upstream::start(move |request, connection| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let answer = match number % 13 {
            0 => kit::answer(429, &[("retry-after-ms", "1")], "{}"),
            1 => json(401, r#"{"error":{"code":"invalid_api_key"}}"#),
            2 => json(429, r#"{"error":{"code":"insufficient_quota"}}"#),
            3 => json(403, r#"{"error":{"code":"account_deactivated"}}"#),
            4 => json(403, r#"{"error":{"code":"model_not_found"}}"#),
            5 => json(503, "{}"),
            6 => json(500, "{}"),
            7 => json(400, "{}"),
            8 => json(429, r#"{"error":{"code":"project_spend_limit_exceeded"}}"#),
            9 => {
                connection.send("HTTP/1.1 2");
                return Then::Close;
            }
            _ => kit::healthy(request),
        };
        connection.send(answer);
        Then::Next
    })
}

fn series(proxy: &Proxy) -> Vec<String> {
    let page = proxy.ask_admin("/metrics").text();
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(Into::into).collect()
}

#[test]
fn one_provider_and_one_model_take_at_most_two_hundred_series_whatever_happens() {
    let upstream = every_verdict();
    let config = format!(
        "version: 1\nproviders:\n  openai:\n    baseUrl: {}\n    keys: [{{secret: pool}}]\n    limits: [{{requestsPerMinute: 1M, tokensPerMinute: 100M}}]\n",
        upstream.url()
    );
    let keys = ["k1"];
    let mut proxy = kit::with_keys(Setup::default().config(&config), &keys).start();
    for round in 0..14 {
        for _ in 0..6 {
            let patience = [("x-keyweir-max-wait", "5ms")];
            kit::post_with(&proxy, CHAT_PATH, &patience, CHAT);
        }
        // A fresh value lets the key out of whatever it has got itself into.
        proxy.secret("pool").swap(&[("k1", format!("sk-fresh-{round}"))]);
        proxy.prompt();
        let wanted = f64::from(round + 1);
        kit::until_sum(&proxy, "keyweir_config_reloads_total", &[("result", "success")], wanted);
    }
    let all = series(&proxy);
    assert!(all.len() <= 200, "{} series:\n{}", all.len(), all.join("\n"));
    let verdicts: BTreeSet<_> = all
        .iter()
        .filter(|line| line.starts_with("keyweir_upstream_responses_total"))
        .filter_map(|line| line.split("verdict=\"").nth(1)?.split('"').next())
        .collect();
    assert!(verdicts.len() >= 8, "{verdicts:?}");
}

#[test]
fn a_model_that_nobody_named_beforehand_is_called_other() {
    let upstream = kit::healthy_provider();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    for number in 0..300 {
        let body = CHAT.replace("gpt-4o", &format!("made-up-{number}"));
        assert_eq!(kit::post(&proxy, CHAT_PATH, &body).status, 200);
    }
    kit::until_sum(&proxy, "keyweir_requests_total", &[("model", "other")], 300.0);
    let all = series(&proxy);
    assert!(all.iter().all(|line| !line.contains("made-up")), "{}", all.join("\n"));
    assert!(all.len() <= 200, "{} series:\n{}", all.len(), all.join("\n"));
}

#[test]
fn callers_that_nobody_named_beforehand_make_no_series_of_their_own() {
    let upstream = kit::healthy_provider();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    for number in 0..50 {
        let caller = format!("stranger-{number}");
        let headers = [("x-keyweir-caller", caller.as_str()), ("x-keyweir-user", caller.as_str())];
        assert_eq!(kit::post_with(&proxy, CHAT_PATH, &headers, CHAT).status, 200);
    }
    assert!(series(&proxy).iter().all(|line| !line.contains("stranger")));
}

#[test]
fn the_access_record_of_a_failure_says_what_happened_and_nothing_of_the_query_or_body() {
    let upstream = Upstream::answering(
        400,
        r#"{"error":{"message":"ANSWERMARKER","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
    );
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let headers = [
        ("x-request-id", "mine-7"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let path = format!("/openai{CHAT_PATH}?token=QUERYMARKER");
    kit::post_with(&proxy, &path, &headers, &CHAT.replace("hi", "PROMPTMARKER"));
    let line = proxy.log_line(&["mine-7"]);
    for part in [
        "0af7651916cd43dd8448eb211c80319c",
        "/openai/v1/chat/completions",
        "gpt-4o",
        "requestInvalid",
        "context_length_exceeded",
        "one",
        "400",
        "default",
        "POST",
    ] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let record: serde_json::Value = serde_json::from_str(&line).expect("JSON where nobody reads");
    assert!(record.is_object());
    for part in ["QUERYMARKER", "PROMPTMARKER", "ANSWERMARKER", "SECRETMARKER"] {
        assert!(!proxy.log().contains(part), "{part}");
    }
}
