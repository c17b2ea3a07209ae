//! What was used of long windows before the process began.
//!
//! A model's limits come to be when it is first asked for, so what was read is kept until then; and
//! what nobody has asked for yet must not be lost when the counts are written again.

use std::collections::HashMap;

use crate::clock::Now;
use crate::limits::{Counts, Snapshot};

use super::group::{Common, Group};
use super::pool::Pool;

/// Counts that no limits have taken in yet, by quota group and by model.
#[derive(Debug, Default)]
pub(super) struct Counted(HashMap<(Box<str>, Box<str>), Counts>);

impl Counted {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limits of that model of that group have just come to be.
    pub(super) fn restore(&mut self, group: &mut Group, model: (u8, &str), now: Now) {
        if let Some(counts) = self.0.remove(&(group.name.clone(), model.1.into()))
            && let Some(cell) = group.cell_mut(model.0)
        {
            cell.ledger.restore(&counts, now);
        }
    }
}

impl Pool {
    /// Adds to a snapshot what was used of windows of a day and more. `provider` is what its owner is
    /// called there.
    pub fn store(&self, provider: &str, snapshot: &mut Snapshot, now: Now) {
        let owner = |group: &str, model: &str| vec![provider.into(), group.into(), model.into()];
        for (_, group) in self.groups.iter() {
            for common in &group.common {
                let counts = common.ledger.long_counts(now);
                snapshot.add(owner(&group.name, &name_of(common)), counts);
            }
            for (slot, model) in (0..=u8::MAX).zip(&self.models.list) {
                if let Some(cell) = group.cell(slot) {
                    let counts = cell.ledger.long_counts(now);
                    snapshot.add(owner(&group.name, &model.name), counts);
                }
            }
        }
        for ((group, model), counts) in &self.counted.0 {
            snapshot.add(owner(group, model), counts.clone());
        }
    }

    /// Takes in what was used before the process began. To be called once, after the first
    /// [`rebuild`](Self::rebuild) and [`set_wall`](Self::set_wall).
    pub fn restore(&mut self, provider: &str, snapshot: &Snapshot, now: Now) {
        for (owner, counts) in snapshot.iter() {
            if let [whose, group, model] = owner
                && *whose == provider
            {
                let key = (group.as_str().into(), model.as_str().into());
                self.counted.0.insert(key, counts.clone());
            }
        }
        let Self { groups, models, counted, .. } = self;
        for group in groups.touch_all() {
            for common in &mut group.common {
                if let Some(counts) = counted.0.remove(&(group.name.clone(), name_of(common))) {
                    common.ledger.restore(&counts, now);
                }
            }
            for (slot, model) in (0..=u8::MAX).zip(&models.list) {
                if group.cell(slot).is_some() {
                    counted.restore(group, (slot, &model.name), now);
                }
            }
        }
    }
}

/// No model is called so: several that draw on one limit.
fn name_of(common: &Common) -> Box<str> {
    let models = common.models.iter().map(|model| {
        let star = if model.open { "*" } else { "" };
        format!("{}{star}", model.text)
    });
    format!("together: {}", models.collect::<Vec<_>>().join(", ")).into()
}
