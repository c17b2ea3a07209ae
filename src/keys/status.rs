//! What is told of a pool to those who watch.

use crate::clock::Moment;
use crate::limits::{Cost, Level};

use super::gate::{Cause, Closure, Door, Gate};
use super::group::{Cell, Group};
use super::pool::{GroupId, KeyId, Pool};
use super::rack::KeyState;

/// The state of a pool.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its keys, in the order of their slots.
    pub keys: Vec<KeyStatus>,
    /// Its quota groups.
    pub groups: Vec<GroupStatus>,
    /// The soonest moment at which time alone changes any of this.
    pub next_change: Option<Moment>,
}

/// The state of a key.
#[derive(Clone, Debug)]
pub struct KeyStatus {
    /// Which it is.
    pub id: KeyId,
    /// Its name.
    pub name: Box<str>,
    /// The quota group it draws on, by name.
    pub group: Box<str>,
    /// Its share of the traffic relative to others.
    pub weight: u32,
    /// How it is.
    pub state: KeyState,
    /// Models that the provider refused it.
    pub forbidden: Vec<Box<str>>,
}

/// The state of a quota group.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// Which it is.
    pub id: GroupId,
    /// Its name.
    pub name: Box<str>,
    /// How it is.
    pub state: GroupState,
    /// Until when it is so, where that is known; a closed group is then tried by one request.
    pub until: Option<Moment>,
    /// Limits that several models draw on together.
    pub common: Vec<Level>,
    /// The models that were asked of it.
    pub models: Vec<ModelStatus>,
}

/// The state of one model of a quota group.
#[derive(Clone, Debug)]
pub struct ModelStatus {
    /// What the provider calls it.
    pub model: Box<str>,
    /// Its own state: held or open.
    pub state: GroupState,
    /// Until when it is held.
    pub until: Option<Moment>,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Requests under way.
    pub in_flight: u64,
    /// Its limits.
    pub levels: Vec<Level>,
}

/// The words for a quota group's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupState {
    /// It can be used.
    Open,
    /// A rate limit or quota holds it until a known moment.
    Held,
    /// Credit or payment is missing.
    Benched,
    /// The account is on hold.
    Suspended,
}

/// The words for a breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BreakerState {
    /// Requests pass.
    Closed,
    /// None does.
    Open,
    /// One may try, or is trying.
    HalfOpen,
}

impl Pool {
    /// The state of everything.
    pub fn status(&self, now: Moment) -> Status {
        let keys = self.rack.iter().map(|(slot, key)| {
            let forbids = self.models.list.iter().filter(|model| model.forbidden.contains(slot));
            let forbidden: Vec<_> = forbids.map(|model| model.name.clone()).collect();
            let mut state = key.state();
            if state == KeyState::Healthy && !forbidden.is_empty() {
                state = KeyState::Forbidden;
            }
            let group = self.groups.get(key.group);
            KeyStatus {
                id: KeyId { slot, generation: key.generation },
                name: key.name.clone(),
                group: group.map_or_else(Box::default, |group| group.name.clone()),
                weight: key.weight,
                state,
                forbidden,
            }
        });
        let groups = self.groups.iter().map(|(slot, group)| self.group_status(slot, group, now));
        Status {
            keys: keys.collect(),
            groups: groups.collect(),
            next_change: self.next_change(now),
        }
    }

    fn group_status(&self, slot: u8, group: &Group, now: Moment) -> GroupStatus {
        let held = group.holds.until(&ANY).0;
        let (state, until) = state_of(&group.gate, held, now);
        let models = (0..=u8::MAX).zip(&self.models.list);
        let models = models
            .filter_map(|(slot, model)| Some(model_status(&model.name, group.cell(slot)?, now)));
        GroupStatus {
            id: GroupId { slot, generation: group.generation },
            name: group.name.clone(),
            state,
            until,
            common: group.common.iter().flat_map(|common| common.ledger.levels(now)).collect(),
            models: models.collect(),
        }
    }

    fn next_change(&self, now: Moment) -> Option<Moment> {
        let slots = 0..=u8::MAX;
        let groups = self.groups.iter().map(|(_, group)| group);
        let of_groups = groups.flat_map(|group| {
            let cells = slots.clone().zip(&self.models.list);
            let cells = cells.filter_map(|(slot, _)| group.cell(slot)).flat_map(|cell| {
                let held = cell.ledger.held_until(&ANY);
                [Some(held), until(&cell.quota), until(&cell.circuit.gate)]
            });
            cells.chain([until(&group.gate), Some(group.holds.until(&ANY).0)])
        });
        let of_models = self.models.list.iter().map(super::models::Model::forbidden_until);
        let all = of_groups.chain(of_models).flatten().chain([self.rack.wake()]);
        all.filter(|at| *at > now && *at < Moment::NEVER).min()
    }
}

/// A request that costs some of everything.
const ANY: Cost = Cost { requests: 1, tokens: 1, input: 1, output: 1, money: 1 };

fn model_status(name: &str, cell: &Cell, now: Moment) -> ModelStatus {
    let (state, until) = state_of(&cell.quota, cell.ledger.held_until(&ANY), now);
    let breaker = match cell.circuit.gate {
        Gate::Open => BreakerState::Closed,
        Gate::Probing(..) => BreakerState::HalfOpen,
        Gate::Closed(_) if cell.circuit.gate.door(now) == Door::Due => BreakerState::HalfOpen,
        Gate::Closed(_) => BreakerState::Open,
    };
    ModelStatus {
        model: name.into(),
        state,
        until,
        breaker,
        in_flight: cell.ledger.in_flight(),
        levels: cell.ledger.levels(now).collect(),
    }
}

fn state_of(gate: &Gate, held: Moment, now: Moment) -> (GroupState, Option<Moment>) {
    let held = (held > now).then_some(held);
    let Some(closure) = gate.closure() else {
        return (if held.is_some() { GroupState::Held } else { GroupState::Open }, held);
    };
    let state = match closure.cause {
        Cause::Billing => GroupState::Benched,
        Cause::Suspended => GroupState::Suspended,
        Cause::Rate | Cause::Quota | Cause::Breaker | Cause::Resting | Cause::Trial => {
            GroupState::Held
        }
    };
    (state, Some(closure.until().max(held.unwrap_or(Moment::ZERO))))
}

fn until(gate: &Gate) -> Option<Moment> {
    gate.closure().map(Closure::until)
}

impl GroupState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Held, Self::Benched, Self::Suspended];

    /// The word for it in metrics and on `/status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Held => "held",
            Self::Benched => "benched",
            Self::Suspended => "suspended",
        }
    }
}

impl BreakerState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The word for it in metrics and on `/status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "halfOpen",
        }
    }
}

impl Cause {
    /// The word for it in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate limit",
            Self::Quota => "quota",
            Self::Billing => "billing",
            Self::Suspended => "suspended",
            Self::Breaker => "breaker",
            Self::Resting => "key resting",
            Self::Trial => "key on trial",
        }
    }
}
