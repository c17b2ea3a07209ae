//! What a provider's headers said of one limit, and how far they are believed.

use std::time::Duration;

use crate::clock::Moment;

use super::window::LONGEST;

/// A provider's word.
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

/// What it has said this often in a row is a fact.
const CERTAIN: u8 = 3;
/// It is acted on without any further sign for this long.
pub(super) const TRUST: Duration = Duration::from_mins(10);
/// A pair of rest and reset says something of the window only if this much is missing: the rest is
/// a whole number, and one unit of fifty is two per cent.
const TELLING_UNITS: u64 = 50;
const TELLING_RESET: u64 = 100_000_000;

impl Told {
    /// Whether it ever said what the limit is.
    pub(super) const fn anything(&self) -> bool {
        self.limit > 0
    }

    /// Whether it has said the same limit so often that it is a fact.
    pub(super) const fn is_certain(&self) -> bool {
        self.times >= CERTAIN
    }

    /// Whether it has fallen silent for so long that nothing it said can be relied on.
    pub(super) fn is_stale(&self, now: Moment) -> bool {
        self.silent >= CERTAIN && now >= self.at + TRUST
    }

    /// Whether it was heard of lately.
    pub(super) fn is_fresh(&self, now: Moment) -> bool {
        self.anything() && self.silent < CERTAIN && now < self.at + TRUST
    }

    /// An answer came; what it says is heard separately.
    pub(super) const fn answered(&mut self) {
        self.silent = self.silent.saturating_add(1);
    }

    /// Takes down what it says the limit is, in the answer to the request behind charge `seq`.
    pub(super) fn hear(&mut self, limit: u64, seq: u64, now: Moment) {
        let times = if self.limit == limit { self.times } else { 0 };
        let times = times.saturating_add(1).min(CERTAIN);
        *self = Self { limit, times, seq, at: now, silent: 0, ..*self };
    }

    /// It spoke of this limit, but of a request that another has overtaken.
    pub(super) const fn hear_of_it(&mut self) {
        self.silent = 0;
    }

    /// All that it said counts for nothing from now on, but that it said it.
    pub(super) fn forget(&mut self) {
        *self = Self { seq: self.seq, ..Self::default() };
    }

    /// Takes down the window that a rest and its reset imply, and returns it once it has come out
    /// the same three times and is not the one that was believed.
    pub(super) fn vote(&mut self, implied: Option<u64>, believed: u64) -> Option<u64> {
        let implied = implied?;
        let again = alike(implied, self.guess);
        self.votes = if again { self.votes.saturating_add(1) } else { 1 };
        self.guess = implied;
        (self.votes >= CERTAIN && !alike(implied, believed)).then_some(implied)
    }
}

/// The window in which `limit` units would be refilled, given how long `missing` ones take.
pub(super) fn implied_window(limit: u64, missing: u64, reset: Duration) -> Option<u64> {
    let reset = u64::try_from(reset.as_nanos()).ok()?;
    if missing < TELLING_UNITS || reset < TELLING_RESET {
        return None;
    }
    let window = u128::from(limit) * u128::from(reset) / u128::from(missing);
    u64::try_from(window).ok().filter(|window| u128::from(*window) <= LONGEST.as_nanos())
}

/// Within two per cent of each other.
pub(super) const fn alike(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= b / 50
}
