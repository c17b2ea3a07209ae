//! `keyweir check`.

use std::io::{self, Write};
use std::process::ExitCode;

use super::{CheckArguments, Output};
use crate::config::{self, Diagnostic, Severity, Source, check, used};
use crate::proxy::keyring;
use crate::sources::{Problem, files};

/// Validates configuration and Secrets and prints every mistake.
pub(super) fn run(arguments: &CheckArguments) -> ExitCode {
    if arguments.cluster {
        return super::cluster::run(&arguments.at, arguments.output);
    }
    let (text, code) = outcome(arguments);
    // Whoever reads may have stopped reading (`keyweir check | head`); the exit code still tells.
    drop(io::stdout().write_all(text.as_bytes()));
    ExitCode::from(code)
}

fn outcome(arguments: &CheckArguments) -> (String, u8) {
    if arguments.schema {
        return (config::schema::json(), check::PASSED);
    }
    let letter = super::proxy::places(&arguments.places).read();
    let inventory = keyring::inventory(&letter.secrets);
    let sources: Vec<_> = letter.texts.iter().map(source).collect();
    let mut outcome = config::read(&sources, Some(&inventory));
    outcome.diagnostics.extend(unreadable(letter.problems.iter()));
    let bundles = outcome.config.iter().flat_map(config::ca_bundles);
    let bundles = bundles.filter(|path| path.as_os_str() != used::SYSTEM_ROOTS);
    let problems: Vec<_> = bundles.filter_map(|path| files::read_text(path).err()).collect();
    outcome.diagnostics.extend(unreadable(problems.iter()));
    let code = check::exit_code(&outcome);
    match (&outcome.config, arguments.egress, arguments.output) {
        (Some(config), true, Output::Text) => (check::egress_text(config), code),
        (Some(config), true, Output::Json) => (check::egress_json(config), code),
        (_, _, Output::Text) => (check::text(&outcome), code),
        (_, _, Output::Json) => (check::json(&outcome), code),
    }
}

fn source(text: &crate::sources::Text) -> Source {
    Source { name: text.name.clone(), text: (*text.text).into() }
}

/// A place that was named and cannot be read is a mistake here: nothing comes later.
fn unreadable<'p>(problems: impl Iterator<Item = &'p Problem>) -> impl Iterator<Item = Diagnostic> {
    problems.map(|problem| Diagnostic {
        severity: Severity::Error,
        file: None,
        line: None,
        column: None,
        path: String::new(),
        message: problem.to_string(),
        suggestion: None,
    })
}
