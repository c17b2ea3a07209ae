//! What a caller may ask for in one request.

use super::{AT_ONCE, proxy};
use crate::kit::{self, CHAT, CHAT_PATH, Format};
use crate::support::http::Reply;
use crate::support::process::Proxy;

fn long(format: Format) -> String {
    format.ask().replace("hi", &"long words ".repeat(2_000))
}

/// What that format's request says about output.
fn allowing(format: Format, tokens: u64) -> String {
    match format {
        Format::OpenAi => {
            CHAT.replace("\"messages\"", &format!("\"max_tokens\":{tokens},\"messages\""))
        }
        Format::Anthropic => format.ask().replace(":16,", &format!(":{tokens},")),
        Format::Gemini => {
            let config = format!("{{\"generationConfig\":{{\"maxOutputTokens\":{tokens}}},");
            format.ask().replacen('{', &config, 1)
        }
    }
}

fn post(proxy: &Proxy, format: Format, body: &str) -> Reply {
    kit::post_with(proxy, format.path(), &[AT_ONCE], body)
}

#[test]
fn a_request_beyond_its_caller_s_bounds_is_refused_in_its_own_protocol_and_names_the_field() {
    for format in Format::ALL {
        let upstream = kit::healthy_provider();
        let bounds = "  default: {maxInputTokens: 1k, maxOutputTokens: 100}";
        let proxy = proxy(&upstream, bounds);
        let large = post(&proxy, format, &long(format));
        format.assert_refusal(&large, 400, "request_exceeds_limit");
        assert!(large.text().contains("maxInputTokens"), "{}", large.text());
        assert_eq!(large.header("retry-after"), None, "coming back does not help");
        let greedy = post(&proxy, format, &allowing(format, 101));
        let error = (greedy.status, greedy.header("x-keyweir-error"));
        assert_eq!(error, (400, Some("request_exceeds_limit")), "{format:?}");
        let text = greedy.text();
        let field = if format == Format::Gemini { "maxOutputTokens" } else { "max_tokens" };
        assert!(text.contains(field) && text.contains("101"), "{text}");
        if format == Format::OpenAi {
            assert_eq!(greedy.json()["error"]["param"], "max_tokens");
        }
        assert_eq!(post(&proxy, format, &allowing(format, 100)).status, 200);
        assert_eq!(upstream.take().len(), 1, "only what may be asked for is asked");
    }
}

#[test]
fn several_answers_are_bounded_together() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(&upstream, "  default: {maxOutputTokens: 100}");
    let body = allowing(Format::OpenAi, 60).replace("\"messages\"", "\"n\":2,\"messages\"");
    let reply = post(&proxy, Format::OpenAi, &body);
    assert_eq!(
        (reply.status, reply.header("x-keyweir-error")),
        (400, Some("request_exceeds_limit"))
    );
    assert!(reply.text().contains("for each of 2 answers"), "{}", reply.text());
}

#[test]
fn a_request_that_does_not_say_how_much_it_allows_is_given_the_bound() {
    for (format, field) in [
        (Format::OpenAi, "\"max_completion_tokens\":100"),
        (Format::Gemini, "\"generationConfig\":{\"maxOutputTokens\":100}"),
    ] {
        let upstream = kit::healthy_provider();
        let proxy = proxy(&upstream, "  default: {maxOutputTokens: 100}");
        let reply = post(&proxy, format, format.ask());
        assert_eq!((reply.status, reply.text().as_str()), (200, format.answer()));
        let sent = upstream.take()[0].text();
        assert!(sent.contains(field), "{sent}");
        assert_eq!(sent.replacen(&format!("{field},"), "", 1), format.ask(), "and nothing else");
    }
}

#[test]
fn a_tier_bounds_whoever_is_of_it_and_a_rule_may_look_at_models_and_endpoints() {
    let upstream = kit::healthy_provider();
    let proxy = proxy(
        &upstream,
        "  tiers: {free: {maxOutputTokens: 10, maxBody: 1k, limits: {requestsPerDay: 2}}}
  rules:
    - {name: small, tier: free, match: {model: [small, tiny], endpoint: [chat]}}
    - {name: other, match: {header: {x-team: other}}, models: [gpt-4o]}",
    );
    let ask = |model: &str, more: &str| {
        let body = CHAT.replace("gpt-4o", model).replace("hi", more);
        kit::post_with(&proxy, CHAT_PATH, &[AT_ONCE], &body)
    };
    assert_eq!(ask("gpt-4o", &"x".repeat(3_000)).status, 200, "nobody's rule");
    let large = ask("small", &"x".repeat(3_000));
    Format::OpenAi.assert_refusal(&large, 413, "body_too_large");
    assert_eq!([ask("small", "hi").status, ask("tiny", "hi").status], [200, 200]);
    Format::OpenAi.assert_refusal(&ask("small", "hi"), 429, "caller_limit_exceeded");
    let embed = r#"{"model":"small","input":"hi"}"#;
    let embedded = kit::post_with(&proxy, "/v1/embeddings", &[AT_ONCE], embed);
    assert_eq!(embedded.status, 200, "another kind of request");
    let forbidden =
        kit::post_with(&proxy, CHAT_PATH, &[("x-team", "other")], &CHAT.replace("gpt-4o", "x"));
    Format::OpenAi.assert_refusal(&forbidden, 403, "model_not_allowed");
    let callers = |caller| kit::sum(&proxy, "keyweir_requests_total", &[("caller", caller)]);
    assert!(callers("small") >= 4.0 && callers("default") >= 2.0 && callers("other") >= 1.0);
}
