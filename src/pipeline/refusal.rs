//! Every reason to say no, as one closed table.

use std::time::Duration;

use http::StatusCode;

use crate::clock::{Moment, Now};

/// Why Keyweir itself does not serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Capacity: rate, quota or credit of every key that could serve.
    KeysTemporarilyExhausted,
    /// The caller's own limit.
    CallerLimitExceeded,
    /// Larger than any bucket can ever hold, or than the caller may ask for.
    RequestExceedsLimit,
    /// Every target failed, or its breaker is open.
    ProvidersUnavailable,
    /// No key is left that the provider would accept.
    KeysInvalid,
    /// The caller may not use this model.
    ModelNotAllowed,
    /// No provider of that name, or none for the path's wire format.
    UnknownProvider,
    /// No such path at the unified door, or not with this method.
    UnknownPath,
    /// The body is over the bound.
    BodyTooLarge,
    /// The request cannot be read.
    InvalidRequest,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The status.
    pub status: StatusCode,
    /// The code: in the body, in `x-keyweir-error` and as metric label.
    pub code: &'static str,
    /// What the client is told of coming back.
    pub hint: Hint,
}

/// What the client is told of coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing: the same request fails again.
    Never,
    /// `retry-after`, where a moment is known.
    Soon,
    /// `x-keyweir-retry-at` always; `retry-after` only up to a minute, and beyond it
    /// `x-should-retry: false`, for some SDKs would sleep for hours.
    At,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::KeysTemporarilyExhausted,
        Self::CallerLimitExceeded,
        Self::RequestExceedsLimit,
        Self::ProvidersUnavailable,
        Self::KeysInvalid,
        Self::ModelNotAllowed,
        Self::UnknownProvider,
        Self::UnknownPath,
        Self::BodyTooLarge,
        Self::InvalidRequest,
    ];

    /// Its row.
    pub const fn row(self) -> Row {
        let (status, code, hint) = match self {
            Self::KeysTemporarilyExhausted => {
                (StatusCode::TOO_MANY_REQUESTS, "keys_temporarily_exhausted", Hint::At)
            }
            Self::CallerLimitExceeded => {
                (StatusCode::TOO_MANY_REQUESTS, "caller_limit_exceeded", Hint::At)
            }
            Self::RequestExceedsLimit => {
                (StatusCode::BAD_REQUEST, "request_exceeds_limit", Hint::Never)
            }
            Self::ProvidersUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "providers_unavailable", Hint::Soon)
            }
            Self::KeysInvalid => (StatusCode::SERVICE_UNAVAILABLE, "keys_invalid", Hint::Never),
            Self::ModelNotAllowed => (StatusCode::FORBIDDEN, "model_not_allowed", Hint::Never),
            Self::UnknownProvider => (StatusCode::NOT_FOUND, "unknown_provider", Hint::Never),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "unknown_path", Hint::Never),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", Hint::Never),
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request", Hint::Never),
        };
        Row { status, code, hint }
    }
}

/// A refusal: the reason, what to tell the caller, and when to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// For people: names provider, model, and each candidate's binding limit; never a key's value
    /// nor anything of a body.
    pub message: String,
    /// The field of the request that is at fault, where it is one.
    pub param: Option<&'static str>,
    /// The predicted moment at which coming back succeeds.
    pub retry_at: Option<Moment>,
}

/// The longest wait that is told as `retry-after`.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

impl Refusal {
    /// A refusal that coming back does not change.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), param: None, retry_at: None }
    }

    /// The same, with the moment to come back.
    #[must_use]
    pub const fn until(mut self, retry_at: Option<Moment>) -> Self {
        self.retry_at = retry_at;
        self
    }

    /// The same, of a field of the request.
    #[must_use]
    pub const fn about(mut self, param: Option<&'static str>) -> Self {
        self.param = param;
        self
    }

    /// How long from now the caller is told to wait, in `retry-after`; `None` tells nothing.
    pub fn retry_after(&self, now: Now) -> Option<Duration> {
        let wait = self.retry_at?.since(now.at);
        match self.reason.row().hint {
            Hint::Never => None,
            Hint::Soon => Some(wait.min(LONGEST_RETRY_AFTER)),
            Hint::At => (wait <= LONGEST_RETRY_AFTER).then_some(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    const NOW: Now = Now { at: Moment::from_nanos(7), wall: Timestamp::UNIX_EPOCH };

    #[test]
    fn codes_are_the_contract_s_and_no_two_reasons_share_one() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.row().code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
    }

    #[test]
    fn capacity_that_is_back_within_a_minute_is_told_and_later_is_not_slept_for() {
        let refusal = |secs| {
            Refusal::new(Reason::KeysTemporarilyExhausted, "")
                .until(Some(NOW.at + Duration::from_secs(secs)))
        };
        assert_eq!(refusal(12).retry_after(NOW), Some(Duration::from_secs(12)));
        assert_eq!(refusal(60).retry_after(NOW), Some(Duration::from_mins(1)));
        assert_eq!(refusal(61).retry_after(NOW), None);
    }

    #[test]
    fn a_refusal_that_time_does_not_mend_says_nothing_of_coming_back() {
        let refusal = Refusal::new(Reason::KeysInvalid, "").until(Some(NOW.at));
        assert_eq!(refusal.retry_after(NOW), None);
    }
}
