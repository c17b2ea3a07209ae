//! One limit of a meter, in the shape its provider counts it.

use std::time::Duration;

use super::midnight::next_midnight;
use super::tariff::{Shape, Tariff};
use super::{Ask, Cause, Grant, Reading, Refusal};
use crate::clock::{Moment, Now};
use crate::formats::Dimension;
use crate::simulator::bucket::{Bucket, Counter};

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) dimension: Dimension,
    /// The window that the grant names.
    window: Duration,
    /// What is granted in it, as headers tell it.
    amount: u64,
    gauge: Gauge,
}

#[derive(Clone, Debug)]
enum Gauge {
    Bucket(Bucket),
    Counter(Counter, Duration),
    PacificDay(Counter),
}

impl Rule {
    pub(super) fn new(
        tariff: Tariff,
        grant: Grant,
        quantum: Option<Duration>,
        now: Moment,
    ) -> Self {
        let Grant { dimension, window, amount } = grant;
        let gauge = match tariff.shape(dimension, window, quantum) {
            Shape::Bucket(depth) => Gauge::Bucket(Bucket::new(amount, window, depth, now)),
            Shape::Counter(slice) => {
                Gauge::Counter(Counter::new(part(amount, slice, window), slice), slice)
            }
            Shape::PacificDay => Gauge::PacificDay(Counter::new(amount, window)),
        };
        Self { dimension, window, amount, gauge }
    }

    pub(super) fn is_of(&self, grant: &Grant) -> bool {
        self.dimension == grant.dimension && self.window == grant.window
    }

    /// Begins another day where that is due: midnight is looked up once a day.
    pub(super) fn begin_day(&mut self, now: Now) {
        if let Gauge::PacificDay(counter) = &mut self.gauge
            && counter.is_over(now.at)
        {
            counter.begin(next_midnight(now));
        }
    }

    pub(super) fn check(&mut self, tariff: Tariff, ask: Ask, now: Moment) -> Result<(), Refusal> {
        let requested = tariff.needed(self.dimension, ask);
        let retry_after = match &mut self.gauge {
            Gauge::Bucket(bucket) => bucket.wait_for(requested, now),
            Gauge::Counter(counter, _) | Gauge::PacificDay(counter) => {
                counter.wait_for(requested, now)
            }
        };
        if retry_after.is_zero() {
            return Ok(());
        }
        // What the message calls "Limit" and "Used" is that of the bucket in force.
        let limit = match &self.gauge {
            Gauge::Bucket(bucket) => bucket.limit().min(bucket.size()),
            Gauge::Counter(counter, _) | Gauge::PacificDay(counter) => counter.limit(),
        };
        let window = match self.gauge {
            Gauge::Counter(_, slice) => slice,
            Gauge::Bucket(_) | Gauge::PacificDay(_) => self.window,
        };
        let used = limit.saturating_sub(self.remaining(now));
        let (dimension, cause) = (self.dimension, Cause::Rate);
        Err(Refusal { cause, dimension, window, limit, used, requested, retry_after })
    }

    pub(super) fn spend(&mut self, units: u64, now: Moment) {
        match &mut self.gauge {
            Gauge::Bucket(bucket) => bucket.spend(units, now),
            Gauge::Counter(counter, _) | Gauge::PacificDay(counter) => counter.spend(units, now),
        }
    }

    /// What a rejection costs where it counts, and what others take who are refused too.
    pub(super) fn forfeit(&mut self, units: u64, now: Moment) {
        match &mut self.gauge {
            Gauge::Bucket(bucket) => bucket.forfeit(units, now),
            Gauge::Counter(counter, _) | Gauge::PacificDay(counter) => {
                let there = counter.remaining(now);
                counter.spend(units.min(there), now);
            }
        }
    }

    /// Gives back what was taken too much, and charges what was taken too little.
    pub(super) fn correct(&mut self, taken: u64, actual: u64, now: Moment) {
        match &mut self.gauge {
            Gauge::Bucket(bucket) if actual < taken => bucket.refund(taken - actual, now),
            Gauge::Bucket(bucket) => bucket.spend(actual - taken, now),
            Gauge::Counter(counter, _) | Gauge::PacificDay(counter) => {
                counter.spend(actual.saturating_sub(taken), now);
            }
        }
    }

    pub(super) fn resize(&mut self, amount: u64, now: Moment) {
        self.amount = amount;
        match &mut self.gauge {
            Gauge::Bucket(bucket) => bucket.resize(amount, now),
            Gauge::Counter(counter, slice) => counter.resize(part(amount, *slice, self.window)),
            Gauge::PacificDay(counter) => counter.resize(amount),
        }
    }

    pub(super) fn remaining(&mut self, now: Moment) -> u64 {
        match &mut self.gauge {
            Gauge::Bucket(bucket) => bucket.remaining(now),
            Gauge::Counter(counter, _) | Gauge::PacificDay(counter) => counter.remaining(now),
        }
    }

    pub(super) fn reading(&mut self, now: Moment) -> Reading {
        let reset = match &mut self.gauge {
            Gauge::Bucket(bucket) => bucket.wait_until_full(now),
            Gauge::Counter(counter, _) | Gauge::PacificDay(counter) => counter.wait_until_full(now),
        };
        Reading {
            dimension: self.dimension,
            window: self.window,
            limit: self.amount,
            remaining: self.remaining(now),
            reset,
        }
    }

    /// What is granted in how long.
    pub(super) const fn grant(&self) -> Grant {
        Grant { dimension: self.dimension, window: self.window, amount: self.amount }
    }

    /// Units that ran over because the bucket was full.
    pub(super) fn spilt(&mut self, now: Moment) -> u64 {
        match &mut self.gauge {
            Gauge::Bucket(bucket) => bucket.spilt(now),
            Gauge::Counter(..) | Gauge::PacificDay(_) => 0,
        }
    }

    /// What can be taken before anything refills: a bucket's size, a counter's whole window.
    pub(super) fn depth(&self) -> u64 {
        match &self.gauge {
            Gauge::Bucket(bucket) => bucket.size(),
            Gauge::Counter(counter, _) | Gauge::PacificDay(counter) => counter.limit(),
        }
    }
}

/// The part of an amount that falls to a slice of its window; at least 1.
fn part(amount: u64, slice: Duration, window: Duration) -> u64 {
    if slice >= window {
        return amount;
    }
    let share = u128::from(amount) * slice.as_nanos() / window.as_nanos().max(1);
    u64::try_from(share).unwrap_or(u64::MAX).max(1)
}
