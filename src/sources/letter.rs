//! What was read: texts and secrets, with what is odd about each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::keys::{Fingerprint, Secret};

use super::Problem;

/// Everything that all places held at one reading. Two are equal when their content is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Letter {
    /// The configuration's texts, in the order of their places.
    pub texts: Vec<Text>,
    /// The Secrets.
    pub secrets: Secrets,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// One text of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it was read, for messages.
    pub name: Box<str>,
    /// The text.
    pub text: Arc<str>,
}

/// The Secrets by name, each with its entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Secrets {
    by_name: BTreeMap<Box<str>, Vec<Entry>>,
}

/// One entry of a Secret.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name: the key's name.
    pub name: Box<str>,
    /// Its value; `None` where it holds nothing that could be a key.
    pub value: Option<Arc<Secret>>,
    /// What is odd about it.
    pub findings: Vec<Finding>,
}

/// What is odd about the shape of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is nothing in it.
    Empty,
    /// A header cannot carry it: not UTF-8, or characters that are not printable ASCII. (JSON may
    /// have line breaks.)
    Binary,
    /// It is longer than [`MAX_ENTRY`](super::files::MAX_ENTRY).
    TooLong,
    /// It had white space around it, which was taken off.
    Trimmed,
    /// It has the same value as an earlier entry.
    Duplicate {
        /// The other's Secret.
        secret: Box<str>,
        /// The other's name.
        entry: Box<str>,
    },
}

impl Letter {
    /// What somebody holds in memory: one text, and keys as `(secret, entry, value)`.
    pub fn in_memory(name: &str, text: &str, keys: &[(&str, &str, &str)]) -> Self {
        let mut letter = Self::default();
        letter.texts.push(Text { name: name.into(), text: text.into() });
        for (secret, entry, value) in keys {
            let value = Some(Arc::new(Secret::new(value)));
            let entry = Entry { name: (*entry).into(), value, findings: Vec::new() };
            letter.secrets.add(secret, [entry]);
        }
        letter.secrets.note_duplicates();
        letter
    }
}

impl Secrets {
    /// The value of an entry, if it has one.
    pub fn value(&self, secret: &str, entry: &str) -> Option<&Arc<Secret>> {
        self.entries(secret)?.iter().find(|it| *it.name == *entry)?.value.as_ref()
    }

    /// The entries of a Secret: by name, those of a list in its order; `None` if there is no such
    /// Secret.
    pub fn entries(&self, secret: &str) -> Option<&[Entry]> {
        self.by_name.get(secret).map(Vec::as_slice)
    }

    /// Every Secret and its entries, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Entry])> {
        self.by_name.iter().map(|(name, entries)| (&**name, entries.as_slice()))
    }

    pub(super) fn add(&mut self, secret: &str, entries: impl IntoIterator<Item = Entry>) {
        self.by_name.entry(secret.into()).or_default().extend(entries);
    }

    /// Makes up a Secret that is not at hand, with entries of these names: for simulations.
    pub fn invent(&mut self, secret: &str, entries: &[Box<str>]) {
        let made = entries.iter().map(|name| Entry {
            name: name.clone(),
            value: Some(Arc::new(Secret::new(&format!("{secret}/{name}")))),
            findings: Vec::new(),
        });
        self.add(secret, made);
    }

    /// Notes on each entry which earlier one, if any, has the same value.
    pub(super) fn note_duplicates(&mut self) {
        let mut seen: HashMap<Fingerprint, (Box<str>, Box<str>)> = HashMap::new();
        for (secret, entries) in &mut self.by_name {
            for entry in entries {
                entry.findings.retain(|finding| !matches!(finding, Finding::Duplicate { .. }));
                let Some(value) = &entry.value else { continue };
                if let Some((secret, entry_name)) = seen.get(&value.fingerprint()) {
                    let (secret, entry_name) = (secret.clone(), entry_name.clone());
                    entry.findings.push(Finding::Duplicate { secret, entry: entry_name });
                } else {
                    seen.insert(value.fingerprint(), (secret.clone(), entry.name.clone()));
                }
            }
        }
    }
}

impl Entry {
    fn fingerprint(&self) -> Option<Fingerprint> {
        self.value.as_ref().map(|value| value.fingerprint())
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.fingerprint() == other.fingerprint()
            && self.findings == other.findings
    }
}

impl Finding {
    /// Its name in machine-readable output.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Binary => "binary",
            Self::TooLong => "tooLong",
            Self::Trimmed => "trimmed",
            Self::Duplicate { .. } => "duplicate",
        }
    }

    /// Whether the entry cannot be used as a key.
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Empty | Self::Binary | Self::TooLong)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty: put the key in, or remove the entry"),
            Self::Binary => f.write_str(
                "holds characters that no header can carry: it may be encoded twice, or be \
                 another file",
            ),
            Self::TooLong => f.write_str("is too long for a key: it may be another file"),
            Self::Trimmed => f.write_str(
                "has white space or a line break around it, which is taken off: \
                 use `--from-literal`, or `printf` in place of `echo`",
            ),
            Self::Duplicate { secret, entry } => {
                write!(f, "is the same key as `{secret}/{entry}`: it adds no capacity")
            }
        }
    }
}
