//! A fleet of sidecars and the providers that they call, in virtual time: weeks in seconds, and the
//! same again from the same seed.
//!
//! A [`Scenario`] says what there is, what is asked for and what goes wrong; a policy ([`Kind`]) says
//! what a sidecar does with it. `keyweir` is the very code that runs in the proxy; the others are what
//! it is compared with. What comes of it is a [`Report`].
//!
//! Nothing here reads a clock, a file or the network.

pub mod draw;
pub mod scenario;

mod agenda;
mod answer;
mod demand;
mod histogram;
mod number;
mod optimum;
mod plant;
mod policy;
pub mod report;
mod score;
mod site;
mod spread;
mod world;

use std::thread;

pub use policy::{Kind, Shed};
pub use report::{Outcome, Report};
pub use scenario::Scenario;

use crate::keys::{KeySpec, Secret};

/// Runs a scenario under one policy.
pub fn simulate(scenario: &Scenario, policy: Kind) -> Outcome {
    Outcome::of(policy, &policy.run(scenario))
}

/// Runs a scenario under several policies, side by side on the processor's cores; the first one is
/// also run with one more key at each provider. What leaks is told where the oracle is among them.
pub fn compare(scenario: &Scenario, policies: &[Kind]) -> Report {
    let mut report = report::heading(scenario);
    let others: Vec<Option<usize>> =
        std::iter::once(None).chain((0..scenario.providers.len()).map(Some)).collect();
    let first = policies.first().copied().unwrap_or(Kind::Keyweir);
    let jobs: Vec<(Kind, Option<usize>)> = others
        .into_iter()
        .map(|more| (first, more))
        .chain(policies.iter().skip(1).map(|policy| (*policy, None)))
        .collect();
    let outcomes = side_by_side(&jobs, |(policy, more)| match more {
        None => simulate(scenario, *policy),
        Some(provider) => simulate(&with_one_more_key(scenario, *provider), *policy),
    });
    let mut varied = Vec::new();
    for ((_, more), outcome) in jobs.iter().zip(outcomes) {
        match more {
            None => report.policies.push(outcome),
            Some(provider) => varied.push((*provider, outcome)),
        }
    }
    if let Some(oracle) = report.policies.iter().find(|it| it.policy == Kind::Oracle.as_str()) {
        let oracle = oracle.clone();
        for outcome in &mut report.policies {
            outcome.compare(&oracle);
        }
    }
    if let Some(base) = report.policies.first() {
        let change = |(provider, outcome): &(usize, Outcome)| {
            let provider = scenario.providers.get(*provider)?;
            Some(report::one_more_key(&provider.name, base, outcome))
        };
        report.one_more_key = varied.iter().filter_map(change).collect();
    }
    report
}

/// Works on all of them, on as many threads as there are cores; the order is kept.
fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut results = Vec::with_capacity(items.len());
    for batch in items.chunks(cores) {
        let work = &work;
        thread::scope(|scope| {
            let running: Vec<_> =
                batch.iter().map(|item| scope.spawn(move || work(item))).collect();
            results.extend(running.into_iter().filter_map(|thread| thread.join().ok()));
        });
    }
    results
}

/// What the further key is called.
const ONE_MORE: &str = "one more key";

/// The same with a further key at that provider, a quota group of its own that is granted as much.
fn with_one_more_key(scenario: &Scenario, provider: usize) -> Scenario {
    let mut scenario = scenario.clone();
    if let Some(provider) = scenario.providers.get_mut(provider) {
        provider.spec.keys.push(KeySpec {
            name: ONE_MORE.into(),
            quota_group: ONE_MORE.into(),
            weight: 1,
            models: Vec::new(),
            callers: Vec::new(),
            fingerprint: Some(Secret::new(ONE_MORE).fingerprint()),
        });
    }
    scenario
}

#[cfg(test)]
mod tests;
