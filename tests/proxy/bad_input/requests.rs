//! Paths, providers, models, methods and bodies that cannot be served.

use crate::kit::{self, CHAT, CHAT_PATH, Format};
use crate::support::http::Reply;
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::Upstream;

/// A bound small enough to be overstepped at no cost.
const BOUND: usize = 65_536;

fn rig() -> (Upstream, Proxy) {
    let upstream = kit::healthy_provider();
    let config = kit::all_at(&upstream.url(), "server: {maxBody: 65536}\n");
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    (upstream, proxy)
}

/// JSON that opens that many arrays, in a field that is not looked at.
fn nested(levels: usize) -> String {
    let (open, close) = ("[".repeat(levels), "]".repeat(levels));
    format!(r#"{{"model":"gpt-4o","extra":{open}{close},"messages":[]}}"#)
}

#[test]
fn a_path_that_leads_nowhere_is_refused_in_the_format_of_its_asker() {
    let (upstream, proxy) = rig();
    for path in ["/v1/nonsense", "/v1", "/", "/v1/chat/completions/and/more/than/there/is%00"] {
        let reply = kit::post(&proxy, path, CHAT);
        if path.contains("completions") {
            assert!(matches!(reply.status, 200 | 400 | 404), "{reply:?}");
        } else {
            Format::OpenAi.assert_refusal(&reply, 404, "unknown_path");
        }
    }
    let anthropic = [("anthropic-version", "2023-06-01")];
    let reply = kit::post_with(&proxy, "/v1/nonsense", &anthropic, CHAT);
    Format::Anthropic.assert_refusal(&reply, 404, "unknown_path");
    let reply = kit::post(&proxy, "/v1beta/nonsense", CHAT);
    Format::Gemini.assert_refusal(&reply, 404, "unknown_path");
    assert!(upstream.take().iter().all(|request| !request.start.contains("nonsense")));
}

#[test]
fn a_provider_that_is_not_there_is_refused_and_those_that_are_there_are_named() {
    let (upstream, proxy) = rig();
    let reply = kit::post(&proxy, "/nobody/v1/chat/completions", CHAT);
    Format::OpenAi.assert_refusal(&reply, 404, "unknown_provider");
    let message = reply.text();
    for name in ["nobody", "openai", "anthropic", "gemini"] {
        assert!(message.contains(name), "{message}");
    }
    let reply = kit::post(&proxy, "/nobody/v1/messages", CHAT);
    Format::Anthropic.assert_refusal(&reply, 404, "unknown_provider");
    assert!(upstream.take().is_empty());
}

#[test]
fn a_door_whose_format_no_provider_speaks_says_so_in_that_format() {
    let upstream = kit::healthy_provider();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    for (format, path) in [
        (Format::Anthropic, "/v1/messages/count_tokens"),
        (Format::Gemini, "/v1beta/models/gemini-2.5-flash:countTokens"),
    ] {
        let reply = kit::post(&proxy, path, format.ask());
        format.assert_refusal(&reply, 404, "unknown_provider");
    }
    assert!(upstream.take().is_empty());
}

#[test]
fn an_alias_that_leads_only_to_other_wire_formats_is_refused_and_says_why() {
    let upstream = kit::healthy_provider();
    let more = "models: {chat: {targets: [{model: anthropic/claude-sonnet-4-5}]}}\n";
    let config = kit::all_at(&upstream.url(), more);
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let reply = kit::post(&proxy, "/v1/embeddings", r#"{"model":"chat","input":"hi"}"#);
    Format::OpenAi.assert_refusal(&reply, 400, "invalid_request");
    assert!(reply.text().contains("translate"), "{}", reply.text());
    assert!(upstream.take().is_empty());
}

#[test]
fn a_model_that_nobody_knows_is_the_provider_s_to_refuse() {
    const UNKNOWN: &str = r#"{"error":{"message":"The model `nosuch` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;
    let upstream = Upstream::answering(404, UNKNOWN);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, &CHAT.replace("gpt-4o", "nosuch"));
    assert_eq!((reply.status, reply.text().as_str()), (404, UNKNOWN));
    assert_eq!(reply.header("x-keyweir-error"), None);
    assert_eq!(upstream.take().len(), 1);
}

#[test]
fn a_method_that_a_path_does_not_take_is_refused_and_the_right_one_named() {
    let (upstream, proxy) = rig();
    for (method, path, format) in
        [("DELETE", "/v1/embeddings", Format::OpenAi), ("PUT", "/v1/messages", Format::Anthropic)]
    {
        let mut connection = proxy.connect();
        connection.send(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
        let reply = connection.reply();
        format.assert_refusal(&reply, 404, "unknown_path");
        assert!(reply.text().contains("POST"), "{}", reply.text());
    }
    assert!(upstream.take().is_empty());
}

#[test]
fn any_method_passes_straight_to_a_provider() {
    let (upstream, proxy) = rig();
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        let mut connection = proxy.connect();
        connection.send(format!("{method} /openai/v1/anything HTTP/1.1\r\nhost: x\r\n\r\n"));
        assert_eq!(connection.reply().status, 200, "{method}");
        assert_eq!(upstream.take()[0].start, format!("{method} /v1/anything HTTP/1.1"));
    }
}

#[test]
fn a_body_announced_larger_than_the_bound_is_refused_before_it_is_sent() {
    let (upstream, proxy) = rig();
    for format in Format::ALL {
        let mut connection = proxy.connect();
        connection.send(format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000000\r\n\r\n{{",
            format.path()
        ));
        format.assert_refusal(&connection.reply(), 413, "body_too_large");
    }
    assert!(upstream.take().is_empty());
}

#[test]
fn a_chunked_body_is_refused_as_soon_as_it_is_larger_than_the_bound() {
    let (upstream, proxy) = rig();
    for format in Format::ALL {
        let mut connection = proxy.connect();
        connection.send(format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
            format.path()
        ));
        connection.send(kit::sse::chunk(&format!("{{\"x\":\"{}", "x".repeat(BOUND))));
        // Never ended: the answer does not wait for that.
        format.assert_refusal(&connection.reply(), 413, "body_too_large");
    }
    assert!(upstream.take().is_empty());
}

#[test]
fn a_body_of_just_the_bound_is_served() {
    let (upstream, proxy) = rig();
    let frame = CHAT.replace("hi", "");
    let body = CHAT.replace("hi", &"x".repeat(BOUND - frame.len()));
    assert_eq!(body.len(), BOUND);
    assert_eq!(kit::post(&proxy, CHAT_PATH, &body).status, 200);
    assert_eq!(upstream.take()[0].text(), body);
    let reply = kit::post(&proxy, CHAT_PATH, &(body + " "));
    Format::OpenAi.assert_refusal(&reply, 413, "body_too_large");
}

#[test]
fn what_is_no_json_streams_through_and_is_held_to_no_bound() {
    let (upstream, proxy) = rig();
    let body = "binary\0".repeat(BOUND);
    let mut connection = proxy.connect();
    connection.send(format!(
        "POST /openai/v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(connection.reply().status, 200);
    assert_eq!(upstream.take()[0].body, body.as_bytes());
}

#[test]
fn a_body_that_ends_before_it_is_whole_is_refused() {
    let (upstream, proxy) = rig();
    for format in Format::ALL {
        let (path, ask) = (format.path(), format.ask());
        let mut connection = proxy.connect();
        connection.send(format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ask}",
            ask.len() + 1
        ));
        connection.half_close();
        format.assert_refusal(&connection.reply(), 400, "invalid_request");
        let mut connection = proxy.connect();
        connection.send(format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{}zz\r\n",
            kit::sse::chunk(ask)
        ));
        format.assert_refusal(&connection.reply(), 400, "invalid_request");
    }
    assert!(upstream.take().is_empty());
}

#[test]
fn a_body_that_cannot_be_read_is_refused_and_says_why_without_quoting_it() {
    let (upstream, proxy) = rig();
    let unreadable = [
        ("", "empty"),
        ("PROMPTMARKER", "JSON"),
        (r#"{"model":"gpt-4o","x":"PROMPTMARKER""#, "early"),
        (r#"["PROMPTMARKER"]"#, "object"),
        (r#""PROMPTMARKER""#, "object"),
        (r#"{"model":"gpt-4o"} PROMPTMARKER"#, "follows"),
        (r#"{"model":"gpt-4o","x":PROMPTMARKER}"#, "JSON"),
        (r#"{"model":"gpt-4o","stream":false,"model":"PROMPTMARKER"}"#, "twice"),
        (r#"{"stream":true,"stream":false,"x":"PROMPTMARKER"}"#, "twice"),
    ];
    for format in Format::ALL {
        for (body, why) in unreadable {
            if format == Format::Gemini && why == "twice" {
                continue; // its path says both
            }
            let reply = kit::post(&proxy, format.path(), body);
            format.assert_refusal(&reply, 400, "invalid_request");
            let text = reply.text();
            assert!(text.contains(why) && !text.contains("PROMPTMARKER"), "{body}: {text}");
        }
    }
    assert!(upstream.take().is_empty());
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let (upstream, proxy) = rig();
    let mut connection = proxy.connect();
    let body = b"{\"model\":\"gpt-4o\",\"x\":\"\xff\xfe\"}";
    connection.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    connection.send(body);
    let reply: Reply = connection.reply();
    Format::OpenAi.assert_refusal(&reply, 400, "invalid_request");
    assert!(reply.text().contains("UTF-8"), "{}", reply.text());
    assert!(upstream.take().is_empty());
}

#[test]
fn json_that_is_nested_to_death_is_refused_and_the_process_lives() {
    let (upstream, proxy) = rig();
    for body in [nested(10_000), nested(10_000).replace('[', r#"{"x":"#), "[".repeat(20_000)] {
        for format in Format::ALL {
            let reply = kit::post(&proxy, format.path(), &body);
            format.assert_refusal(&reply, 400, "invalid_request");
        }
    }
    assert!(upstream.take().is_empty());
    assert_eq!(kit::post(&proxy, CHAT_PATH, &nested(50)).status, 200);
}

#[test]
fn what_no_decision_hangs_on_is_the_provider_s_to_judge_and_passes_as_it_is() {
    let (upstream, proxy) = rig();
    let odd = [
        r#"{"model":"gpt-4o","metadata":{"a":1,"a":2},"messages":[]}"#,
        r#"{ "messages" : [ ] , "temperature":1e-400, "model":"gpt-4o", "x":"\u0000" }"#,
        r#"{"model":7,"messages":"not a list","stream":"maybe"}"#,
        r#"{"messages":[]}"#,
    ];
    for body in odd {
        assert_eq!(kit::post(&proxy, CHAT_PATH, body).status, 200, "{body}");
        assert_eq!(upstream.take()[0].text(), body);
    }
    // Where nothing is known of the body's fields, nothing is asked of it either.
    for body in ["[", "not JSON at all", &nested(10_000)] {
        assert_eq!(kit::post(&proxy, "/openai/v1/something/new", body).status, 200);
        assert_eq!(upstream.take()[0].text(), body);
    }
}

#[test]
fn half_a_character_and_a_number_beyond_all_bounds_are_refused() {
    let (upstream, proxy) = rig();
    for body in [r#"{"model":"gpt-4o","x":"\ud83d"}"#, r#"{"model":"gpt-4o","x":1e400}"#] {
        let reply = kit::post(&proxy, CHAT_PATH, body);
        Format::OpenAi.assert_refusal(&reply, 400, "invalid_request");
    }
    assert!(upstream.take().is_empty());
}

#[test]
fn a_model_s_name_of_absurd_length_is_refused() {
    let (upstream, proxy) = rig();
    let body = CHAT.replace("gpt-4o", &"x".repeat(10_000));
    let reply = kit::post(&proxy, CHAT_PATH, &body);
    Format::OpenAi.assert_refusal(&reply, 400, "invalid_request");
    assert!(upstream.take().is_empty());
}
