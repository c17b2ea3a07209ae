//! Anthropic's errors (errors page): `{"type": "error", "error": {type, message, details?}, request_id}`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::formats::Dimension;
use crate::simulator::call::Scene;
use crate::simulator::meter::Refusal;
use crate::simulator::problem::Problem;
use crate::simulator::reply::Reply;

const NO_CREDIT: &str = "Your credit balance is too low to access the Anthropic API. Please go to \
    Plans & Billing to upgrade or purchase credits.";
const ON_HOLD: &str = "Your organization has been disabled.";

/// An error body.
pub(crate) fn body(scene: &Scene, kind: &str, message: &str, details: Option<&Value>) -> Value {
    let mut error = json!({"type": kind, "message": message});
    if let (Some(details), Some(fields)) = (details, error.as_object_mut()) {
        fields.insert("details".to_owned(), details.clone());
    }
    json!({"type": "error", "error": error, "request_id": scene.request_id})
}

/// A 400 of the request itself.
pub(super) fn mistake(scene: &Scene, message: &str) -> Box<Reply> {
    let body = body(scene, "invalid_request_error", message, None);
    Box::new(Reply::of(400, &body).refused("badRequest"))
}

/// A 404 for something that is not kept for this account.
pub(super) fn missing(scene: &Scene, message: &str) -> Box<Reply> {
    Box::new(Reply::of(404, &body(scene, "not_found_error", message, None)).refused("notFound"))
}

/// Anthropic's words for what every provider refuses.
pub(crate) fn refusal(scene: &Scene, problem: &Problem) -> Reply {
    let plain = |status: u16, kind: &str, message: &str| {
        Reply::of(status, &body(scene, kind, message, None))
    };
    let coded = |status: u16, kind: &str, message: &str, code: &str| {
        Reply::of(status, &body(scene, kind, message, Some(&json!({"error_code": code}))))
    };
    match problem {
        Problem::NoCredential => plain(401, "authentication_error", "x-api-key header is required"),
        Problem::KeyInvalid if scene.headers.contains_key("x-api-key") => {
            plain(401, "authentication_error", "invalid x-api-key")
        }
        Problem::KeyInvalid => plain(401, "authentication_error", "Invalid bearer token"),
        Problem::Suspended => coded(400, "invalid_request_error", ON_HOLD, "organization_on_hold"),
        Problem::CreditGone => plain(400, "invalid_request_error", NO_CREDIT),
        Problem::SpendCap => {
            let date = first_of_next_month(scene.now.wall);
            let message = format!(
                "You have reached your API usage limits: your organization's monthly spend limit. \
                 You will regain access on {date} at 00:00 UTC."
            );
            coded(429, "rate_limit_error", &message, "enforced_spend_limit_reached")
        }
        Problem::Forbidden { .. } => plain(
            403,
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        ),
        Problem::NoSuchModel { model } => plain(404, "not_found_error", &format!("model: {model}")),
        Problem::Failing { status } => failing(scene, *status),
        Problem::RateLimited { refusal, .. } => rate_limited(scene, refusal),
        Problem::NotJson => plain(
            400,
            "invalid_request_error",
            "The request body is not valid JSON: expected value: line 1 column 1 (char 0)",
        ),
        Problem::TooLarge => {
            plain(413, "request_too_large", "Request exceeds the maximum allowed number of bytes.")
        }
        Problem::NoSuchPath => plain(404, "not_found_error", "Not found"),
        Problem::WrongMethod => plain(405, "invalid_request_error", "Method Not Allowed"),
    }
}

fn failing(scene: &Scene, status: u16) -> Reply {
    let (kind, message) = match status {
        529 => ("overloaded_error", "Overloaded"),
        504 => ("timeout_error", "Request timed out"),
        _ => ("api_error", "Internal server error"),
    };
    Reply::of(status, &body(scene, kind, message, None))
}

/// The 429 of a rate limit has a `retry-after`, in whole seconds (rate-limits page).
fn rate_limited(scene: &Scene, refusal: &Refusal) -> Reply {
    let what = match refusal.dimension {
        Dimension::Requests => "requests",
        Dimension::InputTokens | Dimension::Tokens => "input tokens",
        Dimension::OutputTokens => "output tokens",
    };
    let message = format!(
        "This request would exceed your organization's rate limit of {} {what} per minute. For \
         details, refer to: https://docs.claude.com/en/api/rate-limits.",
        refusal.limit
    );
    let reply = Reply::of(429, &body(scene, "rate_limit_error", &message, None));
    if refusal.oversized() {
        return reply;
    }
    let seconds = refusal.retry_after.as_nanos().div_ceil(1_000_000_000);
    reply.header("retry-after", &seconds.to_string())
}

fn first_of_next_month(now: Timestamp) -> String {
    let today = now.to_zoned(TimeZone::UTC).date();
    today.last_of_month().tomorrow().unwrap_or(today).to_string()
}
