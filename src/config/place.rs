//! Where things are written: the way to a value, its file, line and column.

use std::cell::Cell;
use std::fmt;

use jiff::Timestamp;

use super::diagnostic::{Findings, Severity, closest, shown};

/// A position in one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index into the sources.
    pub(super) file: u16,
    /// Counted from 1.
    pub(super) line: u32,
    /// In characters, counted from 1.
    pub(super) column: u32,
}

/// A value as written, with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
    /// A mistake about this value is known already: whatever else follows from it is not reported.
    pub(super) known_bad: Cell<bool>,
}

/// What is written: the text of a scalar is kept, its type is what its reader asks for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A text; `quoted` tells `"10"` from `10`.
    Scalar { text: Box<str>, quoted: bool },
    /// `- a`.
    List(Vec<Node>),
    /// `a: b`, in the order written.
    Map(Vec<Entry>),
}

/// One `key: value`.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn new(place: Place, value: Value) -> Self {
        Self { place, value, known_bad: Cell::new(false) }
    }

    /// The entry of that key, if this is a map that has it.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| &*entry.key == key),
            Value::Null | Value::Scalar { .. } | Value::List(_) => None,
        }
    }

    /// What a person calls it.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// The way to a value, kept on the stack of whoever walks there.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl At<'_> {
    /// The whole configuration.
    pub(super) const ROOT: At<'static> = At { parent: None, step: Step::Root };

    /// The value of `key` in this one.
    pub(super) const fn key<'b>(&'b self, key: &'b str) -> At<'b> {
        At { parent: Some(self), step: Step::Key(key) }
    }

    /// The item at `index`, counted from 0, in this one.
    pub(super) const fn index(&self, index: usize) -> At<'_> {
        At { parent: Some(self), step: Step::Index(index) }
    }

    /// Whether this is `providers.<name>.wire`.
    pub(super) fn names_a_wire(&self) -> bool {
        matches!(
            *self.steps(),
            [Step::Root, Step::Key("providers"), Step::Key(_), Step::Key("wire")]
        )
    }

    fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = self.parent.map_or_else(Vec::new, At::steps);
        steps.push(self.step);
        steps
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) if !plain(key) => write!(f, "[{:?}]", shown(key)),
            Step::Key(key) if self.parent.is_some_and(|p| matches!(p.step, Step::Root)) => {
                f.write_str(&shown(key))
            }
            Step::Key(key) => write!(f, ".{}", shown(key)),
        }
    }
}

/// Whether a key can stand in a path without quotes.
fn plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

/// The configuration as written, merged from all its files, and where mistakes about it go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft<'a> {
    pub(super) root: &'a Node,
    pub(super) findings: &'a Findings,
}

impl Draft<'_> {
    /// A mistake in the value at `at`.
    pub(super) fn error(&self, at: &At<'_>, message: impl Into<String>) {
        self.add(Severity::Error, at, message.into(), None);
    }

    /// A mistake in the value at `at`, and what was probably meant.
    pub(super) fn slip(&self, at: &At<'_>, message: impl Into<String>, meant: Option<String>) {
        self.add(Severity::Error, at, message.into(), meant);
    }

    /// Of `candidates` the one that `word` is probably a slip of.
    pub(super) fn closest<'c>(
        &self,
        word: &str,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> Option<String> {
        // Nobody would read it.
        if self.findings.are_full_for(Severity::Error) { None } else { closest(word, candidates) }
    }

    /// Something worth knowing about the value at `at`.
    pub(super) fn warn(&self, at: &At<'_>, message: impl Into<String>) {
        self.add(Severity::Warning, at, message.into(), None);
    }

    /// Something worth knowing about the value at `at` from that moment on.
    pub(super) fn warn_from(&self, when: Timestamp, at: &At<'_>, message: impl Into<String>) {
        let place = self.find(at).place();
        self.findings.add_from(when, place, at.to_string(), message.into());
    }

    /// A field of that name does not exist; `place` is where it is written.
    pub(super) fn unknown(&self, at: &At<'_>, place: Place, meant: Option<String>) {
        let (path, message) = (at.to_string(), "unknown field".to_owned());
        self.findings.add(Severity::Error, Some(place), path, message, meant);
    }

    /// What ought to be written as `field` of the map at `at` is not there. Nothing is said where it
    /// is there and wrong, or where a slip in its name is reported already.
    pub(super) fn missing(&self, at: &At<'_>, field: &str, message: impl Into<String>) {
        let found = self.find(at);
        let slip = |entry: &Entry| {
            &*entry.key == field && !matches!(entry.node.value, Value::Null)
                || entry.node.known_bad.get() && closest(&entry.key, [field]).is_some()
        };
        let known = match &found.node.value {
            Value::Map(entries) => entries.iter().any(slip),
            Value::Null | Value::Scalar { .. } | Value::List(_) => false,
        };
        if !known {
            self.error(at, message);
        }
    }

    /// Whether anything is written at `at`, be it good or bad.
    pub(super) fn is_written(&self, at: &At<'_>) -> bool {
        let found = self.find(at);
        found.whole && !matches!(found.node.value, Value::Null)
    }

    /// Whether a list is written at `at` that holds nothing.
    pub(super) fn is_empty_list(&self, at: &At<'_>) -> bool {
        let found = self.find(at);
        found.whole && matches!(&found.node.value, Value::List(items) if items.is_empty())
    }

    /// The keys written in the map at `at`.
    pub(super) fn keys(&self, at: &At<'_>) -> Vec<String> {
        let found = self.find(at);
        match &found.node.value {
            Value::Map(entries) if found.whole => {
                entries.iter().map(|entry| entry.key.to_string()).collect()
            }
            Value::Map(_) | Value::Null | Value::Scalar { .. } | Value::List(_) => Vec::new(),
        }
    }

    /// Where the key of the value at `at` is written, for a message that speaks of two places.
    pub(super) fn describe(&self, at: &At<'_>) -> String {
        self.findings.describe(self.find(at).key)
    }

    /// Something worth knowing about the value at `at`, and what was perhaps meant.
    pub(super) fn hint(&self, at: &At<'_>, message: impl Into<String>, meant: String) {
        self.add(Severity::Warning, at, message.into(), Some(meant));
    }

    fn add(&self, severity: Severity, at: &At<'_>, message: String, meant: Option<String>) {
        if self.findings.are_full_for(severity) {
            return;
        }
        let found = self.find(at);
        if !found.known_bad {
            self.findings.add(severity, Some(found.place()), at.to_string(), message, meant);
        }
    }

    /// Walks as far along `at` as the text goes.
    fn find(&self, at: &At<'_>) -> Found<'_> {
        let root = self.root;
        let known_bad = root.known_bad.get();
        let mut found = Found { node: root, key: root.place, whole: true, known_bad };
        for step in at.steps() {
            let next = match (step, &found.node.value) {
                // A single value stands for the list of it.
                (Step::Root, _) | (Step::Index(_), Value::Map(_)) => continue,
                (Step::Key(key), _) => {
                    found.node.entry(key).map(|entry| (entry.place, &entry.node))
                }
                (Step::Index(index), Value::List(items)) => {
                    items.get(index).map(|item| (item.place, item))
                }
                (Step::Index(_), Value::Null | Value::Scalar { .. }) => None,
            };
            let Some((key, node)) = next else {
                return Found { whole: false, ..found };
            };
            let known_bad = found.known_bad || node.known_bad.get();
            found = Found { node, key, whole: true, known_bad };
        }
        found
    }
}

/// What a walk came to.
struct Found<'a> {
    /// The last value found.
    node: &'a Node,
    /// Where its key, or the item itself, stands.
    key: Place,
    /// Whether the walk came to its end.
    whole: bool,
    /// Whether a mistake on the way is known already.
    known_bad: bool,
}

impl Found<'_> {
    /// A single value itself; else the key that holds it, or where it ought to be inside.
    const fn place(&self) -> Place {
        if self.whole && matches!(self.node.value, Value::Scalar { .. }) {
            self.node.place
        } else {
            self.key
        }
    }
}
