//! Workloads for `keyweir simulate`: what is asked for, what the providers really are, and what goes
//! wrong. Read like the configuration: every mistake at once, with its place.

mod compile;
mod draws;
mod faults;
mod raw;
pub mod trace;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::diagnostic::Findings;
use super::place::{Draft, Node, Place, Value};
use super::used::{Caller, Config, Limit, Strategy};
use super::{Diagnostic, Source, reader, yaml};
use crate::limits::Charging;
use crate::simulator::basin::scenario::{Fault, Name, Pace, Spread, Stream, Weighted};
use crate::simulator::meter::Terms;

/// A workload as used.
#[derive(Clone, Debug)]
pub struct Workload {
    /// For how long requests come.
    pub duration: Option<Duration>,
    /// Where randomness begins.
    pub seed: Option<u64>,
    /// Sidecars.
    pub sidecars: Option<NonZeroU32>,
    /// How requests spread over them.
    pub spread: Spread,
    /// How many each of them believes there are.
    pub told: Told,
    /// How far estimates of input are off: the standard deviation of their relative error.
    pub estimate_error: f64,
    /// How many entries Secrets have that are not at hand.
    pub keys: Vec<(Box<str>, u32)>,
    /// What is asked for, by distributions.
    pub streams: Vec<Stream>,
    /// Or as it was written down: a file beside this one.
    pub trace: Option<PathBuf>,
    /// The names that streams refer to.
    pub book: Book,
    /// What the providers really are, in the configuration's order.
    pub providers: Vec<Reality>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// How many sidecars each of them believes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// As many as there are, as the injector tells them.
    #[default]
    Truth,
    /// Nobody told them.
    Nothing,
    /// So many.
    Count(NonZeroU32),
}

/// What a provider really is, where that differs from what is configured.
#[derive(Clone, Debug)]
pub struct Reality {
    /// What it grants.
    pub limits: Option<Vec<Limit>>,
    /// How it charges.
    pub charging: Charging,
    /// What else holds.
    pub terms: Terms,
    /// How fast it answers.
    pub pace: Pace,
}

/// The names of models and callers, by the numbers that requests refer to them with.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Model names and what they resolve to.
    pub names: Vec<Name>,
    /// Callers.
    pub callers: Vec<Box<str>>,
}

/// Input of a request where nothing is written, as the default of a stream: a median of 800 tokens.
pub const USUAL_INPUT: f64 = 800.0;
/// Output where nothing is written: a median of 250 tokens.
pub const USUAL_OUTPUT: f64 = 250.0;

/// Reads a workload; `None` if there is a mistake in it.
pub fn read(source: &Source, config: &Config) -> (Option<Workload>, Vec<Diagnostic>) {
    let findings = Findings::new(std::iter::once(source.name.clone()));
    let parsed = yaml::parse(&source.text, 0, &mut yaml::Budget::new(), &findings);
    let Some(root) = parsed else { return (None, findings.into_sorted()) };
    let draft = Draft { root: &root, findings: &findings };
    let raw: raw::Workload = reader::read(&draft);
    let workload = compile::compile(&draft, &raw, config);
    let faultless = !findings.has_errors();
    (faultless.then_some(workload), findings.into_sorted())
}

/// The workload of nothing but a rate: so many requests a second for that model (or the first that
/// there is), each on its own, of usual sizes.
pub fn of_rate(rate: f64, model: Option<&str>, config: &Config) -> Result<Workload, String> {
    let mut workload = plain(config);
    let name = match model {
        Some(model) => workload.book.name(model, config)?,
        None => workload.book.first(config)?,
    };
    let caller = workload.book.caller("default");
    let stream = compile::usual(&config.callers.default, rate);
    workload.streams =
        vec![Stream { names: vec![(name, 1.0)], callers: vec![(caller, 1.0)], ..stream }];
    Ok(workload)
}

/// The workload of a trace and nothing else.
pub fn of_trace(trace: PathBuf, config: &Config) -> Workload {
    Workload { trace: Some(trace), ..plain(config) }
}

fn plain(config: &Config) -> Workload {
    let findings = Findings::default();
    let nothing = Node::new(Place { file: 0, line: 1, column: 1 }, Value::Null);
    let draft = Draft { root: &nothing, findings: &findings };
    compile::compile(&draft, &raw::Workload::default(), config)
}

impl Book {
    /// The number of a model name: an alias, `provider/model`, or a model of the first provider.
    pub fn name(&mut self, text: &str, config: &Config) -> Result<usize, String> {
        if let Some(known) = self.names.iter().position(|name| *name.name == *text) {
            return Ok(known);
        }
        let alias = config.aliases.iter().find(|alias| *alias.name == *text);
        let named = |name: &str| config.providers.iter().position(|it| *it.name == *name);
        let direct = || {
            let (provider, model) = text.split_once('/')?;
            Some((named(provider)?, model))
        };
        let name = if let Some(alias) = alias {
            let weighted = alias.strategy == Strategy::Weighted;
            let targets = alias.targets.iter();
            Name {
                name: text.into(),
                targets: targets.map(|to| (to.provider, to.model.clone(), to.weight)).collect(),
                weighted: if weighted { Weighted::Yes } else { Weighted::No },
            }
        } else {
            if config.providers.is_empty() {
                return Err("the configuration has no provider".to_owned());
            }
            let (provider, model) = direct().unwrap_or((0, text));
            let targets = vec![(provider, model.into(), 1)];
            Name { name: text.into(), targets, weighted: Weighted::No }
        };
        if self.names.len() >= MOST_NAMES {
            return Err(format!("more than {MOST_NAMES} model names"));
        }
        self.names.push(name);
        Ok(self.names.len() - 1)
    }

    /// The number of the first model name that the configuration has.
    fn first(&mut self, config: &Config) -> Result<usize, String> {
        let alias = config.aliases.first().map(|alias| alias.name.clone());
        let models = config.providers.iter().flat_map(|provider| {
            let limits = provider.limits.iter().flat_map(|limit| &limit.clause.models);
            limits.chain(provider.keys.iter().flat_map(|source| &source.models))
        });
        let written = models.filter(|pattern| !pattern.open).map(|pattern| pattern.text.clone());
        let name = alias.or_else(|| written.clone().next()).unwrap_or_else(|| "model".into());
        self.name(&name, config)
    }

    /// The number of a caller.
    pub fn caller(&mut self, name: &str) -> usize {
        if let Some(known) = self.callers.iter().position(|caller| **caller == *name) {
            return known;
        }
        // Whoever comes when the book is full is the last of it.
        if self.callers.len() < MOST_CALLERS {
            self.callers.push(name.into());
        }
        self.callers.len() - 1
    }
}

/// The rule of that name, or what holds for everybody.
pub fn terms_of<'c>(config: &'c Config, caller: &str) -> &'c Caller {
    let rules = &config.callers.rules;
    rules.iter().find(|rule| *rule.name == *caller).unwrap_or(&config.callers.default)
}

/// Model names and callers that a workload may have.
const MOST_NAMES: usize = 1_000;
const MOST_CALLERS: usize = 10_000;
