//! A pool takes a new configuration in, and forgets nothing that still holds.

use std::collections::HashMap;

use crate::clock::Moment;

use super::bits::Bits;
use super::pool::{Access, KeyId, Pool};
use super::rack::NewKey;
use super::secret::Fingerprint;
use super::spec::{KeySpec, LimitSpec, Spec};

/// What became of the keys of a [`Spec`].
#[derive(Clone, Debug, Default)]
pub struct Rebuilt {
    /// The id of each key, in the order of the spec; `None` for those that were not taken.
    pub keys: Vec<Option<KeyId>>,
    /// Those that were not taken, and why.
    pub rejected: Vec<Rejected>,
}

/// A key that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its name.
    pub name: Box<str>,
    /// Why.
    pub why: Rejection,
}

/// Why a key was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The key of that name has the very same value.
    SameAs(Box<str>),
    /// The pool is full: it holds 256.
    TooMany,
}

impl Pool {
    /// Takes a new configuration in. A key is the same as before if its value is, a group if it has
    /// the same name and one of its keys has stayed: then all that is known of it stays, and so
    /// does its id. What belongs to keys and groups that left is ignored when it comes in later.
    pub fn rebuild(&mut self, spec: Spec, now: Moment) -> Rebuilt {
        let stayed = self.stayed(&spec);
        for slot in self.rack.present.iter() {
            if !stayed.contains(slot) {
                self.rack.remove(slot);
            }
        }
        let rebuilt = self.take_keys(&spec);
        self.take_groups(&spec, &rebuilt, stayed);
        self.spec = spec;
        self.connect(now);
        rebuilt
    }

    /// Slots whose key is in the new configuration too.
    fn stayed(&self, spec: &Spec) -> Bits {
        let mut stayed = Bits::EMPTY;
        for (slot, key) in self.rack.iter() {
            if spec.keys.iter().any(|new| {
                identity(new) == (key.fingerprint, anonymous(key.fingerprint, &key.name))
            }) {
                stayed.insert(slot);
            }
        }
        stayed
    }

    /// Puts the keys into slots: those that stayed into theirs.
    fn take_keys(&mut self, spec: &Spec) -> Rebuilt {
        let mut rebuilt = Rebuilt::default();
        let mut first: HashMap<(Option<Fingerprint>, &str), &str> = HashMap::new();
        for key in &spec.keys {
            let taken = match first.get(&identity(key)) {
                Some(same) => Err(Rejection::SameAs((*same).into())),
                None => self.take_key(key).ok_or(Rejection::TooMany),
            };
            first.entry(identity(key)).or_insert(&key.name);
            rebuilt.keys.push(taken.as_ref().ok().copied());
            if let Err(why) = taken {
                rebuilt.rejected.push(Rejected { name: key.name.clone(), why });
            }
        }
        rebuilt
    }

    fn take_key(&mut self, spec: &KeySpec) -> Option<KeyId> {
        let same = self.rack.iter().find(|(_, key)| {
            identity(spec) == (key.fingerprint, anonymous(key.fingerprint, &key.name))
        });
        let kept = same.map(|(slot, key)| (slot, key.generation));
        let (slot, generation) = if let Some(kept) = kept {
            kept
        } else {
            let new = NewKey { name: spec.name.clone(), fingerprint: spec.fingerprint };
            let (slot, generation) = self.rack.insert(new)?;
            for model in &mut self.models.list {
                model.permit(slot);
            }
            (slot, generation)
        };
        let key = self.rack.get_mut(slot)?;
        key.name.clone_from(&spec.name);
        key.weight = spec.weight;
        key.models.clone_from(&spec.models);
        key.callers.clone_from(&spec.callers);
        Some(KeyId { slot, generation })
    }

    /// Puts the groups into slots and the keys into groups.
    fn take_groups(&mut self, spec: &Spec, rebuilt: &Rebuilt, stayed: Bits) {
        let mut members: Vec<(&str, Bits)> = Vec::new();
        for (key, id) in spec.keys.iter().zip(&rebuilt.keys) {
            let Some(id) = id else { continue };
            let name = &*key.quota_group;
            match members.iter_mut().find(|(other, _)| *other == name) {
                Some((_, keys)) => keys.insert(id.slot),
                None => members.push((name, Bits::one(id.slot))),
            }
        }
        self.groups.retain(|group, before| {
            let now = members.iter().find(|(name, _)| **name == *group.name);
            now.is_some_and(|(_, keys)| !keys.and(before).and(stayed).is_empty())
        });
        for (name, keys) in members {
            let (slot, new) = self.groups.find_or_make(name);
            if new {
                self.forget_group(slot);
            }
            self.groups.set_keys(slot, keys);
            for key in keys.iter() {
                if let Some(key) = self.rack.get_mut(key) {
                    key.group = slot;
                }
            }
        }
    }

    /// Works out again whatever follows from the configuration.
    fn connect(&mut self, now: Moment) {
        self.rack.sort(now);
        self.rack.weights.clear();
        self.group_weights.clear();
        let mut heaviest = [0_u32; 256];
        let keys: Vec<_> = self.rack.iter().map(|(s, key)| (s, key.group, key.weight)).collect();
        for (slot, group, weight) in keys {
            self.rack.weights.set(slot, weight);
            if let Some(heaviest) = heaviest.get_mut(usize::from(group)) {
                *heaviest = weight.max(*heaviest);
                self.group_weights.set(group, *heaviest);
            }
        }
        self.connect_callers();
        let models: Vec<_> = (0..=u8::MAX).zip(&self.models.list).map(|(slot, _)| slot).collect();
        for slot in models {
            self.connect_model(slot);
        }
        self.revise_limits(now);
    }

    /// Other limits hold now; the keys stay as they are.
    pub fn set_limits(&mut self, limits: Vec<LimitSpec>, now: Moment) {
        self.spec.limits = limits;
        self.revise_limits(now);
        for model in &mut self.models.list {
            (model.closed, model.wake) = (Bits::EMPTY, Moment::NEVER);
        }
    }

    fn revise_limits(&mut self, now: Moment) {
        let terms = self.terms();
        let Self { groups, models, spec, .. } = self;
        for group in groups.touch_all() {
            group.revise(&spec.limits, terms, now);
            for (slot, model) in (0..=u8::MAX).zip(&models.list) {
                group.revise_cell((slot, &model.name), &spec.limits, terms, now);
            }
        }
    }

    fn connect_callers(&mut self) {
        self.anyone = Access::default();
        self.callers.clear();
        let mut named: Vec<Box<str>> =
            self.rack.iter().flat_map(|(_, key)| key.callers.iter().cloned()).collect();
        named.sort_unstable();
        named.dedup();
        for (slot, key) in self.rack.iter().filter(|(_, key)| key.callers.is_empty()) {
            self.anyone.keys.insert(slot);
            self.anyone.groups.insert(key.group);
        }
        for name in named {
            let mut access = self.anyone;
            for (slot, key) in self.rack.iter().filter(|(_, key)| key.callers.contains(&name)) {
                access.keys.insert(slot);
                access.groups.insert(key.group);
            }
            self.callers.push((name, access));
        }
    }

    /// Which keys and groups can serve that model.
    pub(super) fn connect_model(&mut self, slot: u8) {
        let Some(model) = self.models.get_mut(slot) else { return };
        (model.keys, model.groups) = (Bits::EMPTY, Bits::EMPTY);
        (model.closed, model.wake) = (Bits::EMPTY, Moment::NEVER);
        for (slot, key) in self.rack.iter() {
            let any = key.models.is_empty();
            if any || key.models.iter().any(|pattern| pattern.matches(&model.name)) {
                model.keys.insert(slot);
                model.groups.insert(key.group);
            }
        }
        for gone in model.forbidden.without(self.rack.present).iter() {
            model.permit(gone);
        }
    }
}

/// What makes a key the same: its value, or its name where it has none.
fn identity(key: &KeySpec) -> (Option<Fingerprint>, &str) {
    (key.fingerprint, anonymous(key.fingerprint, &key.name))
}

const fn anonymous(fingerprint: Option<Fingerprint>, name: &str) -> &str {
    if fingerprint.is_some() { "" } else { name }
}
