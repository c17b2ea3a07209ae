//! Which provider a request is for, and how that provider answers.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::call::{Call, Scene};
use super::meter::{Habit, Readings};
use super::problem::Problem;
use super::reply::{Answered, Reply};
use super::{anthropic, azure, gemini, openai};
use crate::clock::Now;

/// Whom a request is for. All providers share one address; their paths and credential headers tell
/// them apart, as `/v1/models` and `/v1/files` alone do not.
pub(crate) fn habit_of(path: &str, query: &[(String, String)], headers: &HeaderMap) -> Habit {
    let google_path = ["/v1beta/", "/upload/", "/download/"].iter().any(|at| path.starts_with(at));
    let google_method = path.starts_with("/v1/models/") && path.contains(':');
    let google_key = headers.contains_key("x-goog-api-key")
        || query.iter().any(|(name, _)| name == "key")
        || path.starts_with("/v1/cachedContents");
    if path.starts_with("/openai/") {
        Habit::Azure
    } else if google_path || google_method || google_key {
        Habit::Gemini
    } else if path.starts_with("/v1/messages")
        || headers.contains_key("x-api-key")
        || headers.contains_key("anthropic-version")
    {
        Habit::Anthropic
    } else {
        Habit::OpenAi
    }
}

/// The headers that may carry a credential.
pub(crate) const CREDENTIAL_HEADERS: [&str; 4] =
    ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// The credential that this provider looks at.
pub(crate) fn credential(
    habit: Habit,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> Option<String> {
    let plain = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let bearer = || {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ").map(|token| token.trim().to_owned())
    };
    let found = match habit {
        Habit::OpenAi => bearer(),
        Habit::Azure => plain("api-key").or_else(bearer),
        Habit::Anthropic => plain("x-api-key").or_else(bearer),
        Habit::Gemini => plain("x-goog-api-key").or_else(|| {
            query.iter().find(|(name, _)| name == "key").map(|(_, value)| value.clone())
        }),
    };
    found.filter(|credential| !credential.is_empty())
}

/// The model that a request names, as far as that can be told without judging it.
pub(crate) fn model_of(habit: Habit, path: &str, body: &[u8]) -> Option<String> {
    let named = match habit {
        Habit::Gemini => gemini::model_in(path).map(str::to_owned),
        Habit::Azure => azure::deployment_in(path).map(str::to_owned).or_else(|| named(body)),
        Habit::OpenAi | Habit::Anthropic => named(body),
    };
    named.filter(|model| !model.is_empty())
}

fn named(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        model: String,
    }
    serde_json::from_slice::<Named>(body).ok().map(|named| named.model)
}

/// The provider's answer.
pub(crate) fn answer(call: &Call) -> Answered {
    match call.scene.habit {
        Habit::OpenAi => openai::answer(call),
        Habit::Azure => azure::answer(call),
        Habit::Anthropic => anthropic::answer(call),
        Habit::Gemini => gemini::answer(call),
    }
}

/// The provider's refusal.
pub(crate) fn refusal(scene: &Scene, problem: &Problem) -> Reply {
    match scene.habit {
        Habit::OpenAi => openai::error::refusal(scene, problem),
        Habit::Azure => azure::refusal(scene, problem),
        Habit::Anthropic => anthropic::error::refusal(scene, problem),
        Habit::Gemini => gemini::error::refusal(scene, problem),
    }
}

/// Puts on the headers that every answer of the provider has.
pub(crate) fn stamp(scene: &Scene, headers: &mut HeaderMap) {
    match scene.habit {
        Habit::OpenAi => openai::stamp(scene, headers),
        Habit::Azure => azure::stamp(scene, headers),
        Habit::Anthropic => anthropic::stamp(scene, headers),
        Habit::Gemini => gemini::stamp(headers),
    }
}

/// Puts on the rate-limit headers of the provider.
pub(crate) fn limit_headers(habit: Habit, readings: &Readings, now: Now, headers: &mut HeaderMap) {
    match habit {
        Habit::OpenAi => openai::limit_headers(readings, headers),
        Habit::Azure => azure::limit_headers(readings, headers),
        Habit::Anthropic => anthropic::limit_headers(readings, now, headers),
        Habit::Gemini => {}
    }
}

/// Sets a header whose name and value are made at run time.
pub(crate) fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) =
        (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
    {
        headers.insert(name, value);
    }
}

/// What a path answers to a method that it may not have.
pub(crate) fn only(call: &Call, method: &Method) -> Result<(), Box<Reply>> {
    if call.scene.method == method { Ok(()) } else { Err(call.scene.refuse(&Problem::WrongMethod)) }
}
