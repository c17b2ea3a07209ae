//! The rule book: the configuration as written, merged and checked, becomes the configuration as
//! used, or every mistake at once with its place.
//!
//! Pure: text in, values or diagnostics out. `yaml` reads the text into a tree that knows its
//! places, `merge` lays several trees over each other, `reader` fills the types of `raw` from it,
//! and `compile` makes the types of [`used`] from those.

pub mod check;
mod compile;
mod diagnostic;
mod merge;
mod names;
mod pending;
mod place;
mod raw;
mod reader;
pub mod schema;
mod secrets;
mod units;
pub mod used;
pub mod workload;
mod yaml;

use std::path::PathBuf;

pub use diagnostic::{Diagnostic, Severity, closest, shown};
pub use names::Names;
pub use secrets::{DEFAULT_SECRET, EntryShape, Inventory, Shape, bad_secret_name};
pub use used::Config;

use diagnostic::Findings;
use place::{Draft, Node, Place, Value};

/// The most files that are merged into one configuration.
const MOST_SOURCES: usize = 64;

/// One file of configuration.
#[derive(Clone, Debug)]
pub struct Source {
    /// How messages call it, e.g. its path.
    pub name: Box<str>,
    /// The YAML.
    pub text: Box<str>,
}

/// What came of reading.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The configuration; `None` if it has a mistake. Secrets that are missing or unusable are
    /// reported, but do not count here: they may come later, and others may serve meanwhile.
    pub config: Option<Config>,
    /// Everything that was found, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// What it names, mistakes or not.
    pub names: Names,
}

impl Outcome {
    /// Whether there is any mistake, in the configuration or in the Secrets.
    pub fn has_mistakes(&self) -> bool {
        self.diagnostics.iter().any(|found| found.severity == Severity::Error)
    }
}

/// Reads the configuration that `sources` make together, later ones over earlier ones.
///
/// Without any source, or where they name no provider, the providers are those that the environment
/// or the Secret [`DEFAULT_SECRET`] has keys for. `inventory` is what is known of the Secrets; without
/// it nothing is said about them.
pub fn read(sources: &[Source], inventory: Option<&Inventory>) -> Outcome {
    let findings = Findings::new(sources.iter().map(|source| source.name.clone()));
    let Some(root) = merged(sources, &findings) else {
        let diagnostics = findings.into_sorted();
        return Outcome { config: None, diagnostics, names: Names::default() };
    };
    let draft = Draft { root: &root, findings: &findings };
    pending::warn(&draft);
    let raw: raw::Raw = reader::read(&draft);
    let config = compile::compile(&draft, &raw, inventory);
    let names = names::all(&raw, &config);
    let faultless = !findings.has_errors();
    if let Some(inventory) = inventory {
        secrets::check(&draft, &raw, &config, inventory);
    }
    Outcome { config: faultless.then_some(config), diagnostics: findings.into_sorted(), names }
}

/// All files as one tree. A file with broken syntax is reported, and so are the others; `None` then.
fn merged(sources: &[Source], findings: &Findings) -> Option<Node> {
    let start = Place { file: 0, line: 1, column: 1 };
    if sources.len() > MOST_SOURCES {
        let message = format!("{} files; at most {MOST_SOURCES} are merged", sources.len());
        findings.add(Severity::Error, None, String::new(), message, None);
        return None;
    }
    let mut budget = yaml::Budget::new();
    let parsed: Vec<Option<Node>> = (0u16..)
        .zip(sources)
        .map(|(file, source)| yaml::parse(&source.text, file, &mut budget, findings))
        .collect();
    let mut root = Node::new(start, Value::Null);
    for node in parsed {
        merge::merge(&mut root, node?, findings);
    }
    Some(root)
}

/// A duration as the configuration writes it: `250ms`, `30s`, `1h30m`, `7d`.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    units::duration(text)
}

/// The files that a configuration refers to, which are read by whoever may.
pub fn ca_bundles(config: &Config) -> Vec<&PathBuf> {
    config.providers.iter().filter_map(|provider| provider.ca_bundle.as_ref()).collect()
}

/// The hosts and ports that a configuration needs to reach, each once, in the order of providers.
pub fn egress(config: &Config) -> Vec<(&str, u16)> {
    let mut needed = Vec::new();
    for provider in &config.providers {
        let address = (&*provider.base.host, provider.base.port);
        if !needed.contains(&address) {
            needed.push(address);
        }
    }
    needed
}
