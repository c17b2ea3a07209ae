//! Google's Gemini API (rate-limit and troubleshooting guides, and what Google's own command-line
//! client makes of its quota errors). The OpenAI-compatible endpoint wraps the same bodies in arrays.

use std::time::Duration;

use super::problem::text;
use super::ruling::{Return, Ruling};
use super::{Case, hints, openai};
use crate::formats::{Dialect, Dimension, Verdict, delay};

/// A longer `RetryInfo` than this tells of a quota, not of a rate.
const LONGEST_RATE: Duration = Duration::from_mins(5);

/// What Gemini's words settle.
pub(super) fn rule(case: &Case<'_>) -> Option<Ruling> {
    match case.status {
        400 => invalid(case),
        403 => denied(case),
        404 if is_model_missing(case) => Some(Ruling::model(Verdict::KeyForbidden)),
        402 | 429 => exhausted(case),
        _ => None,
    }
}

/// The dimension that a `QuotaFailure` names.
pub(super) fn dimension(case: &Case<'_>) -> Option<Dimension> {
    if case.dialect != Dialect::Gemini {
        return None;
    }
    case.problem.violations().find_map(|violation| {
        let names = [text(violation, "quotaMetric"), text(violation, "quotaId")];
        let names_any = |words: &[&str]| words.iter().any(|w| names.iter().any(|n| n.contains(w)));
        let words: [(&[&str], Dimension); 3] = [
            (&["input_token", "InputToken"], Dimension::InputTokens),
            (&["requests", "Requests"], Dimension::Requests),
            (&["tokens", "Tokens"], Dimension::Tokens),
        ];
        words.into_iter().find_map(|(words, dimension)| names_any(words).then_some(dimension))
    })
}

/// 400 also tells of keys, of money and of places.
fn invalid(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    let is_key = matches!(problem.reason(), "API_KEY_INVALID" | "API_KEY_EXPIRED");
    if is_key || problem.begins("api key not valid") || problem.begins("api key expired") {
        return Some(Ruling::model(Verdict::KeyInvalid));
    }
    if problem.status() != "FAILED_PRECONDITION" {
        return None;
    }
    if problem.begins("user location is not supported") {
        return Some(Ruling::group(Verdict::KeyForbidden));
    }
    problem.says("enable billing").then_some(Ruling::group(Verdict::BillingExhausted))
}

fn denied(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    match problem.reason() {
        "CONSUMER_SUSPENDED" | "SERVICE_DISABLED" => Some(Ruling::group(Verdict::Suspended)),
        "BILLING_DISABLED" => Some(Ruling::group(Verdict::BillingExhausted)),
        "CONSUMER_INVALID" => Some(Ruling::model(Verdict::KeyInvalid)),
        reason if reason.starts_with("API_KEY_") => Some(Ruling::model(Verdict::KeyInvalid)),
        _ if problem.begins("your api key was reported as leaked") => {
            Some(Ruling::model(Verdict::KeyInvalid))
        }
        _ if problem.begins("your project has been denied access") => {
            Some(Ruling::group(Verdict::Suspended))
        }
        // A file or cached content of another project is denied, not missing: nothing of the key.
        _ if is_stored_elsewhere(case) => Some(Ruling::request()),
        _ => None,
    }
}

fn is_stored_elsewhere(case: &Case<'_>) -> bool {
    let problem = &case.problem;
    problem.begins("you do not have permission to access the file")
        || problem.begins("you do not have permission to access file")
        || problem.begins("cachedcontent not found")
}

/// "models/x is not found for API version v1beta, ...".
fn is_model_missing(case: &Case<'_>) -> bool {
    case.model.is_some() && case.problem.begins("models/") || openai::is_unknown_model(case)
}

/// A 402, or a 429, in the order in which they must be told apart: money, then a model that is not
/// granted at all, then the day's quota, whose `RetryInfo` is not to be believed.
fn exhausted(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    let is_money = problem.says("prepayment credits are depleted")
        || problem.reason() == "INSUFFICIENT_G1_CREDITS_BALANCE";
    if case.status == 402 || is_money {
        return Some(Ruling::group(Verdict::BillingExhausted));
    }
    if is_not_granted(case) {
        return Some(Ruling::model(Verdict::KeyForbidden));
    }
    if names_quota(case, &["PerDay", "Daily"]) {
        let quota = Ruling::model(Verdict::QuotaExhausted);
        return Some(quota.until(delay::midnight_pacific(case.wall())));
    }
    if problem.says("monthly spend") {
        let quota = Ruling::group(Verdict::QuotaExhausted);
        return Some(quota.until(delay::next_month_utc(case.wall())));
    }
    // The spend of the last ten minutes, over all models.
    if problem.says("spend-based rate limit") {
        return Some(Ruling::group(Verdict::RateLimited));
    }
    by_reason(case).or_else(|| by_length(case))
}

fn by_reason(case: &Case<'_>) -> Option<Ruling> {
    match case.problem.reason() {
        "MODEL_CAPACITY_EXHAUSTED" => Some(Ruling::model(Verdict::Overloaded)),
        "QUOTA_EXHAUSTED" => Some(Ruling::model(Verdict::QuotaExhausted)),
        _ => None,
    }
}

/// A rate limit of the minute, or, told by how long it holds, a quota.
fn by_length(case: &Case<'_>) -> Option<Ruling> {
    if hints::told(case).is_some_and(|delay| delay > LONGEST_RATE) {
        return Some(Ruling::model(Verdict::QuotaExhausted));
    }
    let minute = Return::After(Duration::from_mins(1));
    let limited = Ruling::model(Verdict::RateLimited);
    names_quota(case, &["PerMinute"]).then_some(limited.returning(minute))
}

/// "limit: 0", and not "limit: 0.5" or "limit: 05": the model is not granted to this project.
fn is_not_granted(case: &Case<'_>) -> bool {
    let goes_on =
        |rest: &str| rest.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    case.problem.message().split("limit: 0").skip(1).any(|rest| !goes_on(rest))
}

fn names_quota(case: &Case<'_>, words: &[&str]) -> bool {
    let mut ids = case.problem.violations().map(|violation| text(violation, "quotaId"));
    ids.any(|id| words.iter().any(|word| id.contains(word)))
}
