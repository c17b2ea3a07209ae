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

/// What can be taken until each of [`AHEAD`] if it is taken as it is refilled; `u64::MAX` where
/// nothing limits it.
pub type Supply = [Cost; AHEAD.len()];

impl Ledger {
    /// What can be taken from now on.
    pub fn supply(&self, now: Moment) -> Supply {
        let mut supply = [Cost::UNLIMITED; AHEAD.len()];
        for limit in self.limits.iter().filter(|limit| limit.known()) {
            let (at_once, in_a_day) = (limit.level_at(self.pending, now), limit.refill(DAY));
            for (sum, time) in supply.iter_mut().zip(AHEAD) {
                let refill = in_a_day.saturating_mul(millis(time)) / millis(DAY);
                let units = at_once.saturating_add(refill);
                let slot = match limit.measure {
                    Measure::Of(Dimension::Requests) => &mut sum.requests,
                    Measure::Of(Dimension::Tokens) => &mut sum.tokens,
                    Measure::Of(Dimension::InputTokens) => &mut sum.input,
                    Measure::Of(Dimension::OutputTokens) => &mut sum.output,
                    Measure::Cost => &mut sum.money,
                    Measure::Concurrency => continue,
                };
                *slot = u64::try_from(units).unwrap_or(0).min(*slot);
            }
        }
        for (sum, time) in supply.iter_mut().zip(AHEAD) {
            sum.requests = self.turned(time, now).min(sum.requests);
        }
        supply
    }

    /// Whether the levels will allow a request of that cost at `at` if nothing else is taken before.
    pub fn would_carry(&self, cost: &Cost, at: Moment) -> bool {
        let carries =
            |limit: &Limit| limit.would_carry(cost.in_measure(limit.measure), self.pending, at);
        self.held_until(cost) <= at && self.limits.iter().all(carries)
    }

    /// How many requests find a place in that time, if each takes as long as those before it did.
    fn turned(&self, time: Duration, now: Moment) -> u64 {
        let Some(places) = self.places(now) else { return u64::MAX };
        let turned = u128::from(places).saturating_mul(time.as_nanos());
        let Some(turned) = turned.checked_div(self.turnover.as_nanos()) else { return u64::MAX };
        let free = places.saturating_sub(self.in_flight);
        free.saturating_add(u64::try_from(turned).unwrap_or(u64::MAX))
    }
}

const DAY: Duration = Duration::from_hours(24);

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
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
