//! The quota groups of a pool, by slot.

use super::bits::Bits;
use super::group::Group;
use super::pool::GroupId;

/// Quota groups, and of each what is looked at for every choice, close together.
#[derive(Debug, Default)]
pub(super) struct Groups {
    slots: Vec<Option<Group>>,
    heads: Vec<Head>,
    /// Generations of empty slots count on.
    generation: u32,
}

/// What is looked at for every choice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// Counts what happens to the group, so that what was worked out before can be told from what
    /// holds.
    pub(super) version: u64,
    /// Its keys.
    pub(super) keys: Bits,
}

impl Groups {
    pub(super) fn get(&self, slot: u8) -> Option<&Group> {
        self.slots.get(usize::from(slot))?.as_ref()
    }

    /// The group in that slot, to be looked at.
    pub(super) fn get_mut(&mut self, slot: u8) -> Option<&mut Group> {
        self.slots.get_mut(usize::from(slot))?.as_mut()
    }

    /// The group in that slot, for something that happens to it.
    pub(super) fn touch(&mut self, slot: u8) -> Option<&mut Group> {
        self.heads.get_mut(usize::from(slot))?.version += 1;
        self.get_mut(slot)
    }

    /// The group of that id, for something that happens to it.
    pub(super) fn live(&mut self, id: GroupId) -> Option<&mut Group> {
        self.get(id.slot).filter(|group| group.generation == id.generation)?;
        self.touch(id.slot)
    }

    /// Something happens to all of them.
    pub(super) fn touch_all(&mut self) -> impl Iterator<Item = &mut Group> {
        self.heads.iter_mut().for_each(|head| head.version += 1);
        self.slots.iter_mut().flatten()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &Group)> {
        (0..=u8::MAX).zip(&self.slots).filter_map(|(slot, group)| Some((slot, group.as_ref()?)))
    }

    pub(super) fn head(&self, slot: u8) -> Head {
        self.heads.get(usize::from(slot)).copied().unwrap_or_default()
    }

    /// Slots, taken or not.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of that group, made where there is none, and whether it was. There are never more
    /// groups than keys.
    pub(super) fn find_or_make(&mut self, name: &str) -> (u8, bool) {
        let named = |place: &Option<Group>| place.as_ref().is_some_and(|g| *g.name == *name);
        if let Some(slot) = self.slots.iter().position(named) {
            return (u8::try_from(slot).unwrap_or(u8::MAX), false);
        }
        self.generation = self.generation.wrapping_add(1);
        let group = Group::new(name, self.generation);
        let empty = self.slots.iter().position(Option::is_none);
        let slot = empty.unwrap_or(self.slots.len());
        match self.slots.get_mut(slot) {
            Some(place) => *place = Some(group),
            None => self.slots.push(Some(group)),
        }
        self.heads.resize_with(self.slots.len(), Head::default);
        (u8::try_from(slot).unwrap_or(u8::MAX), true)
    }

    /// These are its keys from now on.
    pub(super) fn set_keys(&mut self, slot: u8, keys: Bits) {
        if let Some(head) = self.heads.get_mut(usize::from(slot)) {
            *head = Head { version: head.version + 1, keys };
        }
    }

    /// Lets all groups go that are not to stay.
    pub(super) fn retain(&mut self, stays: impl Fn(&Group, Bits) -> bool) {
        for (place, head) in self.slots.iter_mut().zip(&mut self.heads) {
            if place.as_ref().is_some_and(|group| !stays(group, head.keys)) {
                *place = None;
                *head = Head { version: head.version + 1, keys: Bits::EMPTY };
            }
        }
    }

    pub(super) fn id(&self, slot: u8) -> Option<GroupId> {
        self.get(slot).map(|group| GroupId { slot, generation: group.generation })
    }
}
