//! OpenAI, and the words that its many copyists share with it.

use super::Case;
use super::problem::number_after;
use super::ruling::Ruling;
use crate::formats::{Verdict, delay};

/// OpenAI's own (error-codes guide and rate-limit guide).
pub(super) fn rule(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    match (case.status, problem.code()) {
        // A restricted key may do other things: it is not dead. Seen as 401 and as 403.
        (401, _) if problem.begins("you have insufficient permissions") => {
            Some(Ruling::model(Verdict::KeyForbidden))
        }
        // An allow-list is mended without changing the key.
        (401, "ip_not_authorized") => Some(Ruling::group(Verdict::KeyForbidden)),
        // Flex processing guide: no capacity for this tier just now, and not billed.
        (429, "resource_unavailable") => Some(Ruling::model(Verdict::Overloaded)),
        (429, _) if problem.begins("resource unavailable") => {
            Some(Ruling::model(Verdict::Overloaded))
        }
        (429 | 503, _) if problem.begins("the engine is currently overloaded") => {
            Some(Ruling::model(Verdict::Overloaded))
        }
        _ => words(case),
    }
}

/// The words that OpenAI and its copyists share, at whatever status they stand: Perplexity, for one,
/// says `insufficient_quota` with 401. The code goes before the type, which may still say
/// `insufficient_quota` where the code tells of a spend limit.
pub(super) fn words(case: &Case<'_>) -> Option<Ruling> {
    if !(400..500).contains(&case.status) {
        return None;
    }
    let problem = &case.problem;
    [problem.code(), problem.kind()]
        .into_iter()
        .find_map(|word| by_word(case, word))
        .or_else(|| too_large(case))
        .or_else(|| long_quota(case))
}

/// Whether a code says that there is no money: only a person ends that.
pub(super) fn is_billing(code: &str) -> bool {
    matches!(
        code,
        "insufficient_quota"
            | "credit_balance_exhausted"
            | "billing_not_active"
            | "billing_hard_limit_reached"
            | "insufficient_balance"
            | "insufficient_credits"
            | "credit_limit"
            | "payment_required"
    )
}

/// Whether a 404 is about the model. One about anything else (a wrong path, a stored id) says nothing
/// of the key.
pub(super) fn is_unknown_model(case: &Case<'_>) -> bool {
    let problem = &case.problem;
    let absences = ["not found", "not exist", "not have access", "not available", "no endpoints"];
    let is_about_model =
        || problem.says("model") && absences.iter().any(|absence| problem.says(absence));
    case.model.is_some() && (problem.code() == "model_not_found" || is_about_model())
}

fn by_word(case: &Case<'_>, word: &str) -> Option<Ruling> {
    match word {
        "invalid_api_key" => Some(Ruling::model(Verdict::KeyInvalid)),
        "account_deactivated" | "organization_restricted" | "organization_on_hold" => {
            Some(Ruling::group(Verdict::Suspended))
        }
        "content_filter" | "content_policy_violation" | "context_length_exceeded" => {
            Some(Ruling::request())
        }
        "engine_overloaded" | "engine_overloaded_error" | "overloaded_error" => {
            Some(Ruling::model(Verdict::Overloaded))
        }
        _ if is_billing(word) => Some(Ruling::group(Verdict::BillingExhausted)),
        // Hard limits of an organisation or a project, monthly.
        _ if word.ends_with("_spend_limit_exceeded") || word.ends_with("_usage_limit_exceeded") => {
            let quota = Ruling::group(Verdict::QuotaExhausted);
            Some(quota.until(delay::next_month_utc(case.wall())))
        }
        _ => None,
    }
}

/// One request larger than the whole bucket: "Request too large for ... Limit 30000, Requested
/// 250011." Groq says so with 413.
fn too_large(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    let of_limit = case.status == 429 || problem.code() == "rate_limit_exceeded";
    if !of_limit {
        return None;
    }
    let limit = number_after(problem.message(), "limit ");
    let requested = number_after(problem.message(), "requested ");
    let exceeds = limit.zip(requested).is_some_and(|(limit, requested)| requested > limit);
    (exceeds || problem.begins("request too large")).then(Ruling::oversized)
}

/// A limit by the day or the month is a quota: it may be hours until it is back.
fn long_quota(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    let quota = Ruling::model(Verdict::QuotaExhausted);
    (case.status == 429 && problem.says(" per day")).then_some(quota)
}
