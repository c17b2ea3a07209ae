//! What became of the requests, counted while they come and go.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Histogram;
use super::plant::Truth;
use super::policy::{Job, Shed};
use super::scenario::Scenario;
use super::site::{Name, Site};
use crate::callers::Priority;
use crate::clock::Moment;
use crate::formats::{Dimension, Verdict};

/// Slices of a run's time at most.
const MOST_SLICES: u32 = 10_000;

/// Slices for what ends after requests have ceased to come; what comes later still belongs to the last.
const LATE: u128 = 60;

/// Everything that is counted.
#[derive(Clone, Debug)]
pub(super) struct Score {
    pub(super) classes: BTreeMap<Kind, Class>,
    /// Of each name, what all its requests would have cost at each of its targets.
    pub(super) asked: Vec<Asked>,
    pub(super) sidecars: Vec<Sidecar>,
    pub(super) slices: Vec<Slice>,
    pub(super) slice: Duration,
    /// What stood in the way of those who were shed.
    pub(super) bindings: BTreeMap<Binding, u64>,
    pub(super) attempts: u64,
    pub(super) verdicts: BTreeMap<Verdict, u64>,
    /// Requests of the highest class that were shed while one of a lower class waited beside them.
    pub(super) inversions: u64,
}

/// What requests are told apart by: name, caller and priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) name: u16,
    pub(super) caller: u16,
    pub(super) priority: Priority,
}

/// Requests of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    pub(super) count: Count,
    pub(super) waits: Histogram,
}

/// How many, and what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) offered: u64,
    pub(super) served: u64,
    /// Sent before requests ceased to come.
    pub(super) in_time: u64,
    pub(super) shed: [u64; Shed::ALL.len()],
    pub(super) offered_tokens: u64,
    pub(super) served_tokens: u64,
    pub(super) in_time_tokens: u64,
}

/// What was asked for under one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) requests: u64,
    pub(super) tokens: u64,
    /// For each of its targets, what is charged in all, by dimension.
    pub(super) charges: Vec<[u64; 4]>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sidecar {
    pub(super) served_tokens: u64,
    pub(super) offered: u64,
    pub(super) shed: u64,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slice {
    pub(super) offered: u64,
    pub(super) shed: u64,
    pub(super) attempts: u64,
    pub(super) refused: u64,
    pub(super) tokens: u64,
}

/// What stands in a request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Binding {
    /// Nothing: some provider would have taken it.
    Nothing,
    /// Every key that it might use is dead.
    Keys,
    /// A limit of its caller's own.
    Caller(u16),
    /// That limit of that model of that provider.
    Limit { provider: u16, model: u16, dimension: Dimension, window: Duration },
}

impl Score {
    pub(super) fn new(scenario: &Scenario, site: &Site) -> Self {
        let slice = (scenario.duration / MOST_SLICES).max(Duration::from_secs(1));
        let slices = scenario.duration.as_nanos() / slice.as_nanos() + LATE;
        let slices = usize::try_from(slices).unwrap_or(usize::MAX);
        Self {
            classes: BTreeMap::new(),
            asked: site.names.iter().map(Asked::of).collect(),
            sidecars: vec![Sidecar::default(); scenario.most_sidecars() as usize],
            slices: vec![Slice::default(); slices],
            slice,
            bindings: BTreeMap::new(),
            attempts: 0,
            verdicts: BTreeMap::new(),
            inversions: 0,
        }
    }

    pub(super) fn offered(&mut self, job: &Job, sidecar: u32, truth: &Truth, site: &Site) {
        let tokens = truth.tokens();
        if let (Some(asked), Some(name)) =
            (self.asked.get_mut(usize::from(job.name)), site.name_of(job.name))
        {
            asked.add(name, truth, site);
        }
        let count = &mut self.class(job).count;
        count.offered += 1;
        count.offered_tokens += tokens;
        self.sidecar(sidecar, |sidecar| sidecar.offered += 1);
        self.slice_at(job.arrived, |slice| slice.offered += 1);
    }

    pub(super) fn attempted(&mut self, verdict: Verdict, at: Moment) {
        self.attempts += 1;
        *self.verdicts.entry(verdict).or_insert(0) += 1;
        self.slice_at(at, |slice| {
            slice.attempts += 1;
            slice.refused += u64::from(is_limit(verdict));
        });
    }

    /// A request was sent at `sent` by the try that served it.
    pub(super) fn served(&mut self, job: &Job, sidecar: u32, tokens: u64, sent: Sent) {
        let class = self.class(job);
        class.waits.add(sent.at.since(job.arrived));
        class.count.served += 1;
        class.count.served_tokens += tokens;
        if sent.when == When::InTime {
            class.count.in_time += 1;
            class.count.in_time_tokens += tokens;
        }
        self.sidecar(sidecar, |sidecar| sidecar.served_tokens += tokens);
        self.slice_at(sent.at, |slice| slice.tokens += tokens);
    }

    pub(super) fn shed(&mut self, job: &Job, sidecar: u32, why: Shed, at: Moment) {
        if let Some(count) = self.class(job).count.shed.get_mut(why as usize) {
            *count += 1;
        }
        self.sidecar(sidecar, |sidecar| sidecar.shed += 1);
        self.slice_at(at, |slice| slice.shed += 1);
    }

    pub(super) fn bound(&mut self, binding: Binding) {
        *self.bindings.entry(binding).or_insert(0) += 1;
    }

    fn class(&mut self, job: &Job) -> &mut Class {
        let Job { name, caller, priority, .. } = *job;
        self.classes.entry(Kind { name, caller, priority }).or_default()
    }

    fn sidecar(&mut self, sidecar: u32, note: impl FnOnce(&mut Sidecar)) {
        if let Some(sidecar) = self.sidecars.get_mut(sidecar as usize) {
            note(sidecar);
        }
    }

    fn slice_at(&mut self, at: Moment, note: impl FnOnce(&mut Slice)) {
        let nth = u128::from(at.as_nanos()) / self.slice.as_nanos().max(1);
        let last = self.slices.len().saturating_sub(1);
        let index = usize::try_from(nth).map_or(last, |nth| nth.min(last));
        if let Some(slice) = self.slices.get_mut(index) {
            note(slice);
        }
    }
}

impl Asked {
    fn of(name: &Name) -> Self {
        Self { charges: vec![[0; 4]; name.targets.len()], ..Self::default() }
    }

    fn add(&mut self, name: &Name, truth: &Truth, site: &Site) {
        self.requests += 1;
        self.tokens += truth.tokens();
        for (sums, target) in self.charges.iter_mut().zip(&name.targets) {
            let provider = site.providers.get(usize::from(target.provider));
            let model = usize::from(target.model);
            let Some(tariff) = provider.map(|it| it.tariff(model)) else { continue };
            for (sum, dimension) in sums.iter_mut().zip(Dimension::ALL) {
                *sum += tariff.charged(dimension, truth.ask, truth.output);
            }
        }
    }
}

/// When a request was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) at: Moment,
    pub(super) when: When,
}

/// Whether that was before requests ceased to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    InTime,
    After,
}

/// Whether a provider said that a limit is reached.
pub(super) const fn is_limit(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::RateLimited | Verdict::QuotaExhausted)
}

impl Count {
    pub(super) fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.served += other.served;
        self.in_time += other.in_time;
        self.offered_tokens += other.offered_tokens;
        self.served_tokens += other.served_tokens;
        self.in_time_tokens += other.in_time_tokens;
        for (mine, more) in self.shed.iter_mut().zip(other.shed) {
            *mine += more;
        }
    }

    pub(super) fn all_shed(&self) -> u64 {
        self.shed.iter().sum()
    }
}
