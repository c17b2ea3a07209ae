use serde_json::{Value, json};

use crate::http::{ANTHROPIC, Ask, all, limited, post, start};
use keyweir::simulator::Limits;

fn message(extra: &Value) -> Ask {
    let mut body = json!({"model": "claude-sonnet-4-5", "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}]});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    post("/v1/messages", &body).anthropic(ANTHROPIC)
}

#[tokio::test]
async fn a_message_has_the_fields_of_the_reference() {
    let answer = message(&json!({})).to(&start(all())).await;
    let body = answer.json();
    assert_eq!((answer.status, &body["type"]), (200, &json!("message")));
    assert_eq!(body["content"], json!([{"type": "text", "text": "You said: Hello"}]));
    assert_eq!(body["stop_reason"], "end_turn");
    assert_eq!(body["usage"]["output_tokens"], 4);
    assert_eq!(answer.header("anthropic-organization-id"), Some("org-ant"));
    assert!(answer.header("request-id").unwrap().starts_with("req_"));
}

#[tokio::test]
async fn the_key_may_come_as_a_bearer() {
    let simulator = start(all());
    let bearer = message(&json!({})).bearer(ANTHROPIC);
    assert_eq!(bearer.to(&simulator).await.status, 200);
    let wrong = message(&json!({})).header("x-api-key", "sk-ant-wrong").to(&simulator).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.json()["error"]["type"], "authentication_error");
}

#[tokio::test]
async fn a_stream_thinks_speaks_and_calls_in_named_events() {
    let tool = json!({"name": "weather", "input_schema": {
        "type": "object", "properties": {"city": {"type": "string"}}}});
    let thinking = json!({"type": "enabled", "budget_tokens": 1_024});
    let wish = json!({
        "stream": true, "max_tokens": 2_000, "tools": [tool], "thinking": thinking,
    });
    let answer = message(&wish).to(&start(all())).await;
    let events = answer.events();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["message_start", "content_block_start", "ping"]);
    assert_eq!(kinds[kinds.len() - 2..], ["message_delta", "message_stop"]);
    assert_eq!(answer.text().matches("event: ").count(), kinds.len(), "every event has a name");
    let delta = |name: &str| -> String {
        events.iter().filter_map(|event| event["delta"][name].as_str()).collect()
    };
    assert_eq!(delta("partial_json"), "{\"city\":\"Hello\"}");
    assert_eq!(delta("thinking").len(), 64, "sixteen tokens");
    assert!(!delta("signature").is_empty());
    let end = &events[events.len() - 2];
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
    assert_eq!(end["usage"]["output_tokens_details"]["thinking_tokens"], 16);
}

#[tokio::test]
async fn what_the_reference_requires_is_required() {
    let simulator = start(all());
    for (change, text) in [
        (json!({"max_tokens": null}), "max_tokens: Field required"),
        (json!({"messages": null}), "messages: Field required"),
        (json!({"messages": []}), "messages: at least one message is required"),
        (json!({"n": 2}), "n: Extra inputs are not permitted"),
        (json!({"temperature": 1.5}), "temperature: range: 0..1"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}),
            "messages: text content blocks must be non-empty",
        ),
    ] {
        let answer = message(&change).to(&simulator).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["error"]["message"]), (400, &json!(text)));
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert_eq!(body["request_id"], json!(answer.header("request-id").unwrap()));
    }
}

#[tokio::test]
async fn the_version_header_is_required_and_judged() {
    let simulator = start(all());
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 5, "temperature": 1.0,
        "messages": [{"role": "user", "content": "Hello"}]});
    let ask = post("/v1/messages", &body).header("x-api-key", ANTHROPIC);
    let missing = ask.to(&simulator).await;
    assert_eq!(missing.json()["error"]["message"], "anthropic-version: header is required");
    for (version, status) in [("2023-06-01", 200), ("2026-10-21", 400), ("2024-01-01", 400)] {
        let answer = ask.clone().header("anthropic-version", version).to(&simulator).await;
        assert_eq!(answer.status, status, "temperature under {version}");
    }
    let beta = ask.header("anthropic-version", "2023-06-01");
    let known = beta.clone().header("anthropic-beta", "files-api-2025-04-14, skills-2025-10-02");
    assert_eq!(known.to(&simulator).await.status, 200);
    let unknown = beta.header("anthropic-beta", "skills-2025-10-02,nothing-2020-01-01");
    let answer = unknown.to(&simulator).await;
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("`nothing-2020-01-01`"));
}

#[tokio::test]
async fn limits_count_output_as_it_comes_and_are_told_rounded() {
    let limits = Limits {
        requests_per_minute: Some(60),
        input_tokens_per_minute: Some(20_000),
        output_tokens_per_minute: Some(6_000),
        ..Limits::NONE
    };
    let simulator = start(limited(limits));
    let long =
        json!({"messages": [{"role": "user", "content": "sim:tokens=7000"}], "max_tokens": 8_000});
    let first = message(&long).to(&simulator).await;
    assert_eq!(first.header("anthropic-ratelimit-requests-remaining"), Some("59"));
    assert_eq!(first.header("anthropic-ratelimit-input-tokens-remaining"), Some("20000"));
    assert_eq!(first.header("anthropic-ratelimit-output-tokens-remaining"), Some("6000"));
    assert_eq!(first.header("anthropic-ratelimit-tokens-limit"), Some("6000"), "the tightest");
    let reset = first.header("anthropic-ratelimit-requests-reset").unwrap();
    reset.parse::<jiff::Timestamp>().unwrap();
    let second = message(&json!({})).to(&simulator).await;
    assert_eq!(second.status, 429);
    let after: u64 = second.header("retry-after").unwrap().parse().unwrap();
    assert!((10..=11).contains(&after), "1,001 missing at 100 a second, not {after}");
}

#[tokio::test]
async fn what_is_marked_is_cached() {
    let simulator = start(all());
    let system = json!([{"type": "text", "text": "word ".repeat(1_200),
        "cache_control": {"type": "ephemeral"}}]);
    let usage =
        async || message(&json!({"system": system})).to(&simulator).await.json()["usage"].clone();
    let (first, second) = (usage().await, usage().await);
    assert!(first["cache_creation_input_tokens"].as_u64().unwrap() >= 1_500);
    assert_eq!(first["cache_read_input_tokens"], 0);
    assert_eq!(second["cache_read_input_tokens"], first["cache_creation_input_tokens"]);
    assert_eq!(second["input_tokens"], first["input_tokens"]);
}
