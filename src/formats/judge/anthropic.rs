//! Anthropic (error and rate-limit guides): `error.details.error_code` first, where there is one.

use jiff::Timestamp;

use super::ruling::Ruling;
use super::{Case, openai};
use crate::formats::{Verdict, delay};

/// What Anthropic's words settle.
pub(super) fn rule(case: &Case<'_>) -> Option<Ruling> {
    by_code(case).or_else(|| match case.status {
        400 => by_message(case),
        // An OAuth token that was revoked is refused with 403.
        403 if case.problem.begins("oauth token has been revoked") => {
            Some(Ruling::model(Verdict::KeyInvalid))
        }
        404 if is_model_missing(case) => Some(Ruling::model(Verdict::KeyForbidden)),
        429 => subscription_used_up(case),
        _ => by_type(case),
    })
}

fn by_code(case: &Case<'_>) -> Option<Ruling> {
    let told = delay::day_in_text(case.problem.message());
    match case.problem.error_code() {
        "organization_on_hold" => Some(Ruling::group(Verdict::Suspended)),
        "claude_code_key_creator_not_member" => Some(Ruling::model(Verdict::KeyInvalid)),
        // The tier's monthly cap: back on the day that the message names, else next month.
        "enforced_spend_limit_reached" => {
            let month = || delay::next_month_utc(case.wall());
            Some(Ruling::group(Verdict::QuotaExhausted).until(told.or_else(month)))
        }
        "contract_spend_limit_reached" => Some(Ruling::group(Verdict::QuotaExhausted).until(told)),
        "ramp_limit_exceeded" => Some(Ruling::model(Verdict::RateLimited)),
        "compaction_unavailable" => Some(Ruling::model(Verdict::Overloaded)),
        code if code.starts_with("linked_organization_") => {
            Some(Ruling::group(Verdict::BillingExhausted))
        }
        _ => None,
    }
}

/// Money and holds without a code: the one place where wording has to do.
fn by_message(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    if problem.begins("your credit balance is too low") {
        return Some(Ruling::group(Verdict::BillingExhausted));
    }
    if problem.begins("this organization has been disabled") {
        return Some(Ruling::group(Verdict::Suspended));
    }
    // "You have reached your specified (workspace) API usage limits. You will regain access on ..."
    let own_limit =
        problem.begins("you have reached your specified") && problem.says("usage limits");
    let back = delay::day_in_text(problem.message());
    let month = || delay::next_month_utc(case.wall());
    own_limit.then(|| Ruling::group(Verdict::QuotaExhausted).until(back.or_else(month)))
}

/// "model: claude-x"; by the endpoint that copies OpenAI, in OpenAI's words.
fn is_model_missing(case: &Case<'_>) -> bool {
    case.model.is_some() && case.problem.begins("model:") || openai::is_unknown_model(case)
}

/// Types that tell more than the status they came with.
fn by_type(case: &Case<'_>) -> Option<Ruling> {
    match (case.status, case.problem.kind()) {
        (400..=499, "billing_error") => Some(Ruling::group(Verdict::BillingExhausted)),
        (500..=599, "overloaded_error") => Some(Ruling::model(Verdict::Overloaded)),
        _ => None,
    }
}

/// A subscription's windows of 5 hours and 7 days (undocumented headers of OAuth traffic): held until
/// the later of those that refuse.
fn subscription_used_up(case: &Case<'_>) -> Option<Ruling> {
    let reset_of = |window: &str| -> Option<Timestamp> {
        let header = |what| case.header(&format!("anthropic-ratelimit-unified-{window}-{what}"));
        let refuses = header("status") == "rejected";
        let seconds = header("reset").parse().ok().filter(|_| refuses)?;
        Timestamp::from_second(seconds).ok()
    };
    let latest = ["5h", "7d"].into_iter().filter_map(reset_of).max()?;
    Some(Ruling::group(Verdict::QuotaExhausted).until(Some(latest)))
}
