//! One class of one lane: callers by rank, the requests of each by deadline.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::clock::Moment;

use super::WINDOW;

/// Where a caller stands in its class: the least is served first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Tokens that it has been served.
    pub(super) served: u64,
    /// When it began to wait: a number that grows.
    pub(super) since: u64,
}

/// A request's place among those of its caller: its deadline, and a number that grows.
pub(super) type Place = (Moment, u64);

/// One class of one lane. Callers are told apart by their rank, for no two have the same.
#[derive(Debug, Default)]
pub(super) struct Line {
    callers: BTreeMap<Rank, BTreeMap<Place, u32>>,
}

impl Line {
    pub(super) fn push(&mut self, rank: Rank, place: Place, slot: u32) {
        self.callers.entry(rank).or_default().insert(place, slot);
    }

    pub(super) fn remove(&mut self, rank: Rank, place: Place) {
        if let Some(places) = self.callers.get_mut(&rank) {
            places.remove(&place);
            if places.is_empty() {
                self.callers.remove(&rank);
            }
        }
    }

    /// A caller has another rank now.
    pub(super) fn rerank(&mut self, old: Rank, new: Rank) {
        if let Some(places) = self.callers.remove(&old) {
            self.callers.insert(new, places);
        }
    }

    /// The rank of the first caller.
    pub(super) fn rank(&self) -> Option<Rank> {
        self.callers.first_key_value().map(|(rank, _)| *rank)
    }

    /// Who is first.
    pub(super) fn head(&self) -> Option<u32> {
        let (_, places) = self.callers.first_key_value()?;
        places.first_key_value().map(|(_, slot)| *slot)
    }

    /// The first `count` of all: of each caller in turn the first, then the second...
    pub(super) fn first(&self, count: usize) -> SmallVec<[u32; WINDOW]> {
        let mut first = SmallVec::new();
        for depth in 0..count {
            let before = first.len();
            let callers = self.callers.values().take(count);
            let slots = callers.filter_map(|places| places.values().nth(depth));
            first.extend(slots.copied().take(count - before));
            if first.len() == before || first.len() == count {
                break;
            }
        }
        first
    }

    /// The first and the last deadline of a caller.
    pub(super) fn span(&self, rank: Rank) -> Option<(Moment, Moment)> {
        let places = self.callers.get(&rank)?;
        let ((first, _), (last, _)) = (places.first_key_value()?.0, places.last_key_value()?.0);
        Some((*first, *last))
    }

    /// The request of a caller whose deadline is last.
    pub(super) fn last(&self, rank: Rank) -> Option<(Place, u32)> {
        self.callers.get(&rank)?.last_key_value().map(|(place, slot)| (*place, *slot))
    }
}
