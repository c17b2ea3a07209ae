//! What was found of the groups for a request that none could carry: the one at the head of a queue
//! asks again whenever something happens, and all groups to which nothing did are answered for here.

use crate::clock::Moment;
use crate::limits::Cost;

use super::ask::Causes;
use super::bits::Bits;
use super::group::{Standing, Why};
use super::groups::Groups;

/// For one cost: groups that cannot carry it, until when, and why.
#[derive(Clone, Debug, Default)]
pub(super) struct Memo {
    cost: Cost,
    /// Groups of which something is known.
    known: Bits,
    entries: Vec<Entry>,
    whys: Vec<Option<Why>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The version of the group at which that was found.
    version: u64,
    until: Moment,
    cause: Causes,
}

/// What is known of some groups without looking at them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// Those that cannot carry the request now.
    pub(super) shut: Bits,
    /// The one of them that can first, and when.
    pub(super) soonest: Option<(Moment, u8)>,
    /// What they wait for.
    pub(super) causes: Causes,
}

impl Memo {
    /// That group cannot carry a request of that cost before `until`, unless something happens to it.
    pub(super) fn note(&mut self, cost: &Cost, slot: u8, version: u64, until: Moment, why: Why) {
        if self.cost != *cost {
            (self.cost, self.known) = (*cost, Bits::EMPTY);
        }
        let at = usize::from(slot);
        if self.entries.len() <= at {
            self.entries.resize_with(at + 1, Entry::default);
            self.whys.resize_with(at + 1, || None);
        }
        let mut cause = Causes::default();
        cause.insert(why.cause);
        if let (Some(entry), Some(place)) = (self.entries.get_mut(at), self.whys.get_mut(at)) {
            *entry = Entry { version, until, cause };
            *place = Some(why);
            self.known.insert(slot);
        }
    }

    /// What is known of `among` for a request of that cost that may use these keys.
    pub(super) fn recall(
        &self,
        cost: &Cost,
        among: Bits,
        keys: Bits,
        groups: &Groups,
        now: Moment,
    ) -> Known {
        let mut known = Known::default();
        let among = self.known.and(among);
        if among.is_empty() || self.cost != *cost {
            return known;
        }
        for slot in among.iter() {
            let Some(entry) = self.entries.get(usize::from(slot)) else { continue };
            let head = groups.head(slot);
            let holds = entry.version == head.version && entry.until > now;
            if !holds || head.keys.and(keys).is_empty() {
                continue;
            }
            known.shut.insert(slot);
            known.causes = known.causes.and_also(entry.cause);
            if known.soonest.is_none_or(|(soonest, _)| entry.until < soonest) {
                known.soonest = Some((entry.until, slot));
            }
        }
        known
    }

    /// What was found of that group for a request of that cost, if it still holds.
    pub(super) fn standing(
        &self,
        cost: &Cost,
        slot: u8,
        version: u64,
        now: Moment,
    ) -> Option<Standing> {
        let entry = self.entries.get(usize::from(slot)).filter(|_| self.known.contains(slot))?;
        let holds = self.cost == *cost && entry.version == version && entry.until > now;
        holds.then_some(Standing::Shut(entry.until, self.why(slot)?))
    }

    /// Why that group cannot.
    pub(super) fn why(&self, slot: u8) -> Option<Why> {
        self.whys.get(usize::from(slot)).copied().flatten()
    }
}
