//! What is known of groups that could not carry a request, so that whoever asks again need not be
//! worked out again.

use crate::clock::Moment;
use crate::limits::Cost;

use super::group::Why;

/// For each group the latest request that one model was refused. Nothing happened to the group since.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Vec<Option<Refusal>>);

/// A request of that cost cannot be carried before `until`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) cost: Cost,
    pub(super) until: Moment,
    pub(super) why: Why,
}

impl Refusals {
    /// What a group would answer a request of the same cost.
    pub(super) fn same(&self, group: u8, cost: &Cost, now: Moment) -> Option<&Refusal> {
        let known = self.0.get(usize::from(group))?.as_ref();
        known.filter(|refusal| now < refusal.until && refusal.cost == *cost)
    }

    pub(super) fn remember(&mut self, group: u8, refusal: Refusal) {
        let index = usize::from(group);
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        if let Some(place) = self.0.get_mut(index) {
            *place = Some(refusal);
        }
    }

    /// Something happened to the group.
    pub(super) fn forget(&mut self, group: u8) {
        if let Some(place) = self.0.get_mut(usize::from(group)) {
            *place = None;
        }
    }

    /// Something happened to all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
