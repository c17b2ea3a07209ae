//! `keyweir simulate`.

mod scenario;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::{SimulateArguments, SimulateOutput};
use crate::config::workload::{self, Workload, trace};
use crate::config::{self, Config, Diagnostic, Severity, Source};
use crate::proxy::keyring;
use crate::simulator::basin::scenario::{Arrival, Load};
use crate::simulator::basin::{self, Kind};
use crate::sources::{Letter, files};

/// For how long requests come where nothing says so.
const USUAL_DURATION: Duration = Duration::from_mins(10);
/// Mistakes in what was given.
const MISTAKES: u8 = 1;

/// Simulates, and prints what came of it.
pub(super) fn run(arguments: &SimulateArguments) -> ExitCode {
    let (text, code) = match outcome(arguments) {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::from(MISTAKES)),
    };
    // Whoever reads may have stopped reading (`keyweir simulate | head`).
    drop(io::stdout().write_all(text.as_bytes()));
    code
}

fn outcome(arguments: &SimulateArguments) -> Result<String, String> {
    let letter = super::proxy::places(&arguments.places).read();
    let config = configuration(&letter)?;
    let mut workload = workload(arguments, &config)?;
    let arrivals = arrivals(&mut workload, &config)?;
    let load = match arrivals {
        Some(arrivals) => Load::Trace(arrivals.into()),
        None => Load::Streams(workload.streams.clone()),
    };
    let duration = arguments.duration.or(workload.duration).unwrap_or_else(|| match &load {
        Load::Streams(_) => USUAL_DURATION,
        Load::Trace(arrivals) => length(arrivals),
    });
    let given = scenario::Given {
        load,
        duration,
        sidecars: arguments.sidecars.or(workload.sidecars),
        seed: arguments.seed.or(workload.seed).unwrap_or(1),
    };
    let scenario = scenario::assemble(&config, &workload, &letter.secrets, given)?;
    let policies = if arguments.compare { Kind::ALL.as_slice() } else { &[Kind::Keyweir] };
    let report = basin::compare(&scenario, policies);
    Ok(match arguments.output {
        SimulateOutput::Table => report.table(),
        SimulateOutput::Json => report.json(),
        SimulateOutput::Csv => report.csv(),
    })
}

/// The configuration as it is without Secrets: they may be elsewhere, and only their number counts.
fn configuration(letter: &Letter) -> Result<Config, String> {
    if letter.texts.is_empty()
        && letter.problems.is_empty()
        && letter.secrets.iter().next().is_none()
    {
        return Err("There is nothing to simulate: give `--config`, or keys in the environment.\n"
            .to_owned());
    }
    let problems: String =
        letter.problems.iter().flat_map(|problem| [problem.to_string(), "\n".into()]).collect();
    let sources: Vec<Source> = letter
        .texts
        .iter()
        .map(|text| Source { name: text.name.clone(), text: (*text.text).into() })
        .collect();
    let inventory = keyring::inventory(&letter.secrets);
    let known = sources.is_empty().then_some(&inventory);
    let outcome = config::read(&sources, known);
    match outcome.config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(format!("{}{problems}", told(&outcome.diagnostics))),
    }
}

/// What is asked for.
fn workload(arguments: &SimulateArguments, config: &Config) -> Result<Workload, String> {
    let Some(path) = &arguments.workload else {
        let rate = arguments.rate.unwrap_or_default();
        let workload = workload::of_rate(rate, arguments.model.as_deref(), config);
        return workload.map_err(|message| message + "\n");
    };
    if is_trace(path) {
        return Ok(workload::of_trace(path.clone(), config));
    }
    let name = path.display().to_string().into();
    let text = files::read_text(path).map_err(|problem| format!("{problem}\n"))?;
    let source = Source { name, text: text.into() };
    let (workload, diagnostics) = workload::read(&source, config);
    let mut workload = workload.ok_or_else(|| told(&diagnostics))?;
    // A trace is looked for beside the file that names it.
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    workload.trace = workload.trace.map(|trace| folder.join(trace));
    Ok(workload)
}

fn is_trace(path: &Path) -> bool {
    path.extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("jsonl") || it.eq_ignore_ascii_case("ndjson"))
}

/// The requests of a trace, if the workload has one.
fn arrivals(workload: &mut Workload, config: &Config) -> Result<Option<Vec<Arrival>>, String> {
    let Some(path) = &workload.trace else { return Ok(None) };
    let lines = files::lines(path).map_err(|problem| format!("{problem}\n"))?;
    let name = path.display().to_string();
    let (arrivals, mistakes) = trace::read(&name, lines, config, &mut workload.book);
    if mistakes.is_empty() { Ok(Some(arrivals)) } else { Err(told(&mistakes)) }
}

/// A trace ends a second after its last request.
fn length(arrivals: &Arc<[Arrival]>) -> Duration {
    let last =
        arrivals.last().map_or(Duration::ZERO, |last| last.at.since(crate::clock::Moment::ZERO));
    last + Duration::from_secs(1)
}

fn told(diagnostics: &[Diagnostic]) -> String {
    let mistakes = diagnostics.iter().filter(|it| it.severity == Severity::Error);
    mistakes.flat_map(|mistake| [mistake.to_string(), "\n".into()]).collect()
}
