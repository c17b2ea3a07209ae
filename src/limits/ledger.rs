//! The limits that are drawn on together: all or nothing.

use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::Moment;
use crate::formats::Dimension;

use super::bucket::{Bucket, Short};
use super::hold::Holds;
use super::level::{Level, limit_name};
use super::rule::{Cost, Learning, Measure, Rule};

/// The limits of one quota group on one model, or on several models together.
///
/// One step checks and takes from all of them or from none. What is taken is a [`Reservation`], and
/// each ends in exactly one of [`cancel`](Self::cancel) (it was never sent),
/// [`settle`](Self::settle) (this is what it cost) and [`forfeit`](Self::forfeit) (nobody knows).
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) buckets: Vec<Bucket>,
    pub(super) concurrency: Option<u64>,
    pub(super) in_flight: u64,
    /// Output reserved and not settled yet.
    pub(super) pending: u64,
    /// All that was ever taken, wrapping: the difference to an earlier value is what was sent since.
    pub(super) sent: Cost,
    /// The number of the newest charge.
    pub(super) seq: u64,
    holds: Holds,
    /// How long a request is under way, smoothed.
    pub(super) turnover: Duration,
    pub(super) learning: Learning,
}

/// What was taken from a ledger for one request. It is a value: whoever drops it without settling
/// leaves its cost charged and its place in the concurrency taken, so hand it back.
#[derive(Debug)]
#[must_use = "a reservation is cancelled, settled or forfeited"]
pub struct Reservation {
    pub(super) cost: Cost,
    pub(super) at: Moment,
    pub(super) seq: u64,
    pub(super) sent: Cost,
    pub(super) marks: SmallVec<[u64; MARKS]>,
}

/// Why a ledger cannot carry a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Not now: if nothing else changes, at that moment it can.
    Until(Moment, Binding),
    /// Never: it is larger than that limit can ever hold.
    Oversized(Binding),
}

/// The limit that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A limit of that measure and window.
    Limit(Measure, Duration),
    /// The provider said to wait, for one dimension or for all.
    Held(Option<Dimension>),
}

/// Buckets of one ledger at most: every measure and window that can be written down.
pub(super) const MAX_BUCKETS: usize = 20;
/// Buckets whose prediction a reservation carries along; further ones learn less precisely.
const MARKS: usize = 4;
/// How far [`Ledger::free`] counts.
const FREE: u32 = 1 << 10;

impl Ledger {
    /// A ledger with these rules, all of them full. Two rules of one measure and window count as
    /// the smaller.
    pub fn new(rules: &[Rule], learning: Learning) -> Self {
        let mut ledger = Self {
            buckets: Vec::new(),
            concurrency: None,
            in_flight: 0,
            pending: 0,
            sent: Cost::default(),
            seq: 0,
            holds: Holds::default(),
            turnover: Duration::ZERO,
            learning,
        };
        ledger.revise(rules, learning, Moment::ZERO);
        ledger
    }

    /// The configuration changed. Levels, holds and what was learned stay.
    pub fn revise(&mut self, rules: &[Rule], learning: Learning, now: Moment) {
        self.learning = learning;
        self.concurrency = None;
        let mut written: Vec<Bucket> = Vec::new();
        for rule in rules {
            match rule.measure {
                Measure::Concurrency => {
                    let amount = rule.amount.max(1);
                    self.concurrency = Some(self.concurrency.map_or(amount, |c| c.min(amount)));
                }
                Measure::Of(dimension) => {
                    let fresh = Bucket::configured(dimension, rule, learning);
                    match written.iter_mut().find(|bucket| bucket.same(&fresh)) {
                        Some(bucket) if bucket.amount() <= fresh.amount() => {}
                        Some(bucket) => *bucket = fresh,
                        None => written.push(fresh),
                    }
                }
            }
        }
        let seq = self.next_seq();
        for bucket in &mut self.buckets {
            let amount = written.iter().find(|fresh| fresh.same(bucket)).map(Bucket::amount);
            bucket.reconfigure(amount, learning, seq, now);
        }
        for fresh in written {
            let known = self.buckets.iter().any(|bucket| bucket.same(&fresh));
            if !known && self.buckets.len() < MAX_BUCKETS {
                self.buckets.push(fresh);
            }
        }
    }

    /// Checks all limits and takes from all of them, or takes nothing and says why.
    pub fn reserve(&mut self, cost: &Cost, now: Moment) -> Result<Reservation, Blocked> {
        self.check(cost, now)?;
        Ok(self.take(cost, now))
    }

    /// Whether a request of that cost could be sent now. Where several limits are in the way, the
    /// one that frees last is told.
    pub fn check(&mut self, cost: &Cost, now: Moment) -> Result<(), Blocked> {
        let (until, dimension) = self.holds.until(cost);
        let mut worst = (until, Binding::Held(dimension));
        for bucket in &mut self.buckets {
            let units = cost.of(bucket.dimension);
            let binding = Binding::Limit(Measure::Of(bucket.dimension), bucket.window());
            match bucket.check(units, self.pending, self.seq, now) {
                Err(Short::Oversized) => return Err(Blocked::Oversized(binding)),
                Err(Short::Until(until)) if until > worst.0 => worst = (until, binding),
                Ok(()) | Err(Short::Until(_)) => {}
            }
        }
        if let Some(until) = self.place_free_at(now).filter(|until| *until > worst.0) {
            worst = (until, Binding::Limit(Measure::Concurrency, Duration::ZERO));
        }
        if worst.0 > now { Err(Blocked::Until(worst.0, worst.1)) } else { Ok(()) }
    }

    /// When a place is likely to be free; `None` if one is.
    fn place_free_at(&self, now: Moment) -> Option<Moment> {
        let limit = self.concurrency?;
        if self.in_flight < limit {
            return None;
        }
        let places = u32::try_from(limit).unwrap_or(u32::MAX);
        Some(now + (self.turnover / places).clamp(PLACE_SOON, PLACE_LATE))
    }

    /// Takes without checking: for probes, and after a check of several ledgers.
    pub fn take(&mut self, cost: &Cost, now: Moment) -> Reservation {
        self.seq += 1;
        self.sent = self.sent.wrapping_add(*cost);
        self.in_flight += 1;
        self.pending = self.pending.saturating_add(cost.output);
        let mut marks = SmallVec::new();
        for bucket in &mut self.buckets {
            bucket.take(cost.of(bucket.dimension), self.seq, now);
            if marks.len() < MARKS {
                marks.push(bucket.mark());
            }
        }
        Reservation { cost: *cost, at: now, seq: self.seq, sent: self.sent, marks }
    }

    /// It was never sent: everything goes back.
    pub fn cancel(&mut self, reservation: Reservation, now: Moment) {
        self.close(reservation, &Cost::default(), now);
    }

    /// It ended, and cost `actual`. What was reserved beyond that goes back, what was used beyond
    /// the reservation is charged; where the provider has told its own figure since, that holds.
    pub fn settle(&mut self, reservation: Reservation, actual: &Cost, now: Moment) {
        self.turnover = (self.turnover * 7 + now.since(reservation.at)) / 8;
        for bucket in &mut self.buckets {
            bucket.answered();
        }
        self.close(reservation, actual, now);
    }

    /// It was sent, and nobody knows what it cost: all that was reserved is charged.
    pub fn forfeit(&mut self, reservation: Reservation, now: Moment) {
        let cost = reservation.cost;
        self.settle(reservation, &cost, now);
    }

    #[expect(clippy::needless_pass_by_value, reason = "a reservation is closed once")]
    fn close(&mut self, reservation: Reservation, actual: &Cost, now: Moment) {
        let Reservation { cost: reserved, seq, .. } = reservation;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pending = self.pending.saturating_sub(reserved.output);
        let latest = self.next_seq();
        for bucket in &mut self.buckets {
            let (reserved, actual) = (reserved.of(bucket.dimension), actual.of(bucket.dimension));
            bucket.settle(reserved, actual, seq, latest, now);
        }
    }

    /// The provider refused that request for a rate limit. Nothing that costs any of `dimension`
    /// (nothing at all, where it is not known) passes before the moment returned: `retry_at` and a
    /// jitter of a second at most, or a growing while where the provider did not say.
    pub fn refuse(
        &mut self,
        reservation: &Reservation,
        dimension: Option<Dimension>,
        retry_at: Option<Moment>,
        now: Moment,
        random: u64,
    ) -> Moment {
        if let (Learning::On, Some(dimension), Some(retry_at)) =
            (self.learning, dimension, retry_at)
        {
            let fits = |b: &&mut Bucket| b.dimension == dimension && b.known();
            let bucket = self.buckets.iter_mut().filter(fits).min_by_key(|b| b.window());
            if let Some(bucket) = bucket {
                let units = reservation.cost.of(dimension);
                bucket.refused(units, reservation.seq, retry_at, now);
            }
        }
        self.holds.set(dimension, retry_at, reservation.at, now, random)
    }

    /// The provider carried that request.
    pub fn carried(&mut self, reservation: &Reservation) {
        self.holds.carried(reservation.at);
    }

    /// Until when refusals hold back a request of that cost; the past if they do not.
    pub fn held_until(&self, cost: &Cost) -> Moment {
        self.holds.until(cost).0
    }

    /// How much of the scarcest limit is left, of 1,024.
    pub fn free(&self, now: Moment) -> u32 {
        let places = self
            .concurrency
            .map_or(FREE, |limit| share(limit.saturating_sub(self.in_flight), limit));
        self.buckets
            .iter()
            .filter(|bucket| bucket.known())
            .map(|bucket| bucket.free(self.pending, now))
            .fold(places, u32::min)
    }

    /// Requests under way.
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The state of each limit.
    pub fn levels(&self, now: Moment) -> impl Iterator<Item = Level> {
        let concurrency = self.concurrency.map(|limit| Level {
            measure: Measure::Concurrency,
            window: Duration::ZERO,
            level: 1.0 - ratio(self.in_flight, limit),
            configured: Some(limit),
            learned: None,
        });
        let buckets = self.buckets.iter().filter(|bucket| bucket.known());
        buckets.map(move |bucket| bucket.level(self.pending, now)).chain(concurrency)
    }

    pub(super) const fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
}

/// Bounds of the guess when a place will be free.
const PLACE_SOON: Duration = Duration::from_millis(10);
const PLACE_LATE: Duration = Duration::from_secs(10);

impl Reservation {
    /// When it was taken.
    pub const fn at(&self) -> Moment {
        self.at
    }

    /// What was taken.
    pub const fn cost(&self) -> &Cost {
        &self.cost
    }
}

impl Binding {
    /// The word for it in messages: as in the configuration, or the dimension that is held.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit(measure, window) => limit_name(measure, window),
            Self::Held(dimension) => dimension.map_or("rate limit", Dimension::as_str),
        }
    }
}

/// `part` of `whole`, of 1,024.
pub(super) fn share(part: u64, whole: u64) -> u32 {
    let share = part.saturating_mul(u64::from(FREE)) / whole.max(1);
    u32::try_from(share).unwrap_or(FREE).min(FREE)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
