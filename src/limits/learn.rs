//! What a provider's headers teach.

use std::time::Duration;

use crate::clock::Moment;
use crate::formats::{Dimension, Sample};

use super::bucket::{Bucket, LONGEST, Sight, alike};
use super::ledger::{Ledger, MAX_BUCKETS, Reservation};
use super::rule::Learning;

/// The window of a limit that nobody has told: nearly all are counted per minute.
const USUAL: Duration = Duration::from_mins(1);

impl Ledger {
    /// The answer to that request carried these samples. Each tells the level that the whole group
    /// had when the request was admitted, other systems' use included; what was sent since is
    /// subtracted. Answers are weighed in the order in which their requests were sent: one that was
    /// overtaken changes nothing. Call it before the reservation is settled.
    pub fn observe(&mut self, reservation: &Reservation, samples: &[Sample], now: Moment) {
        if self.learning == Learning::Off {
            return;
        }
        for sample in samples {
            self.observe_one(reservation, sample, now);
        }
    }

    /// Whether a limit is known here that a sample could speak of.
    pub fn counts(&self, sample: &Sample) -> bool {
        let fits = |b: &Bucket| sample.window.is_none_or(|w| alike(nanos(w), nanos(b.window())));
        self.buckets.iter().any(|b| same_dimension(b, sample) && b.known() && fits(b))
    }

    fn observe_one(&mut self, reservation: &Reservation, sample: &Sample, now: Moment) {
        if sample.limit == Some(0) || (sample.limit.is_none() && sample.remaining.is_none()) {
            return;
        }
        // Where the provider's habit or the header tells the window, rest and reset do not.
        let implied = if sample.window.is_some() { None } else { implied_window(sample) };
        let Some(index) = self.bucket_for(sample, implied, reservation.seq, now) else { return };
        let sight = Sight {
            seq: reservation.seq,
            sent: reservation.at,
            mark: reservation.marks.get(index).copied(),
            sent_after: self
                .sent
                .of(sample.dimension)
                .wrapping_sub(reservation.sent.of(sample.dimension)),
            latest: self.seq,
        };
        let Some(bucket) = self.buckets.get_mut(index) else { return };
        if !bucket.hear(sample.limit, &sight, now) {
            return;
        }
        let window = bucket.vote(implied);
        if let Some(spent) = spent(bucket, sample) {
            bucket.observe(spent, &sight, now);
        }
        if let Some(window) = window {
            self.rewindow(index, window, &sight, sample, now);
        }
    }

    /// Which bucket a sample speaks of: the one with its window, where it names one; else the one
    /// that was told this very limit before, or whose window the sample implies, or the shortest.
    /// Two samples of one answer never speak of the same one.
    fn bucket_for(
        &mut self,
        sample: &Sample,
        implied: Option<u64>,
        seq: u64,
        now: Moment,
    ) -> Option<usize> {
        let of = |bucket: &Bucket| bucket.dimension == sample.dimension && bucket.told.seq != seq;
        let fits = |window: u64| move |b: &Bucket| of(b) && alike(window, nanos(b.window()));
        let named = sample.window.map(nanos);
        let found = if let Some(named) = named {
            self.buckets.iter().position(fits(named))
        } else {
            let told = |b: &Bucket| of(b) && Some(b.told.limit) == sample.limit;
            let shortest = || {
                let mine = self.buckets.iter().enumerate().filter(|(_, b)| of(b));
                mine.min_by_key(|(_, b)| b.window()).map(|(index, _)| index)
            };
            let implied = || implied.and_then(|w| self.buckets.iter().position(fits(w)));
            self.buckets.iter().position(told).or_else(implied).or_else(shortest)
        };
        if found.is_some() {
            return found;
        }
        let repeated = self.buckets.iter().any(|b| b.told.seq == seq && same_dimension(b, sample));
        if sample.limit.is_none()
            || self.buckets.len() >= MAX_BUCKETS
            || (repeated && named.is_some())
        {
            return None;
        }
        self.buckets.push(Bucket::learned(sample.dimension, sample.window.unwrap_or(USUAL), now));
        Some(self.buckets.len() - 1)
    }

    /// Rest and reset have shown three times that the limit is counted in another window. If one is
    /// written for the window believed so far, that stays, and the one discovered stands beside it.
    fn rewindow(&mut self, index: usize, window: u64, sight: &Sight, sample: &Sample, now: Moment) {
        let latest = self.seq;
        let full = self.buckets.len() >= MAX_BUCKETS;
        let Some(bucket) = self.buckets.get_mut(index) else { return };
        if bucket.configured.is_none() || full {
            bucket.rescale(bucket.amount(), window, latest, now);
            return;
        }
        bucket.forget(latest);
        let mut fresh = Bucket::learned(sample.dimension, Duration::from_nanos(window), now);
        fresh.hear(sample.limit, sight, now);
        if let Some(spent) = spent(&fresh, sample) {
            fresh.observe(spent, &Sight { mark: None, ..*sight }, now);
        }
        self.buckets.push(fresh);
    }
}

/// How much of the limit was missing.
fn spent(bucket: &Bucket, sample: &Sample) -> Option<u64> {
    let limit = bucket.amount();
    let Some(remaining) = sample.remaining else {
        // OpenAI's reset is the time to the full bucket, to the nanosecond.
        let reset = sample.reset_in.filter(|reset| *reset <= bucket.window())?;
        let missing = u128::from(limit) * reset.as_nanos() / bucket.window().as_nanos().max(1);
        return u64::try_from(missing).ok();
    };
    let missing = limit.saturating_sub(remaining);
    Some(if rounded(sample, limit) { missing.saturating_add(500) } else { missing })
}

/// Anthropic rounds what is left of its token limits to thousands.
fn rounded(sample: &Sample, limit: u64) -> bool {
    let Some(remaining) = sample.remaining else { return false };
    let tokens = sample.dimension != Dimension::Requests;
    tokens && limit >= 10_000 && remaining.is_multiple_of(1_000) && remaining < limit
}

fn implied_window(sample: &Sample) -> Option<u64> {
    let (limit, remaining) = (sample.limit?, sample.remaining?);
    Bucket::implied_window(limit, limit.checked_sub(remaining)?, sample.reset_in?)
}

fn same_dimension(bucket: &Bucket, sample: &Sample) -> bool {
    bucket.dimension == sample.dimension
}

fn nanos(window: Duration) -> u64 {
    u64::try_from(window.min(LONGEST).as_nanos()).unwrap_or(u64::MAX)
}
