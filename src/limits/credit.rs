//! What one of several sidecars may send, when they draw on one limit without talking to each other.
//!
//! Each has a floor for certain, its part of the refill less two per cent, and borrows beyond it what
//! the provider's figures show to be left: while the limit is well filled the rate grows, while it is
//! low the rate halves, in between it comes back to the floor. The floors together never exceed the
//! limit, so whatever the others do, nobody starves and nobody is refused for long.
//!
//! All amounts are in nanoseconds of the whole limit's refill, all rates in parts of it, of 65,536.

use crate::clock::Moment;

use super::drain::WHOLE;

#[derive(Clone, Debug)]
pub(super) struct Credit {
    replicas: u32,
    rate: u32,
    /// The most that is saved up.
    burst: u64,
    /// What may be sent now; in debt while it is negative, and then nothing may.
    level: i64,
    at: u64,
    /// What a request takes, smoothed.
    mean: u64,
    /// When the rate was last halved.
    halved: u64,
    /// When a level was last told, or when rate and burst last came back for want of one.
    told: u64,
}

/// What the provider's figures showed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// How much the limit holds.
    pub(super) depth: u64,
    /// How much of that there is.
    pub(super) level: u64,
    /// How fast others draw on it.
    pub(super) foreign: u32,
}

const SECOND: u64 = 1_000_000_000;
/// A limit that holds less than this is shallow: a level is stale before it can be acted upon.
const SHALLOW: u64 = 8 * SECOND;
/// What is borrowed goes back in this time while the limit is neither high nor low, or nothing is
/// told of it.
const RETURN: u64 = 10 * SECOND;
/// Where no header tells, a rate grows by its floor in this time, until a refusal halves it.
const BLIND: u64 = 32 * SECOND;
/// Debt is remembered for as long as the floor takes to pay it, but no longer than this.
const LONGEST_DEBT: i64 = 16 * 3_600 * SECOND.cast_signed();

impl Credit {
    pub(super) fn new(replicas: u32, depth: u64, now: Moment) -> Self {
        let at = now.as_nanos();
        let mut credit = Self {
            replicas: replicas.max(2),
            rate: 0,
            burst: 0,
            level: 0,
            at,
            mean: 0,
            halved: 0,
            told: at,
        };
        credit.rate = credit.floor();
        credit.burst = credit.first_burst(depth);
        credit.level = signed(credit.burst);
        credit
    }

    pub(super) const fn replicas(&self) -> u32 {
        self.replicas
    }

    /// Others came or left: the floor is another, what was borrowed is kept.
    pub(super) fn set_replicas(&mut self, replicas: u32) {
        self.replicas = replicas.max(2);
        self.rate = self.rate.max(self.floor());
    }

    /// When a request may be sent; the past if one may now. Debt lets a request of any size begin.
    pub(super) fn ready_at(&self, now: Moment) -> u64 {
        let level = self.level_at(now);
        if level > 0 {
            return 0;
        }
        let missing = u128::from(level.unsigned_abs()) + 1;
        let wait = missing * u128::from(WHOLE) / u128::from(self.rate.max(1));
        now.as_nanos().saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)).saturating_add(1)
    }

    pub(super) fn take(&mut self, cost: u64, now: Moment) {
        self.refill(now);
        self.mean = if self.mean == 0 { cost } else { self.mean / 8 * 7 + cost / 8 };
        let furthest = -LONGEST_DEBT / i64::from(self.replicas);
        self.level = self.level.saturating_sub(signed(cost)).max(furthest);
    }

    pub(super) fn give(&mut self, cost: u64) {
        self.level = self.level.saturating_add(signed(cost)).min(signed(self.burst));
    }

    /// How long the floor takes to bring a request of that cost.
    pub(super) fn floor_time(&self, cost: u64) -> u64 {
        let time = u128::from(cost) * u128::from(WHOLE) / u128::from(self.floor().max(1));
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    /// A level was told: this is where borrowing begins and ends.
    pub(super) fn observed(&mut self, seen: &Seen, now: Moment) {
        self.refill(now);
        let passed = now.as_nanos().saturating_sub(self.told);
        self.told = now.as_nanos();
        let depth = seen.depth.max(1);
        let shallow = depth < SHALLOW;
        let high = if shallow { depth / 10 * 6 } else { depth / 10 * 4 };
        let floor = self.floor();
        if seen.level >= high {
            if shallow {
                let more = u128::from(floor) * 3 * u128::from(passed) / u128::from(10 * SECOND);
                self.rate = self.rate.saturating_add(u32::try_from(more).unwrap_or(WHOLE));
            } else {
                let left = u64::from(WHOLE.saturating_sub(seen.foreign)) * 9 / 10;
                let spare = u128::from(seen.level - high) * u128::from(WHOLE) / u128::from(RETURN);
                let most = left.saturating_add(u64::try_from(spare).unwrap_or(u64::MAX));
                let grown = u64::from(self.rate) + half_in_a_second(self.rate.into(), passed);
                self.rate = u32::try_from(grown.min(most)).unwrap_or(WHOLE);
                let more = half_in_a_second(self.burst, passed);
                self.burst = self.burst.saturating_add(more).min(depth / 2);
            }
            self.burst = self.burst.max(self.first_burst(depth));
            self.rate = self.rate.clamp(floor, WHOLE);
        } else {
            self.keep_to(seen.level);
            if seen.level >= depth / 10 {
                self.come_back(passed);
            } else {
                self.halve(now);
            }
        }
    }

    /// The provider refused a request.
    pub(super) fn refused(&mut self, now: Moment) {
        self.refill(now);
        self.keep_to(0);
        self.halve(now);
    }

    /// Nothing is told of this limit: only refusals say where it ends.
    pub(super) fn grow_blindly(&mut self, depth: u64, now: Moment) {
        let passed = now.as_nanos().saturating_sub(self.told);
        if now.as_nanos().saturating_sub(self.halved) >= RETURN && passed >= SECOND {
            let more =
                u128::from(self.floor()) * u128::from(passed.min(RETURN)) / u128::from(BLIND);
            let more = u32::try_from(more).unwrap_or(WHOLE);
            self.rate = self.rate.saturating_add(more).min(WHOLE);
            self.burst = self.burst.max(self.first_burst(depth));
        }
        if passed >= SECOND {
            self.told = now.as_nanos();
        }
    }

    /// Has nobody told anything for long, the others may have come to need what was borrowed.
    pub(super) fn return_if_stale(&mut self, depth: u64, now: Moment) {
        let passed = now.as_nanos().saturating_sub(self.told);
        if passed >= RETURN && self.rate > self.floor() {
            self.refill(now);
            self.come_back(passed);
            self.burst = self.first_burst(depth);
            self.level = self.level.min(signed(self.burst));
            self.told = now.as_nanos();
        }
    }

    /// Of what is left only our part is ours to save up: what all have saved up together would be more
    /// than there is. Something can always be saved up, or nothing would be sent ever again.
    fn keep_to(&mut self, left: u64) {
        self.burst = self.mean.max(left / u64::from(self.replicas)).max(1);
        self.level = self.level.min(signed(self.burst));
    }

    fn halve(&mut self, now: Moment) {
        if now.as_nanos().saturating_sub(self.halved) >= SECOND {
            let floor = self.floor();
            self.rate = floor + self.rate.saturating_sub(floor) / 2;
            self.halved = now.as_nanos();
        }
    }

    fn come_back(&mut self, passed: u64) {
        let floor = self.floor();
        let borrowed = u64::from(self.rate.saturating_sub(floor));
        let back = borrowed * passed.min(RETURN) / RETURN;
        self.rate = self.rate.saturating_sub(u32::try_from(back).unwrap_or(WHOLE)).max(floor);
    }

    /// Ours for certain: the floors of all sidecars are 98 % of the limit.
    fn floor(&self) -> u32 {
        (WHOLE / 50 * 49 / self.replicas).max(1)
    }

    /// A request, a fiftieth of the limit, or our part of it, whichever is most: if there are not too
    /// many of us, all of these together fit.
    fn first_burst(&self, depth: u64) -> u64 {
        self.mean.max(depth / 50).max(depth / u64::from(self.replicas)).min(depth).max(1)
    }

    fn refill(&mut self, now: Moment) {
        self.level = self.level_at(now);
        self.at = self.at.max(now.as_nanos());
    }

    fn level_at(&self, now: Moment) -> i64 {
        let passed = now.as_nanos().saturating_sub(self.at);
        let back = u128::from(passed) * u128::from(self.rate) / u128::from(WHOLE);
        let back = i64::try_from(back).unwrap_or(i64::MAX);
        self.level.saturating_add(back).min(signed(self.burst))
    }
}

/// What grows by half in a second grows by so much in a shorter time.
fn half_in_a_second(value: u64, passed: u64) -> u64 {
    let more = u128::from(value) * u128::from(passed.min(SECOND)) / u128::from(2 * SECOND);
    u64::try_from(more).unwrap_or(u64::MAX)
}

fn signed(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}
