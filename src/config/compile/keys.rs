//! `keys:` → where a provider's keys come from.

use http::{HeaderName, HeaderValue};

use super::super::place::{At, Draft};
use super::super::raw;
use super::super::secrets::{self, DEFAULT_SECRET, EntryShape, Taken};
use super::super::used::{ENVIRONMENT, KeySource};
use super::{Work, names, settings};
use crate::formats::{Known, known};

/// The most entries that one source may list: a pool is chosen from in constant time up to it.
const MOST_ENTRIES: usize = 256;

/// The key sources of the provider `name`, written at `at`.
///
/// Where `keys` is not written, they are the entries of the environment and of `keyweir-keys` that
/// are named like a variable of this provider. Where there are none, a provider whose own address is
/// taken from the table has no usable key until one comes, and any other needs none.
pub(super) fn compile(
    work: &Work<'_>,
    at: &At<'_>,
    name: &str,
    written: &raw::Provider,
) -> Vec<KeySource> {
    let at_keys = at.key("keys");
    if let Some(keys) = &written.keys {
        let mut taken = Taken::default();
        let read = |(index, key)| one(work, &at_keys, index, key, &mut taken);
        return keys.iter().enumerate().filter_map(read).collect();
    }
    let Some(known) = known::named(name) else { return Vec::new() };
    let found = found(work, known);
    if !found.is_empty() {
        return by_secret(found);
    }
    if !needs_keys(known, written) || work.draft.is_written(&at_keys) {
        return Vec::new();
    }
    if work.inventory.is_some() {
        let message = format!(
            "no key: `keys` is not written, and neither the environment nor the Secret \
             `{DEFAULT_SECRET}` has `{}`",
            known.variables.first().unwrap_or(&"one")
        );
        work.draft.warn(at, message);
    }
    let entries: Vec<Box<str>> = known.variables.iter().map(|name| (*name).into()).collect();
    [ENVIRONMENT, DEFAULT_SECRET].map(|secret| source(secret, entries.clone())).into()
}

/// The entries that hold keys of a known provider without being written anywhere.
pub(super) fn found<'a>(
    work: &Work<'a>,
    known: &'static Known,
) -> Vec<(&'static str, &'a EntryShape)> {
    let Some(inventory) = work.inventory else { return Vec::new() };
    let mut found = Vec::new();
    for secret in [ENVIRONMENT, DEFAULT_SECRET] {
        for variable in known.variables {
            let entries = inventory.of_variable(secret, variable);
            found.extend(entries.map(|entry| (secret, entry)));
        }
    }
    found
}

/// Whether the provider can be nothing but the one everybody knows, which asks for a key.
fn needs_keys(known: &Known, written: &raw::Provider) -> bool {
    let local = known.base_url.is_some_and(|base| base.starts_with("http://"));
    known.name == "azure" || (known.base_url.is_some() && !local && written.base_url.is_none())
}

fn by_secret(found: Vec<(&'static str, &EntryShape)>) -> Vec<KeySource> {
    let mut sources: Vec<KeySource> = Vec::new();
    for (secret, entry) in found {
        let name = entry.name.clone();
        match sources.iter_mut().find(|source| &*source.secret == secret) {
            Some(KeySource { entries: Some(entries), .. }) => entries.push(name),
            _ => sources.push(source(secret, vec![name])),
        }
    }
    sources
}

fn source(secret: &str, entries: Vec<Box<str>>) -> KeySource {
    KeySource { secret: secret.into(), entries: Some(entries), weight: 1, ..KeySource::default() }
}

fn one(
    work: &Work<'_>,
    at_keys: &At<'_>,
    index: usize,
    written: &raw::KeySource,
    taken: &mut Taken,
) -> Option<KeySource> {
    let draft = work.draft;
    let at = at_keys.index(index);
    let entries = entries(draft, &at.key("entries"), written.entries.as_deref());
    let quota_group = written.quota_group.as_deref();
    if let Some(group) = quota_group {
        names::check_label(draft, &at.key("quotaGroup"), group);
    }
    let models = names::patterns(draft, &at.key("models"), &written.models);
    let headers = headers(draft, &at, written);
    let weight = settings::weight(draft, &at, written.weight);
    for (caller_index, caller) in written.callers.iter().enumerate() {
        check_caller(work, &at.key("callers").index(caller_index), caller);
    }
    let source = KeySource {
        secret: secret(draft, &at, written.secret.as_deref())?.into(),
        entries,
        quota_group: quota_group.map(Into::into),
        weight,
        models,
        callers: written.callers.iter().map(|caller| caller.as_str().into()).collect(),
        headers,
    };
    if let Some(earlier) = taken.take(&source, index) {
        let place = draft.describe(&at_keys.index(earlier));
        draft.error(&at, format!("the same entries are taken at {place} already"));
    }
    Some(source)
}

/// A caller may be a workload that no rule names, so only a near miss of a rule is worth a word.
fn check_caller(work: &Work<'_>, at: &At<'_>, caller: &str) {
    names::check_label(work.draft, at, caller);
    if !work.rules.contains(&caller)
        && let Some(meant) = work.draft.closest(caller, work.rules.iter().copied())
    {
        work.draft.hint(at, "no rule of `callers` has this name", meant);
    }
}

fn secret<'a>(draft: &Draft<'_>, at: &At<'_>, written: Option<&'a str>) -> Option<&'a str> {
    let Some(name) = written else {
        draft.missing(at, "secret", "its `secret` is missing");
        return None;
    };
    if let Some(reason) = secrets::bad_secret_name(name) {
        draft.error(&at.key("secret"), reason);
        return None;
    }
    Some(name)
}

fn entries(draft: &Draft<'_>, at: &At<'_>, written: Option<&[String]>) -> Option<Vec<Box<str>>> {
    let written = written?;
    if written.is_empty() {
        draft.error(at, "no entry is listed; leave `entries` out for every one");
    }
    if written.len() > MOST_ENTRIES {
        draft.error(at, format!("{} entries; at most {MOST_ENTRIES}", written.len()));
    }
    for (index, entry) in written.iter().enumerate() {
        let at_entry = at.index(index);
        if !secrets::is_entry_name(entry) {
            draft.error(&at_entry, "not an entry's name: letters, digits, `-`, `_` and `.`");
        } else if written.iter().take(index).any(|earlier| earlier == entry) {
            draft.error(&at_entry, "listed twice");
        }
    }
    Some(written.iter().map(|entry| entry.as_str().into()).collect())
}

fn headers(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::KeySource,
) -> Vec<(HeaderName, HeaderValue)> {
    let declared = [
        ("organization", "openai-organization", &written.organization),
        ("project", "openai-project", &written.project),
        ("userProject", "x-goog-user-project", &written.user_project),
    ];
    let read = |(field, header, value): (&str, &'static str, &Option<String>)| {
        let value = settings::header_value(draft, &at.key(field), value.as_deref()?)?;
        Some((HeaderName::from_static(header), value))
    };
    declared.into_iter().filter_map(read).collect()
}
