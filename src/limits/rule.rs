//! The words of this room: what is bounded, and what a request costs.

use std::time::Duration;

use crate::formats::{Dimension, Usage};

/// An amount in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is counted.
    pub measure: Measure,
    /// How much of it: requests, tokens, or requests at once. Zero counts as one.
    pub amount: u64,
    /// The time in which an empty bucket is full again; not used for concurrency.
    pub window: Duration,
}

/// What a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Requests or tokens in a window.
    Of(Dimension),
    /// Money in a window, in millionths of a US dollar.
    Cost,
    /// Requests under way at once.
    Concurrency,
}

/// Whether a provider's headers and refusals may change what is known of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learning {
    /// They may: what is written is only the prior.
    #[default]
    On,
    /// What is written holds.
    Off,
}

/// What one request takes from each dimension, by the provider's own rule of charging: an estimate
/// when it is reserved, the truth when it is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests: one, as a rule.
    pub requests: u64,
    /// Input and output tokens together, as the provider charges them.
    pub tokens: u64,
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
}

impl Cost {
    /// A request without tokens; also what a refused request is settled with, because providers
    /// count refused requests (OpenAI rate-limit guide).
    pub const REQUEST: Self = Self { requests: 1, tokens: 0, input: 0, output: 0 };

    /// What an answered request used.
    pub const fn used(usage: &Usage) -> Self {
        Self {
            requests: 1,
            tokens: usage.input.saturating_add(usage.output),
            input: usage.input,
            output: usage.output,
        }
    }

    /// The part that a limit on `dimension` counts.
    pub const fn of(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::Tokens => self.tokens,
            Dimension::InputTokens => self.input,
            Dimension::OutputTokens => self.output,
        }
    }

    /// Both together; wraps, because it is only ever subtracted from its own later value.
    pub(super) const fn wrapping_add(self, more: Self) -> Self {
        Self {
            requests: self.requests.wrapping_add(more.requests),
            tokens: self.tokens.wrapping_add(more.tokens),
            input: self.input.wrapping_add(more.input),
            output: self.output.wrapping_add(more.output),
        }
    }
}
