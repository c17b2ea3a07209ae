//! OpenAI's errors (error-codes guide): `{"error": {message, type, param, code}}`.

use serde_json::{Value, json};

use super::{counted, go_duration};
use crate::simulator::call::Scene;
use crate::simulator::meter::{DAY, Refusal};
use crate::simulator::problem::Problem;
use crate::simulator::reply::Reply;

const NOT_JSON: &str = "We could not parse the JSON body of your request. (HINT: This likely means \
    you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what \
    was sent was not valid JSON. If you have trouble figuring out how to fix this, please contact \
    us through our help center at help.openai.com.)";
const NO_KEY: &str = "You didn't provide an API key. You need to provide your API key in an \
    Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain \
    an API key from https://platform.openai.com/account/api-keys.";
const DEACTIVATED: &str = "The OpenAI account associated with this API key has been deactivated. \
    Contact us through our help center at help.openai.com if you need help.";
const NO_CREDIT: &str = "You exceeded your current quota, please check your plan and billing \
    details. For more information on this error, read the docs: \
    https://platform.openai.com/docs/guides/error-codes/api-errors.";
const SPEND_CAP: &str = "Your project has reached its monthly spend limit.";
const FAILED: &str = "The server had an error while processing your request. Sorry about that!";
const OVERLOADED: &str = "The engine is currently overloaded, please try again later";

/// An error body.
pub(crate) fn body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

/// A 400 that names the field at fault.
pub(super) fn mistake(message: &str, param: Option<&str>, code: Option<&str>) -> Box<Reply> {
    let body = body(message, "invalid_request_error", param, code);
    Box::new(Reply::of(400, &body).refused("badRequest"))
}

/// A 404 for something that is not kept for this account.
pub(super) fn missing(message: &str, param: Option<&str>) -> Box<Reply> {
    let body = body(message, "invalid_request_error", param, None);
    Box::new(Reply::of(404, &body).refused("notFound"))
}

/// OpenAI's words for what every provider refuses.
pub(crate) fn refusal(scene: &Scene, problem: &Problem) -> Reply {
    let invalid = |status: u16, message: &str, param: Option<&str>, code: Option<&str>| {
        Reply::of(status, &body(message, "invalid_request_error", param, code))
    };
    match problem {
        Problem::NoCredential => invalid(401, NO_KEY, None, None),
        Problem::KeyInvalid => {
            let shown = masked(scene.credential.as_deref().unwrap_or_default());
            let message = format!(
                "Incorrect API key provided: {shown}. You can find your API key at \
                 https://platform.openai.com/account/api-keys."
            );
            invalid(401, &message, None, Some("invalid_api_key"))
        }
        Problem::Suspended => invalid(401, DEACTIVATED, None, Some("account_deactivated")),
        Problem::CreditGone => exhausted(NO_CREDIT, "credit_balance_exhausted"),
        Problem::SpendCap => exhausted(SPEND_CAP, "project_spend_limit_exceeded"),
        Problem::Forbidden { model } => {
            let project = &scene.account;
            let message = format!("Project `{project}` does not have access to model `{model}`");
            invalid(403, &message, None, Some("model_not_found"))
        }
        Problem::NoSuchModel { model } => {
            let message =
                format!("The model `{model}` does not exist or you do not have access to it.");
            invalid(404, &message, None, Some("model_not_found"))
        }
        Problem::Failing { status: 503 } => {
            Reply::of(503, &body(OVERLOADED, "server_error", None, None))
        }
        Problem::Failing { status } => {
            Reply::of(*status, &body(FAILED, "server_error", None, None))
        }
        Problem::RateLimited { model, refusal } => rate_limited(scene, model, refusal),
        Problem::NotJson => invalid(400, NOT_JSON, None, None),
        Problem::TooLarge => invalid(413, "Maximum content size limit exceeded", None, None),
        Problem::NoSuchPath => {
            let message = format!("Invalid URL ({} {})", scene.method, scene.path);
            invalid(404, &message, None, None)
        }
        Problem::WrongMethod => {
            let message = format!("Not allowed to {} on {}.", scene.method, scene.path);
            invalid(405, &message, None, Some("method_not_supported"))
        }
    }
}

/// "You exceeded your current quota" and its kin: 429 of type `insufficient_quota`.
fn exhausted(message: &str, code: &str) -> Reply {
    Reply::of(429, &body(message, "insufficient_quota", None, Some(code)))
}

fn rate_limited(scene: &Scene, model: &str, refusal: &Refusal) -> Reply {
    let Refusal { dimension, limit, used, requested, .. } = refusal;
    let kind = counted(*dimension);
    let letter = if kind == "tokens" { 'T' } else { 'R' };
    let (per, short) = if refusal.window == DAY { ("day", 'D') } else { ("min", 'M') };
    let place = format!(
        "for {model} in organization {} on {kind} per {per} ({letter}P{short}): Limit {limit}",
        scene.account
    );
    let more = "Visit https://platform.openai.com/account/rate-limits to learn more.";
    let message = if refusal.oversized() {
        format!(
            "Request too large {place}, Requested {requested}. The input or output tokens must be \
             reduced in order to run successfully. {more}"
        )
    } else {
        let wait = go_duration(refusal.retry_after);
        format!(
            "Rate limit reached {place}, Used {used}, Requested {requested}. Please try again in \
             {wait}. {more}"
        )
    };
    let reply = Reply::of(429, &body(&message, kind, None, Some("rate_limit_exceeded")));
    if refusal.oversized() {
        return reply;
    }
    let millis = refusal.retry_after.as_nanos().div_ceil(1_000_000);
    reply
        .header("retry-after", &millis.div_ceil(1_000).to_string())
        .header("retry-after-ms", &millis.to_string())
}

/// A key as error messages show it: its first five and last four characters.
fn masked(key: &str) -> String {
    let characters = key.chars().count();
    if characters < 12 {
        return "*".repeat(characters);
    }
    let head: String = key.chars().take(5).collect();
    let tail: String = key.chars().skip(characters - 4).collect();
    format!("{head}{}{tail}", "*".repeat(characters - 9))
}
