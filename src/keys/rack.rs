//! The keys of a pool and the health of each.

use std::time::Duration;

use crate::clock::Moment;
use crate::limits::jitter;

use super::bits::{Bits, Weights};
use super::gate::{Cause, SOON};
use super::group::Why;
use super::secret::Fingerprint;
use super::spec::Pattern;

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) generation: u32,
    pub(super) group: u8,
    pub(super) weight: u32,
    pub(super) models: Vec<Pattern>,
    pub(super) callers: Vec<Box<str>>,
    health: Health,
}

/// What is known of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// No answer has told yet.
    Untested,
    /// A first request is out, since then. The others wait for what it finds: a dead key is met
    /// twice at most, however many requests come at once.
    Trying(Moment),
    /// The provider took it.
    Good,
    /// The provider refused it at the first moment; it rests until the second.
    Resting(Moment, Moment),
    /// It was refused at the first moment, and since the second one request is its last chance.
    Retrying(Moment, Moment),
    /// The provider refused it twice.
    Disabled,
}

/// The words for a key's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyState {
    /// As far as is known.
    Healthy,
    /// Refused once.
    Resting,
    /// Refused twice: not used until its value changes.
    Disabled,
    /// Healthy, but not allowed to use some models.
    Forbidden,
}

/// How long a key rests that was refused for the first time.
const REST: Duration = Duration::from_secs(5);
/// A first request that has no answer after this stops nobody: providers refuse a credential at
/// once, and only good answers take longer.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// A last chance that nobody ends is given again after this.
const LEASE: Duration = Duration::from_mins(1);

/// All keys of a pool, by slot, and the sets that make choosing one a matter of bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Rack {
    slots: Vec<Option<Key>>,
    /// Generations of empty slots count on.
    generation: u32,
    pub(super) weights: Weights,
    /// Keys that may be sent to now.
    pub(super) ready: Bits,
    /// Those of them that had rested, and have one last chance.
    pub(super) due: Bits,
    /// Those of them that the provider took before.
    pub(super) good: Bits,
    pub(super) disabled: Bits,
    pub(super) present: Bits,
    wake: Moment,
    changes: u64,
}

impl Rack {
    pub(super) fn get(&self, slot: u8) -> Option<&Key> {
        self.slots.get(usize::from(slot))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u8) -> Option<&mut Key> {
        self.slots.get_mut(usize::from(slot))?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &Key)> {
        (0..=u8::MAX).zip(&self.slots).filter_map(|(slot, key)| Some((slot, key.as_ref()?)))
    }

    /// Takes a key in, into the first empty slot; `None` if there is none.
    pub(super) fn insert(&mut self, key: NewKey) -> Option<(u8, u32)> {
        let empty = self.slots.iter().position(Option::is_none);
        let slot = empty.unwrap_or(self.slots.len());
        let number = u8::try_from(slot).ok()?;
        self.generation = self.generation.wrapping_add(1);
        let key = Key {
            name: key.name,
            fingerprint: key.fingerprint,
            generation: self.generation,
            group: 0,
            weight: 1,
            models: Vec::new(),
            callers: Vec::new(),
            health: Health::Untested,
        };
        match self.slots.get_mut(slot) {
            Some(place) => *place = Some(key),
            None => self.slots.push(Some(key)),
        }
        Some((number, self.generation))
    }

    pub(super) fn remove(&mut self, slot: u8) {
        if let Some(place) = self.slots.get_mut(usize::from(slot)) {
            *place = None;
        }
    }

    /// Looks again at every key: those that time has changed, or all after a change of the pool.
    pub(super) fn sort(&mut self, now: Moment) {
        (self.ready, self.due, self.good) = (Bits::EMPTY, Bits::EMPTY, Bits::EMPTY);
        (self.disabled, self.present) = (Bits::EMPTY, Bits::EMPTY);
        self.wake = Moment::NEVER;
        for slot in 0..=u8::MAX {
            self.sort_one(slot, now);
        }
    }

    pub(super) fn tick(&mut self, now: Moment) {
        if now >= self.wake {
            self.sort(now);
        }
    }

    fn sort_one(&mut self, slot: u8, now: Moment) {
        let Some(key) = self.get(slot) else { return };
        let (health, ready_at) = (key.health, key.ready_at());
        self.present.insert(slot);
        for set in [&mut self.ready, &mut self.due, &mut self.good, &mut self.disabled] {
            set.remove(slot);
        }
        if ready_at > now {
            self.wake = self.wake.min(ready_at);
        } else {
            self.ready.insert(slot);
        }
        match health {
            Health::Good => self.good.insert(slot),
            Health::Resting(..) | Health::Retrying(..) => self.due.insert(slot),
            Health::Disabled => self.disabled.insert(slot),
            Health::Untested | Health::Trying(_) => {}
        }
    }

    fn become_(&mut self, slot: u8, health: Health, now: Moment) {
        self.changes = self.changes.wrapping_add(1);
        if let Some(key) = self.get_mut(slot) {
            key.health = health;
        }
        self.sort_one(slot, now);
    }

    /// A request is sent with that key. A key nobody depends on alone is tried by one at first.
    pub(super) fn sent(&mut self, slot: u8, now: Moment) {
        let alone = self.present.len() < 2;
        match self.get(slot).map(|key| key.health) {
            Some(Health::Untested) if !alone => self.become_(slot, Health::Trying(now), now),
            Some(Health::Resting(first, _) | Health::Retrying(first, _)) => {
                self.become_(slot, Health::Retrying(first, now), now);
            }
            _ => {}
        }
    }

    /// The provider took the credential of a request sent at `sent`. Returns whether that saved it.
    pub(super) fn took(&mut self, slot: u8, sent: Moment, now: Moment) -> bool {
        match self.get(slot).map(|key| key.health) {
            Some(Health::Untested | Health::Trying(_)) => {
                self.become_(slot, Health::Good, now);
                false
            }
            Some(Health::Resting(first, _) | Health::Retrying(first, _)) if sent > first => {
                self.become_(slot, Health::Good, now);
                true
            }
            _ => false,
        }
    }

    /// The provider refused the credential of a request sent at `sent`. What was under way at the
    /// first refusal is part of it. Returns the state it came to, if that is another.
    pub(super) fn refused(
        &mut self,
        slot: u8,
        sent: Moment,
        now: Moment,
        random: u64,
    ) -> Option<KeyState> {
        let key = self.get(slot)?;
        key.fingerprint?; // without a credential there is nothing to refuse
        match key.health {
            Health::Untested | Health::Trying(_) | Health::Good => {
                let until = now + REST + jitter(REST, random);
                self.become_(slot, Health::Resting(now, until), now);
                Some(KeyState::Resting)
            }
            Health::Resting(first, _) | Health::Retrying(first, _) if sent > first => {
                self.become_(slot, Health::Disabled, now);
                Some(KeyState::Disabled)
            }
            Health::Resting(..) | Health::Retrying(..) | Health::Disabled => None,
        }
    }

    /// The request sent with that key at `sent` found nothing out: another may.
    pub(super) fn release(&mut self, slot: u8, sent: Moment, now: Moment) {
        match self.get(slot).map(|key| key.health) {
            Some(Health::Trying(at)) if at == sent => self.become_(slot, Health::Untested, now),
            Some(Health::Retrying(first, at)) if at == sent => {
                self.become_(slot, Health::Resting(first, now), now);
            }
            _ => {}
        }
    }

    /// When the first of `keys` may be sent to, and what it waits for.
    pub(super) fn soonest(&self, keys: Bits, now: Moment) -> Option<(Moment, Why)> {
        let keys = keys.iter().filter_map(|slot| self.get(slot));
        let reasons = keys.filter_map(|key| {
            let (until, cause) = (key.expected_at(now), key.cause()?);
            let guess = until < key.ready_at();
            Some((until, Why { cause, binding: None, for_all: false, guess }))
        });
        reasons.min_by_key(|(until, _)| *until)
    }

    /// How often a key's health has changed.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// When time changes something, the soonest.
    pub(super) const fn wake(&self) -> Moment {
        self.wake
    }
}

/// A key that is taken in.
#[derive(Debug)]
pub(super) struct NewKey {
    pub(super) name: Box<str>,
    pub(super) fingerprint: Option<Fingerprint>,
}

impl Key {
    /// From when on it may be sent to.
    fn ready_at(&self) -> Moment {
        match self.health {
            Health::Untested | Health::Good => Moment::ZERO,
            Health::Trying(since) => since + FIRST_LOOK,
            Health::Resting(_, until) => until,
            Health::Retrying(_, since) => since + LEASE,
            Health::Disabled => Moment::NEVER,
        }
    }

    /// When it is likely that it may be sent to: what its last chance comes to is known soon.
    fn expected_at(&self, now: Moment) -> Moment {
        match self.health {
            Health::Retrying(..) => self.ready_at().min(now + SOON),
            Health::Untested
            | Health::Trying(_)
            | Health::Good
            | Health::Resting(..)
            | Health::Disabled => self.ready_at(),
        }
    }

    const fn cause(&self) -> Option<Cause> {
        match self.health {
            Health::Trying(_) => Some(Cause::Trial),
            Health::Resting(..) | Health::Retrying(..) => Some(Cause::Resting),
            Health::Untested | Health::Good | Health::Disabled => None,
        }
    }

    pub(super) const fn state(&self) -> KeyState {
        match self.health {
            Health::Untested | Health::Trying(_) | Health::Good => KeyState::Healthy,
            Health::Resting(..) | Health::Retrying(..) => KeyState::Resting,
            Health::Disabled => KeyState::Disabled,
        }
    }
}

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Resting, Self::Disabled, Self::Forbidden];

    /// The word for it in metrics and on `/status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Resting => "resting",
            Self::Disabled => "disabled",
            Self::Forbidden => "forbidden",
        }
    }
}
