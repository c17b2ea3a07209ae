//! The shapes in which providers count: a bucket that refills continuously, and a counter that is
//! emptied at the end of a window.

use std::time::Duration;

use crate::clock::Moment;

/// A token bucket that refills continuously: `limit` units in each `window`.
///
/// The level is kept in units times nanoseconds of the window, so that refilling is exact: a hundred
/// small steps of time give the same level as one large one.
#[derive(Clone, Debug)]
pub struct Bucket {
    limit: u64,
    window: i128,
    depth: i128,
    level: i128,
    /// What ran over because it was full.
    spilt: i128,
    at: Moment,
}

/// A counter that is emptied when its window ends. The window begins with the first use after the
/// last one ended, unless its end is set from outside (a provider's midnight).
#[derive(Clone, Debug)]
pub struct Counter {
    limit: u64,
    window: Duration,
    used: u64,
    ends: Moment,
}

impl Bucket {
    /// A full bucket of `limit` units per `window`, which holds as many units as refill in `depth`,
    /// and at least one. (OpenAI's rate-limit guide: 60,000 a minute may be enforced as 1,000 a
    /// second; then `depth` is a second.)
    pub fn new(limit: u64, window: Duration, depth: Duration, now: Moment) -> Self {
        let (window, depth) = (nanos(window).max(1), nanos(depth));
        let mut bucket = Self { limit, window, depth, level: 0, spilt: 0, at: now };
        bucket.level = bucket.capacity();
        bucket
    }

    /// The units refilled in a window.
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// The most units that it can hold.
    pub fn size(&self) -> u64 {
        whole(self.capacity() / self.window)
    }

    /// Whole units that are there now; none while in debt.
    pub fn remaining(&mut self, now: Moment) -> u64 {
        self.refill(now);
        whole(self.level / self.window)
    }

    /// How long until `amount` units will be there if nobody else takes any; zero if they are there,
    /// the longest duration if they never will be.
    pub fn wait_for(&mut self, amount: u64, now: Moment) -> Duration {
        self.refill(now);
        let needed = i128::from(amount) * self.window;
        if needed > self.capacity() && needed > self.level {
            return Duration::MAX;
        }
        self.time_to(needed)
    }

    /// How long until it is full.
    pub fn wait_until_full(&mut self, now: Moment) -> Duration {
        self.refill(now);
        self.time_to(self.capacity())
    }

    /// Takes `amount` units, into debt if need be: what was produced was produced.
    pub fn spend(&mut self, amount: u64, now: Moment) {
        self.refill(now);
        self.level -= i128::from(amount) * self.window;
    }

    /// Gives `amount` units back, as far as they still fit.
    pub fn refund(&mut self, amount: u64, now: Moment) {
        self.refill(now);
        let back = i128::from(amount).saturating_mul(self.window);
        self.level = self.level.saturating_add(back).min(self.capacity());
    }

    /// Units that have run over so far because it was full.
    pub fn spilt(&mut self, now: Moment) -> u64 {
        self.refill(now);
        whole(self.spilt / self.window)
    }

    /// Takes up to `amount` units, but never into debt: what a rejection costs where it counts.
    pub fn forfeit(&mut self, amount: u64, now: Moment) {
        self.refill(now);
        let taken = i128::from(amount) * self.window;
        self.level = (self.level - taken).max(self.level.min(0));
    }

    /// Changes the limit; what is there stays, as far as it still fits.
    pub fn resize(&mut self, limit: u64, now: Moment) {
        self.refill(now);
        self.limit = limit;
        self.level = self.level.min(self.capacity());
    }

    fn capacity(&self) -> i128 {
        (i128::from(self.limit) * self.depth).max(self.window)
    }

    fn refill(&mut self, now: Moment) {
        let elapsed = i128::from(now.as_nanos()) - i128::from(self.at.as_nanos());
        if elapsed > 0 {
            let level = self.level + elapsed * i128::from(self.limit);
            let capacity = self.capacity();
            self.level = level.min(capacity);
            self.spilt += level - self.level;
            self.at = now;
        }
    }

    fn time_to(&self, level: i128) -> Duration {
        let missing = level - self.level;
        if missing <= 0 {
            return Duration::ZERO;
        }
        if self.limit == 0 {
            return Duration::MAX;
        }
        let rate = i128::from(self.limit);
        Duration::from_nanos(whole((missing + rate - 1) / rate))
    }
}

impl Counter {
    /// An empty counter of `limit` units per `window`.
    pub const fn new(limit: u64, window: Duration) -> Self {
        Self { limit, window, used: 0, ends: Moment::ZERO }
    }

    /// The units of a window.
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether the window is over, so that the next use begins another.
    pub fn is_over(&self, now: Moment) -> bool {
        now >= self.ends
    }

    /// Begins a window that ends at `ends`.
    pub const fn begin(&mut self, ends: Moment) {
        self.used = 0;
        self.ends = ends;
    }

    /// Whole units left in this window.
    pub fn remaining(&mut self, now: Moment) -> u64 {
        self.roll(now);
        self.limit.saturating_sub(self.used)
    }

    /// How long until `amount` units will be there; zero if they are, the longest duration if they
    /// never will be.
    pub fn wait_for(&mut self, amount: u64, now: Moment) -> Duration {
        self.roll(now);
        if self.used.saturating_add(amount) <= self.limit {
            Duration::ZERO
        } else if amount > self.limit {
            Duration::MAX
        } else {
            self.wait_until_full(now)
        }
    }

    /// How long until the window ends.
    pub const fn wait_until_full(&self, now: Moment) -> Duration {
        self.ends.since(now)
    }

    /// Counts `amount` units, over the limit if need be.
    pub fn spend(&mut self, amount: u64, now: Moment) {
        self.roll(now);
        self.used = self.used.saturating_add(amount);
    }

    /// Changes the limit; what was used stays used.
    pub const fn resize(&mut self, limit: u64) {
        self.limit = limit;
    }

    fn roll(&mut self, now: Moment) {
        if self.is_over(now) {
            self.begin(now + self.window);
        }
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn whole(amount: i128) -> u64 {
    u64::try_from(amount.max(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_bucket_of_sixty_a_minute_gives_one_back_each_second() {
        let mut bucket = Bucket::new(60, MINUTE, MINUTE, at(0));
        bucket.spend(60, at(0));
        assert_eq!(bucket.remaining(at(999)), 0);
        assert_eq!(bucket.remaining(at(1_000)), 1);
        assert_eq!(bucket.wait_for(3, at(1_500)), Duration::from_millis(1_500));
        assert_eq!(bucket.wait_until_full(at(30_000)), Duration::from_secs(30));
        assert_eq!(bucket.remaining(at(600_000)), 60, "it never holds more than its limit");
    }

    #[test]
    fn many_small_steps_refill_as_much_as_one_large_one() {
        let mut steps = Bucket::new(7, MINUTE, MINUTE, at(0));
        let mut leap = steps.clone();
        steps.spend(7, at(0));
        leap.spend(7, at(0));
        for nano in 0..1_000 {
            steps.remaining(Moment::from_nanos(nano * 31_000_001));
        }
        let end = Moment::from_nanos(999 * 31_000_001);
        assert_eq!(steps.wait_until_full(end), leap.wait_until_full(end));
    }

    #[test]
    fn a_bucket_one_second_deep_holds_a_sixtieth_and_refills_as_fast() {
        let mut bucket = Bucket::new(600, MINUTE, Duration::from_secs(1), at(0));
        assert_eq!(bucket.size(), 10);
        bucket.spend(10, at(0));
        assert_eq!(bucket.wait_for(1, at(0)), Duration::from_millis(100));
        assert_eq!(bucket.wait_for(11, at(0)), Duration::MAX, "it never holds eleven");
        let shallow = Bucket::new(6, MINUTE, Duration::from_secs(1), at(0));
        assert_eq!(shallow.size(), 1, "one request always fits");
    }

    #[test]
    fn debt_is_paid_off_before_anything_is_there_again() {
        let mut bucket = Bucket::new(60, MINUTE, MINUTE, at(0));
        bucket.spend(90, at(0));
        assert_eq!(bucket.remaining(at(0)), 0);
        assert_eq!(bucket.wait_for(1, at(0)), Duration::from_secs(31));
        bucket.forfeit(5, at(0));
        assert_eq!(bucket.wait_for(1, at(0)), Duration::from_secs(31), "a rejection adds no debt");
    }

    #[test]
    fn a_halved_bucket_keeps_what_still_fits() {
        let mut bucket = Bucket::new(100, MINUTE, MINUTE, at(0));
        bucket.resize(50, at(0));
        assert_eq!(bucket.remaining(at(0)), 50);
        bucket.spend(50, at(0));
        assert_eq!(bucket.remaining(at(30_000)), 25);
    }

    #[test]
    fn a_bucket_of_nothing_never_refills() {
        let mut bucket = Bucket::new(0, MINUTE, MINUTE, at(0));
        bucket.spend(1, at(0));
        assert_eq!(bucket.wait_for(1, at(0)), Duration::MAX);
    }

    #[test]
    fn a_counter_is_emptied_when_its_window_ends() {
        let mut counter = Counter::new(10, MINUTE);
        counter.spend(9, at(5_000));
        assert_eq!(counter.wait_for(1, at(6_000)), Duration::ZERO);
        assert_eq!(counter.wait_for(2, at(6_000)), Duration::from_secs(59));
        assert_eq!(counter.wait_for(11, at(6_000)), Duration::MAX);
        assert_eq!(counter.remaining(at(65_000)), 10);
    }
}
