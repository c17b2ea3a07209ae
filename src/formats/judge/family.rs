//! The habits of the providers that speak OpenAI's format, or nearly: only where they differ from
//! what [`openai::words`] and the status already say. Each function names its source.

use serde_json::Value;

use super::problem::{number_after, text};
use super::ruling::Ruling;
use super::{Case, openai};
use crate::formats::{Verdict, delay};

/// Mistral's error listing; a shared tier's capacity is told with 429 and no code.
pub(super) fn mistral(case: &Case<'_>) -> Option<Ruling> {
    let full = case.problem.begins("service tier capacity exceeded");
    if case.status == 429 && full {
        return Some(Ruling::model(Verdict::Overloaded));
    }
    openai::words(case)
}

/// Cohere's error reference: the billing maximum and a trial's calls come back with the month.
pub(super) fn cohere(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    let monthly = match case.status {
        402 => problem.begins("maximum billing reached"),
        429 => problem.says("trial key") && problem.says("/ month"),
        _ => false,
    };
    let quota = Ruling::group(Verdict::QuotaExhausted);
    if monthly {
        return Some(quota.until(delay::next_month_utc(case.wall())));
    }
    openai::words(case)
}

/// Groq's error, flex and spend-limit guides.
pub(super) fn groq(case: &Case<'_>) -> Option<Ruling> {
    match (case.status, case.problem.code()) {
        (400, "blocked_api_access") => {
            let quota = Ruling::group(Verdict::QuotaExhausted);
            Some(quota.until(delay::next_month_utc(case.wall())))
        }
        // Flex tier: over capacity.
        (498, _) => Some(Ruling::model(Verdict::Overloaded)),
        _ => openai::words(case),
    }
}

/// xAI's flat bodies, as publicly reported: money is refused with 403 or 429, a bad key with 400.
pub(super) fn xai(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    let money = problem.says("available credits") || problem.says("spending limit");
    match case.status {
        400 if problem.begins("incorrect api key") => Some(Ruling::model(Verdict::KeyInvalid)),
        403 | 429 if problem.begins("your team ") && money => {
            Some(Ruling::group(Verdict::BillingExhausted))
        }
        403 if problem.begins("content violates usage guidelines") => Some(Ruling::request()),
        _ => openai::words(case),
    }
}

/// OpenRouter's error guide.
pub(super) fn openrouter(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    let metadata = problem.metadata();
    match case.status {
        402 => openrouter_credit(case),
        403 if problem.begins("key limit exceeded") => Some(key_limit(case)),
        // Moderation: the prompt, not the key.
        403 if has(metadata, "reasons") || has(metadata, "flagged_input") => {
            Some(Ruling::request())
        }
        429 if problem.says("per-day") => {
            let quota = Ruling::group(Verdict::QuotaExhausted);
            Some(quota.until(reset_in_body(metadata).or_else(|| delay::midnight_utc(case.wall()))))
        }
        // The provider behind it refused: every key of OpenRouter's shares that.
        429 if has(metadata, "provider_name") => Some(Ruling::model(Verdict::Overloaded)),
        _ => openai::words(case),
    }
}

/// Credits that are bound by requests under way come back; a request that asks for more than is left
/// may be too large rather than the account empty.
fn openrouter_credit(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    let metadata = problem.metadata();
    let affordable = number_after(problem.message(), "can only afford ");
    match text(metadata, "reason") {
        "weight_exceeds_budget" => Some(Ruling::oversized()),
        "in_flight_budget_exhausted" => Some(Ruling::group(Verdict::RateLimited)),
        _ if text(metadata, "limit_source") == "openrouter_in_flight_budget" => {
            Some(Ruling::group(Verdict::RateLimited))
        }
        _ => affordable.filter(|tokens| *tokens > 0).map(|_| Ruling::oversized()),
    }
}

/// "Key limit exceeded (daily limit)": a cap on the key that its owner set.
fn key_limit(case: &Case<'_>) -> Ruling {
    let (problem, wall) = (&case.problem, case.wall());
    let reset = if problem.says("(daily limit)") {
        delay::midnight_utc(wall)
    } else if problem.says("(weekly limit)") {
        delay::monday_utc(wall)
    } else if problem.says("(monthly limit)") {
        delay::next_month_utc(wall)
    } else {
        return Ruling::group(Verdict::BillingExhausted);
    };
    Ruling::group(Verdict::QuotaExhausted).until(reset)
}

/// OpenRouter repeats the rate-limit headers inside the body.
fn reset_in_body(metadata: &Value) -> Option<jiff::Timestamp> {
    let reset = metadata.get("headers").map(|headers| text(headers, "X-RateLimit-Reset"))?;
    jiff::Timestamp::from_millisecond(reset.parse().ok()?).ok()
}

/// Together's error codes: 403 is a context too long.
pub(super) fn together(case: &Case<'_>) -> Option<Ruling> {
    let asks_too_much = case.problem.says("max_new_tokens") || case.problem.says("max_tokens");
    if case.status == 403 && asks_too_much {
        return Some(Ruling::request());
    }
    openai::words(case)
}

/// Fireworks, as publicly reported: an account that is suspended is refused with 412.
pub(super) fn fireworks(case: &Case<'_>) -> Option<Ruling> {
    if case.status == 412 && case.problem.begins("account ") && case.problem.says("suspended") {
        return Some(Ruling::group(Verdict::Suspended));
    }
    openai::words(case)
}

/// Cerebras: a queue that is full is nobody's quota.
pub(super) fn cerebras(case: &Case<'_>) -> Option<Ruling> {
    if case.status == 429 && case.problem.code() == "queue_exceeded" {
        return Some(Ruling::model(Verdict::Overloaded));
    }
    openai::words(case)
}

/// NVIDIA's problem details, as publicly reported: a bad key is refused with 403, and a model that
/// the account is not granted with 404.
pub(super) fn nvidia(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    match case.status {
        403 if problem.begins("authorization failed") => Some(Ruling::model(Verdict::KeyInvalid)),
        404 if case.model.is_some() && problem.says("not found for account") => {
            Some(Ruling::model(Verdict::KeyForbidden))
        }
        _ => openai::words(case),
    }
}

/// Hugging Face: a model that is being loaded says how long that takes.
pub(super) fn hugging_face(case: &Case<'_>) -> Option<Ruling> {
    let loading = case.problem.says("currently loading");
    if case.status == 503 && loading {
        return Some(Ruling::model(Verdict::Overloaded));
    }
    openai::words(case)
}

/// Ollama: its cloud's windows are told in the message alone, and how long they last nowhere.
pub(super) fn ollama(case: &Case<'_>) -> Option<Ruling> {
    if case.status == 429 && case.problem.says("usage limit") {
        return Some(Ruling::group(Verdict::QuotaExhausted));
    }
    openai::words(case)
}

fn has(object: &Value, name: &str) -> bool {
    object.get(name).is_some_and(|value| !value.is_null())
}
