//! The pool of one provider: its keys, their quota groups, and all that is known of them.

use crate::clock::{Moment, Now};
use crate::formats::{Sample, Usage};
use crate::limits::{self, Account, Cost, Demand, Kinship, Terms};

use smallvec::SmallVec;

use super::bits::{Bits, Weights};
use super::counted::Counted;
use super::group::Common;
use super::groups::Groups;
use super::models::{ModelId, Models};
use super::rack::Rack;
use super::report::Event;
use super::spec::Spec;

/// The keys of one provider, the quota groups they draw on, and all that is known of them.
///
/// Workers share one behind a lock that is held for one call at a time. A request's way through it:
/// [`choose`](Self::choose) → ([`observe`](Self::observe), [`report`](Self::report)) for every
/// answer → exactly one of [`cancel`](Self::cancel), [`settle`](Self::settle) and
/// [`forfeit`](Self::forfeit). Each of these can let a waiting request go; ask again after them.
#[derive(Debug, Default)]
pub struct Pool {
    pub(super) spec: Spec,
    pub(super) rack: Rack,
    pub(super) groups: Groups,
    pub(super) group_weights: Weights,
    pub(super) models: Models,
    /// Who may use what: those that the keys name, and everybody else.
    pub(super) callers: Vec<(Box<str>, Access)>,
    pub(super) anyone: Access,
    pub(super) in_flight: u64,
    /// What the wall's clock read when somebody last said.
    wall: Option<Now>,
    /// What was counted before the process began, for limits that nobody has asked for yet.
    pub(super) counted: Counted,
    kinship: Kinship,
    /// Groups looked at for the latest choice: what a choice costs.
    pub(super) looked: u32,
}

/// Keys that somebody may use, and the groups that have one of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Access {
    pub(super) keys: Bits,
    pub(super) groups: Bits,
}

/// A key for as long as it is in the pool. It stays the same across a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId {
    pub(super) slot: u8,
    pub(super) generation: u32,
}

/// A quota group for as long as it is in the pool. It stays the same across a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId {
    pub(super) slot: u8,
    pub(super) generation: u32,
}

/// A key chosen for a request, and the capacity taken for it.
///
/// It is a value: whoever drops it leaves its cost charged and its place taken, so hand it back.
#[derive(Debug)]
#[must_use = "a reservation is cancelled, settled or forfeited"]
pub struct Reservation {
    pub(super) key: KeyId,
    pub(super) group: GroupId,
    pub(super) model: ModelId,
    pub(super) own: limits::Reservation,
    /// What was taken from limits that several models share.
    pub(super) common: Vec<(u32, limits::Reservation)>,
    pub(super) probe: Probe,
}

/// Whether a request finds out if something can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is as good as any.
    No,
    /// Its key, group or model was closed, and this request tries it: expect it to fail.
    Yes,
}

/// How a reservation ends.
#[derive(Clone, Copy, Debug)]
enum End<'a> {
    Unsent,
    Cost(&'a Cost),
    Unknown,
}

impl Pool {
    /// A pool of those keys. Which of them were taken, and under which id, is told by
    /// [`rebuild`](Self::rebuild); begin with an empty pool to hear it.
    pub fn new(spec: Spec, now: Moment) -> Self {
        let mut pool = Self::default();
        pool.rebuild(spec, now);
        pool
    }

    /// What the wall's clock reads. Limits that end with a day or month of the calendar go by it, so it
    /// is to be told before such a pool is used, and every few minutes, for clocks are put right.
    pub fn set_wall(&mut self, now: Now) {
        self.wall = Some(now);
        for group in self.groups.touch_all() {
            group.set_wall(now);
        }
    }

    /// How its ledgers are kept.
    pub(super) const fn terms(&self) -> Terms {
        let Spec { learning, charging, sharing, .. } = self.spec;
        Terms { learning, charging, sharing, wall: self.wall }
    }

    /// The answer to that request carried these samples. To be called before it is settled.
    pub fn observe(
        &mut self,
        reservation: &Reservation,
        samples: &[Sample],
        now: Moment,
    ) -> Option<Event> {
        let model = reservation.model;
        self.models.live(model)?;
        let group = self.groups.live(reservation.group)?;
        let mut own_samples: SmallVec<[Sample; 4]> = SmallVec::new();
        for sample in samples {
            let own = group.cell(model.slot).is_some_and(|cell| cell.ledger.counts(sample));
            let shared = reservation.common.iter().find_map(|(id, part)| {
                let fits = |common: &Common| common.id == *id && common.ledger.counts(sample);
                Some((group.common.iter().position(fits)?, part))
            });
            // What no limit is known to count is this model's own.
            if let Some((index, part)) = shared.filter(|_| !own) {
                if let Some(common) = group.common.get_mut(index) {
                    common.ledger.observe(part, &[*sample], now);
                }
            } else {
                own_samples.push(*sample);
            }
        }
        let cell = group.cell_mut(model.slot)?;
        let drift = cell.ledger.observe(&reservation.own, &own_samples, now)?;
        let other = self.kinship.observed(reservation.account(), &drift)?;
        let other = self.groups.id(u8::try_from(other).ok()?)?;
        Some(Event::SharedQuota(reservation.group, other))
    }

    /// So many output tokens of that request have been seen so far. To be called now and then while
    /// an answer streams: what goes beyond its reservation is charged at once.
    pub fn flow(&mut self, reservation: &mut Reservation, output: u64, now: Moment) {
        let model = self.model_name(reservation.model);
        let so_far = self.spec.charging.flowed(model, reservation.cost(), output);
        let known = self.models.live(reservation.model).is_some();
        let Some(group) = self.groups.live(reservation.group) else { return };
        for (id, part) in &mut reservation.common {
            if let Some(common) = group.common.iter_mut().find(|common| common.id == *id) {
                common.ledger.flow(part, &so_far, now);
            }
        }
        if let Some(cell) = group.cell_mut(reservation.model.slot).filter(|_| known) {
            cell.ledger.flow(&mut reservation.own, &so_far, now);
        }
    }

    /// The first byte of that request's streamed answer came. Where headers say nothing, how long it
    /// took tells whether the provider has more to do than it can. Not to be called for an answer
    /// that is not streamed: that takes as long as it is long.
    pub fn first_byte(&mut self, reservation: &Reservation, now: Moment) {
        let known = self.models.live(reservation.model).is_some();
        let Some(group) = self.groups.live(reservation.group) else { return };
        if let Some(cell) = group.cell_mut(reservation.model.slot).filter(|_| known) {
            cell.ledger.began(&reservation.own, now);
        }
    }

    /// A request was sent.
    pub(super) fn watch(&mut self, account: Account, cost: &Cost, now: Moment) {
        self.kinship.sent(account, cost, now);
    }

    /// That slot is another group's from now on.
    pub(super) fn forget_group(&mut self, slot: u8) {
        self.kinship.forget_group(slot.into());
    }

    /// What a request of that model will take from the provider's limits.
    pub fn cost(&self, model: &str, demand: &Demand) -> Cost {
        self.spec.charging.reserve(model, demand)
    }

    /// What that request is charged, now that its usage is known.
    pub fn charged(&self, reservation: &Reservation, usage: &Usage) -> Cost {
        let model = self.model_name(reservation.model);
        self.spec.charging.settle(model, reservation.cost(), usage)
    }

    /// It was never sent: everything goes back.
    pub fn cancel(&mut self, reservation: Reservation, now: Moment) {
        self.end(reservation, End::Unsent, now);
    }

    /// It ended and cost that much. A request that was refused is settled with [`Cost::REQUEST`].
    pub fn settle(&mut self, reservation: Reservation, actual: &Cost, now: Moment) {
        self.end(reservation, End::Cost(actual), now);
    }

    /// It was sent, and nobody knows what it cost: all of it is charged.
    pub fn forfeit(&mut self, reservation: Reservation, now: Moment) {
        self.end(reservation, End::Unknown, now);
    }

    fn end(&mut self, reservation: Reservation, end: End<'_>, now: Moment) {
        let Reservation { key, group: id, model, own, common, .. } = reservation;
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.key(key).is_some() {
            self.rack.release(key.slot, own.at(), now);
        }
        let known = self.models.live(model).is_some();
        let Some(group) = self.groups.live(id) else { return };
        for (id, part) in common {
            if let Some(common) = group.common.iter_mut().find(|common| common.id == id) {
                close(&mut common.ledger, part, end, now);
            }
        }
        if known {
            if group.release(model.slot, own.at()) {
                self.models.reopen(id.slot);
            }
            if let Some(cell) = group.cell_mut(model.slot) {
                close(&mut cell.ledger, own, end, now);
            }
        }
    }

    /// The name of a key, as long as it is in the pool.
    pub fn key_name(&self, key: KeyId) -> Option<&str> {
        self.key(key).map(|key| &*key.name)
    }

    /// The name of a group, as long as it is in the pool.
    pub fn group_name(&self, group: GroupId) -> Option<&str> {
        let found = self.groups.get(group.slot);
        found.filter(|found| found.generation == group.generation).map(|found| &*found.name)
    }

    /// The name of a model, as long as it is in the table.
    fn model_name(&self, id: ModelId) -> &str {
        let model = self.models.get(id.slot).filter(|model| model.generation == id.generation);
        model.map_or("", |model| &*model.name)
    }

    /// Requests under way.
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// How many quota groups it has.
    pub fn groups(&self) -> usize {
        self.groups.iter().count()
    }

    fn key(&self, id: KeyId) -> Option<&super::rack::Key> {
        self.rack.get(id.slot).filter(|key| key.generation == id.generation)
    }

    pub(super) fn has_key(&self, id: KeyId) -> bool {
        self.key(id).is_some()
    }
}

/// What one model of one group counts together.
pub(super) fn account(group: u8, model: u8) -> Account {
    Account { group: group.into(), model: model.into() }
}

fn close(ledger: &mut limits::Ledger, part: limits::Reservation, end: End<'_>, now: Moment) {
    match end {
        End::Unsent => ledger.cancel(part, now),
        End::Cost(actual) => ledger.settle(part, actual, now),
        End::Unknown => ledger.forfeit(part, now),
    }
}

impl KeyId {
    /// Below 256, and no other key of the pool's at the time: for tables kept beside it.
    pub const fn index(self) -> usize {
        self.slot as usize
    }
}

impl GroupId {
    /// Below 256, and no other group of the pool's at the time: for tables kept beside it.
    pub const fn index(self) -> usize {
        self.slot as usize
    }
}

impl Reservation {
    /// The key to put on the request.
    pub const fn key(&self) -> KeyId {
        self.key
    }

    /// The quota group that it draws on.
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Whether it tries something that was closed.
    pub const fn probe(&self) -> Probe {
        self.probe
    }

    fn account(&self) -> Account {
        account(self.group.slot, self.model.slot)
    }

    /// What is taken for it so far.
    pub const fn cost(&self) -> &Cost {
        self.own.cost()
    }

    /// When it was taken.
    pub const fn at(&self) -> Moment {
        self.own.at()
    }
}
