//! One limit: what is written of it, what the provider told, how full it is, and our part of it.

use std::time::Duration;

use crate::clock::{Moment, Now};
use crate::formats::Dimension;

use super::draw::Draw;
use super::fill::{Fill, Need, Sight, Size};
use super::level::Level;
use super::rule::{Learning, Measure, Rule};
use super::share::Sharing;
use super::told::{TRUST, Told};
use super::window::Window;

/// One limit of a ledger.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) measure: Measure,
    window: Window,
    /// The whole amount, whoever draws on it, and its window.
    size: Size,
    fill: Fill,
    /// What is written.
    pub(super) configured: Option<u64>,
    /// Whether that is only the prior.
    learning: Learning,
    /// What the provider said.
    pub(super) told: Told,
    draw: Draw,
    last_sent: Moment,
    /// All that had been sent when the request was whose answer last told, and when that was.
    sent: u64,
    seen: Moment,
}

/// What others took of a limit between two requests whose answers told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drift {
    /// Units; negative where there was more than was believed.
    pub(super) units: f64,
    /// When the two requests were sent.
    pub(super) from: Moment,
    pub(super) to: Moment,
}

/// Why something cannot be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// It can at that moment.
    Until(Moment),
    /// It is more than the limit can ever hold.
    Oversized,
}

/// A request, as a limit sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Units that were taken for it.
    pub(super) units: u64,
    /// Which charge that was, and when.
    pub(super) seq: u64,
    pub(super) at: Moment,
}

/// Larger amounts are absurd, and are read as this.
const MAX_AMOUNT: u64 = 1_000_000_000_000_000;
/// A full limit may be overdrawn by a quarter: what is reserved is an estimate.
const DOUBT: u64 = 4;

impl Limit {
    /// A limit that is written down.
    pub(super) fn configured(rule: &Rule, learning: Learning, wall: Option<Now>) -> Self {
        let amount = rule.amount.clamp(1, MAX_AMOUNT);
        let blank = Self::blank(rule.measure, amount, rule.window.clone(), wall);
        Self { configured: Some(amount), learning, ..blank }
    }

    /// A limit that only the provider's headers told of.
    pub(super) fn learned(
        measure: Measure,
        window: Window,
        wall: Option<Now>,
        now: Moment,
    ) -> Self {
        Self { last_sent: now, ..Self::blank(measure, MAX_AMOUNT, window, wall) }
    }

    fn blank(measure: Measure, amount: u64, window: Window, wall: Option<Now>) -> Self {
        let length = window.length();
        let size = Size { amount, window: nanos(length) };
        Self {
            measure,
            fill: Fill::full(&window, size, wall),
            window,
            size,
            configured: None,
            learning: Learning::On,
            told: Told::default(),
            draw: Draw::new(length),
            last_sent: Moment::ZERO,
            sent: 0,
            seen: Moment::ZERO,
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
        if !self.told.anything() {
            self.rescale(amount.unwrap_or(MAX_AMOUNT), latest, now);
        } else if learning == Learning::Off {
            self.forget(latest);
        }
    }

    /// Others draw on it too, or do not any more.
    pub(super) fn share(&mut self, sharing: Sharing, latest: u64, now: Moment) {
        if self.draw.set_sharing(sharing) {
            self.resize(latest, now);
        }
        self.share_out(now);
    }

    /// What the wall's clock reads, for windows that end with the calendar's.
    pub(super) fn set_wall(&mut self, wall: Now) {
        self.fill.set_wall(wall);
    }

    /// Whether both count the same in the same window.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.measure == other.measure && self.window == other.window
    }

    pub(super) fn counts(&self, dimension: Dimension) -> bool {
        self.measure == Measure::Of(dimension)
    }

    /// Whether anything is known of this limit at all.
    pub(super) const fn known(&self) -> bool {
        self.configured.is_some() || self.told.anything()
    }

    pub(super) const fn amount(&self) -> u64 {
        self.size.amount
    }

    pub(super) const fn length(&self) -> Duration {
        Duration::from_nanos(self.size.window)
    }

    /// Output is metered as it is produced: it is charged as it flows and when it is settled, and
    /// until then only counted as pending. Everything else is charged when it is sent.
    pub(super) const fn metered(&self) -> bool {
        matches!(self.measure, Measure::Of(Dimension::OutputTokens))
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
        self.fill.turn(latest, now);
        if self.is_oversized(units) {
            return Err(Short::Oversized);
        }
        let need = if self.metered() { Need::MoreThan(pending) } else { Need::Units(units) };
        let heard = self.told.anything();
        let asked = heard.then_some(self.last_sent);
        let until = self.draw.ready_at(&self.fill, need, self.size.nanos(units), asked, now);
        let until = Moment::from_nanos(until);
        if until <= now {
            return Ok(());
        }
        if !heard {
            return Err(Short::Until(until));
        }
        if self.told.is_stale(now) {
            self.forget(latest);
            return self.check(units, pending, latest, now);
        }
        // Nothing was sent for so long only because of what was told: see whether it still holds.
        let probe = self.last_sent + TRUST;
        if now >= probe { Ok(()) } else { Err(Short::Until(probe.min(until))) }
    }

    /// Whether a request that is larger can be refused for good: what is written is only a prior
    /// as long as the provider may say otherwise.
    fn is_oversized(&self, units: u64) -> bool {
        let certain = self.learning == Learning::Off || self.told.is_certain();
        certain && !self.metered() && units > self.size.amount + self.size.amount / DOUBT
    }

    /// A request that costs `units` is sent.
    pub(super) fn take(&mut self, units: u64, seq: u64, now: Moment) {
        self.last_sent = now;
        if !self.metered() {
            self.charge(units, seq, now);
        }
    }

    /// What to remember of the charge just made.
    pub(super) const fn mark(&self) -> u64 {
        self.fill.mark()
    }

    /// A request was answered; what its headers say is heard separately.
    pub(super) const fn answered(&mut self) {
        self.told.answered();
    }

    /// That request used `actual` units. Where the provider has told its own figure since, that holds,
    /// but for what it counts only as it is produced.
    pub(super) fn settle(&mut self, taken: Taken, actual: u64, latest: u64, now: Moment) {
        let news = self.metered() || taken.seq > self.told.seq;
        if let Some(more) = actual.checked_sub(taken.units) {
            if news {
                self.charge(more, latest, now);
            } else {
                self.draw.take(self.size.nanos(more), now);
            }
        } else {
            let back = taken.units - actual;
            if news {
                self.fill.refund(back, taken.seq, taken.at);
            }
            self.draw.give(self.size.nanos(back));
        }
    }

    /// Takes units, into debt if need be.
    pub(super) fn charge(&mut self, units: u64, seq: u64, now: Moment) {
        if units == 0 {
            return;
        }
        self.fill.charge(units, seq, now);
        self.draw.take(self.size.nanos(units), now);
        if !self.told.anything() {
            self.draw.grow_blindly(self.fill.gauge(now).0, now);
        }
    }

    /// The provider refused that request and said when it would have carried it: then the level was
    /// just what it costs.
    pub(super) fn refused(&mut self, taken: Taken, retry_at: Moment, now: Moment) {
        if taken.seq <= self.told.seq || retry_at.since(now) > self.length() {
            return;
        }
        self.told.seq = taken.seq;
        self.fill.turn(taken.seq, now);
        self.fill.refund(taken.units, taken.seq, taken.at);
        self.fill.holds(taken.units, retry_at, now);
    }

    /// The provider refused some request: whoever borrows, gives back.
    pub(super) fn recede(&mut self, now: Moment) {
        self.draw.recede(self.fill.gauge(now).0, now);
    }

    /// The provider told what was left when it admitted a request. `sent` is all that had been sent
    /// then. Returns what others took since the request before whose answer told, where that can be
    /// said.
    pub(super) fn observe(&mut self, sight: &Sight, sent: u64, now: Moment) -> Option<Drift> {
        self.fill.turn(sight.latest, now);
        let drift = self.fill.observe(sight, now);
        if self.metered() {
            return None; // what has flowed and is not charged yet looks as if others had taken it
        }
        let own = self.size.nanos(sent.wrapping_sub(self.sent).min(MAX_AMOUNT));
        let from = std::mem::replace(&mut self.seen, sight.sent);
        self.sent = sent;
        self.draw.observed(sight.sent, drift, own);
        self.share_out(now);
        let (depth, missing) = self.fill.gauge(now);
        self.draw.level_is(depth.saturating_sub(missing), depth, now);
        let unit = self.size.nanos(1);
        drift.map(|nanos| Drift { units: in_units(nanos, unit), from, to: sight.sent })
    }

    fn share_out(&mut self, now: Moment) {
        if !self.metered() {
            self.draw.share_out(self.size, self.fill.gauge(now).0, now);
        }
    }

    /// Takes down what the provider said its limit is. Whether it is news depends on the order in
    /// which requests were sent: an answer overtaken by a later request's is old news.
    pub(super) fn hear(&mut self, limit: Option<u64>, seq: u64, latest: u64, now: Moment) -> bool {
        self.told.hear_of_it();
        if seq <= self.told.seq {
            return false;
        }
        let limit = limit.unwrap_or(self.size.amount).clamp(1, MAX_AMOUNT);
        if limit != self.size.amount {
            self.rescale(limit, latest, now);
        }
        self.told.hear(limit, seq, now);
        true
    }

    /// Takes down the window that a rest and its reset imply, and returns it once it is certain and
    /// another than was believed.
    pub(super) fn vote(&mut self, implied: Option<u64>) -> Option<u64> {
        self.told.vote(implied, self.size.window)
    }

    /// It is counted in another window. What is missing still is, as far as one window can hold it.
    pub(super) fn rewindow(&mut self, window: Window, wall: Option<Now>, latest: u64, now: Moment) {
        let (depth, missing) = self.fill.gauge(now);
        let missing = self.size.units(missing.min(depth));
        self.size.window = nanos(window.length());
        self.draw = Draw::new(window.length());
        self.fill = Fill::full(&window, self.part(), wall);
        self.window = window;
        self.fill.empty(latest);
        self.fill.charge(missing, latest, now);
    }

    fn rescale(&mut self, amount: u64, latest: u64, now: Moment) {
        self.size.amount = amount;
        self.resize(latest, now);
    }

    fn resize(&mut self, latest: u64, now: Moment) {
        self.fill.turn(latest, now);
        self.fill.resize(&self.window, self.part(), latest, now);
    }

    /// The size of what is ours.
    fn part(&self) -> Size {
        Size { amount: self.draw.part().part_of(self.size.amount), ..self.size }
    }

    /// Goes back to what is written, or to knowing nothing. The level that was told goes with the
    /// rest: nothing counts as taken.
    pub(super) fn forget(&mut self, latest: u64) {
        self.told.forget();
        self.size.amount = self.configured.unwrap_or(MAX_AMOUNT);
        self.fill.resize(&self.window, self.part(), latest, Moment::ZERO);
        self.fill.empty(latest);
        self.draw.forget();
    }

    /// How much is left, of 1,024; none when in debt. What comes back all at once is weighed against
    /// the time until then: what is not used before is lost.
    pub(super) fn free(&self, pending: u64, now: Moment) -> u32 {
        let (depth, missing) = self.gauge(pending, now);
        let ends = self.fill.ends().filter(|ends| *ends > now);
        let time = ends.map_or(depth, |ends| nanos(ends.since(now)).min(depth));
        per_1024(depth.saturating_sub(missing), time)
    }

    /// What is told of it.
    pub(super) fn level(&self, pending: u64, now: Moment) -> Level {
        let (depth, missing) = self.gauge(pending, now);
        let left = depth.saturating_sub(missing);
        Level {
            measure: self.measure,
            window: self.length(),
            level: 1.0 - ratio(missing, depth),
            configured: self.configured,
            learned: self.told.anything().then_some(self.told.limit),
            exhausted_in: self.draw.empty_in(left, self.fill.ends(), now),
            replicas: self.draw.replicas(),
        }
    }

    /// Units that are missing.
    pub(super) fn used(&self, now: Moment) -> u64 {
        self.fill.used(now)
    }

    /// When all of it comes back at once, where it does.
    pub(super) fn ends(&self) -> Option<Moment> {
        self.fill.ends()
    }

    /// Whether its windows end with the calendar's.
    pub(super) const fn is_dated(&self) -> bool {
        matches!(self.window, Window::Calendar(..))
    }

    /// Its present window begins, if it has not yet.
    pub(super) fn begin(&mut self, latest: u64, now: Moment) {
        self.fill.turn(latest, now);
    }

    /// That much was used `elapsed` ago, in a window that ends at `ends` if at once: as far as that
    /// has not come back and is more than is counted, it is missing. Returns whether it is.
    pub(super) fn restore(
        &mut self,
        used: u64,
        elapsed: Duration,
        ends: Option<Moment>,
        latest: u64,
        now: Moment,
    ) -> bool {
        // More than a window's worth of debt is nobody's.
        let used = used.min(self.size.amount.saturating_mul(2));
        let back = if self.fill.ends().or(ends).is_some() { 0 } else { nanos(elapsed) };
        let left = used.saturating_sub(self.part().units_down(back));
        let Some(more) = left.checked_sub(self.fill.used(now)).filter(|more| *more > 0) else {
            return false;
        };
        self.fill.charge(more, latest, now);
        if let Some(ends) = ends {
            self.fill.end_at(ends);
        }
        true
    }

    /// How much it holds, and how much of that is missing or about to be.
    fn gauge(&self, pending: u64, now: Moment) -> (u64, u64) {
        let (depth, missing) = self.fill.gauge(now);
        let pending = if self.metered() { self.size.nanos(pending) } else { 0 };
        (depth.max(1), missing.saturating_add(pending))
    }
}

/// `part` of `whole`, of 1,024.
pub(super) fn per_1024(part: u64, whole: u64) -> u32 {
    let share = u128::from(part) * u128::from(FREE) / u128::from(whole.max(1));
    u32::try_from(share).unwrap_or(FREE).min(FREE)
}

/// Nothing was taken.
pub(super) const FREE: u32 = 1 << 10;

#[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "what others took, as far as it can be told")]
fn in_units(nanos: i64, unit: u64) -> f64 {
    nanos as f64 / unit.max(1) as f64
}

pub(super) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
