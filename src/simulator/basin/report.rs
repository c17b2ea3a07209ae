//! What came of a simulation, in figures: for people as a table, for programs as JSON and CSV.

mod csv;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::histogram::Histogram;
use super::number::{float, ratio};
use super::optimum;
use super::policy::{Kind, Shed};
use super::scenario::Scenario;
use super::score::{Binding, Count, Score, is_limit};
use super::site::Site;
use super::world::Run;
use crate::formats::{Dimension, Verdict};
use crate::limits;

/// The version of the JSON and CSV that are written.
pub const VERSION: u32 = 1;

/// What is told of one or several runs of a scenario.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// Where randomness began.
    pub seed: u64,
    /// For how long requests came.
    pub duration_seconds: f64,
    /// Who took them in.
    pub sidecars: u32,
    /// What each policy made of it, the first one's first.
    pub policies: Vec<Outcome>,
    /// What one more key of each provider would change for the first policy.
    pub one_more_key: Vec<OneMoreKey>,
}

/// What a policy made of a scenario.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The policy's name.
    pub policy: &'static str,
    /// Everything together.
    pub total: Row,
    /// By model name.
    pub models: BTreeMap<String, Row>,
    /// By caller.
    pub callers: BTreeMap<String, Row>,
    /// By priority class.
    pub priorities: BTreeMap<&'static str, Row>,
    /// What stood in the way of those who were shed, and of how many.
    pub shed_by: BTreeMap<String, u64>,
    /// How the providers were used.
    pub limits: Vec<LimitUse>,
    /// Requests sent to providers, tries included.
    pub attempts: u64,
    /// What became of them, by verdict.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// The part of the attempts that a provider refused for a limit.
    pub upstream_429: f64,
    /// Tokens served while requests came, of what could have been at best.
    pub of_optimum: f64,
    /// How evenly those sidecars were served that shed anything: 1 is even, 1/n is all for one.
    pub jain: f64,
    /// The part of the capacity that ran over while somebody waited.
    pub stranded: f64,
    /// Requests of the highest class that were shed while one of a lower class waited at the same sidecar.
    pub inversions: u64,
    /// Requests answered 429, or shed though an oracle would have served as many more, of all; where
    /// an oracle ran beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leak: Option<f64>,
    /// The same for each second (or longer, in a long run): for tests and plots.
    #[serde(skip)]
    pub timeline: Timeline,
}

/// Requests of one kind, and what became of them.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Requests that came.
    pub offered: u64,
    /// Those that were answered.
    pub served: u64,
    /// Those that were not.
    pub shed: u64,
    /// Why not.
    pub shed_reasons: BTreeMap<&'static str, u64>,
    /// The part that was served.
    pub served_ratio: f64,
    /// Input and output tokens of those that were served.
    pub tokens: u64,
    /// What half of those that were served waited at most, in milliseconds.
    pub wait_p50_ms: f64,
    /// What 99 of 100 waited at most.
    pub wait_p99_ms: f64,
    /// The longest wait.
    pub wait_max_ms: f64,
}

/// How much of a limit was used.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitUse {
    /// The provider.
    pub provider: String,
    /// Its quota group.
    pub quota_group: String,
    /// The model.
    pub model: String,
    /// The limit, as the configuration calls it.
    pub limit: &'static str,
    /// What was charged.
    pub used: u64,
    /// What could have been, the bucket's first filling included.
    pub capacity: u64,
    /// The one of the other.
    pub used_ratio: f64,
    /// What ran over while somebody waited.
    pub stranded: u64,
}

/// What one more key, a quota group of its own, would change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneMoreKey {
    /// The provider that has it.
    pub provider: String,
    /// Requests that would be served in addition.
    pub served_more: i64,
    /// The part of all requests that would be shed then.
    pub shed_ratio: f64,
    /// By how much the longest of 99 waits in 100 would be shorter, in milliseconds.
    pub wait_p99_shorter_ms: f64,
}

/// What happened when.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// How long a slice is.
    pub slice: Duration,
    /// The slices.
    pub slices: Vec<Slice>,
}

/// What happened in a slice of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slice {
    /// Requests that came.
    pub offered: u64,
    /// Requests that were shed.
    pub shed: u64,
    /// Requests that were sent to providers.
    pub attempts: u64,
    /// Those of them that were refused for a limit.
    pub refused: u64,
    /// Tokens of the requests that were sent then, and served.
    pub tokens: u64,
}

impl Outcome {
    pub(super) fn of(kind: Kind, run: &Run) -> Self {
        let (score, site) = (&run.score, &*run.site);
        let by = |label: &dyn Fn(&super::score::Kind) -> String| {
            let mut rows: BTreeMap<String, Sum> = BTreeMap::new();
            for (kind, class) in &score.classes {
                rows.entry(label(kind)).or_default().add(class);
            }
            rows.into_iter().map(|(label, sum)| (label, sum.row())).collect()
        };
        let mut total = Sum::default();
        let mut priorities: BTreeMap<&'static str, Sum> = BTreeMap::new();
        for (kind, class) in &score.classes {
            total.add(class);
            priorities.entry(kind.priority.as_str()).or_default().add(class);
        }
        let limit_refusals = score.verdicts.iter().filter(|(verdict, _)| is_limit(**verdict));
        let optimum = optimum::tokens(run);
        let in_time = float(total.count.in_time_tokens);
        Self {
            policy: kind.as_str(),
            models: by(&|kind| {
                site.name_of(kind.name).map_or_else(String::new, |it| it.name.to_string())
            }),
            callers: by(&|kind| site.caller(kind.caller).to_owned()),
            priorities: priorities.into_iter().map(|(label, sum)| (label, sum.row())).collect(),
            shed_by: score.bindings.iter().map(|(it, count)| (it.name(site), *count)).collect(),
            limits: limits(run),
            attempts: score.attempts,
            verdicts: score.verdicts.iter().map(|(it, count)| (it.as_str(), *count)).collect(),
            upstream_429: round(ratio(limit_refusals.map(|it| it.1).sum(), score.attempts)),
            of_optimum: round(if optimum > 0.0 { in_time / optimum } else { 1.0 }),
            jain: round(jain(score)),
            stranded: round(stranded(run)),
            inversions: score.inversions,
            leak: None,
            timeline: Timeline::of(score),
            total: total.row(),
        }
    }

    /// Notes what leaked, beside an oracle that ran the same scenario.
    pub fn compare(&mut self, oracle: &Self) {
        let passed = self.total.shed_reasons.get(Shed::Passed429.as_str()).copied().unwrap_or(0);
        let beyond = self.total.shed.saturating_sub(oracle.total.shed);
        self.leak = Some(round(ratio(passed.max(beyond), self.total.offered)));
    }

    /// Attempts that ended in that verdict.
    pub fn verdict(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(verdict.as_str()).copied().unwrap_or(0)
    }
}

impl Report {
    /// As a table for people.
    pub fn table(&self) -> String {
        table::write(self)
    }

    /// As JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// As CSV: a row for each policy, and for each of its models, callers and classes.
    pub fn csv(&self) -> String {
        csv::write(self)
    }
}

/// Several kinds of requests together.
#[derive(Default)]
struct Sum {
    count: Count,
    waits: Histogram,
}

impl Sum {
    fn add(&mut self, class: &super::score::Class) {
        self.count.add(&class.count);
        self.waits.merge(&class.waits);
    }

    fn row(&self) -> Row {
        let reasons = Shed::ALL.iter().zip(self.count.shed).filter(|(_, count)| *count > 0);
        Row {
            offered: self.count.offered,
            served: self.count.served,
            shed: self.count.all_shed(),
            shed_reasons: reasons.map(|(why, count)| (why.as_str(), count)).collect(),
            served_ratio: round(ratio(self.count.served, self.count.offered)),
            tokens: self.count.served_tokens,
            wait_p50_ms: millis(self.waits.quantile(500)),
            wait_p99_ms: millis(self.waits.quantile(990)),
            wait_max_ms: millis(self.waits.most()),
        }
    }
}

impl Binding {
    fn name(&self, site: &Site) -> String {
        match self {
            Self::Nothing => "none: a provider had room".to_owned(),
            Self::Keys => "no key works".to_owned(),
            Self::Caller(caller) => format!("limits of caller {}", site.caller(*caller)),
            Self::Limit { provider, model, dimension, window } => {
                let provider = site.providers.get(usize::from(*provider));
                let model = provider.and_then(|it| it.models.get(usize::from(*model)));
                let name = provider.map_or("", |provider| &provider.name);
                let limit = limit_name(*dimension, *window);
                format!("{name} {} {limit}", model.map_or("", |model| model))
            }
        }
    }
}

impl Timeline {
    fn of(score: &Score) -> Self {
        let slices = score.slices.iter().map(|it| Slice {
            offered: it.offered,
            shed: it.shed,
            attempts: it.attempts,
            refused: it.refused,
            tokens: it.tokens,
        });
        Self { slice: score.slice, slices: slices.collect() }
    }

    /// What happened from one moment to another.
    pub fn between(&self, from: Duration, to: Duration) -> Slice {
        let nth = |at: Duration| at.as_nanos() / self.slice.as_nanos().max(1);
        let within = (0_u128..).zip(&self.slices);
        let within = within.filter(|(at, _)| (nth(from)..nth(to)).contains(at));
        within.fold(Slice::default(), |sum, (_, slice)| Slice {
            offered: sum.offered + slice.offered,
            shed: sum.shed + slice.shed,
            attempts: sum.attempts + slice.attempts,
            refused: sum.refused + slice.refused,
            tokens: sum.tokens + slice.tokens,
        })
    }
}

impl Slice {
    /// The part of the attempts that was refused for a limit.
    pub fn upstream_429(&self) -> f64 {
        ratio(self.refused, self.attempts)
    }
}

fn limits(run: &Run) -> Vec<LimitUse> {
    let mut uses = Vec::new();
    for cell in run.plant.cells() {
        let Some(provider) = run.site.providers.get(cell.provider) else { continue };
        let text = |names: &[Box<str>], at: usize| {
            names.get(at).map_or_else(String::new, ToString::to_string)
        };
        for line in &cell.books.dimensions {
            let capacity = super::number::whole(line.capacity);
            uses.push(LimitUse {
                provider: provider.name.to_string(),
                quota_group: text(&provider.groups, cell.group),
                model: text(&provider.models, cell.model),
                limit: limit_name(line.grant.dimension, line.grant.window),
                used: line.charged,
                capacity,
                used_ratio: round(ratio(line.charged, capacity)),
                stranded: line.stranded,
            });
        }
    }
    uses
}

/// Of each account the limit of which the largest part was used, and of that what ran over.
fn stranded(run: &Run) -> f64 {
    let (mut lost, mut capacity) = (0.0, 0.0);
    for cell in run.plant.cells() {
        let scarcest = cell.books.dimensions.iter().max_by(|one, other| {
            let used = |line: &super::plant::Line| float(line.charged) / line.capacity.max(1.0);
            used(one).total_cmp(&used(other))
        });
        if let Some(line) = scarcest {
            lost += float(line.stranded) / line.capacity.max(1.0);
            capacity += 1.0;
        }
    }
    if capacity > 0.0 { lost / capacity } else { 0.0 }
}

/// Over the sidecars that shed anything, by what each was served.
fn jain(score: &Score) -> f64 {
    let backlogged = score.sidecars.iter().filter(|sidecar| sidecar.shed > 0);
    let shares: Vec<f64> = backlogged.map(|sidecar| float(sidecar.served_tokens)).collect();
    optimum::jain(&shares)
}

/// The configuration's word for a limit.
fn limit_name(dimension: Dimension, window: Duration) -> &'static str {
    let measure = if window.is_zero() {
        limits::Measure::Concurrency
    } else {
        limits::Measure::Of(dimension)
    };
    limits::Binding::Limit(measure, window).name()
}

/// Figures are told to a hundredth of a per cent: further digits would be noise.
pub(super) fn round(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

/// In milliseconds, to a tenth.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

pub(super) fn heading(scenario: &Scenario) -> Report {
    Report {
        version: VERSION,
        seed: scenario.seed,
        duration_seconds: scenario.duration.as_secs_f64(),
        sidecars: scenario.fleet.sidecars,
        policies: Vec::new(),
        one_more_key: Vec::new(),
    }
}

/// What another run, with one more key at that provider, was better by.
pub(super) fn one_more_key(provider: &str, base: &Outcome, with: &Outcome) -> OneMoreKey {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    OneMoreKey {
        provider: provider.to_owned(),
        served_more: count(with.total.served) - count(base.total.served),
        shed_ratio: round(ratio(with.total.shed, with.total.offered)),
        wait_p99_shorter_ms: round(base.total.wait_p99_ms - with.total.wait_p99_ms),
    }
}
