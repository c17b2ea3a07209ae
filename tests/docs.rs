//! The user's documents say what the program does: this test reads both. What a document lists must
//! exist, and what exists must be listed.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what tests share may fail loudly"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use keyweir::cli::Arguments;
use keyweir::config::{Source, check, read, schema};
use keyweir::formats::{Verdict, Wire, known};
use keyweir::injector::{Reason as InjectorReason, annotations, clients};
use keyweir::pipeline::Reason;
use keyweir::simulator::basin::{Kind, Shed};
use serde_json::Value;

/// A set of names.
type Names = BTreeSet<String>;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

const DOCUMENTS: [&str; 9] = [
    "README.md",
    "CHANGELOG.md",
    "ARCHITECTURE.md",
    "docs/configuration.md",
    "docs/injector.md",
    "docs/operations.md",
    "docs/providers.md",
    "docs/simulate.md",
    "docs/simulation.md",
];

/// What stands below that heading, up to the next of its level or above.
fn section<'t>(document: &'t str, heading: &str) -> &'t str {
    let level = heading.split(' ').next().unwrap_or_default();
    let begin = document
        .match_indices(heading)
        .find(|(at, _)| {
            document[..*at].ends_with('\n') && document[at + heading.len()..].starts_with('\n')
        })
        .unwrap_or_else(|| panic!("there is no section {heading:?}"))
        .0;
    let body = &document[begin + heading.len()..];
    let ends =
        (1..=level.len()).filter_map(|level| body.find(&format!("\n{} ", "#".repeat(level))));
    &body[..ends.min().unwrap_or(body.len())]
}

/// The rows of the tables in a text, cell by cell, without their heads.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let is_row = line.starts_with("| ");
        let is_head = lines.get(at + 1).is_some_and(|next| next.starts_with("|--"));
        if is_row && !is_head {
            let line = line.trim_matches('|').replace("\\|", "\u{1}");
            rows.push(line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect());
        }
    }
    rows
}

/// What stands between backticks.
fn quoted(text: &str) -> Names {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn first_cells(text: &str) -> Names {
    rows(text).iter().flat_map(|row| quoted(&row[0])).collect()
}

fn names<'n>(names: impl IntoIterator<Item = &'n str>) -> Names {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_configuration_in_a_document_passes_the_check() {
    let mut found = 0;
    for name in DOCUMENTS.iter().chain(&["examples/keyweir.yaml", "examples/minimal.yaml"]) {
        let document = text(name);
        let blocks: Vec<&str> = if name.starts_with("examples/") {
            vec![&document]
        } else {
            let fenced = document.split("\n```yaml\n").skip(1);
            fenced.filter_map(|rest| rest.split("\n```").next()).collect()
        };
        for block in blocks {
            let outcome = read(&[Source { name: (*name).into(), text: block.into() }], None);
            let told = check::text(&outcome);
            assert!(outcome.diagnostics.is_empty(), "{name}: {told}\nin\n{block}");
            found += 1;
        }
    }
    assert!(found >= 8, "only {found} configurations were found");
}

#[test]
fn the_defaults_written_out_change_nothing() {
    let document = text("docs/configuration.md");
    let block = section(&document, "## The defaults, written out");
    let block = block.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let config = |text: &str| {
        let outcome = read(&[Source { name: "x".into(), text: text.into() }], None);
        format!("{:#?}", outcome.config)
    };
    assert_eq!(config(block.unwrap_or_default()), config("providers: {openai: }"));
}

/// The schema's types, the section that tells of each, and what its fields begin with there.
const SECTIONS: [(&str, &str, &str); 20] = [
    ("", "## Top level", ""),
    ("Provider", "## `providers`", ""),
    ("Timeouts", "## `providers`", "timeouts."),
    ("Auth", "## `providers`", "auth."),
    ("Tls", "## `providers`", "tls."),
    ("KeySource", "### `keys`", ""),
    ("Limit", "### `limits`", ""),
    ("Schedule", "### `limits`", "schedule."),
    ("Alias", "## `models`", ""),
    ("Target", "## `models`", "targets[]."),
    ("Hedge", "## `models`", "hedge."),
    ("Fallback", "## `models`", "fallback."),
    ("Callers", "## `callers`", ""),
    ("Caller", "## `callers`", ""),
    ("Match", "## `callers`", "match."),
    ("Retry", "## `retry`", ""),
    ("Breaker", "## `breaker`", ""),
    ("Telemetry", "## `telemetry`", ""),
    ("Server", "## `server`", ""),
    ("Price", "## `mode`, `prices`, `fleet`", ""),
];

#[test]
fn every_field_of_the_schema_is_in_the_reference_and_no_other() {
    let document = text("docs/configuration.md");
    let schema: Value = serde_json::from_str(&schema::json()).unwrap_or_default();
    let mut listed: BTreeMap<&str, Names> = BTreeMap::new();
    for (_, heading, _) in SECTIONS {
        let own = section(&document, heading).split("\n### ").next().unwrap_or_default();
        listed.insert(heading, first_cells(own));
    }
    let mut missing = Vec::new();
    let mut stale = listed.clone();
    for (name, fields) in types(&schema) {
        // It has one field, which is told of in words.
        if name == "Fleet" {
            continue;
        }
        let (_, heading, prefix) = SECTIONS
            .into_iter()
            .find(|(known, ..)| *known == name)
            .unwrap_or_else(|| panic!("no section of docs/configuration.md is for {name:?}"));
        for field in fields {
            let field = format!("{prefix}{field}");
            let inner = [format!("{field}."), format!("{field}[].")];
            let is_told =
                |told: &String| *told == field || inner.iter().any(|it| told.starts_with(it));
            if !listed[heading].iter().any(is_told) {
                missing.push(format!("{heading}: {field}"));
            }
            stale.entry(heading).or_default().remove(&field);
        }
    }
    assert!(missing.is_empty(), "not in docs/configuration.md: {missing:#?}");
    stale.retain(|_, left| !left.is_empty());
    assert!(stale.is_empty(), "in docs/configuration.md, and no such field: {stale:#?}");
}

/// Every type of the schema that has fields, with their names.
fn types(schema: &Value) -> BTreeMap<String, Vec<String>> {
    let fields = |of: &Value| -> Vec<String> {
        of["properties"].as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default()
    };
    let mut types = BTreeMap::from([(String::new(), fields(schema))]);
    for (name, definition) in schema["definitions"].as_object().into_iter().flatten() {
        types.insert(name.clone(), fields(definition));
    }
    types.retain(|_, fields| !fields.is_empty());
    types
}

/// The types that a workload is written in, the section that tells of each, and what its fields begin
/// with there.
const WORKLOAD: [(&str, &str, &str); 10] = [
    ("Workload", "## The workload", ""),
    ("Stream", "### `requests`", ""),
    ("Pattern", "### `requests`", ""),
    ("Turns", "### `requests`", ""),
    ("Shape", "### Sizes", ""),
    ("Tail", "### Sizes", "tail."),
    ("Provider", "### `providers`", ""),
    ("Spend", "### `providers`", "spend."),
    ("Fault", "### `faults`", ""),
    ("Trouble", "### `faults`", ""),
];

#[test]
fn every_field_of_a_workload_is_in_the_reference_and_no_other() {
    let source = text("src/config/workload/raw.rs");
    let document = text("docs/simulate.md");
    let mut written: BTreeMap<&str, Names> = BTreeMap::new();
    for (name, heading, prefix) in WORKLOAD {
        let declared = [format!("struct {name} {{"), format!("enum {name} {{")];
        let body = declared.iter().find_map(|it| source.split(it.as_str()).nth(1));
        let body = body.and_then(|body| body.split("\n}").next()).unwrap_or_default();
        let words = body.lines().filter_map(|line| {
            let line = line.trim().trim_start_matches("pub(super) ");
            let word = line.split([':', ',']).next()?;
            (!line.starts_with(['#', '/']) && !word.is_empty()).then(|| camel(word))
        });
        // Told as what they hold, or under the word that YAML has for them.
        let own = words.map(|word| if word == "lasts" { "for".to_owned() } else { word });
        let own = own.filter(|word| !matches!((name, word.as_str()), (_, "tail" | "spend")));
        written.entry(heading).or_default().extend(own.map(|word| format!("{prefix}{word}")));
    }
    for (heading, fields) in written {
        assert!(!fields.is_empty(), "{heading}: the source is read");
        let own = section(&document, heading).split("\n### ").next().unwrap_or_default();
        assert_eq!(first_cells(own), fields, "{heading}");
    }
}

/// `max_wait` and `KeyDies` as YAML has them.
fn camel(word: &str) -> String {
    let mut parts = word.split('_');
    let mut name = parts.next().unwrap_or_default().to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    for part in parts {
        let (first, rest) = part.split_at(1);
        name.push_str(&first.to_ascii_uppercase());
        name.push_str(rest);
    }
    name
}

#[test]
fn every_policy_and_every_reason_is_told_of() {
    let document = text("docs/simulate.md");
    let policies = section(&document, "## Beside other policies");
    assert_eq!(first_cells(policies), names(Kind::ALL.map(Kind::as_str)));
    let told = quoted(section(&document, "## What comes out"));
    let missing: Vec<_> = Shed::ALL.iter().filter(|why| !told.contains(why.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_known_provider_is_in_the_table() {
    let document = text("docs/providers.md");
    let rows = rows(document.split("\n## ").next().unwrap_or_default());
    assert_eq!(rows.len(), known::all().len());
    for (row, known) in rows.iter().zip(known::all()) {
        let also = || known.also.iter().copied();
        let wires = std::iter::once(known.wire).chain(also().map(|(wire, _)| wire));
        assert_eq!(row[0], format!("`{}`", known.name));
        assert_eq!(row[1].trim_matches('`'), known.base_url.unwrap_or("yours"), "{}", known.name);
        assert_eq!(quoted(&row[2]), names(wires.map(Wire::as_str)), "{}", known.name);
        assert_eq!(quoted(&row[3]), names(known.variables.iter().copied()), "{}", known.name);
        let doors = also().chain([(known.wire, known.door_prefix)]);
        let mut openai = doors.filter(|(wire, _)| *wire == Wire::OpenAi).map(|(_, prefix)| prefix);
        let door =
            openai.next().map_or_else(String::new, |door| format!("`/{}{door}`", known.name));
        assert_eq!(row[4], door, "{}", known.name);
    }
}

#[test]
fn every_verdict_and_every_refusal_is_told_of() {
    let readme = text("README.md");
    let verdicts = section(&readme, "## How it behaves").split("\n### ").next().unwrap_or_default();
    assert_eq!(first_cells(verdicts), names(Verdict::ALL.map(Verdict::as_str)));

    let refusals = rows(section(&readme, "### When nothing can serve"));
    let told: BTreeMap<_, _> =
        refusals.iter().map(|row| (row[1].trim_matches('`'), row[0].as_str())).collect();
    let table = Reason::ALL.map(|reason| (reason.row().code, reason.row().status.as_u16()));
    assert_eq!(told.len(), table.len());
    for (code, status) in table {
        assert_eq!(told.get(code).copied(), Some(status.to_string().as_str()), "{code}");
    }
    let operations = text("docs/operations.md");
    let remedies =
        section(&operations, "## Troubleshooting").split("\nOther").next().unwrap_or_default();
    assert_eq!(first_cells(remedies), names(Reason::ALL.map(|reason| reason.row().code)));
}

#[test]
fn every_metric_is_in_the_table_with_its_labels_and_no_other() {
    let document = text("docs/operations.md");
    let mut all = Names::new();
    for (heading, source) in [
        ("## Metrics", "src/telemetry/metrics.rs"),
        ("### The injector's", "src/telemetry/injections.rs"),
    ] {
        let own = section(&document, heading).split("\n### ").next().unwrap_or_default();
        let told =
            rows(own).into_iter().map(|row| (row[0].trim_matches('`').to_owned(), quoted(&row[2])));
        let registered = registered(&text(source));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), registered, "{heading}");
        all.extend(registered.into_keys());
    }
    for name in DOCUMENTS {
        let document = text(name);
        for (at, _) in document.match_indices("keyweir_") {
            let word =
                document[at..].split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next();
            let word = word.unwrap_or_default().trim_end_matches("_bucket");
            assert!(word == "keyweir_" || all.contains(word), "{name}: no {word}");
        }
    }
}

/// The metrics that a source registers, with their labels.
fn registered(source: &str) -> BTreeMap<String, Names> {
    let by_limit = source.split("let by_limit = &[").nth(1).map(labels).unwrap_or_default();
    let mut registered: BTreeMap<String, Names> = BTreeMap::new();
    let calls = source.split("book").map(str::trim_start).filter(|rest| rest.starts_with('.'));
    for rest in calls {
        let call = rest.split('?').next().unwrap_or_default();
        // The name is the call's first argument.
        let Some((method, rest)) = call.split_once('"') else { continue };
        if !method.trim_end().ends_with('(') {
            continue;
        }
        let name = rest.split('"').next().unwrap_or_default();
        let labels = match call.split("&[").nth(1) {
            Some(list) => labels(list),
            None if call.contains("by_limit") => by_limit.clone(),
            None => Names::new(),
        };
        registered.insert(format!("keyweir_{name}"), labels);
    }
    registered.insert("keyweir_build_info".to_owned(), names(["version"]));
    assert!(registered.len() > 3, "the source is read: {registered:#?}");
    registered
}

#[test]
fn every_annotation_every_client_and_every_reason_is_in_its_table_and_no_other() {
    let document = text("docs/injector.md");
    let shown = |rows: Vec<Vec<String>>| rows.iter().map(|row| row.join(" | ")).collect::<Vec<_>>();

    let told = shown(rows(section(&document, "## Annotations")));
    let annotation = |known: &annotations::Annotation| {
        format!("`{}` | {} | {} | {}", known.name, known.values, known.default, known.meaning)
    };
    assert_eq!(told, annotations::ALL.iter().map(annotation).collect::<Vec<_>>());

    let told = shown(rows(section(&document, "## Variables")));
    assert_eq!(told, clients::ALL.iter().map(client).collect::<Vec<_>>());

    let told = first_cells(section(&document, "## What is not, and why"));
    let port = InjectorReason::PortTaken {
        container: String::new(),
        port: 0,
        annotation: annotations::ALL[0].name,
    };
    let reasons = [
        InjectorReason::OptedOut,
        InjectorReason::NotAsked,
        InjectorReason::HostNetwork,
        port,
        InjectorReason::Windows,
        InjectorReason::StaticPod,
        InjectorReason::NameTaken,
        InjectorReason::NeedsNativeSidecar,
        InjectorReason::Unreadable,
    ];
    assert_eq!(told, reasons.iter().map(|reason| reason.as_str().to_owned()).collect());
}

/// A client's row.
fn client(client: &clients::Client) -> String {
    let list = |names: &mut dyn Iterator<Item = &&str>| {
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let base = |(variable, path): &(&str, &str)| format!("`{variable}={{address}}{path}`");
    let bases: Vec<_> = client.bases.iter().map(base).collect();
    let others = list(&mut client.other_bases.iter().chain(client.other_keys));
    let when = match client.when {
        clients::When::Always => "always",
        clients::When::UnlessConfigured => "named, or no configuration",
        clients::When::Named => "named",
    };
    let keys = list(&mut client.keys.iter());
    format!("`{}` | {} | {keys} | {others} | {when}", client.name, bases.join("<br>"))
}

/// The texts of a list that has been opened.
fn labels(list: &str) -> Names {
    let list = list.split(']').next().unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_field_of_the_access_record_is_in_the_table_and_no_other() {
    let source = text("src/telemetry/record.rs");
    let call = source.split("target: \"access\",").nth(1).and_then(|rest| rest.split(");").next());
    let call = call.unwrap_or_default();
    let written: Names = call
        .lines()
        .filter_map(|line| line.trim().split([' ', ',']).next())
        .filter(|word| !word.is_empty() && !word.starts_with('"'))
        .map(str::to_owned)
        .collect();
    let document = text("docs/operations.md");
    assert_eq!(first_cells(section(&document, "## The access record")), written);
}

#[test]
fn every_header_of_our_own_is_in_the_readme_and_no_other() {
    let told = ours(&text("README.md"));
    let mut sources = Vec::new();
    for room in ["src/pipeline", "src/callers.rs"] {
        rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(room), &mut sources);
    }
    let used: Names = sources.iter().flat_map(|source| ours(source)).collect();
    assert_eq!(told, used);
}

/// The headers that a text names.
fn ours(text: &str) -> Names {
    let found = text.match_indices("x-keyweir-").map(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '-')).unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    found.filter(|name| name != "x-keyweir-").collect()
}

fn rust_files(path: &Path, texts: &mut Vec<String>) {
    if path.is_file() {
        texts.extend(fs::read_to_string(path));
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        rust_files(&entry.path(), texts);
    }
}

#[test]
fn every_flag_is_told_of() {
    let documents: String = DOCUMENTS.map(text).concat();
    for command in Arguments::command().get_subcommands() {
        assert!(documents.contains(&format!("keyweir {}", command.get_name())), "{command}");
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            let hidden = matches!(flag, "help" | "version");
            assert!(hidden || documents.contains(&format!("--{flag}")), "{command}: --{flag}");
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    for name in DOCUMENTS {
        let document = text(name);
        for rest in document.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(name).parent().unwrap_or_else(|| Path::new(""));
            let path = if file.is_empty() { PathBuf::from(name) } else { folder.join(file) };
            let shown = path.display().to_string();
            let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
            assert!(full.exists(), "{name}: {target}");
            if !anchor.is_empty() {
                let anchors = anchors(&text(&shown));
                assert!(anchors.contains(anchor), "{name}: {target}, of {anchors:#?}");
            }
        }
    }
}

/// What GitHub calls the headings of a document.
fn anchors(document: &str) -> Names {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| -> String {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | ' ' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn every_dependency_has_its_line() {
    let manifest = text("Cargo.toml");
    let own = ["\n[dependencies]\n", "\n[build-dependencies]\n"].into_iter().flat_map(|table| {
        let (_, rest) = manifest.split_once(table).unwrap_or_default();
        rest.split("\n[").next().unwrap_or_default().lines()
    });
    let named = own.filter_map(|line| line.split([' ', '=']).next());
    let used = names(named.filter(|name| !name.is_empty() && !name.starts_with('#')));
    let document = text("ARCHITECTURE.md");
    assert_eq!(first_cells(section(&document, "## Dependencies, a line each")), used);
}
