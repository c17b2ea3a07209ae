//! As written → as used: names resolved, defaults filled in, and everything checked that concerns
//! more than one value. What is wrong goes into the findings; what comes back is then not to be used.

mod callers;
mod keys;
mod limits;
mod models;
mod names;
mod providers;
mod settings;
mod terms;
mod url;

use super::place::{At, Draft};
use super::raw::Raw;
use super::secrets::Inventory;
use super::used::{Config, Limit};

/// The format that this version reads.
const VERSION: u64 = 1;

/// What every part of the compilation is given.
#[derive(Clone, Copy)]
struct Work<'a> {
    draft: &'a Draft<'a>,
    inventory: Option<&'a Inventory>,
    /// What the rules of callers are called.
    rules: &'a [&'a str],
}

/// Compiles the whole configuration.
pub(super) fn compile(draft: &Draft<'_>, raw: &Raw, inventory: Option<&Inventory>) -> Config {
    let rules: Vec<&str> =
        raw.callers.rules.iter().filter_map(|rule| rule.name.as_deref()).collect();
    let work = Work { draft, inventory, rules: &rules };
    check_version(draft, raw.version);
    let mut roster = providers::compile(&work, &raw.providers);
    let aliases = models::compile(&work, &raw.models, &mut roster);
    let replicas = settings::replicas(draft, &raw.fleet);
    let callers = callers::compile(draft, &raw.callers, replicas);
    let prices = settings::prices(draft, &raw.prices);
    if limits::count_cost(&callers) {
        models::warn_of_unpriced(draft, &raw.models, &prices);
    }
    Config {
        callers,
        mode: settings::mode(raw.mode),
        retry: settings::retry(draft, &raw.retry),
        breaker: settings::breaker(draft, &raw.breaker),
        telemetry: settings::telemetry(&raw.telemetry),
        server: settings::server(draft, &raw.server),
        replicas,
        prices,
        providers: roster.into_providers(),
        aliases,
        endings: draft.findings.endings(),
    }
}

/// One entry of the limits that a workload says a provider really grants.
pub(super) fn limit_of_workload(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &super::raw::Limit,
) -> Limit {
    limits::granted(draft, at, written)
}

fn check_version(draft: &Draft<'_>, version: Option<u64>) {
    if let Some(other) = version.filter(|version| *version != VERSION) {
        let message = format!("version {other} is unknown here; this is version {VERSION}");
        draft.error(&At::ROOT.key("version"), message);
    }
}
