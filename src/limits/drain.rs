//! How fast a limit is drawn on: by this sidecar and, as the provider's figures show, by others.
//!
//! Rates are in parts of the limit's own refill, of 65,536: what drains at the whole rate leaves a
//! bucket as full as it is.

use std::time::Duration;

use crate::clock::Moment;

/// As fast as it refills.
pub(super) const WHOLE: u32 = 1 << 16;
/// Faster than this is a mistake of somebody's.
const FASTEST: u64 = 64 * WHOLE as u64;
/// What others take is taken to go on for this long after it was last seen.
const BELIEVED: u64 = 5_000_000_000;
/// A stretch of observations that is shorter says more about chance than about a rate.
const STRETCH: u64 = 500_000_000;
/// A stretch as long as this outweighs all before it.
const MEMORY: u64 = 4_000_000_000;
/// Sidecars beside us that a drain is taken for at most.
const MOST_REPLICAS: u32 = 16;

/// What others draw, from one told level to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drain {
    /// When the latest request was sent whose answer told.
    seen: u64,
    /// When the present stretch began, and what was taken since, in nanoseconds of refilling.
    since: u64,
    foreign: i64,
    own: u64,
    foreign_rate: u32,
    own_rate: u32,
}

impl Drain {
    /// A level was told for a request sent at `sent`: since the one before, `own` was spent here, and
    /// `foreign` is missing beyond that; `None` where the two cannot be compared.
    pub(super) fn observed(&mut self, sent: Moment, foreign: Option<i64>, own: u64) {
        let sent = sent.as_nanos();
        let Some(foreign) = foreign.filter(|_| self.since > 0 && sent >= self.seen) else {
            *self = Self { seen: sent, since: sent.max(1), foreign: 0, own: 0, ..*self };
            return;
        };
        self.seen = sent;
        self.foreign = self.foreign.saturating_add(foreign);
        self.own = self.own.saturating_add(own);
        let stretch = sent - self.since;
        if stretch >= STRETCH {
            let foreign = u64::try_from(self.foreign).unwrap_or(0);
            self.foreign_rate = blend(self.foreign_rate, rate(foreign, stretch), stretch);
            self.own_rate = blend(self.own_rate, rate(self.own, stretch), stretch);
            *self = Self { since: sent, foreign: 0, own: 0, ..*self };
        }
    }

    /// When a level was last told.
    pub(super) const fn seen(&self) -> Moment {
        Moment::from_nanos(self.seen)
    }

    /// How fast others draw.
    pub(super) const fn foreign(&self) -> u32 {
        self.foreign_rate
    }

    /// What others are likely to have taken since a level was last told, and half as much again, for
    /// they do not take it evenly. In nanoseconds of refilling.
    pub(super) fn ahead(&self, at: u64) -> u64 {
        let since = at.saturating_sub(self.seen).min(BELIEVED);
        let likely = since.saturating_mul(u64::from(self.foreign_rate)) >> 16;
        likely + likely / 2
    }

    /// With how many the limit is shared, this sidecar included, going by what they draw. A sixteenth
    /// of the limit, or a quarter of our own share of it, may as well be an error of our estimates.
    pub(super) fn replicas(&self) -> u32 {
        let (own, foreign) = (self.own_rate.max(1), self.foreign_rate);
        if foreign < WHOLE / 16 || foreign < own / 4 {
            return 1;
        }
        foreign.div_ceil(own).saturating_add(1).clamp(2, MOST_REPLICAS)
    }
}

/// How fast this sidecar draws on a limit, for a forecast of when it will be empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    slot: u64,
    ends: u64,
    taken: u64,
    rate: u32,
}

/// Slots remembered: a pace that is older counts for nothing.
const PAST: u64 = 32;
const SHORTEST_SLOT: Duration = Duration::from_secs(1);
const LONGEST_SLOT: Duration = Duration::from_mins(5);

impl Pace {
    /// A twelfth of the window at a time.
    pub(super) fn new(window: Duration) -> Self {
        let slot = (window / 12).clamp(SHORTEST_SLOT, LONGEST_SLOT);
        Self { slot: u64::try_from(slot.as_nanos()).unwrap_or(u64::MAX), ..Self::default() }
    }

    /// So many nanoseconds of refilling were taken.
    pub(super) fn take(&mut self, nanos: u64, now: Moment) {
        if now.as_nanos() >= self.ends {
            let slots = (now.as_nanos() - self.ends) / self.slot.max(1);
            self.rate = self.rate_at(now);
            self.taken = 0;
            let past = self.ends.saturating_add(slots.saturating_mul(self.slot));
            let begun = if self.ends == 0 { now.as_nanos() } else { past };
            self.ends = begun.saturating_add(self.slot);
        }
        self.taken = self.taken.saturating_add(nanos);
    }

    /// So many were not used after all.
    pub(super) const fn give(&mut self, nanos: u64) {
        self.taken = self.taken.saturating_sub(nanos);
    }

    /// The pace of the slots that are over, the latest counting a quarter.
    pub(super) fn rate_at(&self, now: Moment) -> u32 {
        if now.as_nanos() < self.ends || self.ends == 0 {
            return self.rate;
        }
        let mut rate = quarter(self.rate, rate(self.taken, self.slot));
        let idle = (now.as_nanos() - self.ends) / self.slot.max(1);
        for _ in 0..idle.min(PAST) {
            rate = quarter(rate, 0);
        }
        rate
    }
}

/// How long until `left` nanoseconds of refilling are gone at this rate, while it refills at that;
/// `None` if they never are.
pub(super) fn empty_in(left: u64, drain: u32, refill: u32) -> Option<Duration> {
    let net = drain.checked_sub(refill).filter(|net| *net > 0)?;
    let nanos = u128::from(left) * u128::from(WHOLE) / u128::from(net);
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

fn quarter(old: u32, new: u32) -> u32 {
    let sum = u64::from(old) * 3 + u64::from(new);
    u32::try_from(sum / 4).unwrap_or(u32::MAX)
}

fn rate(nanos: u64, time: u64) -> u32 {
    let rate = u128::from(nanos) * u128::from(WHOLE) / u128::from(time.max(1));
    u32::try_from(rate.min(u128::from(FASTEST))).unwrap_or(u32::MAX)
}

fn blend(old: u32, new: u32, stretch: u64) -> u32 {
    let weight = stretch.min(MEMORY);
    let sum = u128::from(old) * u128::from(MEMORY - weight) + u128::from(new) * u128::from(weight);
    u32::try_from(sum / u128::from(MEMORY)).unwrap_or(u32::MAX)
}
