//! The limits that are drawn on together: all or nothing.

use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::{Moment, Now};
use crate::formats::Dimension;

use super::charging::Charging;
use super::hold::Holds;
use super::level::{Level, limit_name};
use super::limit::{FREE, Limit, Short, Taken, per_1024, ratio};
use super::rule::{Cost, Learning, Measure, Rule};
use super::share::{Share, Sharing};
use super::steering::Steering;

/// The limits of one quota group on one model, or on several models together, or those of a caller.
///
/// One step checks and takes from all of them or from none. What is taken is a [`Reservation`], and
/// each ends in exactly one of [`cancel`](Self::cancel) (it was never sent),
/// [`settle`](Self::settle) (this is what it cost) and [`forfeit`](Self::forfeit) (nobody knows).
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) limits: Vec<Limit>,
    concurrency: Option<u64>,
    pub(super) steering: Steering,
    in_flight: u64,
    /// Output reserved, and neither flowed nor settled yet.
    pending: u64,
    /// All that was ever taken, wrapping: the difference to an earlier value is what was sent since.
    pub(super) sent: Cost,
    /// The number of the newest charge.
    pub(super) seq: u64,
    holds: Holds,
    /// How long a request is under way, smoothed.
    turnover: Duration,
    pub(super) terms: Terms,
}

/// How a ledger is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Whether what is written is only the prior.
    pub learning: Learning,
    /// In what windows the provider counts what only its headers tell of.
    pub charging: Charging,
    /// Who else draws on the same limits.
    pub sharing: Sharing,
    /// What the wall's clock reads, for windows that end with the calendar's; see
    /// [`Ledger::set_wall`].
    pub wall: Option<Now>,
}

/// What was taken from a ledger for one request. It is a value: whoever drops it without settling
/// leaves its cost charged and its place in the concurrency taken, so hand it back.
#[derive(Debug)]
#[must_use = "a reservation is cancelled, settled or forfeited"]
pub struct Reservation {
    /// What it is charged so far.
    pub(super) cost: Cost,
    pub(super) at: Moment,
    pub(super) seq: u64,
    pub(super) sent: Cost,
    pub(super) marks: SmallVec<[u64; MARKS]>,
    /// Output that is charged, because it has flowed.
    flowed: u64,
    /// Output that is expected still.
    pending: u64,
    /// Requests under way when it was sent, itself included.
    pub(super) in_flight: u64,
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

/// Limits of one ledger at most: every measure and window that can be written down.
pub(super) const MAX_LIMITS: usize = 24;
/// Limits whose prediction a reservation carries along; further ones learn less precisely.
const MARKS: usize = 4;
/// Bounds of the guess when a place will be free.
const PLACE_SOON: Duration = Duration::from_millis(10);
const PLACE_LATE: Duration = Duration::from_secs(10);

impl Ledger {
    /// A ledger with these rules, all of them full. Two rules of one measure and window count as
    /// the smaller.
    pub fn new(rules: &[Rule], terms: impl Into<Terms>) -> Self {
        let mut ledger = Self {
            limits: Vec::new(),
            concurrency: None,
            steering: Steering::default(),
            in_flight: 0,
            pending: 0,
            sent: Cost::default(),
            seq: 0,
            holds: Holds::default(),
            turnover: Duration::ZERO,
            terms: terms.into(),
        };
        ledger.revise(rules, ledger.terms, Moment::ZERO);
        ledger
    }

    /// The configuration changed. Levels, holds and what was learned stay.
    pub fn revise(&mut self, rules: &[Rule], terms: impl Into<Terms>, now: Moment) {
        self.terms = terms.into();
        let Terms { learning, sharing, wall, .. } = self.terms;
        self.concurrency = None;
        let mut written: Vec<Limit> = Vec::new();
        for rule in rules {
            if rule.measure == Measure::Concurrency {
                let amount = rule.amount.max(1);
                self.concurrency = Some(self.concurrency.map_or(amount, |c| c.min(amount)));
                continue;
            }
            let fresh = Limit::configured(rule, learning, wall);
            match written.iter_mut().find(|limit| limit.same(&fresh)) {
                Some(limit) if limit.amount() <= fresh.amount() => {}
                Some(limit) => *limit = fresh,
                None => written.push(fresh),
            }
        }
        let seq = self.next_seq();
        for limit in &mut self.limits {
            let amount = written.iter().find(|fresh| fresh.same(limit)).map(Limit::amount);
            limit.reconfigure(amount, learning, seq, now);
        }
        for fresh in written {
            let known = self.limits.iter().any(|limit| limit.same(&fresh));
            if !known && self.limits.len() < MAX_LIMITS {
                self.limits.push(fresh);
            }
        }
        self.set_sharing(sharing, now);
    }

    /// Others draw on the same limits, or do not any more. The part that a coordinator grants is
    /// handed in here, too. Levels and what was learned stay.
    pub fn set_sharing(&mut self, sharing: Sharing, now: Moment) {
        self.terms.sharing = sharing;
        let seq = self.next_seq();
        for limit in &mut self.limits {
            limit.share(sharing, seq, now);
        }
    }

    /// What the wall's clock reads now. Windows of the calendar end by it; everything else goes by the
    /// monotonic clock alone. To be called once before such a window is used, and now and then, for a
    /// wall's clock is put right from time to time.
    pub fn set_wall(&mut self, now: Now) {
        self.terms.wall = Some(now);
        for limit in &mut self.limits {
            limit.set_wall(now);
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
        for limit in &mut self.limits {
            let units = cost.in_measure(limit.measure);
            match limit.check(units, self.pending, self.seq, now) {
                Ok(()) => {}
                Err(Short::Oversized) => {
                    let binding = Binding::Limit(limit.measure, limit.length());
                    return Err(Blocked::Oversized(binding));
                }
                Err(Short::Until(until)) if until > worst.0 => {
                    worst = (until, Binding::Limit(limit.measure, limit.length()));
                }
                Err(Short::Until(_)) => {}
            }
        }
        if let Some(until) = self.place_free_at(now).filter(|until| *until > worst.0) {
            worst = (until, Binding::Limit(Measure::Concurrency, Duration::ZERO));
        }
        if worst.0 > now { Err(Blocked::Until(worst.0, worst.1)) } else { Ok(()) }
    }

    /// When a place is likely to be free; `None` if one is.
    fn place_free_at(&self, now: Moment) -> Option<Moment> {
        let places = self.places(now)?;
        if self.in_flight < places {
            return None;
        }
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        Some(now + (self.turnover / places).clamp(PLACE_SOON, PLACE_LATE))
    }

    /// Requests that may be under way at once, at least one: what is written and, where nothing else
    /// tells how much the provider can take, what it has shown to carry.
    fn places(&self, now: Moment) -> Option<u64> {
        let written = self.concurrency.map(|places| self.share().part_of(places));
        let steered = self.steering.places().filter(|_| !self.is_told(now));
        written.into_iter().chain(steered).min()
    }

    /// Whether the provider's headers tell of its limits.
    fn is_told(&self, now: Moment) -> bool {
        self.limits.iter().any(|limit| limit.told.is_fresh(now))
    }

    const fn share(&self) -> Share {
        match self.terms.sharing {
            Sharing::Part(share) => share,
            Sharing::Learned | Sharing::Floor(_) => Share::WHOLE,
        }
    }

    /// Takes without checking: for probes, and after a check of several ledgers.
    pub fn take(&mut self, cost: &Cost, now: Moment) -> Reservation {
        self.seq += 1;
        self.sent = self.sent.wrapping_add(*cost);
        self.in_flight += 1;
        self.pending = self.pending.saturating_add(cost.output);
        let mut marks = SmallVec::new();
        for limit in &mut self.limits {
            limit.take(cost.in_measure(limit.measure), self.seq, now);
            if marks.len() < MARKS {
                marks.push(limit.mark());
            }
        }
        Reservation {
            cost: *cost,
            at: now,
            seq: self.seq,
            sent: self.sent,
            marks,
            flowed: 0,
            pending: cost.output,
            in_flight: self.in_flight,
        }
    }

    /// A request that is under way has cost at least `so_far`. Output counts as it flows, where it is
    /// metered; what goes beyond its reservation is charged at once.
    pub fn flow(&mut self, reservation: &mut Reservation, so_far: &Cost, now: Moment) {
        let latest = self.next_seq();
        let output = so_far.output.saturating_sub(reservation.flowed);
        for limit in &mut self.limits {
            let more = if limit.metered() {
                output
            } else {
                let reserved = reservation.cost.in_measure(limit.measure);
                so_far.in_measure(limit.measure).saturating_sub(reserved)
            };
            limit.charge(more, latest, now);
        }
        let expected = output.min(reservation.pending);
        reservation.pending -= expected;
        self.pending = self.pending.saturating_sub(expected);
        reservation.flowed += output;
        reservation.cost = reservation.cost.max(so_far);
    }

    /// It was never sent: everything goes back.
    pub fn cancel(&mut self, reservation: Reservation, now: Moment) {
        self.close(reservation, &Cost::default(), now);
    }

    /// It ended, and cost `actual`. What was reserved beyond that goes back, what was used beyond
    /// the reservation is charged; where the provider has told its own figure since, that holds.
    pub fn settle(&mut self, reservation: Reservation, actual: &Cost, now: Moment) {
        self.turnover = (self.turnover * 7 + now.since(reservation.at)) / 8;
        for limit in &mut self.limits {
            limit.answered();
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
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pending = self.pending.saturating_sub(reservation.pending);
        let latest = self.next_seq();
        for limit in &mut self.limits {
            let taken = reservation.taken_from(limit);
            limit.settle(taken, actual.in_measure(limit.measure), latest, now);
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
        let concerned = |limit: &&mut Limit| dimension.is_none_or(|d| limit.counts(d));
        for limit in self.limits.iter_mut().filter(concerned) {
            limit.recede(now);
        }
        if let (Learning::On, Some(dimension), Some(retry_at)) =
            (self.terms.learning, dimension, retry_at)
        {
            let fits = |limit: &&mut Limit| limit.counts(dimension) && limit.known();
            let limit = self.limits.iter_mut().filter(fits).min_by_key(|limit| limit.length());
            if let Some(limit) = limit {
                limit.refused(reservation.taken_from(limit), retry_at, now);
            }
        }
        if dimension.is_none() && retry_at.is_none() {
            // No rate that it would name: it may be the number at once.
            self.steering.refused(reservation.at, reservation.in_flight, now);
        }
        self.holds.set(dimension, retry_at, reservation.at, now, random)
    }

    /// The provider carried that request.
    pub fn carried(&mut self, reservation: &Reservation, now: Moment) {
        self.holds.carried(reservation.at);
        self.steering.carried(reservation.in_flight, now);
    }

    /// The first byte of that request's streamed answer came: how long it took tells whether the
    /// provider has more to do than it can. (Of an answer that is not streamed it tells how long the
    /// answer is.)
    pub fn began(&mut self, reservation: &Reservation, now: Moment) {
        self.steering.began(now.since(reservation.at), reservation.in_flight, now);
    }

    /// The provider said that it has too much to do for that request.
    pub fn overloaded(&mut self, reservation: &Reservation, now: Moment) {
        self.steering.refused(reservation.at, reservation.in_flight, now);
    }

    /// The provider failed that request.
    pub fn failed(&mut self, reservation: &Reservation, now: Moment) {
        self.steering.failed(reservation.at, reservation.in_flight, now);
    }

    /// Until when refusals hold back a request of that cost; the past if they do not.
    pub fn held_until(&self, cost: &Cost) -> Moment {
        self.holds.until(cost).0
    }

    /// How much of the scarcest limit is left, of 1,024.
    pub fn free(&self, now: Moment) -> u32 {
        let free_places = |all: u64| per_1024(all.saturating_sub(self.in_flight), all);
        let places = self.places(now).map_or(FREE, free_places);
        let known = self.limits.iter().filter(|limit| limit.known());
        known.map(|limit| limit.free(self.pending, now)).fold(places, u32::min)
    }

    /// Requests under way.
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The state of each limit.
    pub fn levels(&self, now: Moment) -> impl Iterator<Item = Level> {
        let concurrency = self.places(now).map(|places| Level {
            measure: Measure::Concurrency,
            window: Duration::ZERO,
            level: 1.0 - ratio(self.in_flight, places),
            configured: self.concurrency,
            learned: self.steering.places().filter(|_| !self.is_told(now)),
            exhausted_in: None,
            replicas: self.share().replicas(),
        });
        let known = self.limits.iter().filter(|limit| limit.known());
        known.map(move |limit| limit.level(self.pending, now)).chain(concurrency)
    }

    pub(super) const fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
}

impl Terms {
    /// Both clocks at that moment, if anybody has said what the wall's reads.
    pub fn now(&self, at: Moment) -> Option<Now> {
        self.wall.map(|wall| Now { at, wall: wall.wall_at(at) })
    }
}

impl From<Learning> for Terms {
    /// A provider that charges as most do, and nothing is known of others.
    fn from(learning: Learning) -> Self {
        Self { learning, ..Self::default() }
    }
}

impl Reservation {
    /// When it was taken.
    pub const fn at(&self) -> Moment {
        self.at
    }

    /// What is taken for it so far.
    pub const fn cost(&self) -> &Cost {
        &self.cost
    }

    fn taken_from(&self, limit: &Limit) -> Taken {
        let units = if limit.metered() { self.flowed } else { self.cost.in_measure(limit.measure) };
        Taken { units, seq: self.seq, at: self.at }
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
