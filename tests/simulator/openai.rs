use serde_json::{Value, json};

use crate::http::{Answer, Ask, OPENAI, all, get, limited, post, start};
use keyweir::simulator::{Account, Habit, Limits, Model, Plan, Simulator};

fn chat(extra: &Value) -> Ask {
    let mut body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    post("/v1/chat/completions", &body).bearer(OPENAI)
}

async fn ask(ask: Ask) -> Answer {
    ask.to(&start(all())).await
}

#[tokio::test]
async fn a_chat_completion_has_the_fields_of_the_reference() {
    let answer = ask(chat(&json!({}))).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["choices"][0]["message"]["content"], "You said: Hello");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["completion_tokens"], 4, "15 bytes");
    assert_eq!(body["usage"]["prompt_tokens"], 3, "user and Hello: 9 bytes");
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(answer.header("openai-organization"), Some("org-one"));
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_stream_says_the_same_and_ends_with_done() {
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let answer = ask(chat(&options)).await;
    assert!(answer.header("content-type").unwrap().starts_with("text/event-stream"));
    assert_eq!(answer.data().last().unwrap(), "[DONE]");
    assert!(!answer.text().contains("event:"), "these events have no names");
    let events = answer.events();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let said: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(said, "You said: Hello");
    let usage = events.last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 4);
    assert!(events.iter().rev().skip(1).all(|event| event["usage"].is_null()));
}

#[tokio::test]
async fn usage_is_not_told_in_a_stream_that_did_not_ask_for_it() {
    let events = ask(chat(&json!({"stream": true}))).await.events();
    assert!(events.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn two_tools_are_called_in_fragments() {
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}});
    let messages = json!([{"role": "user", "content": "sim:calls=2"}]);
    let answer = ask(chat(&json!({"tools": [tool], "messages": messages, "stream": true}))).await;
    let mut arguments = [String::new(), String::new()];
    for event in answer.events() {
        let Some(calls) = event["choices"][0]["delta"]["tool_calls"].as_array() else { continue };
        for call in calls {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            arguments[index] += call["function"]["arguments"].as_str().unwrap();
        }
    }
    let expected = json!({"city": "sim:calls=2"});
    for text in arguments {
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
    let last = answer.events().pop().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn structured_output_is_an_instance_of_the_schema() {
    let schema = json!({"type": "object", "properties": {"age": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "p", "schema": schema}});
    let body = ask(chat(&json!({"response_format": format, "n": 2}))).await.json();
    assert_eq!(body["choices"][1]["message"]["content"], "{\"age\":1}");
}

#[tokio::test]
async fn wrong_fields_are_refused_as_the_api_does() {
    let simulator = start(all());
    for (change, param, code) in [
        (json!({"modle": 1}), "modle", "unknown_parameter"),
        (json!({"messages": []}), "messages", "empty_array"),
        (json!({"messages": "Hello"}), "messages", "invalid_type"),
        (
            json!({"messages": [{"role": "robot", "content": ""}]}),
            "messages[0].role",
            "invalid_value",
        ),
        (json!({"temperature": 3}), "temperature", "decimal_above_max_value"),
        (json!({"max_tokens": 0}), "max_tokens", "integer_below_min_value"),
        (json!({"n": "two"}), "n", "invalid_type"),
        (json!({"model": "o4-mini", "max_tokens": 5}), "max_tokens", "unsupported_parameter"),
        (json!({"model": "o4-mini", "temperature": 0.5}), "temperature", "unsupported_value"),
    ] {
        let answer = chat(&change).to(&simulator).await;
        let error = &answer.json()["error"];
        assert_eq!(answer.status, 400, "{change}");
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!(code)), "{change}");
    }
    let options = json!({"stream_options": {"include_usage": true}});
    assert_eq!(chat(&options).to(&simulator).await.json()["error"]["param"], "stream_options");
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_no_json_400() {
    let simulator = start(all());
    let unknown = chat(&json!({"model": "gpt-9"})).to(&simulator).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    let path = get("/v1/nothing").bearer(OPENAI).to(&simulator).await;
    assert_eq!(path.status, 404);
    let method = get("/v1/chat/completions").bearer(OPENAI).to(&simulator).await;
    assert_eq!(method.status, 405);
    let text = chat(&json!({})).body("{\"model\": ").to(&simulator).await;
    assert_eq!(text.status, 400);
    assert!(text.json()["error"]["message"].as_str().unwrap().starts_with("We could not parse"));
}

#[tokio::test]
async fn a_wrong_key_is_401_and_shown_masked() {
    let simulator = start(all());
    let wrong = chat(&json!({})).bearer("sk-wrong-wrong-wrong-1234").to(&simulator).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    assert!(wrong.text().contains("sk-wr"));
    assert!(!wrong.text().contains("wrong-wrong"));
    let none = post("/v1/chat/completions", &json!({})).to(&simulator).await;
    assert_eq!(none.status, 401);
    assert_eq!(simulator.tally().strangers, 2);
}

#[tokio::test]
async fn limits_are_told_on_success_and_honest_when_they_bind() {
    let limits =
        Limits { requests_per_minute: Some(60), tokens_per_minute: Some(600), ..Limits::NONE };
    let simulator = start(limited(limits));
    let first = chat(&json!({"max_tokens": 500})).to(&simulator).await;
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("60"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("59"));
    assert_eq!(first.header("x-ratelimit-remaining-tokens"), Some("100"));
    assert_eq!(first.header("x-ratelimit-reset-tokens"), Some("50s"), "500 at 10 a second");
    let second = chat(&json!({"max_tokens": 500})).to(&simulator).await;
    let error = &second.json()["error"];
    assert_eq!((second.status, &error["type"]), (429, &json!("tokens")));
    assert_eq!(error["code"], "rate_limit_exceeded");
    let after: u64 = second.header("retry-after").unwrap().parse().unwrap();
    assert!((39..=40).contains(&after), "400 missing at 10 a second, not {after}");
    let large = chat(&json!({"max_tokens": 601})).to(&simulator).await;
    assert!(large.json()["error"]["message"].as_str().unwrap().starts_with("Request too large"));
    assert_eq!(large.header("retry-after"), None);
    let account = &simulator.tally().accounts["org-one"];
    assert_eq!((account.served(), account.refused()["rateLimited"]), (1, 2));
}

#[tokio::test]
async fn a_long_prompt_is_cached_when_it_comes_again() {
    let simulator = start(all());
    let long = "word ".repeat(1_200);
    let first = json!([{"role": "system", "content": long}, {"role": "user", "content": "one"}]);
    let next = json!([{"role": "system", "content": long}, {"role": "user", "content": "two"}]);
    let cached = |body: &Value| body["usage"]["prompt_tokens_details"]["cached_tokens"].clone();
    assert_eq!(cached(&chat(&json!({"messages": first})).to(&simulator).await.json()), 0);
    assert_eq!(cached(&chat(&json!({"messages": next})).to(&simulator).await.json()), 1_408);
}

#[tokio::test]
async fn a_response_is_followed_up_only_at_the_account_that_made_it() {
    let simulator = two_accounts();
    let made = post("/v1/responses", &json!({"model": "gpt-4o", "input": "Hello"}));
    let first = made.bearer("sk-one").to(&simulator).await.json();
    assert_eq!(first["output"][0]["content"][0]["text"], "You said: Hello");
    let follow = post(
        "/v1/responses",
        &json!({
            "model": "gpt-4o", "input": "More", "previous_response_id": first["id"],
        }),
    );
    let here = follow.clone().bearer("sk-one").to(&simulator).await.json();
    assert!(here["usage"]["input_tokens"].as_u64() > first["usage"]["input_tokens"].as_u64());
    let there = follow.bearer("sk-two").to(&simulator).await;
    assert_eq!(there.status, 400);
    assert_eq!(there.json()["error"]["code"], "previous_response_not_found");
}

#[tokio::test]
async fn a_response_stream_is_numbered_and_completes() {
    let body = json!({"model": "o4-mini", "input": "Hello", "stream": true});
    let answer = ask(post("/v1/responses", &body).bearer(OPENAI)).await;
    let events = answer.events();
    for (nth, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], nth);
    }
    let names: Vec<String> = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("event: ").map(str::to_owned))
        .collect();
    assert_eq!(names[0], "response.created");
    assert_eq!(names.last().unwrap(), "response.completed");
    assert!(names.contains(&"response.output_text.delta".to_owned()));
    let usage = &events.last().unwrap()["response"]["usage"];
    assert_eq!(usage["output_tokens_details"]["reasoning_tokens"], 16);
}

#[tokio::test]
async fn a_batch_is_worked_off() {
    let simulator = start(all());
    let line = json!({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}});
    let form = format!(
        "--x\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--x\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\r\n{line}\n\r\n--x--\r\n"
    );
    let upload = post("/v1/files", &json!({}))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(form)
        .bearer(OPENAI);
    let file = upload.to(&simulator).await.json();
    let wish = json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions",
        "completion_window": "24h"});
    let batch = post("/v1/batches", &wish).bearer(OPENAI).to(&simulator).await.json();
    assert_eq!(batch["status"], "validating");
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    let done = get(&path).bearer(OPENAI).to(&simulator).await.json();
    assert_eq!(
        (&done["status"], &done["request_counts"]["completed"]),
        (&json!("completed"), &json!(1))
    );
    let path = format!("/v1/files/{}/content", done["output_file_id"].as_str().unwrap());
    let result = get(&path).bearer(OPENAI).to(&simulator).await.json();
    assert_eq!(result["custom_id"], "a");
    assert_eq!(result["response"]["body"]["choices"][0]["message"]["content"], "You said: Hi");
}

#[tokio::test]
async fn compressed_answers_are_sent_to_those_who_ask() {
    let answer = ask(chat(&json!({})).header("accept-encoding", "gzip, deflate")).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.body[..2], [0x1f, 0x8b]);
}

fn two_accounts() -> Simulator {
    let account = |name: &str, key: &str| {
        Account::new(Habit::OpenAi, name).key(name, key).model(Model::chat("gpt-4o"))
    };
    start(Plan::of([account("one", "sk-one"), account("two", "sk-two")]))
}
