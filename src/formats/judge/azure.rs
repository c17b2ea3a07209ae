//! Azure OpenAI: OpenAI's format under another house's habits. Its codes are often the status as a
//! string, so that much is told by wording alone (Azure OpenAI quota guide; bodies seen in public
//! reports).

use super::ruling::Ruling;
use super::{Case, openai};
use crate::formats::Verdict;

/// What Azure's words settle.
pub(super) fn rule(case: &Case<'_>) -> Option<Ruling> {
    match case.status {
        400 => openai::words(case),
        403 => forbidden(case),
        404 if case.problem.code() == "DeploymentNotFound" && case.model.is_some() => {
            Some(Ruling::model(Verdict::KeyForbidden))
        }
        429 => exhausted(case),
        _ => None,
    }
}

fn forbidden(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    if problem.begins("your resource has been temporarily blocked") {
        return Some(Ruling::group(Verdict::Suspended));
    }
    if problem.begins("out of call volume quota") {
        return Some(Ruling::group(Verdict::QuotaExhausted));
    }
    openai::words(case)
}

/// Capacity of the system is not the deployment's limit; all else is, by status.
fn exhausted(case: &Case<'_>) -> Option<Ruling> {
    let problem = &case.problem;
    let capacity = ["temporarily unable to process", "high demand", "no capacity"];
    if capacity.iter().any(|phrase| problem.says(phrase)) || problem.code() == "NoCapacity" {
        return Some(Ruling::model(Verdict::Overloaded));
    }
    openai::words(case)
}
