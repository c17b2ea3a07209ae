//! What is kept of a quota group: for all of it, and for each model.

use smallvec::SmallVec;

use crate::clock::{Moment, Now};
use crate::limits::{Binding, Blocked, Cost, Holds, Ledger, Terms};

use super::circuit::Circuit;
use super::gate::{Cause, Door, Gate};
use super::spec::{LimitSpec, Pattern, Reach, rules_for};

/// One quota group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: Box<str>,
    pub(super) generation: u32,
    /// Closed by quota, billing and suspension.
    pub(super) gate: Gate,
    /// Rate limits of the whole group.
    pub(super) holds: Holds,
    /// Limits that several models draw on together.
    pub(super) common: Vec<Common>,
    next_common: u32,
    cells: Vec<Option<Box<Cell>>>,
}

/// A limit that several models draw on together.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) id: u32,
    pub(super) models: Vec<Pattern>,
    pub(super) ledger: Ledger,
}

/// What is kept of one model of one group.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) ledger: Ledger,
    /// Which of the group's common limits count it.
    pub(super) common: SmallVec<[u32; 2]>,
    /// Closed by a quota of this model alone.
    pub(super) quota: Gate,
    pub(super) circuit: Circuit,
}

/// Whether a group can carry a request now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    /// It can, with so much left of its scarcest limit, of 1,024.
    Open(u32),
    /// It can, and would be tried with it.
    Due,
    /// Not before that moment.
    Shut(Moment, Why),
    /// Never: it is larger than that limit.
    Oversized(Binding),
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) cause: Cause,
    /// The limit that decides, where it is one.
    pub(super) binding: Option<Binding>,
    /// Whether it is so whatever the request costs.
    pub(super) for_all: bool,
}

impl Group {
    pub(super) fn new(name: &str, generation: u32) -> Self {
        Self {
            name: name.into(),
            generation,
            gate: Gate::default(),
            holds: Holds::default(),
            common: Vec::new(),
            next_common: 0,
            cells: Vec::new(),
        }
    }

    /// The configuration changed.
    pub(super) fn revise(&mut self, limits: &[LimitSpec], terms: Terms, now: Moment) {
        let together = |limit: &&LimitSpec| limit.reach == Reach::Together;
        let name = &*self.name;
        let mut common = Vec::new();
        for limit in limits.iter().filter(together).filter(|limit| limit.holds_for(name)) {
            let same = self.common.iter().position(|common| common.models == limit.models);
            if let Some(mut kept) = same.map(|index| self.common.swap_remove(index)) {
                kept.ledger.revise(&limit.rules, terms, now);
                common.push(kept);
            } else {
                self.next_common += 1;
                let ledger = Ledger::new(&limit.rules, terms);
                common.push(Common { id: self.next_common, models: limit.models.clone(), ledger });
            }
        }
        self.common = common;
    }

    /// Makes the cell of a model, if there is none: then it is returned. `model` is its slot and its
    /// name.
    pub(super) fn make_cell(
        &mut self,
        model: (u8, &str),
        limits: &[LimitSpec],
        terms: Terms,
    ) -> Option<&mut Cell> {
        let index = usize::from(model.0);
        if self.cells.get(index).is_some_and(Option::is_some) {
            return None;
        }
        if self.cells.len() <= index {
            self.cells.resize_with(index + 1, || None);
        }
        let rules = rules_for(limits, &self.name, model.1);
        let cell = Cell {
            ledger: Ledger::new(&rules, terms),
            common: self.common_of(model.1),
            quota: Gate::default(),
            circuit: Circuit::default(),
        };
        let place = self.cells.get_mut(index)?;
        Some(place.insert(Box::new(cell)))
    }

    /// The configuration changed: so do the limits of this model.
    pub(super) fn revise_cell(
        &mut self,
        model: (u8, &str),
        limits: &[LimitSpec],
        terms: Terms,
        now: Moment,
    ) {
        let common = self.common_of(model.1);
        let rules = rules_for(limits, &self.name, model.1);
        if let Some(cell) = self.cell_mut(model.0) {
            cell.ledger.revise(&rules, terms, now);
            cell.common = common;
        }
    }

    /// What the wall's clock reads.
    pub(super) fn set_wall(&mut self, now: Now) {
        let own = self.cells.iter_mut().flatten().map(|cell| &mut cell.ledger);
        for ledger in own.chain(self.common.iter_mut().map(|common| &mut common.ledger)) {
            ledger.set_wall(now);
        }
    }

    fn common_of(&self, model: &str) -> SmallVec<[u32; 2]> {
        let counts = |common: &&Common| {
            common.models.is_empty() || common.models.iter().any(|p| p.matches(model))
        };
        self.common.iter().filter(counts).map(|common| common.id).collect()
    }

    pub(super) fn cell(&self, model: u8) -> Option<&Cell> {
        self.cells.get(usize::from(model))?.as_deref()
    }

    pub(super) fn cell_mut(&mut self, model: u8) -> Option<&mut Cell> {
        self.cells.get_mut(usize::from(model))?.as_deref_mut()
    }

    pub(super) fn forget_cell(&mut self, model: u8) {
        if let Some(place) = self.cells.get_mut(usize::from(model)) {
            *place = None;
        }
    }

    /// Whether a request of that cost can be carried now. Where several things are in the way, the
    /// one that ends last is told.
    pub(super) fn standing(&mut self, model: u8, cost: &Cost, now: Moment) -> Standing {
        let Self { gate, holds, common, cells, .. } = self;
        let Some(cell) = cells.get_mut(usize::from(model)).and_then(Option::as_deref_mut) else {
            return Standing::Open(FREE_UNKNOWN);
        };
        let mut due = false;
        let mut worst = Worst { until: now, why: None };
        for gate in [&*gate, &cell.quota, &cell.circuit.gate] {
            match gate.door(now) {
                Door::Open => {}
                Door::Due => due = true,
                Door::Closed(until, cause) => {
                    worst.consider(until, Why { cause, binding: None, for_all: true });
                }
            }
        }
        let (until, dimension) = holds.until(cost);
        let binding = Some(Binding::Held(dimension));
        worst.consider(until, Why { cause: Cause::Rate, binding, for_all: dimension.is_none() });
        let mut free = FREE_UNKNOWN;
        let mine = common.iter_mut().filter(|common| cell.common.contains(&common.id));
        let ledgers = mine.map(|common| &mut common.ledger).chain([&mut cell.ledger]);
        for ledger in ledgers {
            match ledger.check(cost, now) {
                Ok(()) => free = free.min(ledger.free(now)),
                Err(Blocked::Oversized(binding)) => return Standing::Oversized(binding),
                Err(Blocked::Until(until, binding)) => {
                    let for_all = binding == Binding::Held(None);
                    let why = Why { cause: Cause::Rate, binding: Some(binding), for_all };
                    worst.consider(until, why);
                }
            }
        }
        match worst.why {
            Some(why) => Standing::Shut(worst.until, why),
            None if due => Standing::Due,
            None => Standing::Open(free),
        }
    }

    /// A request was sent at `sent`: if something is due to be tried, it is the one that tries.
    pub(super) fn probe(&mut self, model: u8, sent: Moment) -> bool {
        let mut probing = false;
        let Self { gate, cells, .. } = self;
        let cell = cells.get_mut(usize::from(model)).and_then(Option::as_deref_mut);
        let gates = cell.map(|cell| [&mut cell.quota, &mut cell.circuit.gate]);
        for gate in gates.into_iter().flatten().chain([gate]) {
            if gate.door(sent) == Door::Due {
                gate.probe(sent);
                probing = true;
            }
        }
        probing
    }

    /// A request sent at `sent` is over. Returns whether it was to try something and found nothing
    /// out, so that another may.
    pub(super) fn release(&mut self, model: u8, sent: Moment) -> bool {
        let mut released = self.gate.release(sent);
        if let Some(cell) = self.cell_mut(model) {
            released |= cell.quota.release(sent);
            released |= cell.circuit.gate.release(sent);
        }
        released
    }
}

/// Nothing is known that would be scarce.
const FREE_UNKNOWN: u32 = 1 << 10;

struct Worst {
    until: Moment,
    why: Option<Why>,
}

impl Worst {
    fn consider(&mut self, until: Moment, why: Why) {
        if until > self.until {
            *self = Self { until, why: Some(why) };
        }
    }
}
