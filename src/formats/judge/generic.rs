//! What HTTP itself says, for every provider whose words settle nothing.

use super::ruling::Ruling;
use super::{Case, openai};
use crate::formats::{Dialect, Scope, Verdict};

/// By status alone (RFC 9110, and the statuses that gateways in front of providers make up).
///
/// A redirect is a failure of the provider: it is never followed, for it could carry a key away.
pub(super) fn by_status(case: &Case<'_>) -> Ruling {
    match case.status {
        401 => Ruling::model(Verdict::KeyInvalid),
        402 => Ruling::group(Verdict::BillingExhausted),
        403 => Ruling::model(Verdict::KeyForbidden),
        404 if openai::is_unknown_model(case) => Ruling::model(Verdict::KeyForbidden),
        409 if is_final(case) => Ruling::request(),
        408 | 409 => Ruling::model(Verdict::ServerError),
        429 => {
            Ruling { scope: scope_of_limit(case.dialect), ..Ruling::model(Verdict::RateLimited) }
        }
        503 | 529 => Ruling::model(Verdict::Overloaded),
        // 501: what is not implemented will not be so at the next try.
        400..=499 | 501 => Ruling::request(),
        _ => Ruling::model(Verdict::ServerError),
    }
}

/// How far a rate limit reaches that says nothing of itself. An API that is not understood has no
/// models, so that a limit of its is one of the whole group.
pub(super) fn scope_of_limit(dialect: Dialect) -> Scope {
    if dialect == Dialect::Generic { Scope::Group } else { Scope::Model }
}

/// Whether a conflict is the request's own (cancelling what has ended), rather than a race worth
/// another try.
fn is_final(case: &Case<'_>) -> bool {
    let problem = &case.problem;
    case.header("x-should-retry") == "false"
        || problem.kind() == "invalid_request_error"
        || problem.status() == "ALREADY_EXISTS"
}
