//! Gemini's errors (troubleshooting page; `google.rpc.Status`): `{"error": {code, message, status,
//! details}}`. There are no rate-limit headers: what can be known of a limit is in the body.

use std::time::Duration;

use serde_json::{Value, json};

use crate::formats::Dimension;
use crate::simulator::call::Scene;
use crate::simulator::meter::{DAY, Refusal};
use crate::simulator::problem::Problem;
use crate::simulator::reply::Reply;

const SERVICE: &str = "generativelanguage.googleapis.com";
const UNREGISTERED: &str = "Method doesn't allow unregistered callers (callers without established \
    identity). Please use API Key or other form of API consumer identity to call this API.";
const DEPLETED: &str = "Your prepayment credits are depleted. Please go to AI Studio to manage your \
    project and billing.";
const SPEND_CAP: &str = "You exceeded your spend-based rate limit. Please try again later.";
const PAGE: &str = "<!DOCTYPE html>\n<html lang=en>\n  <title>Error 404 (Not Found)!!1</title>\n  \
    <p><b>404.</b> <ins>That\u{2019}s an error.</ins>\n  <p>The requested URL was not found on this \
    server.\n";

/// An error body.
pub(super) fn body(code: u16, status: &str, message: &str, details: &[Value]) -> Value {
    let mut error = json!({"code": code, "message": message, "status": status});
    if let Some(fields) = error.as_object_mut().filter(|_| !details.is_empty()) {
        fields.insert("details".to_owned(), json!(details));
    }
    json!({"error": error})
}

/// A 400 of the request itself.
pub(super) fn mistake(scene: &Scene, message: &str) -> Box<Reply> {
    Box::new(reply(scene, 400, "INVALID_ARGUMENT", (message, &[])).refused("badRequest"))
}

/// A field that there is not.
pub(super) fn unknown_field(scene: &Scene, name: &str) -> Box<Reply> {
    let text =
        format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field.");
    let details = json!({
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"description": text}],
    });
    let refused = reply(scene, 400, "INVALID_ARGUMENT", (&text, &[details]));
    Box::new(refused.refused("badRequest"))
}

/// 403 for something that is not kept for this account, as the Files API answers.
pub(super) fn not_yours(scene: &Scene, kind: &str, name: &str) -> Box<Reply> {
    let text =
        format!("You do not have permission to access the {kind} {name} or it may not exist.");
    Box::new(reply(scene, 403, "PERMISSION_DENIED", (&text, &[])).refused("notFound"))
}

/// Gemini's words for what every provider refuses.
pub(crate) fn refusal(scene: &Scene, problem: &Problem) -> Reply {
    let plain = |code: u16, status: &str, message: &str| reply(scene, code, status, (message, &[]));
    match problem {
        Problem::NoCredential => plain(403, "PERMISSION_DENIED", UNREGISTERED),
        Problem::KeyInvalid => {
            let message = "API key not valid. Please pass a valid API key.";
            reply(scene, 400, "INVALID_ARGUMENT", (message, &[info("API_KEY_INVALID")]))
        }
        Problem::Suspended => {
            let message = "Permission denied: Consumer has been suspended.";
            reply(scene, 403, "PERMISSION_DENIED", (message, &[info("CONSUMER_SUSPENDED")]))
        }
        Problem::CreditGone => plain(402, "RESOURCE_EXHAUSTED", DEPLETED),
        Problem::SpendCap => plain(429, "RESOURCE_EXHAUSTED", SPEND_CAP),
        Problem::Forbidden { model } => {
            let message = format!("Permission denied on resource model {model}.");
            plain(403, "PERMISSION_DENIED", &message)
        }
        Problem::NoSuchModel { model } => {
            let version = scene.segments().first().copied().unwrap_or("v1beta").to_owned();
            let message = format!(
                "models/{model} is not found for API version {version}, or is not supported for \
                 generateContent. Call ListModels to see the list of available models and their \
                 supported methods."
            );
            plain(404, "NOT_FOUND", &message)
        }
        Problem::Failing { status: 503 | 529 } => {
            let message = "The model is overloaded. Please try again later.";
            plain(503, "UNAVAILABLE", message)
        }
        Problem::Failing { status: 504 } => {
            plain(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.")
        }
        Problem::Failing { status } => {
            plain(*status, "INTERNAL", "An internal error has occurred. Please retry.")
        }
        Problem::RateLimited { model, refusal } => rate_limited(scene, model, refusal),
        Problem::NotJson => {
            plain(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unexpected token.")
        }
        Problem::TooLarge => {
            plain(413, "INVALID_ARGUMENT", "Request payload size exceeds the limit.")
        }
        Problem::NoSuchPath | Problem::WrongMethod => Reply::bytes(
            404,
            "text/html; charset=UTF-8",
            bytes::Bytes::from_static(PAGE.as_bytes()),
        ),
    }
}

/// The error, as a one-element array where the answer would have been an array.
fn reply(scene: &Scene, code: u16, status: &str, (message, details): (&str, &[Value])) -> Reply {
    let body = body(code, status, message, details);
    let array = scene.path.ends_with(":streamGenerateContent") && scene.query("alt") != Some("sse");
    Reply::of(code, &if array { json!([body]) } else { body })
}

fn info(reason: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": SERVICE},
    })
}

/// `QuotaFailure` names the quota, `RetryInfo` when to come back; even for a day's quota, where it is of
/// no use.
fn rate_limited(scene: &Scene, model: &str, refusal: &Refusal) -> Reply {
    let (metric, id) = match (refusal.window == DAY, refusal.dimension) {
        (true, _) => ("generate_content_requests", "GenerateRequestsPerDayPerProjectPerModel"),
        (false, Dimension::Requests) => {
            ("generate_content_requests", "GenerateRequestsPerMinutePerProjectPerModel")
        }
        (false, Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens) => (
            "generate_content_paid_tier_input_token_count",
            "GenerateContentPaidTierInputTokensPerModelPerMinute",
        ),
    };
    let wait = if refusal.oversized() { Duration::ZERO } else { refusal.retry_after };
    let delay = seconds(wait);
    let message = format!(
        "You exceeded your current quota, please check your plan and billing details. For more \
         information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n* \
         Quota exceeded for metric: {SERVICE}/{metric}, limit: {}, model: {model}\nPlease retry in \
         {delay}.",
        refusal.limit
    );
    let details = [
        json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{
                "quotaMetric": format!("{SERVICE}/{metric}"),
                "quotaId": id,
                "quotaDimensions": {"location": "global", "model": model},
                "quotaValue": refusal.limit.to_string(),
            }],
        }),
        json!({
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [{
                "description": "Learn more about Gemini API quotas",
                "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
            }],
        }),
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}),
    ];
    reply(scene, 429, "RESOURCE_EXHAUSTED", (&message, &details))
}

/// A duration as protobuf's JSON has it: `34.074824224s`.
fn seconds(duration: Duration) -> String {
    let text = format!("{}.{:09}", duration.as_secs(), duration.subsec_nanos());
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_protobuf_does() {
        assert_eq!(seconds(Duration::from_mins(1)), "60s");
        assert_eq!(seconds(Duration::from_millis(12_300)), "12.3s");
        assert_eq!(seconds(Duration::from_nanos(34_074_824_224)), "34.074824224s");
        assert_eq!(seconds(Duration::ZERO), "0s");
    }
}
