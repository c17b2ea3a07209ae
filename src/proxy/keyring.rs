//! From Secrets to the keys of one provider.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;
use jiff::Timestamp;

use crate::config::used::{self, Config, KeySource};
use crate::config::{Inventory, Shape};
use crate::keys::{Breaker, KeySpec, LimitSpec, Reach, Secret, Spec};
use crate::limits::{Charging, Learning, Rule, Sharing};
use crate::pipeline::Card;
use crate::sources::{Entry, Finding, Secrets};
use crate::upstream::Credential;

/// The names of a provider's keys, each with the number that metrics know it by: the same for as
/// long as the process runs.
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    labels: HashMap<Box<str>, u16>,
}

/// The name of the one key of a provider that needs none.
const KEYLESS: &str = "none";

/// The shapes of what the Secrets hold, for the configuration's checks.
pub(crate) fn inventory(secrets: &Secrets) -> Inventory {
    let mut inventory = Inventory::default();
    for (secret, entries) in secrets.iter() {
        inventory.add_secret(secret);
        for entry in entries {
            if entry.findings.is_empty() {
                inventory.add(secret, &entry.name, Shape::Ok);
            }
            for finding in &entry.findings {
                inventory.add(secret, &entry.name, shape(finding));
            }
        }
    }
    inventory
}

fn shape(finding: &Finding) -> Shape {
    match finding {
        Finding::Empty => Shape::Empty,
        Finding::Binary => Shape::Binary,
        Finding::TooLong => Shape::TooLong,
        Finding::Trimmed => Shape::Trimmed,
        Finding::Duplicate { secret, entry } => {
            Shape::DuplicateOf(format!("{secret}/{entry}").into())
        }
    }
}

/// Secrets, and entries of them, that the configuration names and that are not there.
pub(super) fn missing(config: &Config, secrets: &Secrets) -> Vec<Box<str>> {
    let mut missing: Vec<Box<str>> = Vec::new();
    for source in config.providers.iter().flat_map(|provider| &provider.keys) {
        match (secrets.entries(&source.secret), &source.entries) {
            (None, _) => missing.push(source.secret.clone()),
            (Some(present), Some(named)) => {
                let absent =
                    named.iter().filter(|name| !present.iter().any(|it| it.name == **name));
                missing.extend(absent.map(|name| format!("{}/{name}", source.secret).into()));
            }
            (Some(_), None) => {}
        }
    }
    missing.sort_unstable();
    missing.dedup();
    missing
}

impl Keyring {
    /// The keys of that provider as they are now, and what is put on requests under each.
    pub(crate) fn fill(
        &mut self,
        provider: &used::Provider,
        (breaker, sharing): (used::Breaker, Sharing),
        secrets: &Secrets,
        wall: Timestamp,
    ) -> (Spec, Vec<Card>) {
        let mut spec = Spec {
            keys: Vec::new(),
            limits: limits(provider, wall),
            learning: if provider.adaptive { Learning::On } else { Learning::Off },
            breaker: Breaker {
                failures: breaker.failures,
                window: breaker.window,
                open: breaker.open,
                max_open: breaker.max_open,
            },
            charging: provider.charging,
            sharing,
        };
        let mut cards = Vec::new();
        if provider.keys.is_empty() {
            spec.keys.push(keyless());
            cards.push(self.card(KEYLESS, None, &[]));
        }
        for source in &provider.keys {
            for (entry, secret) in usable(source, secrets) {
                let Ok(credential) = Credential::new(&provider.auth, secret) else {
                    tracing::warn!(
                        secret = %source.secret,
                        key = %entry.name,
                        "Key left out: it cannot stand in a header"
                    );
                    continue;
                };
                let name = unclaimed(&spec.keys, &source.secret, &entry.name);
                cards.push(self.card(&name, Some(credential), &source.headers));
                spec.keys.push(key(name, source, secret));
            }
        }
        (spec, cards)
    }

    fn card(
        &mut self,
        name: &str,
        credential: Option<Credential>,
        headers: &[(http::HeaderName, HeaderValue)],
    ) -> Card {
        let next = u16::try_from(self.labels.len()).unwrap_or(u16::MAX);
        let label = *self.labels.entry(name.into()).or_insert(next);
        Card {
            name: name.into(),
            name_header: header(name),
            label,
            credential,
            headers: headers.to_vec(),
        }
    }
}

/// The entries of a source that hold a key, in its order.
fn usable<'s>(
    source: &'s KeySource,
    secrets: &'s Secrets,
) -> impl Iterator<Item = (&'s Entry, &'s Arc<Secret>)> {
    let entries = secrets.entries(&source.secret).unwrap_or_default();
    let wanted = move |entry: &&Entry| {
        source.entries.as_ref().is_none_or(|named| named.contains(&entry.name))
    };
    entries.iter().filter(wanted).filter_map(|entry| Some((entry, entry.value.as_ref()?)))
}

/// A key is named by its entry; where two Secrets have an entry of one name, by both.
fn unclaimed(keys: &[KeySpec], secret: &str, entry: &str) -> Box<str> {
    if keys.iter().any(|key| *key.name == *entry) {
        format!("{secret}/{entry}").into()
    } else {
        entry.into()
    }
}

fn key(name: Box<str>, source: &KeySource, secret: &Secret) -> KeySpec {
    KeySpec {
        quota_group: source.quota_group.clone().unwrap_or_else(|| name.clone()),
        name,
        weight: source.weight.max(1),
        models: source.models.clone(),
        callers: source.callers.clone(),
        fingerprint: Some(secret.fingerprint()),
    }
}

fn keyless() -> KeySpec {
    KeySpec {
        name: KEYLESS.into(),
        quota_group: KEYLESS.into(),
        weight: 1,
        models: Vec::new(),
        callers: Vec::new(),
        fingerprint: None,
    }
}

/// What is granted at that time.
pub(super) fn limits(provider: &used::Provider, wall: Timestamp) -> Vec<LimitSpec> {
    let in_force = provider.limits.iter().filter(|limit| limit.clause.term.holds(wall));
    in_force.map(|written| limit(written, provider.charging)).collect()
}

/// What is written, in the kind of window in which the provider counts it.
pub(crate) fn limit(limit: &used::Limit, charging: Charging) -> LimitSpec {
    let counted = |rule: &Rule| {
        let window = charging.window(rule.measure, rule.window.length());
        Rule { window, ..rule.clone() }
    };
    LimitSpec {
        models: limit.clause.models.clone(),
        quota_groups: limit.quota_groups.clone(),
        reach: Reach::EachModel,
        rules: limit.clause.rules.iter().map(counted).collect(),
    }
}

/// A name as a header's value; names are checked to fit where they are written.
pub(super) fn header(name: &str) -> HeaderValue {
    HeaderValue::from_str(name).unwrap_or_else(|_| HeaderValue::from_static("unprintable"))
}
