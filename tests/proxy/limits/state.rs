//! Counts of days, months and budgets over a restart.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use super::{setup, statuses};
use crate::kit;
use crate::support::process::Proxy;
use crate::support::upstream::Upstream;

const CALLERS: &str = "  default: {limits: {requestsPerDay: 3, costPerMonth: 5}}
  rules: [{name: web, per: user, match: {header: {x-team: web}}, limits: {requestsPerDay: 1}}]";
const ANN: [(&str, &str); 2] = [("x-team", "web"), ("x-keyweir-user", "ann")];

fn start(upstream: &Upstream, state: &Path) -> Proxy {
    let setup = setup(upstream, CALLERS).arg("--state").arg(state);
    setup.arg("--drain").arg("5s").start()
}

#[test]
fn what_was_used_of_a_day_is_used_after_a_restart_too() {
    let (upstream, state) = (kit::healthy_provider(), tempdir().expect("a folder"));
    let proxy = start(&upstream, state.path());
    assert_eq!(statuses(&proxy, &[], 2), [200, 200]);
    assert_eq!(statuses(&proxy, &ANN, 1), [200]);
    assert!(proxy.stop().status.success());
    let written = fs::read_to_string(state.path().join("counts.json")).expect("it is written");
    assert!(!written.contains("ann"), "{written}");
    let proxy = start(&upstream, state.path());
    proxy.log_line(&["Counts of an earlier process taken"]);
    assert_eq!(statuses(&proxy, &[], 2), [200, 429]);
    assert_eq!(statuses(&proxy, &ANN, 1), [429]);
    let bob = [("x-team", "web"), ("x-keyweir-user", "bob")];
    assert_eq!(statuses(&proxy, &bob, 1), [200]);
    assert_eq!(kit::status(&proxy)["warnings"], serde_json::json!([]));
}

#[test]
fn a_process_that_is_killed_loses_a_few_seconds_at_most() {
    let (upstream, state) = (kit::healthy_provider(), tempdir().expect("a folder"));
    let proxy = start(&upstream, state.path());
    assert_eq!(statuses(&proxy, &[], 3), [200; 3]);
    let file = state.path().join("counts.json");
    proxy.until("the counts are written", || file.exists().then_some(()));
    // Killed, not asked to end.
    drop(proxy);
    let proxy = start(&upstream, state.path());
    assert_eq!(statuses(&proxy, &[], 1), [429]);
}

#[test]
fn a_torn_or_foreign_file_is_put_aside_and_told_of_and_keeps_nobody_from_starting() {
    let upstream = kit::healthy_provider();
    for content in ["", "{\"version\":1,\"used\"", "keyweir-counts 1 abc\n{}", "\u{0}\u{1}"] {
        let state = tempdir().expect("a folder");
        fs::write(state.path().join("counts.json"), content).expect("write");
        let proxy = start(&upstream, state.path());
        let aside = fs::read_to_string(state.path().join("counts.json.bad")).expect("put aside");
        assert_eq!(aside, content);
        let warnings = kit::status(&proxy)["warnings"].to_string();
        assert!(warnings.contains("counts.json.bad"), "{warnings}");
        assert_eq!(statuses(&proxy, &[], 4), [200, 200, 200, 429], "everything begins anew");
        assert!(proxy.stop().status.success());
        assert!(state.path().join("counts.json").exists(), "and is kept from then on");
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_told_of_and_keeps_nobody_from_starting() {
    let (upstream, state) = (kit::healthy_provider(), tempdir().expect("a folder"));
    let first = start(&upstream, state.path());
    let second = start(&upstream, state.path());
    let warnings = kit::status(&second)["warnings"].to_string();
    assert!(warnings.contains("belongs to another process"), "{warnings}");
    assert_eq!(kit::status(&first)["warnings"], serde_json::json!([]));
    let file = state.path().join("a-file");
    fs::write(&file, "x").expect("write");
    let third = start(&upstream, &file);
    assert!(kit::status(&third)["warnings"].to_string().contains("counts are not kept"));
    assert_eq!(statuses(&third, &[], 1), [200]);
}
