use serde_json::{Value, json};

use crate::http::{Ask, GEMINI, all, get, limited, post, start};
use keyweir::simulator::Limits;

fn generate(method: &str, extra: &Value) -> Ask {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(&format!("/v1beta/models/gemini-2.5-flash:{method}"), &body).google(GEMINI)
}

#[tokio::test]
async fn content_is_generated() {
    let answer = generate("generateContent", &json!({})).to(&start(all())).await;
    let body = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(body["candidates"][0]["content"]["parts"][0]["text"], "You said: Hello");
    assert_eq!(body["candidates"][0]["finishReason"], "STOP");
    assert_eq!(body["usageMetadata"]["candidatesTokenCount"], 4);
    assert!(answer.headers.keys().all(|name| !name.as_str().contains("ratelimit")));
}

#[tokio::test]
async fn a_stream_is_events_or_an_array() {
    let simulator = start(all());
    let events = generate("streamGenerateContent?alt=sse", &json!({})).to(&simulator).await;
    assert!(!events.text().contains("[DONE]"));
    let array = generate("streamGenerateContent", &json!({})).to(&simulator).await;
    let chunks = array.json().as_array().unwrap().clone();
    assert_eq!(events.events().len(), chunks.len());
    let said = |chunks: &[Value]| -> String {
        let parts = chunks.iter().map(|chunk| &chunk["candidates"][0]["content"]["parts"][0]);
        parts.filter_map(|part| part["text"].as_str()).collect()
    };
    assert_eq!(said(&chunks), "You said: Hello");
    assert_eq!(said(&events.events()), "You said: Hello");
    let finished = |chunk: &Value| chunk["candidates"][0].get("finishReason").is_some();
    assert!(chunks.iter().rev().skip(1).all(|chunk| !finished(chunk)));
    assert!(finished(chunks.last().unwrap()));
}

#[tokio::test]
async fn thoughts_are_counted_apart_and_shown_on_request() {
    let config = json!({"thinking_config": {"include_thoughts": true}});
    let wish = json!({"generation_config": config});
    let body = generate("generateContent", &wish).to(&start(all())).await.json();
    assert_eq!(body["candidates"][0]["content"]["parts"][0]["thought"], true);
    assert_eq!(body["usageMetadata"]["thoughtsTokenCount"], 16);
    assert_eq!(body["usageMetadata"]["candidatesTokenCount"], 4);
}

#[tokio::test]
async fn a_wrong_key_is_400_and_no_key_403() {
    let simulator = start(all());
    let wrong = generate("generateContent", &json!({})).google("AIza-wrong").to(&simulator).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json()["error"]["details"][0]["reason"], "API_KEY_INVALID");
    let none = post("/v1beta/models/gemini-2.5-flash:generateContent", &json!({}));
    assert_eq!(none.to(&simulator).await.status, 403);
    let query = get(&format!("/v1beta/models?key={GEMINI}")).to(&simulator).await;
    assert_eq!(query.json()["models"][0]["name"], "models/gemini-2.5-flash");
    assert!(simulator.seen_credentials().contains(GEMINI));
}

#[tokio::test]
async fn wrong_requests_are_refused_as_the_api_does() {
    let simulator = start(all());
    let field = generate("generateContent", &json!({"content": []})).to(&simulator).await;
    assert!(
        field.json()["error"]["message"].as_str().unwrap().contains("Unknown name \"content\"")
    );
    let empty = generate("generateContent", &json!({"contents": []})).to(&simulator).await;
    assert_eq!(empty.json()["error"]["status"], "INVALID_ARGUMENT");
    let model = post(
        "/v1/models/gemini-9:generateContent",
        &json!({"contents": [{"parts": [{"text": "x"}]}]}),
    );
    let model = model.google(GEMINI).to(&simulator).await;
    assert_eq!((model.status, &model.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    let array = generate("streamGenerateContent", &json!({"contents": []})).to(&simulator).await;
    assert_eq!(array.json()[0]["error"]["code"], 400, "where an array is expected");
}

#[tokio::test]
async fn a_refusal_names_the_quota_and_when_to_come_back() {
    let simulator = start(limited(Limits { requests_per_minute: Some(1), ..Limits::NONE }));
    generate("generateContent", &json!({})).to(&simulator).await;
    let refused = generate("generateContent", &json!({})).to(&simulator).await;
    let error = refused.json()["error"].clone();
    assert_eq!((refused.status, &error["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
    let id = &error["details"][0]["violations"][0]["quotaId"];
    assert_eq!(id, "GenerateRequestsPerMinutePerProjectPerModel");
    let delay = error["details"][2]["retryDelay"].as_str().unwrap();
    let seconds: f64 = delay.trim_end_matches('s').parse().unwrap();
    assert!((55.0..=60.0).contains(&seconds), "{delay}");
    let day = start(limited(Limits { requests_per_day: Some(1), ..Limits::NONE }));
    generate("generateContent", &json!({})).to(&day).await;
    let refused = generate("generateContent", &json!({})).to(&day).await.json();
    let id = &refused["error"]["details"][0]["violations"][0]["quotaId"];
    assert_eq!(id, "GenerateRequestsPerDayPerProjectPerModel");
    assert_eq!(day.tally().accounts["project"].refused()["quotaExhausted"], 1);
}
