//! A mistake, or something worth knowing, and where it is written.

use std::cell::{Cell, RefCell};
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::place::Place;

/// One thing that is wrong, or that the reader should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it is a mistake.
    pub severity: Severity,
    /// The file's name as it was given; `None` where no file is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Box<str>>,
    /// The line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The way to the value, e.g. `providers.openai.keys[0].weight`; empty for the whole file.
    pub path: String,
    /// What is wrong. It never repeats a text that looks like a credential.
    pub message: String,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// Whether a diagnostic is a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A mistake: `check` fails.
    Error,
    /// Worth knowing: `check` passes.
    Warning,
}

impl fmt::Display for Diagnostic {
    /// `keyweir.yaml:12:5: providers.openai.bseUrl: unknown field; did you mean ...?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.suggestion.as_ref().map_or(Ok(()), |text| write!(f, "; did you mean `{text}`?"))
    }
}

/// The most that is reported at once: beyond it, more would only hide the first.
const MOST: usize = 100;

/// Where the diagnostics of one reading are gathered.
#[derive(Debug, Default)]
pub(super) struct Findings {
    files: Vec<Box<str>>,
    found: RefCell<Vec<Diagnostic>>,
    endings: RefCell<Vec<(Timestamp, Diagnostic)>>,
    overflown: Cell<bool>,
}

impl Findings {
    pub(super) fn new(files: impl Iterator<Item = Box<str>>) -> Self {
        Self { files: files.collect(), ..Self::default() }
    }

    /// Keeps a diagnostic; the same one is kept once (an alias may bring it up again).
    pub(super) fn add(
        &self,
        severity: Severity,
        place: Option<Place>,
        path: String,
        message: String,
        suggestion: Option<String>,
    ) {
        let diagnostic = self.diagnostic(severity, place, path, message, suggestion);
        let mut found = self.found.borrow_mut();
        if found.contains(&diagnostic) {
            return;
        }
        if found.len() < MOST {
            found.push(diagnostic);
        } else {
            self.overflown.set(true);
            // A warning must not crowd out a mistake.
            if severity == Severity::Error
                && let Some(seat) = found.iter_mut().rfind(|held| held.severity != severity)
            {
                *seat = diagnostic;
            }
        }
    }

    /// Keeps what is worth knowing from `when` on.
    pub(super) fn add_from(&self, when: Timestamp, place: Place, path: String, message: String) {
        let diagnostic = self.diagnostic(Severity::Warning, Some(place), path, message, None);
        let mut endings = self.endings.borrow_mut();
        if endings.len() < MOST && !endings.iter().any(|(_, held)| *held == diagnostic) {
            endings.push((when, diagnostic));
        }
    }

    /// What is worth knowing from some moment on, so far.
    pub(super) fn endings(&self) -> Vec<(Timestamp, Diagnostic)> {
        self.endings.borrow().clone()
    }

    fn diagnostic(
        &self,
        severity: Severity,
        place: Option<Place>,
        path: String,
        message: String,
        suggestion: Option<String>,
    ) -> Diagnostic {
        let place = place.filter(|place| self.file(*place).is_some());
        let (line, column) = place.map(|place| (place.line, place.column)).unzip();
        let file = place.and_then(|place| self.file(place)).map(Into::into);
        Diagnostic { severity, file, line, column, path, message, suggestion }
    }

    /// Whether nothing of that severity can be added any more.
    pub(super) fn are_full_for(&self, severity: Severity) -> bool {
        let found = self.found.borrow();
        let full = found.len() >= MOST
            && (severity == Severity::Warning
                || found.iter().all(|held| held.severity == severity));
        self.overflown.set(self.overflown.get() || full);
        full
    }

    /// Whether there is a mistake among them.
    pub(super) fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|held| held.severity == Severity::Error)
    }

    /// `base.yaml:3:5`, for a message that speaks of a second place.
    pub(super) fn describe(&self, place: Place) -> String {
        let file = self.file(place).unwrap_or("?");
        format!("{file}:{}:{}", place.line, place.column)
    }

    /// Everything found, in the order of the files.
    pub(super) fn into_sorted(self) -> Vec<Diagnostic> {
        let Self { files, found, overflown, .. } = self;
        let mut found = found.into_inner();
        let rank = |file: &Option<Box<str>>| {
            files.iter().position(|name| Some(name) == file.as_ref()).unwrap_or(usize::MAX)
        };
        found
            .sort_by_key(|diagnostic| (rank(&diagnostic.file), diagnostic.line, diagnostic.column));
        if overflown.get() {
            let severity = found.iter().map(|held| held.severity).min();
            found.push(Diagnostic {
                severity: severity.unwrap_or(Severity::Warning),
                file: None,
                line: None,
                column: None,
                path: String::new(),
                message: format!("there is more; only the first {MOST} are shown"),
                suggestion: None,
            });
        }
        found
    }

    fn file(&self, place: Place) -> Option<&str> {
        self.files.get(usize::from(place.file)).map(|name| &**name)
    }
}

/// Of `candidates` the one that `word` is probably a slip of.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    /// Below it a suggestion is rather a joke (clap uses 0.7).
    const ALIKE: f64 = 0.7;
    /// Nobody has more to choose from, and a hostile file could go on for minutes.
    const MOST_CANDIDATES: usize = 1_000;
    // Anything is like a letter or two, measuring is quadratic, and nobody misspells that much.
    if !(3..=64).contains(&word.len()) {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .take(MOST_CANDIDATES)
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, candidate)| *likeness > ALIKE && *candidate != word)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.to_owned())
}

/// A text of the user's as a message may repeat it: short, printable, and not if it could be a
/// credential that was written in the wrong place.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    if may_be_a_credential(text) {
        return "[redacted]".to_owned();
    }
    let mut shown: String = text.chars().take(LONGEST).flat_map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

fn printable(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

/// How keys of providers begin.
const BEGINNINGS: [&str; 10] =
    ["sk-", "sk_", "gsk_", "xai-", "AIza", "AQ.", "hf_", "pplx-", "nvapi-", "csk-"];
/// No provider's key is shorter.
const SHORTEST_KEY: usize = 20;

/// Whether a text may be a credential: it has a word that begins like one, or one that mixes letters
/// and digits at length. It errs on the side of silence.
fn may_be_a_credential(text: &str) -> bool {
    text.len() >= SHORTEST_KEY && (has_random_run(text) || words(text).any(begins_like_a_key))
}

/// Whether a text can hardly be anything but a credential.
pub(super) fn is_surely_a_credential(text: &str) -> bool {
    begins_like_a_key(text) && has_random_run(text)
}

fn begins_like_a_key(word: &str) -> bool {
    word.len() >= SHORTEST_KEY && BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'))
}

fn has_random_run(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        run.len() >= SHORTEST_KEY
            && run.contains(|c: char| c.is_ascii_digit())
            && run.contains(|c: char| c.is_ascii_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_reads_like_a_compilers() {
        let findings = Findings::new(["keyweir.yaml".into()].into_iter());
        let place = Place { file: 0, line: 12, column: 5 };
        findings.add(
            Severity::Error,
            Some(place),
            "providers.openai.bseUrl".to_owned(),
            "unknown field".to_owned(),
            closest("bseUrl", ["wire", "baseUrl"]),
        );
        let found = findings.into_sorted();
        assert_eq!(
            found[0].to_string(),
            "keyweir.yaml:12:5: providers.openai.bseUrl: unknown field; did you mean `baseUrl`?"
        );
    }

    #[test]
    fn a_flood_of_warnings_does_not_hide_a_mistake() {
        let findings = Findings::default();
        let add = |severity, n: usize| {
            findings.add(severity, None, format!("p{n}"), "m".to_owned(), None);
        };
        (0..200).for_each(|n| add(Severity::Warning, n));
        add(Severity::Error, 1_000);
        let found = findings.into_sorted();
        assert_eq!(found.len(), MOST + 1);
        assert!(found.iter().any(|held| held.path == "p1000"));
    }

    #[test]
    fn what_may_be_a_credential_is_not_repeated() {
        for key in [
            "sk-proj-abcdefghijklmnop",
            "AIzaSyA0123456789abcdefghijk",
            "gsk_0123456789abcdefghijklmn",
            "a key: xai-abcdefghijklmnopqrst",
            "Zk3vJq8TtLm2XcWb7YpR9sDf",
        ] {
            assert_eq!(shown(key), "[redacted]");
        }
        for name in [
            "gpt-4o-2024-08-06",
            "openai-keys",
            "sk-team",
            "accounts/fireworks/models/x",
            "task-queue-openai-production-keys",
        ] {
            assert_eq!(shown(name), name);
        }
        assert!(is_surely_a_credential("sk-0123456789abcdef0123456789abcdef"));
        assert!(!is_surely_a_credential("sk-team-production-openai-keys"));
        assert_eq!(shown("a\u{1b}[31m"), "a\\u{1b}[31m", "a terminal is not steered");
    }

    #[test]
    fn a_far_fetched_word_is_not_suggested() {
        assert_eq!(closest("xyzzy", ["wire", "baseUrl"]), None);
        assert_eq!(closest("openia", ["openai", "azure"]), Some("openai".to_owned()));
    }
}
