//! The words for what an upstream answer means.

use std::time::Duration;

use crate::clock::Moment;

/// What an upstream answer means for the request, its key and its quota group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// 2xx.
    Ok,
    /// A rate limit of the quota group, over in seconds or minutes.
    RateLimited,
    /// A long quota (day, month, spend limit) is used up until it resets.
    QuotaExhausted,
    /// Credit or payment is missing; only a person ends it.
    BillingExhausted,
    /// The credential is wrong, revoked or expired.
    KeyInvalid,
    /// The account or organisation is on hold.
    Suspended,
    /// The credential may not use this model (or endpoint).
    KeyForbidden,
    /// The provider has no capacity just now, whoever asks.
    Overloaded,
    /// The provider failed.
    ServerError,
    /// No first byte in time.
    Timeout,
    /// No connection, or it broke before the first byte.
    ConnectFailed,
    /// The request itself is at fault.
    RequestInvalid,
    /// An error after the first byte.
    MidStream,
}

impl Verdict {
    /// Every verdict, in the order of the design's table.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::BillingExhausted,
        Self::KeyInvalid,
        Self::Suspended,
        Self::KeyForbidden,
        Self::Overloaded,
        Self::ServerError,
        Self::Timeout,
        Self::ConnectFailed,
        Self::RequestInvalid,
        Self::MidStream,
    ];

    /// The word for it in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::RateLimited => "rateLimited",
            Self::QuotaExhausted => "quotaExhausted",
            Self::BillingExhausted => "billingExhausted",
            Self::KeyInvalid => "keyInvalid",
            Self::Suspended => "suspended",
            Self::KeyForbidden => "keyForbidden",
            Self::Overloaded => "overloaded",
            Self::ServerError => "serverError",
            Self::Timeout => "timeout",
            Self::ConnectFailed => "connectFailed",
            Self::RequestInvalid => "requestInvalid",
            Self::MidStream => "midStream",
        }
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// Requests.
    Requests,
    /// Input and output tokens together.
    Tokens,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 4] =
        [Self::Requests, Self::Tokens, Self::InputTokens, Self::OutputTokens];

    /// The word for it in configuration, metrics and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "inputTokens",
            Self::OutputTokens => "outputTokens",
        }
    }
}

/// How far a verdict reaches inside a quota group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// This model of this quota group (the usual reach of a rate limit).
    #[default]
    Model,
    /// Every model of this quota group (spend limits, credit, holds).
    Group,
}

/// An upstream answer, judged once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What it means.
    pub verdict: Verdict,
    /// How far a hold reaches.
    pub scope: Scope,
    /// When the provider says to come back: the latest of the exhausted dimensions.
    pub retry_at: Option<Moment>,
    /// The dimension that is exhausted, where the answer tells.
    pub dimension: Option<Dimension>,
    /// A single request larger than the whole bucket: coming back to this group is useless, and the
    /// group is not at fault.
    pub oversized: bool,
    /// The provider's own word (`error.code`, `error.type`, `status`, quota id), for logs; never a
    /// message, which could quote a prompt or a key.
    pub code: Option<Box<str>>,
}

impl Judgement {
    /// The plain judgement of that verdict, with nothing else told.
    pub const fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            scope: Scope::Model,
            retry_at: None,
            dimension: None,
            oversized: false,
            code: None,
        }
    }
}

/// What one answer's rate-limit headers tell of one limit of the quota group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What is counted.
    pub dimension: Dimension,
    /// The limit's size, in its own unit.
    pub limit: Option<u64>,
    /// What is left.
    pub remaining: Option<u64>,
    /// How long until it is whole again, as the provider said it.
    pub reset_in: Option<Duration>,
    /// The window it is counted in, where the provider's habit or the header tells.
    pub window: Option<Duration>,
}

/// Tokens that an answer says were used.
///
/// `input` includes `cached_input`, and `output` includes `reasoning`, whatever the provider's own
/// habit, so that sums mean the same everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cached_input: u64,
    /// Input tokens written to the provider's prompt cache.
    pub cache_write: u64,
    /// All output tokens, reasoning included.
    pub output: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
}
