//! The models that a pool knows by number.

use std::collections::HashMap;

use crate::clock::Moment;

use super::bits::Bits;
use super::memo::Memo;

/// Model names, interned. The table is bounded: the name asked for least recently makes way.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    numbers: HashMap<Box<str>, u8>,
    pub(super) list: Vec<Model>,
    tick: u64,
}

/// One model, and which keys and groups can serve it.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) name: Box<str>,
    pub(super) generation: u32,
    used: u64,
    /// Keys that may be used for it.
    pub(super) keys: Bits,
    /// Groups that have one of them.
    pub(super) groups: Bits,
    /// Keys that the provider refused it.
    pub(super) forbidden: Bits,
    forbidden_until: Vec<(u8, Moment)>,
    /// Groups known to carry nothing for it before `wake`, or until something happens to them.
    pub(super) closed: Bits,
    pub(super) wake: Moment,
    /// What was found of groups for a request that could not be carried.
    pub(super) memo: Memo,
}

/// A model for as long as it stays in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModelId {
    pub(super) slot: u8,
    pub(super) generation: u32,
}

/// Names in the table at most.
const MAX_MODELS: usize = 256;
/// Pairs of group and model at most: what is kept for each is some hundred bytes.
const MAX_CELLS: usize = 16_384;

impl Models {
    /// The slot of that name, if it is known.
    pub(super) fn find(&mut self, name: &str) -> Option<u8> {
        let slot = *self.numbers.get(name)?;
        self.tick += 1;
        self.list.get_mut(usize::from(slot))?.used = self.tick;
        Some(slot)
    }

    /// Takes a name in. A slot that is used again has nothing to do with its former model.
    pub(super) fn insert(&mut self, name: &str, groups: usize) -> u8 {
        self.tick += 1;
        let bound = (MAX_CELLS / groups.max(1)).clamp(1, MAX_MODELS);
        let model = Model {
            name: name.into(),
            generation: 0,
            used: self.tick,
            keys: Bits::EMPTY,
            groups: Bits::EMPTY,
            forbidden: Bits::EMPTY,
            forbidden_until: Vec::new(),
            closed: Bits::EMPTY,
            wake: Moment::NEVER,
            memo: Memo::default(),
        };
        let slot = if self.list.len() < bound {
            self.list.push(model);
            self.list.len() - 1
        } else {
            let oldest = self.list.iter().enumerate().min_by_key(|(_, model)| model.used);
            let slot = oldest.map_or(0, |(slot, _)| slot);
            if let Some(old) = self.list.get_mut(slot) {
                self.numbers.remove(&old.name);
                let generation = old.generation.wrapping_add(1);
                *old = Model { generation, ..model };
            }
            slot
        };
        let slot = u8::try_from(slot).unwrap_or(u8::MAX);
        self.numbers.insert(name.into(), slot);
        slot
    }

    pub(super) fn get(&self, slot: u8) -> Option<&Model> {
        self.list.get(usize::from(slot))
    }

    pub(super) fn get_mut(&mut self, slot: u8) -> Option<&mut Model> {
        self.list.get_mut(usize::from(slot))
    }

    pub(super) fn id(&self, slot: u8) -> ModelId {
        ModelId { slot, generation: self.get(slot).map_or(0, |model| model.generation) }
    }

    /// The model of that id, unless it has made way.
    pub(super) fn live(&mut self, id: ModelId) -> Option<&mut Model> {
        self.get_mut(id.slot).filter(|model| model.generation == id.generation)
    }

    /// That group carries nothing before `until`, whatever the model.
    pub(super) fn shut(&mut self, group: u8, until: Moment) {
        for model in &mut self.list {
            model.shut(group, until);
        }
    }

    /// Something happened to a group: what was known of it is looked at again.
    pub(super) fn reopen(&mut self, group: u8) {
        for model in &mut self.list {
            model.closed.remove(group);
        }
    }
}

impl Model {
    /// The provider refused it to that key.
    pub(super) fn forbid(&mut self, key: u8, until: Moment) {
        self.permit(key);
        self.forbidden.insert(key);
        self.forbidden_until.push((key, until));
    }

    /// That key is as good as new, or another.
    pub(super) fn permit(&mut self, key: u8) {
        self.forbidden.remove(key);
        self.forbidden_until.retain(|(other, _)| *other != key);
    }

    /// When one of the refusals is over, the first of them.
    pub(super) fn forbidden_until(&self) -> Option<Moment> {
        self.forbidden_until.iter().map(|(_, until)| *until).min()
    }

    /// Lets go of what time has settled. Refusals stand in the order in which they end.
    pub(super) fn tick(&mut self, now: Moment) {
        while let Some((key, until)) = self.forbidden_until.first().copied()
            && until <= now
        {
            self.permit(key);
        }
        if now >= self.wake {
            self.closed = Bits::EMPTY;
            self.wake = Moment::NEVER;
        }
    }

    /// That group carries nothing before `until`.
    pub(super) fn shut(&mut self, group: u8, until: Moment) {
        self.closed.insert(group);
        self.wake = self.wake.min(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded_and_the_name_used_least_recently_makes_way() {
        let mut models = Models::default();
        for n in 0..MAX_MODELS {
            models.insert(&n.to_string(), 1);
        }
        assert_eq!(models.find("0"), Some(0));
        let before = models.id(1);
        assert_eq!(models.insert("new", 1), 1, "0 was just asked for");
        assert_eq!(models.find("1"), None);
        assert!(models.live(before).is_none(), "what is left of 1 does not touch its successor");
        assert_eq!(models.list.len(), MAX_MODELS);
    }

    #[test]
    fn many_groups_leave_room_for_fewer_models() {
        let mut models = Models::default();
        for n in 0..1_000 {
            models.insert(&n.to_string(), 256);
        }
        assert_eq!(models.list.len(), 64);
    }
}
