//! How a stream that broke off is ended for the client: an error in the stream's own format, and
//! never a reason to finish.

use bytes::Bytes;
use serde_json::json;

use super::path::Endpoint;
use super::wire::Wire;

/// The error event of that format; `None` where it has none that a client would understand.
///
/// `next` is the number the event would have (OpenAI's Responses count theirs).
pub(super) fn error_event(
    wire: Wire,
    endpoint: Endpoint,
    next: u64,
    message: &str,
) -> Option<String> {
    let event = match (wire, endpoint) {
        (Wire::Anthropic, _) => {
            let error = json!({"type": "api_error", "message": message});
            format!("event: error\ndata: {}\n\n", json!({"type": "error", "error": error}))
        }
        (Wire::OpenAi, Endpoint::Responses) => {
            let error = json!({
                "type": "error",
                "code": "server_error",
                "message": message,
                "param": null,
                "sequence_number": next,
            });
            format!("event: error\ndata: {error}\n\n")
        }
        (Wire::OpenAi, _) => {
            let error = json!({
                "message": message, "type": "server_error", "param": null, "code": null,
            });
            format!("data: {}\n\n", json!({"error": error}))
        }
        (Wire::Gemini, _) => {
            let error = json!({"code": 503, "message": message, "status": "UNAVAILABLE"});
            format!("data: {}\n\n", json!({"error": error}))
        }
        (Wire::Cohere | Wire::Ollama | Wire::Http, _) => return None,
    };
    Some(event)
}

/// What makes an error event of an event that the client has in part; `None` where that cannot be.
///
/// Anthropic's clients go by an event's name, and its last one counts: whatever the part was, it is
/// an error now. Where clients read the data first, half an event's would be ours to answer for, as
/// an error of their parser that no application expects; an aborted body they know.
pub(super) const fn inside(wire: Wire) -> Option<&'static str> {
    match wire {
        Wire::Anthropic => Some("\n"),
        Wire::OpenAi | Wire::Gemini | Wire::Cohere | Wire::Ollama | Wire::Http => None,
    }
}

/// Ollama's: a line of its own.
pub(super) fn error_line(message: &str) -> String {
    format!("{}\n", json!({"error": message}))
}

/// Puts what ends the client's half-sent event or line before the error.
pub(super) fn after(before: &'static str, event: &str) -> Bytes {
    Bytes::from([before, event].concat())
}
