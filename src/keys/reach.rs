//! What those who wait together can count on.

use crate::clock::Moment;
use crate::limits::{Cost, Supply};

use super::ask::Ask;
use super::bits::Bits;
use super::pool::Pool;
use super::spec::Reach as Shared;

/// The groups that can serve certain requests, and the model that they ask for.
pub(super) struct Reach {
    model: u8,
    groups: Bits,
}

impl Pool {
    /// The groups that can serve a request, be they closed now or not.
    pub(super) fn reach(&mut self, ask: &Ask<'_>, now: Moment) -> Reach {
        let field = self.field(ask, now);
        let usable = |slot: &u8| {
            let group = self.groups.get(usize::from(*slot)).and_then(Option::as_ref);
            let keys = group.map_or(Bits::EMPTY, |group| group.keys.and(field.keys));
            !keys.without(self.rack.disabled).is_empty()
        };
        let mut groups = Bits::EMPTY;
        for slot in field.groups.iter().filter(usable) {
            groups.insert(slot);
        }
        Reach { model: field.model, groups }
    }

    /// What those groups can give together from now on, and how many they are.
    pub(super) fn supply(&self, reach: &Reach, now: Moment) -> (u32, Supply) {
        let mut supply = Supply::default();
        let groups = reach.groups.iter();
        for group in groups.filter_map(|slot| self.groups.get(usize::from(slot))?.as_ref()) {
            for (sum, more) in supply.iter_mut().zip(group.supply(reach.model, now)) {
                *sum = sum.plus(more);
            }
        }
        (reach.groups.len(), supply)
    }

    /// Whether what is kept of a group for a request of that model will still be enough if one of
    /// `cost` is sent there first.
    pub(super) fn spares(
        &self,
        model: &str,
        group: u8,
        kept: (&Cost, Moment),
        cost: &Cost,
    ) -> bool {
        let Some(slot) = self.models.slot(model) else { return true };
        let group = self.groups.get(usize::from(group)).and_then(Option::as_ref);
        group.is_none_or(|group| group.spares(slot, kept.0, cost, kept.1))
    }

    /// What tells models that share limits from others: their common name.
    pub(super) fn share_of<'a>(&'a self, model: &'a str) -> &'a str {
        let together = self.spec.limits.iter().filter(|limit| limit.reach == Shared::Together);
        let mut mine = together.filter(|limit| limit.counts(model));
        mine.next().map_or(model, |limit| limit.models.first().map_or("", |first| &first.text))
    }

    /// Counts what may let requests of any model go.
    pub(super) const fn changes(&self) -> u64 {
        self.rack.changes().wrapping_add(self.models.reopened())
    }
}
