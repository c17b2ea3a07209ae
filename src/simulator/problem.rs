//! What providers refuse a request for, before its fields are looked at.

use super::fault::FaultKind;
use super::meter::{Cause, MINUTE, Refusal};
use crate::formats::Dimension;

/// A refusal that every provider has, each in its own words.
#[derive(Clone, Debug)]
pub(crate) enum Problem {
    /// The request carries no credential.
    NoCredential,
    /// No account knows the credential, or it was revoked.
    KeyInvalid,
    /// The account is on hold or deactivated.
    Suspended,
    /// The account's credit is used up.
    CreditGone,
    /// A spend limit is reached.
    SpendCap,
    /// The account or key may not use the model.
    Forbidden { model: String },
    /// There is no such model, or none that this account may know of.
    NoSuchModel { model: String },
    /// The provider fails.
    Failing { status: u16 },
    /// A limit is reached.
    RateLimited { model: String, refusal: Refusal },
    /// The body is no JSON object.
    NotJson,
    /// The body is larger than the provider takes.
    TooLarge,
    /// No such path.
    NoSuchPath,
    /// The path exists, but not for this method.
    WrongMethod,
}

impl Problem {
    /// The word for it in tallies.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::NoCredential | Self::KeyInvalid => "keyInvalid",
            Self::Suspended => "suspended",
            Self::CreditGone => "creditGone",
            Self::SpendCap => "quotaExhausted",
            Self::Forbidden { .. } => "forbidden",
            Self::NoSuchModel { .. } | Self::NoSuchPath | Self::WrongMethod => "notFound",
            Self::Failing { status: 503 | 529 } => "overloaded",
            Self::Failing { .. } => "serverError",
            Self::RateLimited { refusal, .. } if refusal.window.as_secs() > MINUTE.as_secs() => {
                "quotaExhausted"
            }
            Self::RateLimited { .. } => "rateLimited",
            Self::NotJson | Self::TooLarge => "badRequest",
        }
    }

    /// What a fault makes the provider say to a request for `model`; `None` if it says nothing else.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other faults strike elsewhere")]
    pub(crate) fn of_fault(fault: &FaultKind, model: &str) -> Option<Self> {
        let model = model.to_owned();
        Some(match fault {
            FaultKind::DeadKey => Self::KeyInvalid,
            FaultKind::Suspended => Self::Suspended,
            FaultKind::CreditGone => Self::CreditGone,
            FaultKind::SpendCap => Self::SpendCap,
            FaultKind::ForbiddenModel { hidden: false } => Self::Forbidden { model },
            FaultKind::ForbiddenModel { hidden: true } => Self::NoSuchModel { model },
            FaultKind::Outage { status } => Self::Failing { status: *status },
            FaultKind::RateLimited { retry_after_ms } => {
                Self::RateLimited { model, refusal: made_up(*retry_after_ms) }
            }
            _ => return None,
        })
    }
}

/// A refusal that no limit stands behind.
const fn made_up(retry_after_ms: u64) -> Refusal {
    Refusal {
        cause: Cause::Rate,
        dimension: Dimension::Requests,
        window: MINUTE,
        limit: 60,
        used: 60,
        requested: 1,
        retry_after: std::time::Duration::from_millis(retry_after_ms),
    }
}
