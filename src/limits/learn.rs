//! What a provider's headers teach.

use std::time::Duration;

use crate::clock::Moment;
use crate::formats::{Dimension, Sample};

use super::fill::Sight;
use super::ledger::{Ledger, MAX_LIMITS, Reservation};
use super::limit::{Limit, nanos};
use super::rule::{Learning, Measure};
use super::told::{alike, implied_window};
use super::window::{LONGEST, Window};

/// The window of a limit that nobody has told: nearly all are counted per minute.
const USUAL: Duration = Duration::from_mins(1);
/// Anthropic rounds what is left of its token limits to thousands: on average by half of that.
const ROUNDING: u64 = 1_000;

/// What others took of a limit between two requests whose answers told of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// What is counted.
    pub dimension: Dimension,
    /// Units; negative where there was more than was believed.
    pub units: f64,
    /// When the earlier of the two requests was sent.
    pub from: Moment,
    /// When the later one was.
    pub to: Moment,
}

impl Ledger {
    /// The answer to that request carried these samples. Each tells the level that the whole group
    /// had when the request was admitted, other systems' use included; what was sent since is
    /// subtracted. Answers are weighed in the order in which their requests were sent: one that was
    /// overtaken changes nothing. Call it before the reservation is settled.
    ///
    /// Returns what others took meanwhile, of requests if these are told, else of the first that is.
    pub fn observe(
        &mut self,
        reservation: &Reservation,
        samples: &[Sample],
        now: Moment,
    ) -> Option<Drift> {
        if self.terms.learning == Learning::Off {
            return None;
        }
        let drifts = samples.iter().map(|sample| self.observe_one(reservation, sample, now));
        drifts.flatten().reduce(|first, other| {
            if first.dimension != Dimension::Requests && other.dimension == Dimension::Requests {
                other
            } else {
                first
            }
        })
    }

    /// Whether a limit is known here that a sample could speak of.
    pub fn counts(&self, sample: &Sample) -> bool {
        let fits = |limit: &Limit| {
            sample.window.is_none_or(|window| alike(bounded(window), nanos(limit.length())))
        };
        let mine = self.limits.iter().filter(|limit| limit.counts(sample.dimension));
        mine.into_iter().any(|limit| limit.known() && fits(limit))
    }

    fn observe_one(
        &mut self,
        reservation: &Reservation,
        sample: &Sample,
        now: Moment,
    ) -> Option<Drift> {
        if sample.limit == Some(0) || (sample.limit.is_none() && sample.remaining.is_none()) {
            return None;
        }
        // Where the provider's habit or the header tells the window, rest and reset do not.
        let implied = if sample.window.is_some() { None } else { implied(sample) };
        let index = self.limit_for(sample, implied, reservation.seq, now)?;
        let latest = self.seq;
        let (sent, sent_then) =
            (self.sent.of(sample.dimension), reservation.sent.of(sample.dimension));
        let limit = self.limits.get_mut(index)?;
        if !limit.hear(sample.limit, reservation.seq, latest, now) {
            return None;
        }
        let window = limit.vote(implied);
        let left = left(limit, sample);
        let sight = left.map(|left| Sight {
            seq: reservation.seq,
            sent: reservation.at,
            mark: reservation.marks.get(index).copied(),
            sent_after: sent.wrapping_sub(sent_then),
            latest,
            left,
            reset: sample.reset_in.map(nanos),
        });
        let drift = sight.and_then(|sight| limit.observe(&sight, sent_then, now));
        if let Some(window) = window {
            self.rewindow(index, Duration::from_nanos(window), sight, sample, now);
        }
        let drift = drift?;
        let super::limit::Drift { units, from, to } = drift;
        Some(Drift { dimension: sample.dimension, units, from, to })
    }

    /// Which limit a sample speaks of: the one with its window, where it names one; else the one
    /// that was told this very limit before, or whose window the sample implies, or the shortest.
    /// Two samples of one answer never speak of the same one.
    fn limit_for(
        &mut self,
        sample: &Sample,
        implied: Option<u64>,
        seq: u64,
        now: Moment,
    ) -> Option<usize> {
        let of = |limit: &Limit| limit.counts(sample.dimension) && limit.told.seq != seq;
        let fits =
            |window: u64| move |limit: &Limit| of(limit) && alike(window, nanos(limit.length()));
        let named = sample.window.map(bounded);
        let found = if let Some(named) = named {
            self.limits.iter().position(fits(named))
        } else {
            let told = |limit: &Limit| of(limit) && Some(limit.told.limit) == sample.limit;
            let shortest = || {
                let mine = self.limits.iter().enumerate().filter(|(_, limit)| of(limit));
                mine.min_by_key(|(_, limit)| limit.length()).map(|(index, _)| index)
            };
            let implied = || implied.and_then(|window| self.limits.iter().position(fits(window)));
            self.limits.iter().position(told).or_else(implied).or_else(shortest)
        };
        if found.is_some() {
            return found;
        }
        let mut mine = self.limits.iter().filter(|limit| limit.counts(sample.dimension));
        let repeated = mine.any(|limit| limit.told.seq == seq);
        if sample.limit.is_none()
            || self.limits.len() >= MAX_LIMITS
            || (repeated && named.is_some())
        {
            return None;
        }
        let fresh = self.discover(sample.dimension, sample.window.unwrap_or(USUAL), now);
        self.limits.push(fresh);
        Some(self.limits.len() - 1)
    }

    /// A limit that nobody has written, counted as this provider counts.
    fn discover(&self, dimension: Dimension, length: Duration, now: Moment) -> Limit {
        let measure = Measure::Of(dimension);
        let window = self.terms.charging.window(measure, length);
        let mut limit = Limit::learned(measure, window, self.terms.wall, now);
        limit.share(self.terms.sharing, self.seq, now);
        limit
    }

    /// Rest and reset have shown three times that the limit is counted in another window. If one is
    /// written for the window believed so far, that stays, and the one discovered stands beside it.
    fn rewindow(
        &mut self,
        index: usize,
        window: Duration,
        sight: Option<Sight>,
        sample: &Sample,
        now: Moment,
    ) {
        let latest = self.seq;
        let full = self.limits.len() >= MAX_LIMITS;
        let mut fresh = self.discover(sample.dimension, window, now);
        let Some(limit) = self.limits.get_mut(index) else { return };
        if limit.configured.is_none() || full {
            limit.rewindow(Window::Refill(window), self.terms.wall, latest, now);
            return;
        }
        limit.forget(latest);
        if let Some(sight) = sight {
            fresh.hear(sample.limit, sight.seq, latest, now);
            fresh.observe(&Sight { mark: None, ..sight }, 0, now);
        }
        self.limits.push(fresh);
    }
}

/// How much was left of the limit.
fn left(limit: &Limit, sample: &Sample) -> Option<u64> {
    let amount = limit.amount();
    let Some(remaining) = sample.remaining else {
        // OpenAI's reset is the time to the full bucket, to the nanosecond.
        let reset = sample.reset_in.filter(|reset| *reset <= limit.length())?;
        let missing = u128::from(amount) * reset.as_nanos() / limit.length().as_nanos().max(1);
        return amount.checked_sub(u64::try_from(missing).ok()?);
    };
    let left = remaining.min(amount);
    Some(if is_rounded(sample, amount) { left.saturating_sub(ROUNDING / 2) } else { left })
}

/// Anthropic rounds what is left of its token limits.
fn is_rounded(sample: &Sample, limit: u64) -> bool {
    let Some(remaining) = sample.remaining else { return false };
    let tokens = sample.dimension != Dimension::Requests;
    tokens && limit >= 10 * ROUNDING && remaining.is_multiple_of(ROUNDING) && remaining < limit
}

fn implied(sample: &Sample) -> Option<u64> {
    let (limit, remaining) = (sample.limit?, sample.remaining?);
    implied_window(limit, limit.checked_sub(remaining)?, sample.reset_in?)
}

fn bounded(window: Duration) -> u64 {
    nanos(window.min(LONGEST))
}
