//! Refusals in the caller's own wire format, so that its SDK raises the error it would raise for the
//! provider.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::Wire;

/// Whose reasons these are, in Google's `ErrorInfo`.
const DOMAIN: &str = "keyweir.dev";

/// A refusal of Keyweir's own.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The status it is sent with.
    pub status: StatusCode,
    /// The wire code of the closed table of refusals, e.g. `keys_temporarily_exhausted`.
    pub code: &'static str,
    /// What happened, for people: provider, model, what binds and when it frees.
    pub message: &'a str,
    /// The field of the request that is at fault, where it is one.
    pub param: Option<&'static str>,
    /// The predicted wait from now, where one is told.
    pub retry_after: Option<Duration>,
    /// The id under which this request is logged.
    pub request_id: &'a str,
}

/// The body of a refusal, and its `content-type`.
///
/// OpenAI's SDKs choose the class of error by status and read `error.code`, which therefore carries
/// the code. Anthropic's, Gemini's, Cohere's and Ollama's formats have no such field: there the
/// message begins with it.
pub fn error_body(wire: Wire, refused: &Refused<'_>) -> (HeaderValue, Bytes) {
    (HeaderValue::from_static("application/json"), json(&Body::new(wire, refused)))
}

/// A body, its fields in the order in which the provider writes them.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    OpenAi { error: OpenAi<'a> },
    Anthropic { r#type: &'static str, error: Anthropic<'a>, request_id: &'a str },
    Gemini { error: Gemini<'a> },
    Cohere { id: &'a str, message: String },
    Ollama { error: String },
    Http { error: Plain<'a> },
}

#[derive(Serialize)]
struct OpenAi<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: &'static str,
}

#[derive(Serialize)]
struct Anthropic<'a> {
    r#type: &'static str,
    message: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
struct Gemini<'a> {
    code: u16,
    message: std::borrow::Cow<'a, str>,
    status: &'static str,
    details: Vec<Detail>,
}

/// Google's typed details.
#[derive(Serialize)]
#[serde(tag = "@type")]
enum Detail {
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo { reason: &'static str, domain: &'static str },
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo", rename_all = "camelCase")]
    RetryInfo { retry_delay: String },
}

#[derive(Serialize)]
struct Plain<'a> {
    code: &'static str,
    message: &'a str,
}

impl<'a> Body<'a> {
    fn new(wire: Wire, refused: &Refused<'a>) -> Self {
        let Refused { status, code, message, param, request_id, .. } = *refused;
        let coded = || format!("{code}: {message}");
        match wire {
            Wire::OpenAi => {
                Self::OpenAi { error: OpenAi { message, r#type: openai_type(status), param, code } }
            }
            Wire::Anthropic => Self::Anthropic {
                r#type: "error",
                error: Anthropic { r#type: anthropic_type(status), message: coded().into() },
                request_id,
            },
            Wire::Gemini => Self::Gemini {
                error: Gemini {
                    code: status.as_u16(),
                    message: coded().into(),
                    status: gemini_status(status),
                    details: gemini_details(refused),
                },
            },
            Wire::Cohere => Self::Cohere { id: request_id, message: coded() },
            Wire::Ollama => Self::Ollama { error: coded() },
            Wire::Http => Self::Http { error: Plain { code, message } },
        }
    }
}

/// OpenAI's types. Its SDKs go by the status; the type is for people and for copyists' clients.
fn openai_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// Anthropic's types by status (Anthropic error guide).
fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// Google's status words (google.rpc.Code).
fn gemini_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

fn gemini_details(refused: &Refused<'_>) -> Vec<Detail> {
    let info = Detail::ErrorInfo { reason: refused.code, domain: DOMAIN };
    let retry = refused.retry_after.map(|delay| Detail::RetryInfo { retry_delay: protobuf(delay) });
    std::iter::once(info).chain(retry).collect()
}

/// A duration as Protobuf's JSON writes it, to the millisecond and rounded up: `2s`, `12.300s`.
fn protobuf(delay: Duration) -> String {
    let millis = delay.as_nanos().div_ceil(1_000_000);
    match (millis / 1000, millis % 1000) {
        (seconds, 0) => format!("{seconds}s"),
        (seconds, millis) => format!("{seconds}.{millis:03}s"),
    }
}

/// Strings and numbers only: there is nothing in them that could fail to be written.
fn json(body: &Body<'_>) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Refused<'static> {
        Refused {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "keys_temporarily_exhausted",
            message: "openai/gpt-4o: \"main\" frees in 12.3 s",
            param: None,
            retry_after: Some(Duration::from_nanos(12_299_000_001)),
            request_id: "req_1",
        }
    }

    fn body(wire: Wire, refused: &Refused<'_>) -> String {
        let (content_type, body) = error_body(wire, refused);
        assert_eq!(content_type, "application/json");
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn each_wire_format_says_no_in_its_own_words() {
        let message = r#"openai/gpt-4o: \"main\" frees in 12.3 s"#;
        let coded = format!("keys_temporarily_exhausted: {message}");
        for (wire, expected) in [
            (
                Wire::OpenAi,
                format!(
                    r#"{{"error":{{"message":"{message}","type":"rate_limit_error","param":null,"code":"keys_temporarily_exhausted"}}}}"#
                ),
            ),
            (
                Wire::Anthropic,
                format!(
                    r#"{{"type":"error","error":{{"type":"rate_limit_error","message":"{coded}"}},"request_id":"req_1"}}"#
                ),
            ),
            (
                Wire::Gemini,
                format!(
                    r#"{{"error":{{"code":429,"message":"{coded}","status":"RESOURCE_EXHAUSTED","details":[{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"keys_temporarily_exhausted","domain":"keyweir.dev"}},{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12.300s"}}]}}}}"#
                ),
            ),
            (Wire::Cohere, format!(r#"{{"id":"req_1","message":"{coded}"}}"#)),
            (Wire::Ollama, format!(r#"{{"error":"{coded}"}}"#)),
            (
                Wire::Http,
                format!(
                    r#"{{"error":{{"code":"keys_temporarily_exhausted","message":"{message}"}}}}"#
                ),
            ),
        ] {
            assert_eq!(body(wire, &refused()), expected);
        }
    }

    #[test]
    fn the_type_follows_the_status() {
        for (status, openai, anthropic, gemini) in [
            (400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
            (403, "permission_error", "permission_error", "PERMISSION_DENIED"),
            (404, "invalid_request_error", "not_found_error", "NOT_FOUND"),
            (413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT"),
            (429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
            (503, "server_error", "api_error", "UNAVAILABLE"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let refused = Refused { status, retry_after: None, ..refused() };
            for (wire, word) in
                [(Wire::OpenAi, openai), (Wire::Anthropic, anthropic), (Wire::Gemini, gemini)]
            {
                let body = body(wire, &refused);
                assert!(body.contains(&format!("\"{word}\"")), "{status} in {wire:?}: {body}");
                assert!(!body.contains("RetryInfo"), "no moment is made up");
            }
        }
    }
}
