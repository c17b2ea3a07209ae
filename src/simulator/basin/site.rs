//! The lie of the land: which keys, quota groups and models there are, and which way a name leads.
//! It is the same for every policy and does not change while a simulation runs.

use std::num::NonZeroU32;

use super::scenario::{Caller, Retry, Scenario, Weighted};
use crate::clock::{Moment, Now};
use crate::formats::Pattern;
use crate::keys::{self, Spec};
use crate::limits::Measure;
use crate::simulator::meter::{Grant, Tariff, Terms};

/// Everything that policies may know.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) providers: Vec<Provider>,
    pub(super) names: Vec<Name>,
    pub(super) callers: Vec<Caller>,
    pub(super) retry: Retry,
    /// Both clocks at the beginning.
    pub(super) start: Now,
    /// Sidecars that there are, as each of them is told.
    pub(super) told: Option<NonZeroU32>,
    /// Sidecars that there really are.
    pub(super) sidecars: u32,
    cells: usize,
}

#[derive(Debug)]
pub(super) struct Provider {
    pub(super) name: Box<str>,
    /// How each model is charged.
    tariffs: Vec<Tariff>,
    pub(super) spec: Spec,
    pub(super) groups: Vec<Box<str>>,
    pub(super) models: Vec<Box<str>>,
    /// In the order of the spec's.
    pub(super) keys: Vec<Key>,
    pub(super) terms: Terms,
    first_cell: usize,
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    pub(super) group: usize,
    models: Vec<Pattern>,
    callers: Vec<Box<str>>,
}

#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "a name has one")]
pub(super) struct Name {
    pub(super) name: Box<str>,
    pub(super) targets: Vec<Target>,
    weighted: Weighted,
    /// All ways to all targets, in their order; whose caller may go them is told by [`Site::may`].
    pub(super) lanes: Vec<Lane>,
}

/// Provider and model, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) provider: u16,
    pub(super) model: u16,
    pub(super) weight: u32,
}

/// A key, and the model that is asked with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) provider: u16,
    pub(super) key: u16,
    pub(super) model: u16,
    /// The limits that it draws on.
    pub(super) cell: u32,
}

impl Site {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let mut site = Self {
            providers: Vec::new(),
            names: Vec::new(),
            callers: scenario.callers.clone(),
            retry: scenario.retry,
            start: Now { at: Moment::ZERO, wall: scenario.start },
            told: scenario.fleet.told,
            sidecars: scenario.fleet.sidecars.max(1),
            cells: 0,
        };
        for (index, provider) in scenario.providers.iter().enumerate() {
            let mut models: Vec<Box<str>> = Vec::new();
            for (_, model, _) in
                scenario.names.iter().flat_map(|name| &name.targets).filter(|it| it.0 == index)
            {
                if !models.contains(model) {
                    models.push(model.clone());
                }
            }
            let built = Provider::new(provider, models, site.cells);
            site.cells += built.groups.len() * built.models.len();
            site.providers.push(built);
        }
        for name in &scenario.names {
            let name = site.name(name);
            site.names.push(name);
        }
        site
    }

    fn name(&self, name: &super::scenario::Name) -> Name {
        let targets = name.targets.iter().filter_map(|(provider, model, weight)| {
            let found = self.providers.get(*provider)?.models.iter().position(|it| it == model)?;
            let (provider, model) = (u16::try_from(*provider).ok()?, u16::try_from(found).ok()?);
            Some(Target { provider, model, weight: *weight })
        });
        let targets: Vec<Target> = targets.collect();
        let lanes = targets.iter().flat_map(|target| self.lanes_of(*target)).collect();
        Name { name: name.name.clone(), weighted: name.weighted, targets, lanes }
    }

    fn lanes_of(&self, target: Target) -> Vec<Lane> {
        let Some(provider) = self.providers.get(usize::from(target.provider)) else {
            return Vec::new();
        };
        let model = provider.models.get(usize::from(target.model));
        let keys = (0_u16..).zip(&provider.keys).filter(|(_, key)| {
            let serves = |model| key.models.iter().any(|pattern| pattern.matches(model));
            key.models.is_empty() || model.is_some_and(|model| serves(model))
        });
        keys.map(|(key, _)| self.lane(target.provider, key, target.model)).collect()
    }

    /// The way of that key to that model.
    pub(super) fn lane(&self, provider: u16, key: u16, model: u16) -> Lane {
        let found = self.providers.get(usize::from(provider));
        let cell = found.map_or(0, |found| {
            let group = found.keys.get(usize::from(key)).map_or(0, |key| key.group);
            found.cell(group, usize::from(model))
        });
        Lane { provider, key, model, cell: u32::try_from(cell).unwrap_or(u32::MAX) }
    }

    /// Whether that caller may go that way.
    pub(super) fn may(&self, caller: u16, lane: Lane) -> bool {
        let provider = self.providers.get(usize::from(lane.provider));
        let key = provider.and_then(|provider| provider.keys.get(usize::from(lane.key)));
        key.is_some_and(|key| {
            key.callers.is_empty() || key.callers.iter().any(|it| **it == *self.caller(caller))
        })
    }

    pub(super) fn caller(&self, caller: u16) -> &str {
        self.callers.get(usize::from(caller)).map_or("", |caller| &caller.name)
    }

    pub(super) fn name_of(&self, name: u16) -> Option<&Name> {
        self.names.get(usize::from(name))
    }

    /// How many sets of limits there are.
    pub(super) const fn cells(&self) -> usize {
        self.cells
    }
}

impl Name {
    /// Whether a request draws its first target by weight.
    pub(super) fn weighted(&self) -> bool {
        self.weighted == Weighted::Yes
    }
}

impl Provider {
    fn new(provider: &super::scenario::Provider, models: Vec<Box<str>>, first_cell: usize) -> Self {
        let mut groups: Vec<Box<str>> = Vec::new();
        let mut keys = Vec::new();
        for key in &provider.spec.keys {
            let known = groups.iter().position(|group| *group == key.quota_group);
            let group = known.unwrap_or(groups.len());
            if known.is_none() {
                groups.push(key.quota_group.clone());
            }
            let (models, callers) = (key.models.clone(), key.callers.clone());
            keys.push(Key { name: key.name.clone(), group, models, callers });
        }
        Self {
            name: provider.name.clone(),
            tariffs: models.iter().map(|it| Tariff::of(provider.charging, it)).collect(),
            spec: provider.spec.clone(),
            groups,
            models,
            keys,
            terms: provider.terms,
            first_cell,
        }
    }

    /// How that model is charged.
    pub(super) fn tariff(&self, model: usize) -> Tariff {
        self.tariffs.get(model).copied().unwrap_or(Tariff::AsUsed)
    }

    pub(super) const fn cell(&self, group: usize, model: usize) -> usize {
        self.first_cell + group * self.models.len() + model
    }

    /// What a model of a group is granted as the configuration believes, and how many at once.
    pub(super) fn believed(&self, group: usize, model: usize) -> (Vec<Grant>, Option<u64>) {
        self.granted(&self.spec.limits, group, model)
    }

    /// The same, by any other list of limits.
    pub(super) fn granted(
        &self,
        limits: &[keys::LimitSpec],
        group: usize,
        model: usize,
    ) -> (Vec<Grant>, Option<u64>) {
        let (Some(group), Some(model)) = (self.groups.get(group), self.models.get(model)) else {
            return (Vec::new(), None);
        };
        let mut grants = Vec::new();
        let mut at_once = None;
        for rule in keys::rules_for(limits, group, model) {
            match rule.measure {
                Measure::Of(dimension) => {
                    let window = rule.window.length();
                    grants.push(Grant { dimension, window, amount: rule.amount });
                }
                Measure::Concurrency => at_once = Some(rule.amount),
                // Only callers have limits of cost.
                Measure::Cost => {}
            }
        }
        (grants, at_once)
    }
}
