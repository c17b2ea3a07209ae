//! What limits give in a time to come, for those who predict how long a wait will be.

use std::time::Duration;

use crate::clock::Moment;
use crate::formats::Dimension;

use super::ledger::Ledger;
use super::limit::Limit;
use super::rule::{Cost, Measure};

/// How far ahead a [`Supply`] looks.
pub const AHEAD: [Duration; 12] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_hours(1),
    Duration::from_hours(24),
];

/// What can be taken until each of [`AHEAD`] if it is taken as it is refilled, in thousandths;
/// `u64::MAX` where nothing limits it.
pub type Supply = [Cost; AHEAD.len()];

impl Ledger {
    /// What can be taken from now on.
    pub fn supply(&self, now: Moment) -> Supply {
        let mut supply = [Cost::UNLIMITED; AHEAD.len()];
        for limit in self.limits.iter().filter(|limit| limit.known()) {
            let (level, each_second) = limit.outlook(self.pending, now);
            for (sum, time) in supply.iter_mut().zip(AHEAD) {
                let slot = match limit.measure {
                    Measure::Of(Dimension::Requests) => &mut sum.requests,
                    Measure::Of(Dimension::Tokens) => &mut sum.tokens,
                    Measure::Of(Dimension::InputTokens) => &mut sum.input,
                    Measure::Of(Dimension::OutputTokens) => &mut sum.output,
                    Measure::Cost => &mut sum.money,
                    Measure::Concurrency => continue,
                };
                *slot = thousandths(level + each_second * time.as_secs_f64()).min(*slot);
            }
        }
        if let Some(limit) = self.places(now) {
            // A place is free again when a request ends, and those to come take as long as those before.
            let free = as_float(limit.saturating_sub(self.in_flight));
            let turns = |time: Duration| time.as_secs_f64() / self.turnover.as_secs_f64().max(1e-3);
            for (sum, time) in supply.iter_mut().zip(AHEAD) {
                let places = thousandths(free + as_float(limit) * turns(time));
                sum.requests = places.min(sum.requests);
            }
        }
        supply
    }

    /// Whether the levels will allow a request of that cost at `at` if nothing else is taken before.
    pub fn would_carry(&self, cost: &Cost, at: Moment) -> bool {
        let carries =
            |limit: &Limit| limit.would_carry(cost.in_measure(limit.measure), self.pending, at);
        self.held_until(cost) <= at && self.limits.iter().all(carries)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a prediction is no more exact than that")]
pub(super) const fn as_float(amount: u64) -> f64 {
    amount as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "less than nothing is nothing, and what no number holds is the largest"
)]
const fn thousandths(amount: f64) -> u64 {
    (amount * 1_000.0) as u64
}

impl Cost {
    /// A request that costs some of everything.
    pub const ANY: Self = Self { requests: 1, tokens: 1, input: 1, output: 1, money: 1 };

    /// What no limit bounds.
    pub const UNLIMITED: Self = Self {
        requests: u64::MAX,
        tokens: u64::MAX,
        input: u64::MAX,
        output: u64::MAX,
        money: u64::MAX,
    };

    /// What `each` makes of either's amount, dimension by dimension.
    #[must_use]
    pub fn with(self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            requests: each(self.requests, other.requests),
            tokens: each(self.tokens, other.tokens),
            input: each(self.input, other.input),
            output: each(self.output, other.output),
            money: each(self.money, other.money),
        }
    }

    /// Both together, at most what a number holds.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        self.with(more, u64::saturating_add)
    }

    /// What is left without `less`, and at least nothing.
    #[must_use]
    pub fn minus(self, less: Self) -> Self {
        self.with(less, u64::saturating_sub)
    }

    /// The smaller of each.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        self.with(other, u64::min)
    }

    /// So many parts of so many of each.
    #[must_use]
    pub fn part(self, parts: u64, of: u64) -> Self {
        self.with(self, |amount, _| part(amount, parts, of))
    }

    /// Whether there is as much of everything as in `other`.
    pub const fn covers(&self, other: &Self) -> bool {
        self.requests >= other.requests
            && self.tokens >= other.tokens
            && self.input >= other.input
            && self.output >= other.output
            && self.money >= other.money
    }

    /// The tokens that count when callers are to get the same: as charged, or as used where more;
    /// a request without any counts as one.
    pub fn work(&self) -> u64 {
        self.tokens.max(self.input.saturating_add(self.output)).max(1)
    }
}

/// So many parts of so many of an amount; nothing, where there are none.
pub(super) fn part(amount: u64, parts: u64, of: u64) -> u64 {
    if let Some(product) = amount.checked_mul(parts) {
        return product.checked_div(of).unwrap_or(0);
    }
    let share = (u128::from(amount) * u128::from(parts)).checked_div(u128::from(of)).unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}
