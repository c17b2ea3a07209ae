//! The command as a user meets it: what it prints, and what it says of mistakes.
//!
//! `UPDATE=1 cargo test --test simulation` rewrites what is expected; look at the difference.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What it prints, and its exit code.
fn simulate(arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyweir"));
    command.current_dir(root()).arg("simulate").args(arguments);
    // Keys of whoever runs the tests are none of its business.
    for (name, _) in std::env::vars().filter(|(name, _)| name.ends_with("_API_KEY")) {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code().unwrap())
}

/// With one space wherever there are some.
fn squeezed(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn golden(path: &Path, found: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, found).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{} (UPDATE=1 rewrites it)", path.display());
}

#[test]
fn every_mistake_of_a_workload_is_told_at_once_with_its_place() {
    let folder = root().join("tests/simulation/bad");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind != "txt"));
    paths.sort();
    assert!(paths.len() > 2, "{paths:?}");
    for path in paths {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        let (text, code) =
            simulate(&["--config", "tests/simulation/keyweir.yaml", "--workload", name]);
        assert_eq!(code, 1, "{name}: {text}");
        golden(&path.with_extension("txt"), &text);
    }
}

#[test]
fn what_is_misused_is_told() {
    for (arguments, code, words) in [
        (&["--rate", "5"][..], 1, "nothing to simulate"),
        (&[], 2, "--workload"),
        (&["--rate", "0"], 2, "more than 0"),
        (&["--rate", "5", "--workload", "x.yaml"], 2, "cannot be used with"),
        (&["--rate", "5", "--duration", "3x"], 2, "duration"),
        (&["--config", "tests/simulation/keyweir.yaml", "--workload", "no.yaml"], 1, "no.yaml"),
        (&["--config", "tests/simulation/keyweir.yaml", "--workload", "no.jsonl"], 1, "no.jsonl"),
        (&["--config", "no.yaml", "--rate", "1"], 1, "no.yaml"),
    ] {
        let (text, found) = simulate(arguments);
        assert_eq!(found, code, "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}

#[test]
fn the_example_runs_and_says_the_same_again() {
    let arguments = [
        "--config",
        "examples/keyweir.yaml",
        "--workload",
        "examples/workload.yaml",
        "--duration",
        "2m",
        "--output",
        "json",
    ];
    let (first, code) = simulate(&arguments);
    assert_eq!(code, 0, "{first}");
    let report: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(report["version"], 1);
    assert_eq!(report["sidecars"], 12);
    assert_eq!(report["policies"][0]["policy"], "keyweir");
    assert!(report["policies"][0]["total"]["offered"].as_u64().unwrap() > 2_000);
    let callers = report["policies"][0]["callers"].as_object().unwrap();
    assert_eq!(callers.keys().collect::<Vec<_>>(), ["mobile", "nightly-batch", "web"]);
    assert_eq!(simulate(&arguments).0, first, "the same seed");
    let other = [&arguments[..], &["--seed", "2"]].concat();
    assert_ne!(simulate(&other).0, first, "another seed");
}

#[test]
fn a_rate_is_enough() {
    let config = ["--config", "tests/simulation/keyweir.yaml", "--duration", "1m"];
    let (text, code) = simulate(&[&config[..], &["--rate", "3"]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(squeezed(&text).contains("openai gpt-4o tokensPerMinute"), "{text}");
    let named = ["--rate", "3", "--model", "anthropic/claude-sonnet-5"];
    let (text, _) = simulate(&[&config[..], &named].concat());
    assert!(squeezed(&text).contains("anthropic claude-sonnet-5 inputTokensPerMinute"), "{text}");
}

#[test]
fn a_trace_is_played_as_it_was_written() {
    let config = ["--config", "tests/simulation/keyweir.yaml", "--output", "json"];
    let trace = ["--workload", "tests/simulation/trace.jsonl"];
    let (text, code) = simulate(&[&config[..], &trace].concat());
    assert_eq!(code, 0, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let outcome = &report["policies"][0];
    assert_eq!(outcome["total"]["offered"], 4);
    assert_eq!(outcome["callers"]["web"]["offered"], 3);
    assert_eq!(outcome["priorities"]["batch"]["offered"], 1);
    assert_eq!(outcome["total"]["tokens"], 900 + 120 + 4_000 + 80 + 10 + 5 + 700 + 1);
}
