//! A provider's errors in another format: its status and type are the caller's format's own, and what
//! the provider said stays beside it, under `original`.

use super::Trouble;
use super::answer::Problem;
use super::json::{Json, object};
use crate::formats::Wire;
use crate::formats::error_body::{anthropic_type, gemini_status, openai_type};

/// The longest original that is passed on, in bytes.
const MOST_ORIGINAL: usize = 16 * 1024;

/// Reads an error's body, whatever its shape.
pub(super) fn read(status: u16, body: &[u8]) -> Problem {
    let parsed = Json::read(body).ok();
    let parsed = match parsed {
        // Google's OpenAI-shaped endpoint puts a list around it.
        Some(Json::Array(items)) => items.into_iter().next(),
        other => other,
    };
    let Some(parsed) = parsed.filter(|it| matches!(it, Json::Object(_))) else {
        return Problem::own(status, "the provider refused the request without saying why");
    };
    Problem { status, ..of(&parsed) }
}

/// Reads an error inside a stream that began well.
pub(super) fn in_stream(wire: Wire, error: &Json<'_>) -> Problem {
    let problem = of(error);
    let inner = error.get("error").unwrap_or(error);
    let kind = inner.get("type").and_then(Json::as_text).unwrap_or_default();
    let code = inner.get("code").and_then(Json::as_count).and_then(|code| u16::try_from(code).ok());
    let status = match (wire, kind) {
        (Wire::Anthropic, "overloaded_error") => 529,
        (_, "rate_limit_error" | "rate_limit_exceeded" | "requests" | "tokens") => 429,
        (_, "invalid_request_error") => 400,
        (_, "timeout_error") => 504,
        _ => code.filter(|code| (400..600).contains(code)).unwrap_or(500),
    };
    Problem { status, ..problem }
}

fn of(body: &Json<'_>) -> Problem {
    let error = body.get("error").filter(|error| matches!(error, Json::Object(_))).unwrap_or(body);
    let text = |name: &str| error.get(name).and_then(Json::as_text).map(str::to_owned);
    let flat = body.get("error").and_then(Json::as_text).map(str::to_owned);
    let detail = || error.get("detail").map(Json::to_text);
    let code = error.get("details").and_then(|it| it.get("error_code")?.as_text());
    let code = code.map(str::to_owned).or_else(|| text("code"));
    let original = body.to_text();
    Problem {
        status: 0,
        code: code.or_else(|| text("status")).or_else(|| text("type")),
        param: text("param"),
        message: text("message").or(flat).or_else(detail).unwrap_or_default(),
        original: if original.len() <= MOST_ORIGINAL { original } else { String::new() },
    }
}

/// The status with which a caller of that format is told.
pub(super) const fn status(wire: Wire, status: u16) -> u16 {
    match (wire, status) {
        // Anthropic's own word for a provider without capacity.
        (Wire::Anthropic, 503) => 529,
        (Wire::OpenAi | Wire::Gemini, 529) => 503,
        (_, 400..=404 | 408 | 409 | 413 | 429 | 500 | 502..=504 | 529) => status,
        (_, 400..=499) => 400,
        _ => 500,
    }
}

/// Writes an error in that format.
pub(super) fn write<'a>(wire: Wire, problem: &'a Problem, request_id: &'a str) -> Json<'a> {
    let status = status(wire, problem.status);
    let code = http::StatusCode::from_u16(status).unwrap_or_default();
    let message = message(wire, problem);
    let original = Json::read(problem.original.as_bytes()).unwrap_or_default();
    match wire {
        Wire::Anthropic => {
            let error = object([
                ("type", anthropic_type(code).into()),
                ("message", message.into()),
                ("original", original),
            ]);
            let id = Some(request_id).filter(|id| !id.is_empty());
            object([("type", "error".into()), ("error", error), ("request_id", id.into())])
        }
        Wire::Gemini => {
            let error = object([
                ("code", u64::from(status).into()),
                ("message", message.into()),
                ("status", gemini_status(code).into()),
                ("original", original),
            ]);
            object([("error", error)])
        }
        Wire::OpenAi | Wire::Cohere | Wire::Ollama | Wire::Http => {
            let word = if context(&problem.message).is_some() {
                Some("context_length_exceeded")
            } else {
                problem.code.as_deref()
            };
            let mut error = vec![
                ("message".into(), message.into()),
                ("type".into(), openai_type(code).into()),
                ("param".into(), problem.param.as_deref().into()),
                ("code".into(), word.into()),
            ];
            if !original.is_null() {
                error.push(("original".into(), original));
            }
            object([("error", Json::Object(error))])
        }
    }
}

/// What happened. Of a prompt that is too long, clients know one wording: Claude Code makes room for
/// the conversation when it reads it.
fn message(wire: Wire, problem: &Problem) -> String {
    match context(&problem.message) {
        Some((told, most)) if wire == Wire::Anthropic => {
            format!("prompt is too long: {told} tokens > {most} maximum")
        }
        _ => problem.message.clone(),
    }
}

/// What is wrong with the request, as far as another model may mend it.
pub(super) fn trouble(problem: &Problem) -> Option<Trouble> {
    let code = problem.code.as_deref().unwrap_or_default();
    let message = problem.message.to_ascii_lowercase();
    let long = ["context length", "context limit", "prompt is too long", "input is too long"];
    let filtered = ["content_filter", "content_policy_violation", "invalid_prompt"];
    if code == "context_length_exceeded"
        || context(&message).is_some()
        || long.iter().any(|phrase| message.contains(phrase))
    {
        Some(Trouble::ContextTooLong)
    } else if filtered.contains(&code) || message.contains("content management policy") {
        Some(Trouble::ContentFilter)
    } else {
        None
    }
}

/// How many tokens there were, and how many there may be, where the message says so.
fn context(message: &str) -> Option<(u64, u64)> {
    let after = |lead: &str| number(message.split_once(lead)?.1);
    let openai = || Some((after("resulted in ")?, after("maximum context length is ")?));
    let anthropic = || Some((after("prompt is too long: ")?, after(" > ")?));
    let gemini = || {
        let told = after("input token count (").or_else(|| after("input token count is "));
        Some((told?, after("number of tokens allowed (")?))
    };
    openai().or_else(anthropic).or_else(gemini)
}

fn number(text: &str) -> Option<u64> {
    let end = text.find(|it: char| !it.is_ascii_digit() && it != ',').unwrap_or(text.len());
    text.get(..end)?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOO_LONG: [(&[u8], &str); 3] = [
        (
            br#"{"error":{"message":"This model's maximum context length is 128,000 tokens. However, your messages resulted in 130000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            "130000 tokens > 128000",
        ),
        (
            br#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            "210000 tokens > 200000",
        ),
        (
            br#"{"error":{"code":400,"message":"The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
            "1100000 tokens > 1048576",
        ),
    ];

    #[test]
    fn a_prompt_that_is_too_long_is_told_in_the_words_that_clients_know() {
        for (body, numbers) in TOO_LONG {
            let problem = read(400, body);
            let anthropic = write(Wire::Anthropic, &problem, "req_1").to_text();
            let wording = format!("prompt is too long: {numbers} maximum");
            assert!(anthropic.contains(&wording), "{anthropic}");
            let openai = write(Wire::OpenAi, &problem, "").to_text();
            assert!(openai.contains(r#""code":"context_length_exceeded""#), "{openai}");
            assert_eq!(trouble(&problem), Some(Trouble::ContextTooLong));
        }
    }

    #[test]
    fn what_the_provider_said_stays_beside() {
        let body = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_9"}"#;
        let problem = read(529, body);
        assert_eq!(status(Wire::OpenAi, problem.status), 503);
        assert_eq!(
            write(Wire::OpenAi, &problem, "").to_text(),
            r#"{"error":{"message":"Overloaded","type":"server_error","param":null,"code":"overloaded_error","original":{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_9"}}}"#
        );
        let gemini = write(Wire::Gemini, &problem, "").to_text();
        assert!(
            gemini.starts_with(
                r#"{"error":{"code":503,"message":"Overloaded","status":"UNAVAILABLE""#
            )
        );
    }

    #[test]
    fn an_error_of_any_shape_is_read() {
        for (body, message) in [
            (&br#"{"error":"model not found"}"#[..], "model not found"),
            (br#"{"message":"invalid token"}"#, "invalid token"),
            (br#"[{"error":{"code":404,"message":"gone"}}]"#, "gone"),
            (br#"{"code":"x","error":"flat"}"#, "flat"),
            (b"<html>", "the provider refused the request without saying why"),
        ] {
            assert_eq!(read(404, body).message, message);
        }
    }
}
