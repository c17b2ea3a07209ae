//! From a configuration, a workload and Secrets, at hand or not, to what is simulated.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::used::{self, Config};
use crate::config::workload::{Told, Workload, terms_of};
use crate::limits::Sharing;
use crate::proxy::keyring::{self, Keyring};
use crate::simulator::basin::Scenario;
use crate::simulator::basin::scenario::{Caller, Fault, Fleet, Load, Provider, Retry};
use crate::sources::Secrets;

/// What the command line and the workload's file have settled between them.
pub(super) struct Given {
    pub(super) load: Load,
    pub(super) duration: Duration,
    pub(super) sidecars: Option<NonZeroU32>,
    pub(super) seed: u64,
}

/// What the wall clock reads when a simulation begins: a Monday in UTC, far from any change of clocks.
const START: i64 = 1_768_176_000;

/// Puts everything together; what does not fit is told.
pub(super) fn assemble(
    config: &Config,
    workload: &Workload,
    secrets: &Secrets,
    given: Given,
) -> Result<Scenario, String> {
    let secrets = with_invented(config, workload, secrets);
    let start = Timestamp::from_second(START).unwrap_or_default();
    let mut providers = Vec::new();
    for (provider, reality) in config.providers.iter().zip(&workload.providers) {
        // Who else draws on the limits is told to each sidecar where it is built.
        let terms = (config.breaker, Sharing::default());
        let (spec, _) = Keyring::default().fill(provider, terms, &secrets, start);
        let granted = |limit| keyring::limit(limit, reality.charging);
        let grants = reality.limits.as_ref();
        providers.push(Provider {
            name: provider.name.clone(),
            dialect: provider.dialect,
            charging: reality.charging,
            spec,
            grants: grants.map(|limits| limits.iter().map(granted).collect()),
            terms: reality.terms,
            pace: reality.pace,
        });
    }
    check_faults(&workload.faults, &providers)?;
    let sidecars = given.sidecars.or(config.replicas).unwrap_or(NonZeroU32::MIN);
    let told = match workload.told {
        Told::Truth => Some(config.replicas.unwrap_or(sidecars)),
        Told::Nothing => None,
        Told::Count(count) => Some(count),
    };
    Ok(Scenario {
        providers,
        names: workload.book.names.clone(),
        callers: workload.book.callers.iter().map(|name| caller(config, name)).collect(),
        load: given.load,
        faults: workload.faults.clone(),
        duration: given.duration,
        fleet: Fleet { sidecars: sidecars.get(), spread: workload.spread, told },
        estimate_error: workload.estimate_error,
        retry: retry(config.retry),
        seed: given.seed,
        start,
    })
}

/// A caller with the limits of its rule, or of everybody.
fn caller(config: &Config, name: &str) -> Caller {
    let terms = terms_of(config, name);
    Caller { name: name.into(), per: terms.per, limits: terms.limits.clone() }
}

/// Secrets that are not at hand have as many entries as the workload says, or those that the
/// configuration names, or one.
fn with_invented(config: &Config, workload: &Workload, secrets: &Secrets) -> Secrets {
    let mut secrets = secrets.clone();
    for source in config.providers.iter().flat_map(|provider| &provider.keys) {
        if secrets.entries(&source.secret).is_some() {
            continue;
        }
        let count = workload.keys.iter().find(|(secret, _)| *secret == source.secret);
        let count = count.map_or(1, |(_, count)| *count);
        let entries: Vec<Box<str>> = source
            .entries
            .clone()
            .unwrap_or_else(|| (1..=count).map(|nth| format!("key-{nth}").into()).collect());
        secrets.invent(&source.secret, &entries);
    }
    secrets
}

/// A fault that strikes nobody would look as if it had been survived.
fn check_faults(faults: &[Fault], providers: &[Provider]) -> Result<(), String> {
    let mut mistakes = String::new();
    for (index, fault) in faults.iter().enumerate() {
        let struck = || {
            let all = providers.iter().enumerate();
            all.filter(|(nth, _)| fault.provider.is_none_or(|only| only == *nth))
                .flat_map(|(_, provider)| &provider.spec.keys)
        };
        let named = [
            ("key", &fault.key, struck().map(|key| &key.name).collect::<Vec<_>>()),
            ("quotaGroup", &fault.group, struck().map(|key| &key.quota_group).collect()),
        ];
        for (field, wanted, there) in named {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| !there.contains(wanted)) {
                let known: BTreeSet<&str> = there.iter().map(|name| &***name).collect();
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                mistakes.extend([format!(
                    "faults[{index}].{field}: there is no `{wanted}`; there is {known}\n"
                )]);
            }
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

fn retry(written: used::Retry) -> Retry {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the configuration holds it to a sensible positive number"
    )]
    let floor = (written.floor * 1_000.0).round() as u64;
    Retry {
        permille: written.budget_permille,
        floor,
        base: written.base_delay,
        max: written.max_delay,
    }
}
