//! A bucket that refills evenly.
//!
//! The level is kept as the moment at which the bucket will be full if nothing more is taken: what
//! is missing is that moment's distance, so refilling costs nothing and never drifts. A distance of
//! more than the depth is debt, and is carried.

use crate::clock::Moment;

use super::fill::{Need, Sight, Size};

/// `size.amount` units come back in `size.window`, and as many as come back in `depth` are held.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    size: Size,
    /// How much it holds, in nanoseconds of refilling: a whole window's, unless the provider has shown
    /// to hold less.
    depth: u64,
    /// When it is full again, in nanoseconds; the past means full.
    full_at: u64,
    /// The wrapping sum of all corrections of `full_at` that were no charge. A mark is `full_at`
    /// less this, so that a prediction made earlier can be read with what was learned since.
    moved: u64,
    /// The last charge that found it full: what was taken before has been refilled since.
    full_seq: u64,
    /// The last charge before amount or window changed: marks from before mean nothing any more.
    scaled_seq: u64,
    shallow: Shallow,
}

/// Signs that the bucket holds less than a whole window's refill.
#[derive(Clone, Copy, Debug, Default)]
struct Shallow {
    /// How often in a row there was less than half of what was believed.
    votes: u8,
    /// The most that was there on these occasions.
    most: u64,
}

/// What was found of the depth.
#[derive(PartialEq)]
enum Depth {
    Same,
    Changed,
}

/// Debt is remembered for this many windows, so that one absurd figure cannot close a limit for ever.
const OVERDRAFT_WINDOWS: u64 = 16;
/// As often in a row is a fact.
const CERTAIN: u8 = 3;
/// A bucket that holds more than a fifth of a window is not told from one that others draw on.
const SHALLOW: u64 = 5;

impl Bucket {
    pub(super) const fn full(size: Size) -> Self {
        Self {
            size,
            depth: size.window,
            full_at: 0,
            moved: 0,
            full_seq: 0,
            scaled_seq: 0,
            shallow: Shallow { votes: 0, most: 0 },
        }
    }

    pub(super) const fn depth(&self) -> u64 {
        self.depth
    }

    /// When what is needed will be there; the past if it is. What is more than it ever holds passes
    /// when it is full, and leaves it in debt.
    pub(super) fn ready_at(&self, need: Need, ahead: u64) -> u64 {
        let need = match need {
            Need::Units(units) => self.size.nanos(units).min(self.depth),
            Need::MoreThan(units) => self.size.nanos(units).saturating_add(1),
        };
        self.full_at.saturating_add(ahead).saturating_add(need).saturating_sub(self.depth)
    }

    /// What is missing, in nanoseconds of refilling.
    pub(super) const fn missing(&self, now: Moment) -> u64 {
        self.full_at.saturating_sub(now.as_nanos())
    }

    pub(super) fn used(&self, now: Moment) -> u64 {
        self.size.units(self.missing(now))
    }

    pub(super) fn charge(&mut self, units: u64, seq: u64, now: Moment) {
        if self.full_at <= now.as_nanos() {
            self.full_at = now.as_nanos();
            self.full_seq = seq;
        }
        let more = self.size.nanos(units);
        self.full_at = self.full_at.saturating_add(more).min(self.furthest(now));
    }

    pub(super) fn refund(&mut self, units: u64, seq: u64) {
        if seq < self.full_seq {
            return; // it was full since: time has given it back already
        }
        self.forward(self.size.nanos(units));
    }

    pub(super) const fn mark(&self) -> u64 {
        self.full_at.wrapping_sub(self.moved)
    }

    /// The provider said that just `units` are there at `at`.
    pub(super) fn holds(&mut self, units: u64, at: Moment, now: Moment) {
        let missing = self.depth - self.size.nanos(units).min(self.depth);
        let full_at = at.as_nanos().saturating_add(missing).min(self.furthest(now));
        if let Some(more) = full_at.checked_sub(self.full_at) {
            self.back(more, now);
        }
    }

    /// The provider told how much was left when it admitted a request. Returns by how much less that
    /// was than was believed, in nanoseconds of refilling, where the two can be compared.
    pub(super) fn observe(&mut self, sight: &Sight, now: Moment) -> Option<i64> {
        let sent = sight.sent.as_nanos();
        let missing = self.told_missing(sight);
        let Some(mark) = sight.mark.filter(|_| sight.seq > self.scaled_seq) else {
            let missing = missing.saturating_sub(self.size.window - self.depth);
            let since = self.size.nanos(sight.sent_after);
            self.full_at = sent.saturating_add(missing).saturating_add(since);
            self.full_at = self.full_at.min(self.furthest(now));
            self.scaled_seq = sight.latest;
            return None;
        };
        let believed = mark.wrapping_add(self.moved).saturating_sub(sent);
        let shift = self.sound(believed, missing, now);
        let predicted = mark.wrapping_add(self.moved).max(sent);
        let truth = sent.saturating_add(missing.saturating_sub(self.size.window - self.depth));
        if truth >= predicted {
            self.full_at = self.full_at.max(sent);
            self.back(truth - predicted, now);
        } else if sight.seq >= self.full_seq {
            self.forward(predicted - truth);
        }
        let drift = signed(truth.saturating_sub(predicted), predicted.saturating_sub(truth));
        Some(drift).filter(|_| shift == Depth::Same)
    }

    /// Where the provider's reset is the time to the full bucket (OpenAI's is, to the nanosecond), it
    /// is more exact than a rest in whole units.
    fn told_missing(&self, sight: &Sight) -> u64 {
        let missing = self.size.nanos(self.size.amount.saturating_sub(sight.left));
        let exact = sight.reset.filter(|reset| reset.abs_diff(missing) <= self.size.nanos(1));
        exact.unwrap_or(missing)
    }

    /// How deep is it? Where there is again and again far less than was believed, and never much, the
    /// provider holds no whole window's worth (OpenAI's rate-limit guide: 60,000 a minute may be
    /// enforced as 1,000 a second).
    fn sound(&mut self, believed: u64, missing: u64, now: Moment) -> Depth {
        let believed = self.depth.saturating_sub(believed);
        let told = self.size.window.saturating_sub(missing);
        if told > self.depth {
            self.shallow = Shallow::default();
            self.set_depth(told.saturating_add(told / 2), now);
            return Depth::Changed;
        }
        self.shallow.most = self.shallow.most.max(told);
        if believed / 2 > told {
            self.shallow.votes = self.shallow.votes.saturating_add(1);
        }
        let most = self.shallow.most + self.shallow.most / 8 + self.size.nanos(1);
        if most >= self.size.window / SHALLOW {
            self.shallow = Shallow::default();
        } else if self.shallow.votes >= CERTAIN {
            self.shallow = Shallow::default();
            self.set_depth(most, now);
            return Depth::Changed;
        }
        Depth::Same
    }

    /// What is above a lower brim was never there, and what a higher one adds is missing.
    fn set_depth(&mut self, depth: u64, now: Moment) {
        let depth = depth.min(self.size.window);
        if depth > self.depth {
            self.full_at = self.full_at.max(now.as_nanos());
            self.back(depth - self.depth, now);
        } else {
            self.forward(self.depth - depth);
        }
        self.depth = depth;
    }

    /// Another amount or window: as many units are missing as before.
    pub(super) fn resize(&mut self, size: Size, latest: u64, now: Moment) {
        let missing = self.size.units(self.missing(now));
        *self = Self { size, depth: size.window, scaled_seq: latest, ..*self };
        self.shallow = Shallow::default();
        self.full_at = now.as_nanos().saturating_add(size.nanos(missing)).min(self.furthest(now));
    }

    pub(super) const fn fill_up(&mut self, latest: u64) {
        (self.full_at, self.scaled_seq) = (0, latest);
        (self.depth, self.shallow) = (self.size.window, Shallow { votes: 0, most: 0 });
    }

    fn back(&mut self, more: u64, now: Moment) {
        let full_at = self.full_at.saturating_add(more).min(self.furthest(now));
        self.moved = self.moved.wrapping_add(full_at.saturating_sub(self.full_at));
        self.full_at = full_at;
    }

    fn forward(&mut self, less: u64) {
        let less = less.min(self.full_at);
        self.full_at -= less;
        self.moved = self.moved.wrapping_sub(less);
    }

    fn furthest(&self, now: Moment) -> u64 {
        now.as_nanos().saturating_add(self.size.window.saturating_mul(OVERDRAFT_WINDOWS))
    }
}

/// What `plus` has more than `minus`; one of them is zero.
pub(super) fn signed(plus: u64, minus: u64) -> i64 {
    let to_signed = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    to_signed(plus) - to_signed(minus)
}
