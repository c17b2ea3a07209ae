//! The unified door across wire formats: what is sent, what comes back, and when another target is
//! taken.

use serde_json::{Value, json};

use crate::kit::{self, CHAT, CHAT_PATH, CHAT_STREAM, Format, sse};
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::{Then, Upstream};

/// Providers of all three formats at one address, and aliases over them.
fn proxy(upstream: &Upstream) -> Proxy {
    let more = "models:
  claude: {targets: [{model: anthropic/claude-sonnet-4-5}]}
  flash: {targets: [{model: gemini/gemini-2.5-flash}]}
  gpt: {targets: [{model: openai/gpt-4o}]}
  on: {onContextTooLong: next, targets: [{model: anthropic/claude-sonnet-4-5}, {model: openai/gpt-4o}]}
  any: {targets: [{model: anthropic/claude-sonnet-4-5}, {model: gemini/gemini-2.5-flash}, {model: openai/gpt-4o}]}
";
    kit::with_keys(Setup::default().config(&kit::all_at(&upstream.url(), more)), &["one"]).start()
}

/// The same question in each format, of that model.
fn ask(format: Format, model: &str) -> (String, String) {
    match format {
        Format::OpenAi => (CHAT_PATH.to_owned(), CHAT.replace("gpt-4o", model)),
        Format::Anthropic => {
            (kit::MESSAGE_PATH.to_owned(), kit::MESSAGE.replace("claude-sonnet-4-5", model))
        }
        Format::Gemini => {
            (kit::CONTENT_PATH.replace("gemini-2.5-flash", model), kit::CONTENT.to_owned())
        }
    }
}

/// What an answer of that format says.
fn said(format: Format, answer: &Value) -> &str {
    let text = match format {
        Format::OpenAi => &answer["choices"][0]["message"]["content"],
        Format::Anthropic => &answer["content"][0]["text"],
        Format::Gemini => &answer["candidates"][0]["content"]["parts"][0]["text"],
    };
    text.as_str().unwrap_or_default()
}

#[test]
fn every_format_is_answered_by_every_other() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream);
    for format in Format::ALL {
        for (model, provider) in [("gpt", "openai"), ("claude", "anthropic"), ("flash", "gemini")] {
            let (path, body) = ask(format, model);
            let reply = kit::post(&proxy, &path, &body);
            assert_eq!(reply.status, 200, "{format:?} {model}: {}", reply.text());
            assert_eq!(said(format, &reply.json()), "hello", "{format:?} {model}");
            assert_eq!(reply.header("x-keyweir-provider"), Some(provider));
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert!(reply.complete && reply.header("content-length").is_some(), "{reply:?}");
        }
    }
    kit::until_sum(&proxy, "keyweir_tokens_total", &[("kind", "output")], 9.0 * 7.0);
}

#[test]
fn a_provider_of_another_format_sees_a_request_of_its_own() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream);
    let headers = [
        ("authorization", "Bearer placeholder"),
        ("openai-beta", "x"),
        ("accept-encoding", "gzip, br"),
    ];
    let body = CHAT.replace("gpt-4o", "claude");
    let reply = kit::post_with(&proxy, &format!("{CHAT_PATH}?timeout=1"), &headers, &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = upstream.take().pop().unwrap();
    assert_eq!(kit::path_of(&seen), "/v1/messages");
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert!(seen.header("openai-beta").is_none() && seen.header("authorization").is_none());
    let expected = json!({
        "model": "claude-sonnet-4-5",
        "max_tokens": 16384,
        "messages": [{"role": "user", "content": "hi"}],
    });
    assert_eq!(seen.json(), expected);
    let (path, body) = ask(Format::Anthropic, "flash");
    assert_eq!(kit::post(&proxy, &path, &body).status, 200);
    let seen = upstream.take().pop().unwrap();
    assert_eq!(kit::path_of(&seen), "/v1beta/models/gemini-2.5-flash:generateContent");
}

#[test]
fn a_request_of_the_target_s_own_format_is_not_touched() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream);
    let body = r#"{ "model" : "openai/gpt-4o","logprobs":true, "messages":[ {"role":"user","content":[{"type":"hologram"}]} ] }"#;
    assert_eq!(kit::post(&proxy, CHAT_PATH, body).status, 200);
    let seen = upstream.take().pop().unwrap();
    assert_eq!(seen.text(), body.replace("openai/gpt-4o", "gpt-4o"));
}

#[test]
fn a_provider_that_is_down_is_followed_by_one_of_another_format() {
    let upstream = Upstream::start(|request, connection| {
        let format = kit::format_of(request);
        if format == Format::OpenAi {
            connection.send(kit::healthy(request));
        } else {
            connection.send(kit::answer(
                529,
                &[],
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            ));
        }
        Then::Next
    });
    let proxy = proxy(&upstream);
    for format in Format::ALL {
        let (path, body) = ask(format, "any");
        let reply = kit::post(&proxy, &path, &body);
        assert_eq!(reply.status, 200, "{format:?}: {}", reply.text());
        assert_eq!(said(format, &reply.json()), "hello");
        assert_eq!(reply.header("x-keyweir-provider"), Some("openai"));
    }
    assert!(kit::sum(&proxy, "keyweir_failovers_total", &[("to", "openai")]) > 0.0);
}

#[test]
fn a_target_that_cannot_be_told_is_passed_over_and_asked_nothing() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream);
    let body = r#"{"model":"any","logprobs":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = kit::post(&proxy, CHAT_PATH, body);
    assert_eq!((reply.status, reply.header("x-keyweir-provider")), (200, Some("openai")));
    assert_eq!(reply.header("x-keyweir-attempts"), Some("1"));
    assert_eq!(upstream.take().len(), 1);
    let reply = kit::post(&proxy, CHAT_PATH, &body.replace("any", "claude"));
    Format::OpenAi.assert_refusal(&reply, 400, "invalid_request");
    assert!(reply.text().contains("logprobs"), "{}", reply.text());
    assert!(upstream.take().is_empty(), "nothing was sent");
}

#[test]
fn what_is_dropped_is_named() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream);
    let body =
        r#"{"model":"claude","seed":1,"store":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = kit::post(&proxy, CHAT_PATH, body);
    assert_eq!(reply.header("x-keyweir-dropped"), Some("seed, store"), "{reply:?}");
    let reply = kit::post(&proxy, CHAT_PATH, &body.replace("claude", "gpt"));
    assert_eq!(reply.header("x-keyweir-dropped"), None);
}

#[test]
fn a_provider_s_error_has_the_caller_s_shape_and_status() {
    let upstream = Upstream::start(|request, connection| {
        let body = match kit::format_of(request) {
            Format::OpenAi => {
                r#"{"error":{"message":"bad","type":"invalid_request_error","param":"messages","code":null}}"#
            }
            Format::Anthropic => {
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"},"request_id":"req_7"}"#
            }
            Format::Gemini => {
                r#"{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}"#
            }
        };
        connection.send(kit::answer(400, &[("content-type", "application/json")], body));
        Then::Next
    });
    let proxy = proxy(&upstream);
    let (path, body) = ask(Format::OpenAi, "claude");
    let reply = kit::post(&proxy, &path, &body);
    let error = &reply.json()["error"];
    assert_eq!((reply.status, &error["code"]), (400, &json!("context_length_exceeded")));
    assert_eq!(error["original"]["request_id"], "req_7");
    let (path, body) = ask(Format::Anthropic, "gpt");
    let reply = kit::post(&proxy, &path, &body);
    assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    let (path, body) = ask(Format::Gemini, "gpt");
    assert_eq!(kit::post(&proxy, &path, &body).json()["error"]["status"], "INVALID_ARGUMENT");
}

#[test]
fn an_answer_of_the_wrong_format_is_a_clear_error() {
    for body in [kit::MESSAGE_ANSWER, "<html>", ""] {
        let upstream = Upstream::start(move |_, connection| {
            connection.send(kit::answer(200, &[("content-type", "application/json")], body));
            Then::Next
        });
        let proxy = proxy(&upstream);
        let (path, ask) = ask(Format::Anthropic, "gpt");
        let reply = kit::post(&proxy, &path, &ask);
        assert_eq!(reply.status, 502, "{}", reply.text());
        assert!(reply.complete && reply.text().contains("not in the format"), "{}", reply.text());
    }
}

#[test]
fn a_whole_answer_that_breaks_off_is_an_error_and_never_half_an_answer() {
    let upstream = Upstream::start(|_, connection| {
        connection.send("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"id\":");
        Then::Close
    });
    let proxy = proxy(&upstream);
    let (path, ask) = ask(Format::OpenAi, "claude");
    let reply = kit::post(&proxy, &path, &ask);
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert!(reply.json()["error"]["message"].is_string());
}

#[test]
fn a_stream_that_is_cut_looks_cut() {
    let upstream = Upstream::start(|_, connection| {
        connection.send(sse::HEAD);
        connection.send(sse::chunk(&sse::delta("one")));
        Then::Close
    });
    let proxy = proxy(&upstream);
    let (path, body) = ask(Format::Anthropic, "gpt");
    let mut connection = proxy.connect();
    connection.post(&path, &[], &body.replacen('{', r#"{"stream":true,"#, 1));
    let head = connection.head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    let (text, whole) = kit::read_rest(&mut connection);
    assert!(text.contains("event: message_start") && text.contains("one"), "{text}");
    assert!(!whole && text.contains("event: error") && !text.contains("message_stop"), "{text}");
}

#[test]
fn a_stream_of_usage_is_counted_and_told_only_to_who_asked() {
    let upstream = Upstream::start(|_, connection| {
        let events = [
            r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"usage":{"input_tokens":11,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#,
            r#"{"type":"message_stop"}"#,
        ];
        connection.send(sse::HEAD);
        for event in events {
            let name = event.split('"').nth(3).unwrap();
            connection.send(sse::chunk(&format!("event: {name}\ndata: {event}\n\n")));
        }
        connection.send(sse::LAST);
        Then::Next
    });
    let proxy = proxy(&upstream);
    let asked = CHAT_STREAM.replace("gpt-4o", "claude");
    let reply = kit::post(&proxy, CHAT_PATH, &asked);
    assert!(reply.complete && reply.text().ends_with(sse::DONE), "{}", reply.text());
    assert!(!reply.text().contains("\"usage\":{"), "{}", reply.text());
    let told = asked.replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1);
    let reply = kit::post(&proxy, CHAT_PATH, &told);
    assert!(reply.text().contains(r#""usage":{"prompt_tokens":11,"completion_tokens":7"#));
    kit::until_sum(&proxy, "keyweir_tokens_total", &[("kind", "output")], 14.0);
}

#[test]
fn a_list_of_models_has_the_aliases_and_the_provider_s_own_in_the_asker_s_format() {
    let upstream = Upstream::start(|request, connection| {
        let body = match request.header("x-goog-api-key") {
            Some(_) => r#"{"models":[{"name":"models/gemini-x"}]}"#,
            None => {
                r#"{"object":"list","data":[{"id":"model-x","object":"model"}],"has_more":false}"#
            }
        };
        connection.send(kit::answer(200, &[("content-type", "application/json")], body));
        Then::Next
    });
    let proxy = proxy(&upstream);
    let listed = |headers: &[(&str, &str)]| {
        let mut connection = proxy.connect();
        connection.get("/v1/models", headers);
        let reply = connection.reply();
        assert!(reply.status == 200 && reply.complete, "{reply:?}");
        reply.json()
    };
    let names = |list: &Value, field: &str| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|model| model[field].as_str().unwrap().to_owned()).collect()
    };
    let openai = listed(&[("accept-encoding", "gzip")]);
    let ids = names(&openai["data"], "id");
    for name in ["claude", "any", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro", "model-x"]
    {
        assert!(ids.iter().any(|id| id == name), "{name}: {ids:?}");
    }
    let anthropic = listed(&[("anthropic-version", "2023-06-01")]);
    assert_eq!(anthropic["data"][0]["type"], "model", "{anthropic}");
    assert_eq!(anthropic["has_more"], false);
    let gemini = listed(&[("x-goog-api-key", "x")]);
    let ids = names(&gemini["models"], "name");
    assert!(ids.contains(&"models/flash".into()) && ids.contains(&"models/gemini-x".into()));
}

#[test]
fn a_list_of_models_needs_no_provider_and_shows_what_the_caller_may_use() {
    let config = "version: 1
providers: {anthropic: {baseUrl: \"http://127.0.0.1:1\", keys: [{secret: pool}]}}
models: {chat: {targets: [{model: anthropic/claude-sonnet-4-5}]}, other: {targets: [{model: anthropic/claude-x}]}}
callers: {rules: [{name: guest, match: {header: {x-keyweir-caller: guest}}, models: [chat]}]}
";
    let proxy = kit::with_keys(Setup::default().config(config), &["one"]).start();
    let mut connection = proxy.connect();
    connection.get("/v1/models", &[("x-keyweir-caller", "guest")]);
    let list = connection.reply().json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["data"][0]["id"], "chat");
}

#[test]
fn a_request_that_is_too_long_goes_on_where_the_alias_says_so() {
    let upstream = Upstream::start(|request, connection| {
        let too_long = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#;
        connection.send(match kit::format_of(request) {
            Format::OpenAi if request.text().contains("longest") => kit::answer(400, &[], too_long),
            Format::OpenAi => kit::healthy(request),
            Format::Anthropic | Format::Gemini => kit::answer(400, &[], too_long),
        });
        Then::Next
    });
    let proxy = proxy(&upstream);
    for format in Format::ALL {
        let (path, body) = ask(format, "on");
        let reply = kit::post(&proxy, &path, &body);
        assert_eq!((reply.status, reply.header("x-keyweir-provider")), (200, Some("openai")));
        let (path, body) = ask(format, "any");
        assert_eq!(kit::post(&proxy, &path, &body).status, 400, "the alias does not say so");
        let (path, body) = ask(format, "on");
        let reply = kit::post(&proxy, &path, &body.replace("\"hi\"", "\"longest\""));
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert_eq!(reply.header("x-keyweir-attempts"), Some("2"));
    }
}

#[test]
fn a_response_is_asked_as_a_chat_where_the_provider_has_no_responses() {
    let upstream = kit::healthy_provider();
    let config = format!(
        "version: 1\nproviders: {{mistral: {{baseUrl: \"{}\", keys: [{{secret: pool}}]}}}}\n",
        upstream.url()
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let body = r#"{"model":"mistral/mistral-large-4","input":"hi","store":false,"include":[]}"#;
    let reply = kit::post(&proxy, "/v1/responses", body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["output"][0]["content"][0]["text"], "hello");
    assert_eq!(reply.header("x-keyweir-dropped"), Some("store, include"));
    let seen = upstream.take().pop().unwrap();
    assert_eq!(kit::path_of(&seen), "/v1/chat/completions");
    let expected = json!({
        "model": "mistral-large-4",
        "messages": [{"role": "user", "content": "hi"}],
    });
    assert_eq!(seen.json(), expected);
}

#[test]
fn cohere_is_asked_in_its_own_format_where_the_caller_s_is_none_that_it_speaks() {
    let answer = r#"{"id":"c1","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"hello"}]},"usage":{"tokens":{"input_tokens":11,"output_tokens":7}}}"#;
    let upstream = Upstream::answering(200, answer);
    let config = format!(
        "version: 1\nproviders: {{cohere: {{baseUrl: \"{}\", keys: [{{secret: pool}}]}}}}\n",
        upstream.url()
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let (path, body) = ask(Format::Anthropic, "cohere/command-a-03-2025");
    let reply = kit::post(&proxy, &path, &body);
    assert_eq!(said(Format::Anthropic, &reply.json()), "hello", "{}", reply.text());
    let seen = upstream.take().pop().unwrap();
    assert_eq!(kit::path_of(&seen), "/v2/chat");
    let expected = json!({
        "model": "command-a-03-2025",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 16,
        "stream": false,
    });
    assert_eq!(seen.json(), expected);
}

#[test]
fn an_alias_whose_targets_are_all_down_falls_back_and_says_so() {
    let upstream = kit::healthy_provider();
    let config = format!(
        "version: 1
providers:
  down: {{wire: openai, baseUrl: \"http://127.0.0.1:1\", keys: [{{secret: pool}}]}}
  anthropic: {{baseUrl: \"{}\", keys: [{{secret: pool}}]}}
models:
  small: {{targets: [{{model: down/m}}], fallback: {{model: anthropic/claude-haiku-4-5}}}}
  fixed: {{targets: [{{model: down/m}}], fallback: {{text: \"Come back later.\"}}}}
callers: {{default: {{maxWait: 0s}}}}
",
        upstream.url()
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    for format in Format::ALL {
        let (path, body) = ask(format, "small");
        let reply = kit::post(&proxy, &path, &body);
        assert_eq!((reply.status, said(format, &reply.json())), (200, "hello"), "{reply:?}");
        assert_eq!(reply.header("x-keyweir-degraded"), Some("model"));
        assert_eq!(reply.header("x-keyweir-provider"), Some("anthropic"));
        let (path, body) = ask(format, "fixed");
        let reply = kit::post(&proxy, &path, &body);
        let told = (reply.status, reply.header("x-keyweir-degraded"));
        assert_eq!(told, (200, Some("text")), "{}", reply.text());
        assert_eq!(said(format, &reply.json()), "Come back later.");
    }
    let (path, body) = ask(Format::OpenAi, "fixed");
    let reply = kit::post(&proxy, &path, &body.replacen('{', r#"{"stream":true,"#, 1));
    assert!(reply.text().contains("Come back later.") && reply.text().ends_with(sse::DONE));
    let unfit =
        body.replacen('{', r#"{"logprobs":true,"#, 1).replace("fixed", "anthropic/claude-x");
    assert_eq!(kit::post(&proxy, &path, &unfit).status, 400, "a wrong request is no outage");
}
