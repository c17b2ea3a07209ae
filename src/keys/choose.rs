//! The choice of a key for a request.

use crate::clock::Moment;
use crate::limits::{Binding, Cost};

use super::ask::{Ask, Body, Causes, Choice, Nothing, Wait};
use super::bits::{Bits, Dice};
use super::group::{Standing, Why};
use super::memo::Known;
use super::pool::{Access, KeyId, Pool, Probe, Reservation, account};

/// Groups drawn at random before all are looked at.
const DRAWS: u32 = 4;

/// What a request can choose from.
pub(super) struct Field {
    model: u8,
    access: Access,
    /// Keys that may serve it at all: allowed, and not forbidden the model.
    keys: Bits,
    /// Those of them that may be sent to now, and were not tried.
    open: Bits,
    pub(super) groups: Bits,
}

/// A group, and those of its keys that come into question for a model.
#[derive(Clone, Copy)]
struct Pick {
    group: u8,
    keys: Bits,
    model: u8,
}

/// What is in the way of all groups looked at so far.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) best: Option<(u8, u32)>,
    pub(super) due: Option<u8>,
    pub(super) untried: Option<(Moment, u8, Why)>,
    pub(super) again: Option<(Moment, Option<Why>)>,
    pub(super) causes: Causes,
    pub(super) oversized: Option<Binding>,
    pub(super) forbidden: Bits,
    pub(super) invalid: Bits,
}

impl Pool {
    /// Chooses a key and takes the capacity, or says until when to wait, or why that is no use.
    ///
    /// Of two groups drawn by weight the one with more left is taken. That costs the same for one
    /// key as for 256; only when four draws in a row find nothing free are all groups looked at.
    pub fn choose(&mut self, ask: &Ask<'_>, now: Moment) -> Choice {
        self.looked = 0;
        self.rack.tick(now);
        let field = self.field(ask, now);
        if ask.tried.not_found() {
            return Choice::Nothing(Nothing::AllForbidden);
        }
        let mut dice = Dice(ask.random);
        let known = self.recall(&field, ask, now);
        if let Some(pick) = self.draw(&field, known.shut, ask, &mut dice, now)
            && let Some(reservation) = self.take(pick, ask, &mut dice, now)
        {
            return Choice::Send(reservation);
        }
        self.choose_among_all(&field, &known, ask, &mut dice, now)
    }

    pub(super) fn field(&mut self, ask: &Ask<'_>, now: Moment) -> Field {
        let slot = self.models.find(ask.model).unwrap_or_else(|| self.meet(ask.model));
        let named = self.callers.iter().find(|(name, _)| **name == *ask.caller);
        let access = named.map_or(self.anyone, |(_, access)| *access);
        let must = ask.stored_in.filter(|id| self.groups.id(id.slot) == Some(*id));
        let (mut keys, mut groups) = (Bits::EMPTY, Bits::EMPTY);
        if let Some(model) = self.models.get_mut(slot) {
            model.tick(now);
            keys = model.keys.and(access.keys).without(model.forbidden);
            groups = model.groups.and(access.groups);
        }
        let groups = must.map_or(groups, |id| groups.and(Bits::one(id.slot)));
        let open = keys.and(self.rack.ready).without(ask.tried.keys);
        Field { model: slot, access, keys, open, groups }
    }

    /// A model name that is new here.
    fn meet(&mut self, name: &str) -> u8 {
        let slot = self.models.insert(name, self.groups.len());
        for group in self.groups.touch_all() {
            group.forget_cell(slot);
        }
        self.connect_model(slot);
        slot
    }

    /// What is known of groups that were looked at before, and have not been touched since.
    fn recall(&self, field: &Field, ask: &Ask<'_>, now: Moment) -> Known {
        let Some(model) = self.models.get(field.model) else { return Known::default() };
        let among = field.groups.without(ask.tried.groups);
        model.memo.recall(&ask.cost, among, field.open, &self.groups, now)
    }

    /// The quick way: the preferred group, else the better of two. `shut` are known to be.
    fn draw(
        &mut self,
        field: &Field,
        shut: Bits,
        ask: &Ask<'_>,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Pick> {
        let model = field.model;
        let keys = match ask.body {
            Body::Replayable => field.open,
            Body::Once => field.open.and(self.rack.good),
        };
        let closed = self.models.get(model)?.closed;
        let mut groups = field.groups.without(closed).without(shut).without(ask.tried.groups);
        let preferred = ask.preferred.filter(|id| self.groups.id(id.slot) == Some(*id));
        if let Some(id) = preferred.filter(|id| groups.contains(id.slot)) {
            let pick = Pick { group: id.slot, keys, model };
            if let Some(Standing::Open(_)) = self.look(pick, &ask.cost, now) {
                return Some(pick);
            }
            groups.remove(id.slot);
        }
        let mut first: Option<(Pick, u32)> = None;
        for _ in 0..DRAWS {
            let Some(group) = self.group_weights.draw(groups, dice) else { break };
            groups.remove(group);
            let pick = Pick { group, keys, model };
            match (self.look(pick, &ask.cost, now), first) {
                (Some(Standing::Due), _) if ask.body == Body::Replayable => return Some(pick),
                (Some(Standing::Open(free)), None) => first = Some((pick, free)),
                (Some(Standing::Open(free)), Some((other, before))) => {
                    return Some(if coarse(free) > coarse(before) { pick } else { other });
                }
                _ => {}
            }
        }
        first.map(|(pick, _)| pick)
    }

    /// How a group stands, unless it has none of these keys. What is so for every request is
    /// remembered for the next one.
    fn look(&mut self, pick: Pick, cost: &Cost, now: Moment) -> Option<Standing> {
        self.looked += 1;
        let terms = self.terms();
        let Self { groups, models, spec, counted, .. } = self;
        let head = groups.head(pick.group);
        if head.keys.and(pick.keys).is_empty() {
            return None;
        }
        let group = groups.get_mut(pick.group)?;
        let model = models.get_mut(pick.model)?;
        if let Some(known) = model.memo.standing(cost, pick.group, head.version, now) {
            return Some(known);
        }
        let made = group.make_cell((pick.model, &model.name), &spec.limits, terms);
        if made.is_some()
            && !counted.is_empty()
            && let Some(now) = terms.now(now)
        {
            counted.restore(group, (pick.model, &model.name), now);
        }
        let standing = group.standing(pick.model, cost, now);
        if let Standing::Shut(until, why) = standing {
            model.memo.note(cost, pick.group, head.version, until, why);
            if why.for_all {
                model.shut(pick.group, until);
            }
        }
        Some(standing)
    }

    /// The thorough way: every group is looked at.
    fn choose_among_all(
        &mut self,
        field: &Field,
        known: &Known,
        ask: &Ask<'_>,
        dice: &mut Dice,
        now: Moment,
    ) -> Choice {
        let survey = self.survey(field, known, ask, now);
        let chosen = survey.best.map(|(group, _)| group).or(survey.due);
        let chosen = chosen.map(|group| Pick { group, keys: field.open, model: field.model });
        if let Some(pick) = chosen
            && let Some(reservation) = self.take(pick, ask, dice, now)
        {
            return Choice::Send(reservation);
        }
        if let Some((until, slot, why)) = survey.untried
            && let Some(group) = self.groups.id(slot)
        {
            return Choice::Wait(Wait {
                until,
                again: survey.again.map(|(at, _)| at),
                group,
                cause: why.cause,
                binding: why.binding,
                causes: survey.causes,
            });
        }
        if let Some((again, _)) = survey.again {
            return Choice::Nothing(Nothing::AllTried(again));
        }
        if let Some(binding) = survey.oversized {
            return Choice::Nothing(Nothing::Oversized(binding));
        }
        if !survey.forbidden.is_empty() {
            return self.ask_in_vain(field, survey.forbidden, ask, dice, now);
        }
        Choice::Nothing(if survey.invalid.is_empty() {
            Nothing::NoKey
        } else {
            Nothing::AllInvalid
        })
    }

    fn survey(&mut self, field: &Field, known: &Known, ask: &Ask<'_>, now: Moment) -> Survey {
        let mut survey = Survey { causes: known.causes, ..Survey::default() };
        let memo = self.models.get(field.model).map(|model| &model.memo);
        survey.untried = known.soonest.and_then(|(at, slot)| Some((at, slot, memo?.why(slot)?)));
        for slot in field.groups.without(known.shut).iter() {
            self.survey_one(slot, field, ask, now, &mut survey);
        }
        survey
    }

    pub(super) fn survey_one(
        &mut self,
        slot: u8,
        field: &Field,
        ask: &Ask<'_>,
        now: Moment,
        survey: &mut Survey,
    ) {
        if !ask.tried.groups.contains(slot) {
            let pick = Pick { group: slot, keys: field.open, model: field.model };
            if let Some(standing) = self.look(pick, &ask.cost, now) {
                survey.add(slot, standing);
                return;
            }
        }
        self.survey_closely(slot, field, ask, now, survey);
    }

    /// A group that was tried, or has no key to send with now: what is the matter with its keys?
    fn survey_closely(
        &mut self,
        slot: u8,
        field: &Field,
        ask: &Ask<'_>,
        now: Moment,
        survey: &mut Survey,
    ) {
        let Some(model) = self.models.get(field.model) else { return };
        let allowed = self.groups.head(slot).keys.and(model.keys).and(field.access.keys);
        let valid = allowed.without(self.rack.disabled);
        let permitted = valid.and(field.keys);
        if permitted.is_empty() {
            let set = if valid.is_empty() { &mut survey.invalid } else { &mut survey.forbidden };
            if !allowed.is_empty() {
                set.insert(slot);
            }
            return;
        }
        let untried = permitted.without(ask.tried.keys);
        let tried = ask.tried.groups.contains(slot) || untried.is_empty();
        let keys = if tried { permitted } else { untried };
        let ready = keys.and(self.rack.ready);
        let standing = if ready.is_empty() {
            let resting = self.rack.soonest(keys, now);
            resting.map(|(until, cause)| {
                Standing::Shut(until, Why { cause, binding: None, for_all: false })
            })
        } else {
            self.look(Pick { group: slot, keys: ready, model: field.model }, &ask.cost, now)
        };
        let Some(standing) = standing else { return };
        if tried { survey.add_tried(standing, now) } else { survey.add(slot, standing) }
    }

    /// Every valid key is forbidden this model. The provider's own answer says it best, so one of
    /// them is asked, once for each request.
    fn ask_in_vain(
        &mut self,
        field: &Field,
        groups: Bits,
        ask: &Ask<'_>,
        dice: &mut Dice,
        now: Moment,
    ) -> Choice {
        let model = self.models.get(field.model);
        let keys = model.map_or(Bits::EMPTY, |model| model.keys.and(field.access.keys));
        let keys = keys.and(self.rack.ready);
        for group in groups.iter().filter(|_| ask.tried.nothing()) {
            let pick = Pick { group, keys, model: field.model };
            let standing = self.look(pick, &ask.cost, now);
            if matches!(standing, Some(Standing::Open(_) | Standing::Due))
                && let Some(reservation) = self.take(pick, ask, dice, now)
            {
                return Choice::Send(reservation);
            }
        }
        Choice::Nothing(Nothing::AllForbidden)
    }

    /// Takes the capacity of that group, and one of its keys.
    fn take(
        &mut self,
        pick: Pick,
        ask: &Ask<'_>,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Reservation> {
        let Pick { group: slot, keys, model } = pick;
        let group_id = self.groups.id(slot)?;
        let mut keys = keys.and(self.groups.head(slot).keys);
        let sure = keys.without(self.rack.due);
        if ask.body == Body::Once && !sure.is_empty() {
            keys = sure;
        }
        let key = self.rack.weights.draw(keys, dice)?;
        let group = self.groups.touch(slot)?;
        let probing = group.probe(model, now);
        let cell = group.cell_mut(model)?;
        let own = cell.ledger.take(&ask.cost, now);
        let ids = cell.common.clone();
        let mut common = Vec::new();
        for shared in group.common.iter_mut().filter(|shared| ids.contains(&shared.id)) {
            common.push((shared.id, shared.ledger.take(&ask.cost, now)));
        }
        let due = self.rack.due.contains(key);
        self.rack.sent(key, now);
        self.watch(account(slot, model), &ask.cost, now);
        self.in_flight += 1;
        let generation = self.rack.get(key)?.generation;
        Some(Reservation {
            key: KeyId { slot: key, generation },
            group: group_id,
            model: self.models.id(model),
            own,
            common,
            probe: if probing || due { Probe::Yes } else { Probe::No },
        })
    }
}

/// What is left is compared in sixteenths: a smaller difference is none, and weight decides.
const fn coarse(free: u32) -> u32 {
    (free + 32) / 64
}

impl Survey {
    fn add(&mut self, slot: u8, standing: Standing) {
        match standing {
            Standing::Open(free) if self.best.is_none_or(|(_, best)| free > best) => {
                self.best = Some((slot, free));
            }
            Standing::Open(_) => {}
            Standing::Due => self.due = Some(slot),
            Standing::Oversized(binding) => self.oversized = Some(binding),
            Standing::Shut(until, why) => {
                self.causes.insert(why.cause);
                if self.untried.is_none_or(|(soonest, ..)| until < soonest) {
                    self.untried = Some((until, slot, why));
                }
            }
        }
    }

    fn add_tried(&mut self, standing: Standing, now: Moment) {
        let (at, why) = match standing {
            Standing::Open(_) | Standing::Due => (now, None),
            Standing::Shut(until, why) => {
                self.causes.insert(why.cause);
                (until, Some(why))
            }
            Standing::Oversized(binding) => {
                self.oversized = Some(binding);
                return;
            }
        };
        if self.again.is_none_or(|(soonest, _)| at < soonest) {
            self.again = Some((at, why));
        }
    }
}
