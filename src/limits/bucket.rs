//! One limit as a continuously refilled bucket.
//!
//! The level is kept as the moment at which the bucket will be full if nothing more is taken: what
//! is missing is that moment's distance, so refilling costs nothing and never drifts. A distance of
//! more than one window is debt, and is carried.

use std::time::Duration;

use crate::clock::Moment;
use crate::formats::Dimension;

use super::ledger::{ratio, share};
use super::level::Level;
use super::rule::{Learning, Measure, Rule};
use super::supply::as_float;

/// One limit: `amount` units refilled evenly over `window` nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) dimension: Dimension,
    amount: u64,
    window: u64,
    /// When it is full again, in nanoseconds; the past means full.
    full_at: u64,
    /// The wrapping sum of all corrections of `full_at` that were no charge. A mark is `full_at`
    /// less this, so that a prediction made earlier can be read with what was learned since.
    moved: u64,
    /// What is written.
    pub(super) configured: Option<u64>,
    /// Whether that is only the prior.
    learning: Learning,
    /// What the provider said.
    pub(super) told: Told,
    /// The last charge that found it full: what was taken before has been refilled since.
    full_seq: u64,
    /// The last charge before amount or window changed: marks from before mean nothing any more.
    scaled_seq: u64,
    last_sent: Moment,
}

/// What the provider's headers said of a limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// The limit; zero if it never said.
    pub(super) limit: u64,
    /// How often in a row it said just that.
    times: u8,
    /// The charge that its latest word answers.
    pub(super) seq: u64,
    /// When it said so.
    at: Moment,
    /// Answers since in which it said nothing.
    silent: u8,
    /// The window that limit, rest and reset imply, and how often in a row.
    guess: u64,
    votes: u8,
}

/// Why something cannot be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// It can at that moment.
    Until(Moment),
    /// It is more than the limit can ever hold.
    Oversized,
}

/// What the provider had left when it admitted a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// The charge of that request, and when it was sent.
    pub(super) seq: u64,
    pub(super) sent: Moment,
    /// The mark taken with that charge, if this bucket was there.
    pub(super) mark: Option<u64>,
    /// Units that were sent after that request.
    pub(super) sent_after: u64,
    /// The newest charge of all.
    pub(super) latest: u64,
}

/// Larger amounts are absurd, and are read as this.
const MAX_AMOUNT: u64 = 1_000_000_000_000_000;
/// A longer window, or a reset further away, is absurd: a month and a day.
pub(super) const LONGEST: Duration = Duration::from_hours(32 * 24);
const SHORTEST: Duration = Duration::from_millis(1);
/// Debt is remembered for this many windows, so that one absurd figure cannot close a limit for ever.
const OVERDRAFT_WINDOWS: u64 = 16;
/// A full bucket may be overdrawn by a quarter: what is reserved is an estimate.
const DOUBT: u64 = 4;
/// A limit that the provider has told this often in a row is a fact.
const CERTAIN: u8 = 3;
/// A provider's word is acted on without any further sign for this long.
const TRUST: Duration = Duration::from_mins(10);
/// A pair of rest and reset says something of the window only if this much is missing: the rest is
/// a whole number, and one unit of fifty is two per cent.
const TELLING_UNITS: u64 = 50;
const TELLING_RESET: u64 = 100_000_000;

impl Bucket {
    /// A limit that is written down.
    pub(super) fn configured(dimension: Dimension, rule: &Rule, learning: Learning) -> Self {
        let amount = rule.amount.clamp(1, MAX_AMOUNT);
        let blank = Self::blank(dimension, amount, rule.window);
        Self { configured: Some(amount), learning, ..blank }
    }

    /// A limit that only the provider's headers told of.
    pub(super) fn learned(dimension: Dimension, window: Duration, now: Moment) -> Self {
        Self { last_sent: now, ..Self::blank(dimension, MAX_AMOUNT, window) }
    }

    fn blank(dimension: Dimension, amount: u64, window: Duration) -> Self {
        let window = window.clamp(SHORTEST, LONGEST);
        Self {
            dimension,
            amount,
            window: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX),
            full_at: 0,
            moved: 0,
            configured: None,
            learning: Learning::On,
            told: Told::default(),
            full_seq: 0,
            scaled_seq: 0,
            last_sent: Moment::ZERO,
        }
    }

    /// The configuration changed: it says something else, or nothing any more.
    pub(super) fn reconfigure(
        &mut self,
        amount: Option<u64>,
        learning: Learning,
        latest: u64,
        now: Moment,
    ) {
        if (self.configured, self.learning) == (amount, learning) {
            return;
        }
        (self.configured, self.learning) = (amount, learning);
        if self.told.limit == 0 {
            self.rescale(amount.unwrap_or(MAX_AMOUNT), self.window, latest, now);
        } else if learning == Learning::Off {
            self.forget(latest);
        }
    }

    /// Whether both count the same in the same window.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.dimension == other.dimension && self.window == other.window
    }

    /// Whether anything is known of this limit at all.
    pub(super) const fn known(&self) -> bool {
        self.configured.is_some() || self.told.limit > 0
    }

    pub(super) const fn amount(&self) -> u64 {
        self.amount
    }

    pub(super) const fn window(&self) -> Duration {
        Duration::from_nanos(self.window)
    }

    /// Output is metered as it is produced: it is charged when it is settled, and until then only
    /// counted as pending. Everything else is charged when it is sent.
    pub(super) const fn metered(&self) -> bool {
        matches!(self.dimension, Dimension::OutputTokens)
    }

    /// Whether `units` can be taken now, with `pending` units taken and not charged yet.
    pub(super) fn check(
        &mut self,
        units: u64,
        pending: u64,
        latest: u64,
        now: Moment,
    ) -> Result<(), Short> {
        if units == 0 || !self.known() {
            return Ok(());
        }
        let Some(mut short) = self.shortfall(units, pending, now) else { return Ok(()) };
        if self.told.limit > 0 {
            if self.told.silent >= CERTAIN && now >= self.told.at + TRUST {
                self.forget(latest);
                return self.check(units, pending, latest, now);
            }
            // Nothing was sent for so long only because of what was told: see whether it still holds.
            let probe = self.last_sent + TRUST;
            if now >= probe {
                return Ok(());
            }
            if let Short::Until(until) = &mut short {
                *until = probe.min(*until);
            }
        }
        Err(short)
    }

    fn shortfall(&self, units: u64, pending: u64, now: Moment) -> Option<Short> {
        let need = if self.metered() {
            self.nanos(pending).saturating_add(1)
        } else if units <= self.amount {
            self.nanos(units)
        } else if self.certain() && units > self.amount + self.amount / DOUBT {
            return Some(Short::Oversized);
        } else {
            self.window
        };
        let at = Moment::from_nanos(self.full_at.saturating_add(need).saturating_sub(self.window));
        (at > now).then_some(Short::Until(at))
    }

    /// Whether a request that is larger can be refused for good: what is written is only a prior
    /// as long as the provider may say otherwise.
    fn certain(&self) -> bool {
        self.learning == Learning::Off || self.told.times >= CERTAIN
    }

    /// A request that costs `units` is sent.
    pub(super) fn take(&mut self, units: u64, seq: u64, now: Moment) {
        self.last_sent = now;
        if !self.metered() {
            self.charge(units, seq, now);
        }
    }

    /// The mark of the charge just made.
    pub(super) const fn mark(&self) -> u64 {
        self.full_at.wrapping_sub(self.moved)
    }

    /// A request was answered; what its headers say is heard separately.
    pub(super) const fn answered(&mut self) {
        self.told.silent = self.told.silent.saturating_add(1);
    }

    /// The request behind charge `seq`, for which `reserved` units were taken, used `actual`.
    pub(super) fn settle(
        &mut self,
        reserved: u64,
        actual: u64,
        seq: u64,
        latest: u64,
        now: Moment,
    ) {
        if self.metered() {
            self.charge(actual, latest, now);
        } else if seq <= self.told.seq {
            // The provider has told its own figure since.
        } else if actual > reserved {
            self.charge(actual - reserved, latest, now);
        } else {
            self.refund(reserved - actual, seq);
        }
    }

    fn charge(&mut self, units: u64, seq: u64, now: Moment) {
        if units == 0 {
            return;
        }
        if self.full_at <= now.as_nanos() {
            self.full_at = now.as_nanos();
            self.full_seq = seq;
        }
        self.full_at = self.full_at.saturating_add(self.nanos(units)).min(self.furthest(now));
    }

    fn refund(&mut self, units: u64, seq: u64) {
        if seq < self.full_seq {
            return; // it was full since: time has given it back already
        }
        let back = self.nanos(units).min(self.full_at);
        self.full_at -= back;
        self.moved = self.moved.wrapping_sub(back);
    }

    /// The provider refused the request behind charge `seq` and said when it would have carried it:
    /// then the level was just `units`.
    pub(super) fn refused(&mut self, units: u64, seq: u64, retry_at: Moment, now: Moment) {
        if seq <= self.told.seq || retry_at.since(now) > self.window() {
            return;
        }
        self.refund(units, seq);
        self.told.seq = seq;
        let missing = self.window - self.nanos(units.min(self.amount)).min(self.window);
        let full_at = retry_at.as_nanos().saturating_add(missing).min(self.furthest(now));
        if let Some(more) = full_at.checked_sub(self.full_at) {
            self.full_at = full_at;
            self.moved = self.moved.wrapping_add(more);
        }
    }

    /// The provider told that `spent` units of its limit were missing when it admitted a request.
    pub(super) fn observe(&mut self, spent: u64, sight: &Sight, now: Moment) {
        let truth = sight.sent.as_nanos().saturating_add(self.nanos(spent.min(self.amount)));
        if let Some(mark) = sight.mark.filter(|_| sight.seq > self.scaled_seq) {
            let predicted = mark.wrapping_add(self.moved).max(sight.sent.as_nanos());
            if truth >= predicted {
                let more = truth - predicted;
                self.full_at = self.full_at.max(sight.sent.as_nanos()).saturating_add(more);
                self.moved = self.moved.wrapping_add(more);
            } else if sight.seq >= self.full_seq {
                let less = (predicted - truth).min(self.full_at);
                self.full_at -= less;
                self.moved = self.moved.wrapping_sub(less);
            }
        } else {
            self.full_at = truth;
            if !self.metered() {
                self.full_at = self.full_at.saturating_add(self.nanos(sight.sent_after));
            }
            self.scaled_seq = sight.latest;
        }
        self.full_at = self.full_at.min(self.furthest(now));
    }

    /// Takes down what the provider said its limit is. Whether it is news depends on the order in
    /// which requests were sent: an answer overtaken by a later request's is old news.
    pub(super) fn hear(&mut self, limit: Option<u64>, sight: &Sight, now: Moment) -> bool {
        self.told.silent = 0;
        if sight.seq <= self.told.seq {
            return false;
        }
        let limit = limit.unwrap_or(self.amount).clamp(1, MAX_AMOUNT);
        if limit != self.amount {
            self.rescale(limit, self.window, sight.latest, now);
        }
        let times = if self.told.limit == limit { self.told.times } else { 0 };
        let times = times.saturating_add(1).min(CERTAIN);
        self.told = Told { limit, times, seq: sight.seq, at: now, ..self.told };
        true
    }

    /// Takes down the window that a rest and its reset imply, and returns it once it has come out
    /// the same three times and is not the one that was believed.
    pub(super) fn vote(&mut self, implied: Option<u64>) -> Option<u64> {
        let implied = implied?;
        let again = alike(implied, self.told.guess);
        self.told.votes = if again { self.told.votes.saturating_add(1) } else { 1 };
        self.told.guess = implied;
        (self.told.votes >= CERTAIN && !alike(implied, self.window)).then_some(implied)
    }

    /// The window in which this many units would be refilled, given how long `missing` ones take.
    pub(super) fn implied_window(limit: u64, missing: u64, reset: Duration) -> Option<u64> {
        let reset = u64::try_from(reset.as_nanos()).ok()?;
        if missing < TELLING_UNITS || reset < TELLING_RESET {
            return None;
        }
        let window = u128::from(limit) * u128::from(reset) / u128::from(missing);
        u64::try_from(window).ok().filter(|window| u128::from(*window) <= LONGEST.as_nanos())
    }

    pub(super) fn rescale(&mut self, amount: u64, window: u64, latest: u64, now: Moment) {
        let debt = u128::from(self.full_at.saturating_sub(now.as_nanos()));
        let missing = (debt * u128::from(self.amount)).div_ceil(u128::from(self.window));
        self.amount = amount;
        self.window = window;
        self.scaled_seq = latest;
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        self.full_at = now.as_nanos().saturating_add(self.nanos(missing)).min(self.furthest(now));
    }

    /// Goes back to what is written, or to knowing nothing. The level that was told goes with the
    /// rest: the bucket counts as full.
    pub(super) fn forget(&mut self, latest: u64) {
        self.told = Told { seq: self.told.seq, ..Told::default() };
        self.amount = self.configured.unwrap_or(MAX_AMOUNT);
        (self.full_at, self.scaled_seq) = (0, latest);
    }

    /// How much is left, of 1,024; none when in debt.
    pub(super) fn free(&self, pending: u64, now: Moment) -> u32 {
        share(self.window.saturating_sub(self.missing(pending, now)), self.window)
    }

    /// Whether `units` can be taken at `at` if nothing is taken before.
    pub(super) fn would_carry(&self, units: u64, pending: u64, at: Moment) -> bool {
        units == 0 || !self.known() || self.shortfall(units, pending, at).is_none()
    }

    /// How much is left, less than nothing in debt, and how much is refilled in a second.
    pub(super) fn outlook(&self, pending: u64, now: Moment) -> (f64, f64) {
        let each_nano = as_float(self.amount) / as_float(self.window);
        let missing = as_float(self.missing(pending, now)) * each_nano;
        (as_float(self.amount) - missing, each_nano * 1e9)
    }

    /// What is told of it.
    pub(super) fn level(&self, pending: u64, now: Moment) -> Level {
        Level {
            measure: Measure::Of(self.dimension),
            window: self.window(),
            level: 1.0 - ratio(self.missing(pending, now), self.window),
            configured: self.configured,
            learned: (self.told.limit > 0).then_some(self.told.limit),
        }
    }

    /// How long until it would be full, in nanoseconds.
    fn missing(&self, pending: u64, now: Moment) -> u64 {
        let pending = if self.metered() { self.nanos(pending) } else { 0 };
        self.full_at.saturating_sub(now.as_nanos()).saturating_add(pending)
    }

    /// How long it takes to refill `units`, in nanoseconds.
    pub(super) fn nanos(&self, units: u64) -> u64 {
        if let Some(product) = units.checked_mul(self.window) {
            return product / self.amount;
        }
        let product = u128::from(units) * u128::from(self.window);
        u64::try_from(product / u128::from(self.amount)).unwrap_or(u64::MAX)
    }

    const fn furthest(&self, now: Moment) -> u64 {
        now.as_nanos().saturating_add(self.window.saturating_mul(OVERDRAFT_WINDOWS))
    }
}

/// Within two per cent of each other.
pub(super) const fn alike(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= b / 50
}
