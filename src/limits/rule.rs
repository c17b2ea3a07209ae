//! The words of this room: what is bounded, and what a request costs.

use crate::formats::{Dimension, Usage};

use super::window::Window;

/// An amount in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is counted.
    pub measure: Measure,
    /// How much of it: requests, tokens, millionths of a US dollar, or requests at once. Zero counts
    /// as one, and more than 10^15 as that.
    pub amount: u64,
    /// In what time, and how it is given back; not used for concurrency.
    pub window: Window,
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
    /// Money, in millionths of a US dollar; zero where no limit counts it.
    pub money: u64,
}

impl Rule {
    /// That much of a measure in that window.
    pub fn new(measure: Measure, amount: u64, window: impl Into<Window>) -> Self {
        Self { measure, amount, window: window.into() }
    }

    /// So many requests at once.
    pub fn concurrency(amount: u64) -> Self {
        Self::new(Measure::Concurrency, amount, std::time::Duration::ZERO)
    }
}

impl Cost {
    /// A request without tokens; also what a refused request is settled with, because providers
    /// count refused requests (OpenAI rate-limit guide).
    pub const REQUEST: Self = Self { requests: 1, tokens: 0, input: 0, output: 0, money: 0 };

    /// What an answered request used.
    pub const fn used(usage: &Usage) -> Self {
        Self {
            requests: 1,
            tokens: usage.input.saturating_add(usage.output),
            input: usage.input,
            output: usage.output,
            money: 0,
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

    /// The part that a limit on `measure` counts.
    pub const fn in_measure(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Of(dimension) => self.of(dimension),
            Measure::Cost => self.money,
            Measure::Concurrency => 1,
        }
    }

    /// In each dimension the larger of both.
    pub fn max(self, other: &Self) -> Self {
        Self {
            requests: self.requests.max(other.requests),
            tokens: self.tokens.max(other.tokens),
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            money: self.money.max(other.money),
        }
    }

    /// Both together; wraps, because it is only ever subtracted from its own later value.
    pub(super) const fn wrapping_add(self, more: Self) -> Self {
        Self {
            requests: self.requests.wrapping_add(more.requests),
            tokens: self.tokens.wrapping_add(more.tokens),
            input: self.input.wrapping_add(more.input),
            output: self.output.wrapping_add(more.output),
            money: self.money.wrapping_add(more.money),
        }
    }
}
