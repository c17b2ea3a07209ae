//! What goes wrong, as written → as it strikes.

use std::time::Duration;

use super::super::place::{At, Draft};
use super::super::used::Config;
use super::raw::{self, Trouble as Written};
use crate::simulator::basin::scenario::{Chaos, Fault, Trouble};

/// Faults that last no longer than the run may be.
pub(super) fn compile(draft: &Draft<'_>, written: &[raw::Fault], config: &Config) -> Vec<Fault> {
    let at_faults = At::ROOT.key("faults");
    let faults = written.iter().enumerate();
    faults.filter_map(|(index, fault)| one(draft, &at_faults.index(index), fault, config)).collect()
}

fn one(draft: &Draft<'_>, at: &At<'_>, written: &raw::Fault, config: &Config) -> Option<Fault> {
    let Some(word) = written.fault else {
        draft.missing(at, "fault", "its `fault` is missing");
        return None;
    };
    only_where_they_mean_something(draft, at, written, word);
    let provider = written.provider.as_deref().and_then(|name| {
        let found = config.providers.iter().position(|provider| *provider.name == *name);
        if found.is_none() {
            let names = config.providers.iter().map(|provider| &*provider.name);
            let meant = draft.closest(name, names);
            draft.slip(&at.key("provider"), "there is no such provider", meant);
        }
        found
    });
    Some(Fault {
        at: written.at.map_or(Duration::ZERO, |at| at.0),
        lasts: written.lasts.map(|lasts| lasts.0),
        kind: trouble(draft, at, written, word),
        provider,
        group: written.quota_group.as_deref().map(Into::into),
        key: written.key.as_deref().map(Into::into),
        model: written.model.as_deref().map(Into::into),
    })
}

fn trouble(draft: &Draft<'_>, at: &At<'_>, written: &raw::Fault, word: Written) -> Trouble {
    match word {
        Written::KeyDies => Trouble::KeyDies,
        Written::CreditGone => Trouble::CreditGone,
        Written::Suspended => Trouble::Suspended,
        Written::Limits => Trouble::Limits(factor(draft, at, written)),
        Written::Slow => Trouble::Slow(factor(draft, at, written)),
        Written::Foreign => Trouble::Foreign(share(draft, at, written)),
        Written::Overload => Trouble::Overload(share(draft, at, written)),
        Written::HeadersGone => Trouble::Headers(Chaos::Gone),
        Written::HeadersNonsense => Trouble::Headers(Chaos::Nonsense),
        Written::Sidecars => {
            let count = written.count.filter(|count| *count > 0);
            if count.is_none() {
                draft.missing(at, "count", "its `count` is missing, or zero");
            }
            Trouble::Sidecars(count.unwrap_or(1).min(super::compile::MOST_SIDECARS))
        }
    }
}

/// In thousandths.
fn factor(draft: &Draft<'_>, at: &At<'_>, written: &raw::Fault) -> u64 {
    match written.factor {
        Some(factor) if (0.0..=1_000.0).contains(&factor) => super::compile::permille(factor),
        Some(_) => {
            draft.error(&at.key("factor"), "must be between 0 and 1,000");
            1_000
        }
        None => {
            draft.missing(at, "factor", "its `factor` is missing, e.g. `factor: 0.5`");
            1_000
        }
    }
}

/// In thousandths.
fn share(draft: &Draft<'_>, at: &At<'_>, written: &raw::Fault) -> u64 {
    if written.share.is_none() {
        draft.missing(at, "share", "its `share` is missing, e.g. `share: 50%`");
    }
    written.share.map_or(0, |share| super::compile::permille(share.0))
}

/// A figure that a fault does not have would be believed to do something.
fn only_where_they_mean_something(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::Fault,
    word: Written,
) {
    let told = [
        ("factor", written.factor.is_some(), [Written::Limits, Written::Slow].as_slice()),
        ("share", written.share.is_some(), &[Written::Foreign, Written::Overload]),
        ("count", written.count.is_some(), &[Written::Sidecars]),
        (
            "key",
            written.key.is_some(),
            &[Written::KeyDies, Written::CreditGone, Written::Suspended],
        ),
    ];
    for (field, is_written, words) in told {
        if is_written && !words.contains(&word) {
            draft.error(&at.key(field), "this fault has no such figure");
        }
    }
}
