//! What is known of the mounted Secrets and the environment without looking at any value, and what
//! the configuration makes of it.

use std::collections::HashMap;

use super::diagnostic::{Severity, is_surely_a_credential, shown};
use super::place::{At, Draft};
use super::raw::{self, Raw};
use super::used::{Config, KeySource};

/// The Secret whose entries are named like environment variables, and need no configuration.
pub const DEFAULT_SECRET: &str = "keyweir-keys";

/// The Secrets that can be read, and the environment's keys as a Secret named
/// [`ENVIRONMENT`](super::used::ENVIRONMENT): names and shapes, never values.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    secrets: Vec<(Box<str>, Vec<EntryShape>)>,
}

/// One entry of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryShape {
    /// Its name; a further key of a comma-separated list has `-2`, `-3`... behind it.
    pub name: Box<str>,
    /// What is to be said of its value; nothing where it simply can be a key.
    pub shapes: Vec<Shape>,
}

/// Whether a value can be a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It can.
    Ok,
    /// It can, without the white space around it, which is trimmed.
    Trimmed,
    /// It is the same key as this entry, `secret/entry`.
    DuplicateOf(Box<str>),
    /// There is nothing in it but white space.
    Empty,
    /// It holds what no header can carry: control characters, or no UTF-8.
    Binary,
    /// It is longer than any credential.
    TooLong,
}

impl Inventory {
    /// Adds an entry; the Secret comes with it. For an entry that is there already, one more thing
    /// that is to be said of it.
    pub fn add(&mut self, secret: &str, entry: &str, shape: Shape) {
        self.add_secret(secret);
        let Some((_, entries)) = self.secrets.iter_mut().find(|(name, _)| &**name == secret) else {
            return;
        };
        let shapes = if shape == Shape::Ok { Vec::new() } else { vec![shape] };
        match entries.iter_mut().find(|held| *held.name == *entry) {
            Some(held) => held.shapes.extend(shapes),
            None => entries.push(EntryShape { name: entry.into(), shapes }),
        }
    }

    /// Adds a Secret that may have no entries at all.
    pub fn add_secret(&mut self, secret: &str) {
        if self.entries(secret).is_none() {
            self.secrets.push((secret.into(), Vec::new()));
        }
    }

    /// The entries of that Secret; `None` if there is no such Secret.
    pub fn entries(&self, secret: &str) -> Option<&[EntryShape]> {
        let (_, entries) = self.secrets.iter().find(|(name, _)| &**name == secret)?;
        Some(entries)
    }

    /// The entries of `secret` that hold keys of that variable: its own name, and the further keys
    /// of a list.
    pub(super) fn of_variable<'a>(
        &'a self,
        secret: &str,
        variable: &'a str,
    ) -> impl Iterator<Item = &'a EntryShape> {
        let entries = self.entries(secret).unwrap_or_default();
        entries.iter().filter(move |entry| {
            entry.name.strip_prefix(variable).is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix('-').is_some_and(|n| n.parse::<u16>().is_ok())
            })
        })
    }
}

/// Reports what is missing or unusable of what the configuration asks for.
///
/// These are mistakes for `check`, but none in the configuration itself: a Secret that is not there
/// may come later, and the others serve meanwhile.
pub(super) fn check(draft: &Draft<'_>, raw: &Raw, config: &Config, inventory: &Inventory) {
    let at_providers = At::ROOT.key("providers");
    for (name, provider) in &raw.providers.0 {
        let at_provider = at_providers.key(name);
        let at_keys = at_provider.key("keys");
        for (index, source) in provider.keys.iter().flatten().enumerate() {
            check_source(draft, &at_keys.index(index), source, inventory);
        }
    }
    for provider in &config.providers {
        let written = raw.providers.0.iter().find(|(name, _)| *name == *provider.name);
        if written.is_none_or(|(_, written)| written.keys.is_none()) {
            check_found(draft, &provider.keys, inventory);
        }
    }
}

fn check_source(draft: &Draft<'_>, at: &At<'_>, source: &raw::KeySource, inventory: &Inventory) {
    let Some(secret) = source.secret.as_deref().filter(|name| bad_secret_name(name).is_none())
    else {
        return;
    };
    let at_secret = at.key("secret");
    let Some(entries) = inventory.entries(secret) else {
        let meant = draft.closest(secret, inventory.secrets.iter().map(|(name, _)| &**name));
        let message = format!("there is no Secret `{}`", shown(secret));
        return draft.slip(&at_secret, message, meant);
    };
    let Some(named) = &source.entries else {
        if entries.is_empty() {
            draft.error(&at_secret, format!("the Secret `{secret}` has no entries"));
        }
        return entries.iter().for_each(|entry| report(draft, Some(&at_secret), secret, entry));
    };
    let at_entries = at.key("entries");
    for (index, name) in named.iter().enumerate() {
        let at_entry = at_entries.index(index);
        if let Some(entry) = entries.iter().find(|entry| *entry.name == **name) {
            report(draft, Some(&at_entry), secret, entry);
        } else {
            let meant = draft.closest(name, entries.iter().map(|entry| &*entry.name));
            draft.slip(&at_entry, format!("the Secret `{secret}` has no such entry"), meant);
        }
    }
}

/// Reports on entries that were found by their names without being written anywhere.
fn check_found(draft: &Draft<'_>, sources: &[KeySource], inventory: &Inventory) {
    for source in sources {
        let entries = inventory.entries(&source.secret).unwrap_or_default();
        let named = source.entries.as_deref().unwrap_or_default();
        for entry in entries.iter().filter(|entry| named.contains(&entry.name)) {
            report(draft, None, &source.secret, entry);
        }
    }
}

fn report(draft: &Draft<'_>, at: Option<&At<'_>>, secret: &str, entry: &EntryShape) {
    for shape in &entry.shapes {
        report_shape(draft, at, &format!("entry `{}` of `{secret}`", shown(&entry.name)), shape);
    }
}

fn report_shape(draft: &Draft<'_>, at: Option<&At<'_>>, entry: &str, shape: &Shape) {
    let (severity, what) = match shape {
        Shape::Ok => return,
        Shape::Trimmed => {
            (Severity::Warning, "has white space around it, which is trimmed".to_owned())
        }
        Shape::DuplicateOf(other) => {
            (Severity::Warning, format!("is the same key as `{other}`, and adds nothing"))
        }
        Shape::Empty => (Severity::Error, "is empty".to_owned()),
        Shape::Binary => {
            (Severity::Error, "holds binary data, which no header can carry".to_owned())
        }
        Shape::TooLong => (Severity::Error, "is too long for a key".to_owned()),
    };
    let message = format!("{entry} {what}");
    match (at, severity) {
        (Some(at), Severity::Error) => draft.error(at, message),
        (Some(at), Severity::Warning) => draft.warn(at, message),
        (None, _) => draft.findings.add(severity, None, String::new(), message, None),
    }
}

/// Why `name` cannot be a Secret's name, if it cannot. The name becomes part of a file's path.
pub fn bad_secret_name(name: &str) -> Option<&'static str> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = name.len() <= 253
        && name.starts_with(edge)
        && name.ends_with(edge)
        && name.chars().all(|c| edge(c) || matches!(c, '-' | '.'));
    if is_surely_a_credential(name) {
        Some("this looks like a key itself; keys belong into a Secret, here stands its name")
    } else if good {
        None
    } else {
        Some("not a Secret's name: lower-case letters, digits, `-` and `.`, at most 253")
    }
}

/// Whether `name` can be an entry's name. It becomes part of a file's path.
pub(super) fn is_entry_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && !name.starts_with("..")
        && name != "."
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Which entries of which Secrets are taken already, by where they are written.
#[derive(Debug, Default)]
pub(super) struct Taken(HashMap<(Box<str>, Option<Box<str>>), usize>);

impl Taken {
    /// Takes all that the source at `index` asks for; the index of the source that has it already
    /// if there is one.
    pub(super) fn take(&mut self, source: &KeySource, index: usize) -> Option<usize> {
        let wanted: Vec<Option<Box<str>>> = match &source.entries {
            None => vec![None],
            Some(entries) => entries.iter().cloned().map(Some).collect(),
        };
        let whole_secret_wanted = source.entries.is_none();
        let conflict = self.0.iter().find_map(|((secret, entry), held_by)| {
            let same = *secret == source.secret
                && (entry.is_none() || whole_secret_wanted || wanted.contains(entry));
            same.then_some(*held_by)
        });
        for entry in wanted {
            self.0.insert((source.secret.clone(), entry), index);
        }
        conflict
    }
}
