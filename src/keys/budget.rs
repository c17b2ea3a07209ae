//! How often, and how soon, a request may be sent again to a group that it has already tried.

use std::time::Duration;

use crate::clock::Moment;

/// A retry budget: a share of the requests, and a floor for quiet times.
///
/// Retries never exceed that share of all requests since the beginning, plus the floor for the time
/// since, plus one; and what was saved up is bounded, so that quiet hours do not pay for a storm.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    permille: u64,
    /// Thousandths of a retry per second.
    floor: u64,
    /// Thousandths of a retry, times a billion: so that time adds to it without rounding.
    balance: u128,
    at: Moment,
}

const RETRY: u128 = 1_000 * NANOS;
const NANOS: u128 = 1_000_000_000;
/// As many retries are saved up at most, or ten seconds' floor if that is more.
const SAVED: u128 = 10 * RETRY;
const SAVED_SECONDS: u128 = 10;
const NEVER: u128 = u128::MAX;
/// Others ask too: a little later than the first possible moment.
const SLACK: Duration = Duration::from_millis(10);

impl RetryBudget {
    /// `permille` retries for a thousand requests, and `floor` thousandths of a retry a second.
    pub fn new(permille: u32, floor: u64, now: Moment) -> Self {
        Self { permille: permille.into(), floor, balance: RETRY, at: now }
    }

    /// The configuration changed: what was saved up stays, within the new bound.
    pub fn revise(&mut self, permille: u32, floor: u64, now: Moment) {
        self.refill(now);
        (self.permille, self.floor) = (permille.into(), floor);
    }

    /// A request came in.
    pub fn deposit(&mut self, now: Moment) {
        self.refill(now);
        self.save(u128::from(self.permille) * NANOS);
    }

    /// Asks for one retry.
    pub fn withdraw(&mut self, now: Moment) -> bool {
        self.refill(now);
        match self.balance.checked_sub(RETRY) {
            Some(left) => {
                self.balance = left;
                true
            }
            None => false,
        }
    }

    /// When the next retry can be asked for, if no request comes in before.
    pub fn next(&self, now: Moment) -> Moment {
        let missing = RETRY.saturating_sub(self.balance);
        let wait = missing.checked_div(u128::from(self.floor)).unwrap_or(NEVER);
        now + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)) + SLACK
    }

    fn refill(&mut self, now: Moment) {
        let passed = now.since(self.at);
        self.at = self.at.max(now);
        self.save(passed.as_nanos() * u128::from(self.floor));
    }

    fn save(&mut self, more: u128) {
        let most = SAVED.max(SAVED_SECONDS * u128::from(self.floor) * NANOS);
        self.balance = (self.balance + more).min(most.max(self.balance));
    }
}

/// Decorrelated jitter: each wait is drawn between the base and three times the one before.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The shortest wait, and the first.
    pub base: Duration,
    /// The longest.
    pub max: Duration,
}

impl Default for Backoff {
    /// The shortest is a round trip, the longest what a person would still wait.
    fn default() -> Self {
        Self { base: Duration::from_millis(100), max: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// The wait after `previous` (zero for the first).
    pub fn next(&self, previous: Duration, random: u64) -> Duration {
        let most = previous.saturating_mul(3).max(self.base);
        let spread = most.saturating_sub(self.base).as_nanos().min(u128::from(u64::MAX));
        let share = (spread * u128::from(random)) >> 64;
        (self.base + Duration::from_nanos(u64::try_from(share).unwrap_or(0))).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_tenth_of_the_requests_may_be_sent_again() {
        let mut budget = RetryBudget::new(100, 0, Moment::ZERO);
        let mut retries = 0;
        for n in 0..1_000 {
            budget.deposit(millis(n));
            retries += u32::from(budget.withdraw(millis(n)));
        }
        assert_eq!(retries, 101, "and the one it began with");
    }

    #[test]
    fn in_quiet_times_one_a_second_may() {
        let mut budget = RetryBudget::new(100, 1_000, Moment::ZERO);
        let retries = (0..60_000).filter(|n| budget.withdraw(millis(*n))).count();
        assert_eq!(retries, 60);
    }

    #[test]
    fn a_quiet_day_does_not_pay_for_a_storm() {
        let mut budget = RetryBudget::new(100, 1_000, Moment::ZERO);
        let day = Moment::ZERO + Duration::from_hours(24);
        budget.deposit(day);
        assert_eq!((0..1_000).filter(|_| budget.withdraw(day)).count(), 10);
    }

    #[test]
    fn a_changed_budget_holds_from_then_on_and_keeps_what_was_saved() {
        let mut budget = RetryBudget::new(0, 0, Moment::ZERO);
        assert!(budget.withdraw(millis(1)) && !budget.withdraw(millis(1)));
        budget.revise(1_000, 0, millis(2));
        budget.deposit(millis(2));
        assert!(budget.withdraw(millis(2)) && !budget.withdraw(millis(2)));
        budget.deposit(millis(3));
        budget.revise(0, 0, millis(3));
        assert!(budget.withdraw(millis(3)) && !budget.withdraw(millis(3)));
    }

    #[test]
    fn back_off_grows_at_random_up_to_its_bound() {
        let backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(10) };
        assert_eq!(backoff.next(Duration::ZERO, u64::MAX), backoff.base);
        let mut wait = Duration::ZERO;
        for _ in 0..20 {
            let longest = backoff.next(wait, u64::MAX);
            assert!(longest >= wait && longest <= (wait * 3).max(backoff.base));
            assert_eq!(backoff.next(wait, 0), backoff.base);
            wait = longest;
        }
        assert_eq!(wait, backoff.max);
    }
}
