//! Azure OpenAI (service reference): OpenAI's operations under deployment paths with an
//! `api-version`, or under `/openai/v1`; its own errors for credentials, and bare numbers in headers.

use http::HeaderMap;
use serde_json::{Value, json};

use super::call::{Call, Scene};
use super::meter::{Readings, Refusal};
use super::openai;
use super::problem::Problem;
use super::reply::{Answered, Reply};
use super::wires::set;

/// Answers `/openai/deployments/{deployment}/{operation}?api-version=...` and `/openai/v1/...`.
pub(super) fn answer(call: &Call) -> Answered {
    let segments = call.scene.segments();
    match segments.as_slice() {
        ["openai", "v1", operation @ ..] => openai::serve(call, operation, None),
        // The classic paths do not exist without a version.
        ["openai", ..] if call.scene.query("api-version").is_none() => {
            Err(call.scene.refuse(&Problem::NoSuchPath))
        }
        ["openai", "deployments", deployment, operation @ ..] => {
            openai::serve(call, operation, Some(deployment))
        }
        ["openai", operation @ ..] => openai::serve(call, operation, None),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

/// The deployment that a path names.
pub(super) fn deployment_in(path: &str) -> Option<&str> {
    path.strip_prefix("/openai/deployments/")?.split('/').next()
}

pub(super) fn stamp(scene: &Scene, headers: &mut HeaderMap) {
    set(headers, "apim-request-id", &scene.request_id);
    set(headers, "x-request-id", &scene.request_id);
    set(headers, "x-ms-region", "Simulated");
}

/// The same names as OpenAI's, but resets are bare seconds (quota page).
pub(super) fn limit_headers(readings: &Readings, headers: &mut HeaderMap) {
    for reading in readings {
        let what = openai::counted(reading.dimension);
        let reset = reading.reset.as_nanos().div_ceil(1_000_000_000);
        set(headers, &format!("x-ratelimit-limit-{what}"), &reading.limit.to_string());
        set(headers, &format!("x-ratelimit-remaining-{what}"), &reading.remaining.to_string());
        set(headers, &format!("x-ratelimit-reset-{what}"), &reset.to_string());
    }
}

/// Azure's words where they differ from OpenAI's.
pub(super) fn refusal(scene: &Scene, problem: &Problem) -> Reply {
    match problem {
        Problem::NoCredential | Problem::KeyInvalid => {
            let message = "Access denied due to invalid subscription key or wrong API endpoint. \
                           Make sure to provide a valid key for an active subscription and use a \
                           correct regional API endpoint for your resource.";
            Reply::of(401, &body("401", message))
        }
        Problem::NoSuchModel { .. } => {
            let message = "The API deployment for this resource does not exist. If you created the \
                           deployment within the last 5 minutes, please wait a moment and try again.";
            Reply::of(404, &body("DeploymentNotFound", message))
        }
        Problem::NoSuchPath => Reply::of(404, &body("404", "Resource not found")),
        Problem::RateLimited { refusal, .. } => rate_limited(refusal),
        Problem::Suspended
        | Problem::CreditGone
        | Problem::SpendCap
        | Problem::Forbidden { .. }
        | Problem::Failing { .. }
        | Problem::NotJson
        | Problem::TooLarge
        | Problem::WrongMethod => openai::error::refusal(scene, problem),
    }
}

fn rate_limited(refusal: &Refusal) -> Reply {
    let millis = refusal.retry_after.as_nanos().div_ceil(1_000_000);
    let seconds = millis.div_ceil(1_000);
    let kind = if refusal.requested > 1 { "token" } else { "call" };
    let message = format!(
        "Requests to the Creates a completion for the chat message Operation have exceeded {kind} \
         rate limit of your current OpenAI pricing tier. Please retry after {seconds} seconds."
    );
    let reply = Reply::of(429, &body("429", &message));
    if refusal.oversized() {
        return reply;
    }
    reply.header("retry-after-ms", &millis.to_string()).header("retry-after", &seconds.to_string())
}

fn body(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}
