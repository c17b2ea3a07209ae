//! Pods of every shape that a cluster has seen, and what becomes of them. Each file in `golden/`
//! holds a pod with what stands around it; its last lines say what the injector does, where that
//! differs from what it does to `standard.yaml`. `UPDATE=1` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use keyweir::injector::Injection;

use crate::case::{Became, Case, patched};
use crate::outcome::{Clients, Leaves, beyond, news};

const OURS: &str = "#> ";

#[test]
fn every_pod_becomes_what_its_file_says() {
    let standard = fs::read_to_string(folder().join("standard.yaml")).unwrap();
    let standard = standard_news(&Case::read(&standard));
    let mut wrong = Vec::new();
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let became = if name == "standard" {
            became(&Case::read(&text), &Leaves::new(), Clients::Spelled)
        } else {
            became(&Case::read(&text), &standard, Clients::Named)
        };
        let manifests: String = text
            .lines()
            .filter(|line| !line.starts_with(OURS))
            .flat_map(|line| [line, "\n"])
            .collect();
        let lines: String = became.iter().flat_map(|line| [OURS, line, "\n"]).collect();
        let expected = format!("{}\n{lines}", manifests.trim_end());
        if expected == text {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, expected).unwrap();
        } else {
            wrong.push(difference(name, &text, &became));
        }
    }
    assert!(wrong.is_empty(), "\n{}\nUPDATE=1 writes them anew", wrong.join("\n"));
}

#[test]
fn there_are_pods_enough_and_each_says_why_it_is_there() {
    let files = files();
    assert!(files.len() >= 60, "{}", files.len());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{}", path.display());
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/injector/golden")
}

pub(crate) fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn standard_news(case: &Case) -> Leaves {
    match case.admit(&case.pod) {
        Became::Injected(injection) => {
            news(&case.pod, &patched(&case.pod, &injection.patch), Clients::Named)
        }
        Became::Left(reason, _) => panic!("{reason}"),
        Became::Denied(message) => panic!("{message}"),
    }
}

/// The lines that say what became of the pod.
fn became(case: &Case, standard: &Leaves, clients: Clients) -> Vec<String> {
    let mut lines = Vec::new();
    let warn = |lines: &mut Vec<String>, warnings: &[String]| {
        lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    };
    match case.admit(&case.pod) {
        Became::Denied(message) => lines.push(format!("denied: {message}")),
        Became::Left(reason, warnings) => {
            lines.push(format!("left: {}", reason.as_str()));
            warn(&mut lines, &warnings);
        }
        Became::Injected(Injection { patch, warnings }) => {
            lines.push("injected".to_owned());
            warn(&mut lines, &warnings);
            let injected = patched(&case.pod, &patch);
            lines.extend(beyond(standard, &news(&case.pod, &injected, clients)));
            if let Some(meanwhile) = &case.meanwhile {
                let met = patched(&injected, meanwhile);
                let Became::Injected(again) = case.admit(&met) else { panic!("it was injected") };
                lines.push("and again, after others:".to_owned());
                warn(&mut lines, &again.warnings);
                let second = news(&met, &patched(&met, &again.patch), clients);
                lines.extend(beyond(&Leaves::new(), &second));
            }
        }
    }
    lines
}

fn difference(name: &str, text: &str, became: &[String]) -> String {
    let written: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(OURS)).collect();
    let gone = written.iter().filter(|line| !became.iter().any(|new| new == *line));
    let new = became.iter().filter(|line| !written.contains(&line.as_str()));
    let gone = gone.map(|line| format!("  no longer: {line}\n"));
    let new = new.map(|line| format!("  now:       {line}\n"));
    format!("{name}.yaml\n{}", gone.chain(new).collect::<String>())
}
