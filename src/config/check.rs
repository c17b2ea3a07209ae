//! What `keyweir check` says: the diagnostics for people or for programs, and the exit code.

use std::fmt::Write;

use serde::Serialize;

use super::{Config, Diagnostic, Outcome, Severity, egress};

/// The exit code for a configuration without a mistake.
pub const PASSED: u8 = 0;
/// The exit code for mistakes.
pub const MISTAKES: u8 = 1;
/// The exit code for misuse: an unknown flag, a file that cannot be read.
pub const MISUSE: u8 = 2;

/// The exit code; warnings do not fail.
pub fn exit_code(outcome: &Outcome) -> u8 {
    if outcome.has_mistakes() { MISTAKES } else { PASSED }
}

/// A line for each diagnostic, and a last one that sums up.
pub fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    for diagnostic in &outcome.diagnostics {
        // Writing to a `String` cannot fail.
        writeln!(text, "{diagnostic}").unwrap_or_default();
    }
    text.push_str(&summary(outcome));
    text.push('\n');
    text
}

fn summary(outcome: &Outcome) -> String {
    let (mistakes, warnings) = counts(&outcome.diagnostics);
    let found = match (mistakes, warnings) {
        (0, 0) => String::new(),
        (0, _) => plural(warnings, "warning"),
        (_, 0) => plural(mistakes, "mistake"),
        _ => format!("{}, {}", plural(mistakes, "mistake"), plural(warnings, "warning")),
    };
    match (&outcome.config, mistakes) {
        (Some(config), 0) if found.is_empty() => format!("OK: {}", contents(config)),
        (Some(config), 0) => format!("OK: {} ({found})", contents(config)),
        _ => found,
    }
}

fn contents(config: &Config) -> String {
    let providers = plural(config.providers.len(), "provider");
    let aliases = match config.aliases.len() {
        1 => "1 alias".to_owned(),
        count => format!("{count} aliases"),
    };
    format!("{providers}, {aliases}, {}", plural(config.callers.rules.len(), "caller rule"))
}

fn plural(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

fn counts(diagnostics: &[Diagnostic]) -> (usize, usize) {
    let mistakes = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    (mistakes, diagnostics.len().saturating_sub(mistakes))
}

/// The same as one JSON object.
pub fn json(outcome: &Outcome) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        ok: bool,
        mistakes: usize,
        warnings: usize,
        diagnostics: &'a [Diagnostic],
    }

    let (mistakes, warnings) = counts(&outcome.diagnostics);
    let diagnostics = outcome.diagnostics.as_slice();
    let report = Report { ok: mistakes == 0, mistakes, warnings, diagnostics };
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
}

/// What `--egress` prints: `host:port`, a line for each.
pub fn egress_text(config: &Config) -> String {
    let line = |(host, port): (&str, u16)| {
        if host.contains(':') { format!("[{host}]:{port}\n") } else { format!("{host}:{port}\n") }
    };
    egress(config).into_iter().map(line).collect()
}

/// What `--egress --output json` prints: an array of `{"host": ..., "port": ...}`.
pub fn egress_json(config: &Config) -> String {
    #[derive(Serialize)]
    struct Address<'a> {
        host: &'a str,
        port: u16,
    }

    let addresses: Vec<_> =
        egress(config).into_iter().map(|(host, port)| Address { host, port }).collect();
    let mut text = serde_json::to_string_pretty(&addresses).unwrap_or_default();
    text.push('\n');
    text
}
