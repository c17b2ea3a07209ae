//! The house stands as it was planned: this test reads the sources and holds them to the table of
//! who may import whom. See `ARCHITECTURE.md`.

#![cfg(test)]

mod lexer;
mod paths;
mod rules;
mod table;

use std::fs;
use std::path::Path;

use rules::{File, circles, violations};

#[test]
fn every_room_keeps_to_its_doors_and_walls() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        read_sources(root, &root.join(folder), &mut files);
    }
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the sources are read");
    let found = violations(&files);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_table_has_no_circles() {
    assert_eq!(circles(), Vec::<String>::new());
}

#[test]
fn a_planted_breach_is_found() {
    let missed = BREACHES.iter().filter_map(|(path, text, expected)| {
        let found = violations(&[file(path, text)]);
        let right = found.len() == 1 && found[0].contains(expected);
        (!right).then(|| format!("{path}: {text}\nexpected: {expected}\nfound: {found:#?}\n"))
    });
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn what_is_allowed_is_let_be() {
    for (path, text) in HONEST {
        assert_eq!(violations(&[file(path, text)]), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_module_of_tests_may_do_as_it_likes_and_only_it() {
    let parent = file("src/keys.rs", "#[cfg(test)]\nmod tests;\nmod testsuite;");
    let (test, other) = (file("src/keys/tests.rs", "use tokio::time;"), "use tokio::time::sleep;");
    let files = [parent, test, file("src/keys/testsuite.rs", other)];
    let found = violations(&files);
    assert!(found.len() == 1 && found[0].starts_with("src/keys/testsuite.rs:1"), "{found:?}");
}

#[test]
fn a_file_is_not_over_600_lines() {
    let long = violations(&[file("tests/long.rs", &"\n".repeat(601))]);
    assert_eq!(long, ["tests/long.rs: more than 600 lines"]);
    assert_eq!(violations(&[file("tests/long.rs", &"\n".repeat(600))]), Vec::<String>::new());
}

/// Path, text, and what the one complaint says.
const BREACHES: &[(&str, &str, &str)] = &[
    // Doors, in every spelling.
    ("src/keys.rs", "use crate::upstream::Client;", "no door to `upstream::Client`"),
    ("src/keys.rs", "\nuse crate::{clock::Now, upstream};", "keys.rs:2: `keys` has no door"),
    (
        "src/keys.rs",
        "use crate::{clock::{Moment, Now}, config::used::{Config as C}, limits};",
        "no door to `config::used::Config`",
    ),
    ("src/keys.rs", "fn f() -> crate::upstream::Client {}", "no door to `upstream::Client`"),
    ("src/keys/pool.rs", "use super::super::upstream::Client;", "no door to `upstream::Client`"),
    ("src/keys/pool.rs", "fn f(x: super::super::upstream::Client) {}", "no door to"),
    ("src/keys/pool.rs", "use super::{super::{upstream}, rack};", "no door to `upstream`"),
    (
        "src/keys/pool.rs",
        "mod a { mod b { use super::super::super::super::routes::R; } }",
        "no door to `routes::R`",
    ),
    ("src/keys.rs", "mod a {} use super::upstream::Client;", "no door to `upstream::Client`"),
    ("src/keys.rs", "use keyweir::upstream::Client;", "no door to `upstream::Client`"),
    ("src/keys.rs", "use crate as house;", "must name a room"),
    ("src/keys.rs", "use crate::*;", "must name a room"),
    ("src/keys/pool.rs", "use super::super::*;", "must name a room"),
    ("src/keys.rs", "use super as house;", "must name a room"),
    ("src/keys.rs", "macro_rules! m { () => { $crate::upstream::x() } }", "no door to"),
    ("src/keys.rs", "use r#crate::upstream::Client;", "no door to"),
    ("src/pipeline/entry.rs", "use crate::config::Config;", "no door to `config::Config`"),
    ("src/pipeline/entry.rs", "use crate::sources::Watch;", "no door to `sources::Watch`"),
    ("src/serve.rs", "use crate::pipeline;", "no door to `pipeline`"),
    ("src/proxy.rs", "use crate::cli::Arguments;", "no door to `cli::Arguments`"),
    ("src/simulator/openai.rs", "use crate::formats::judge;", "no door to `formats::judge`"),
    ("src/simulator/openai.rs", "use crate::formats;", "no door to `formats`"),
    ("src/cellar.rs", "", "`cellar` has no row"),
    ("src/lib.rs", "pub mod cellar;", "`cellar` has no row"),
    ("src/main.rs", "fn main() { keyweir::proxy::run() }", "rings at `cli` only"),
    // The floor plan.
    ("src/lib.rs", "pub mod keys;\npub mod formats;", "`formats` is out of the table's order"),
    (
        "src/lib.rs",
        "#![warn(x)]\npub mod clock;\npub fn f() {}",
        "lib.rs:3: nothing but `pub mod`s",
    ),
    ("src/keys/mod.rs", "", "stands beside"),
    // Pure rooms.
    ("src/limits.rs", "use tokio::time::sleep;", "is pure and must not name `tokio::time::sleep`"),
    ("src/limits.rs", "fn f() { tracing::warn!(1) }", "`tracing::warn`"),
    ("src/formats/sse.rs", "use hyper::{body::Bytes};", "`hyper::body::Bytes`"),
    ("src/keys.rs", "use rand as dice; fn f() { dice::random(); }", "`rand::random`"),
    ("src/keys.rs", "fn f() { ::fastrand::u64(..) }", "`fastrand::u64`"),
    ("src/callers.rs", "use kube::Client;", "`kube::Client`"),
    ("src/routes.rs", "fn f(c: prometheus::Counter) {}", "`prometheus::Counter`"),
    ("src/config.rs", "use notify::Watcher;", "`notify::Watcher`"),
    ("src/limits.rs", "fn f() { std::thread::sleep(d) }", "`std::thread::sleep`"),
    // Clocks.
    (
        "src/limits.rs",
        "use std::time::Instant; fn f() { Instant::now(); }",
        "must not name `std::time::Instant::now`",
    ),
    (
        "src/limits.rs",
        "use std::time::{Instant as I}; fn f() { I::now(); }",
        "`std::time::Instant::now`",
    ),
    ("src/keys.rs", "fn f() { std::time::SystemTime::now(); }", "`std::time::SystemTime::now`"),
    ("src/formats.rs", "fn f() { jiff::Timestamp::now(); }", "`jiff::Timestamp::now`"),
    // Walls.
    ("src/formats.rs", "fn f() { serde_yaml::from_str(x) }", "YAML is read in one place"),
    ("src/sources.rs", "use saphyr_parser::Parser;", "YAML is read in one place"),
    ("src/pipeline.rs", "use prometheus::Counter;", "others count through handles"),
    ("src/pipeline.rs", "use arc_swap::ArcSwap;", "one room swaps snapshots"),
    ("src/config.rs", "use std::fs; fn f() { fs::read(x) }", "one room reads files"),
    ("src/config.rs", "use std::fs::*;", "one room reads files"),
    ("src/upstream.rs", "use std::fs::File as F;", "one room reads files"),
    ("src/upstream.rs", "fn f() { std::env::var(x) }", "one room reads the environment"),
    (
        "src/proxy.rs",
        "use std::{env as e, io}; fn f() { e::vars() }",
        "one room reads the environment",
    ),
    ("src/proxy.rs", "fn f(key: &Secret) { key.expose() }", "must not call `.expose`"),
    ("src/admin.rs", "fn f() { map(Secret::expose) }", "must not name `Secret::expose`"),
    ("src/pipeline.rs", "fn f() { tokio::spawn(x) }", "tracked tasks"),
    // Tests in between hide nothing that follows them.
    ("src/keys.rs", "#[cfg(test)] mod tests { use tokio::x; }\nuse tokio::y;", "keys.rs:2"),
    ("src/keys.rs", "#[cfg(test)] #[path = \"t.rs\"] mod tests;\nuse tokio::y;", "keys.rs:2"),
];

/// Path and text of what nothing is wrong with.
const HONEST: &[(&str, &str)] = &[
    ("src/keys.rs", "use crate::{clock::{Moment, Now}, formats::*, limits::{self, Bucket as B}};"),
    (
        "src/keys/pool.rs",
        "use super::rack::Rack; use super::super::clock::Now; use crate::keys::rack;",
    ),
    ("src/keys.rs", "pub(crate) fn f() {} pub(in crate::keys) fn g() {} pub(super) fn h() {}"),
    (
        "src/keys.rs",
        "// use crate::upstream;\n/* use /* tokio::x */ tokio::y */ fn f<'a>(x: &'a str) {}",
    ),
    (
        "src/keys.rs",
        "const S: &str = \"tokio::x \\\" \"; const R: &str = r#\"use tokio::x; \" \"#; const C: char = '\"';",
    ),
    ("src/keys.rs", "fn f() { let tokio = 1; x.tokio(); a::tokio::b(); let rand: u64 = tokio; }"),
    (
        "src/keys.rs",
        "#[cfg(test)] mod tests { use super::*; use tokio::time; fn f() { Instant::now(); } }",
    ),
    ("src/keys.rs", "#[cfg(test)]\nimpl Pool { fn f() { std::thread::sleep(x) } }\nfn g() {}"),
    ("src/keys/secret.rs", "impl Secret { pub fn expose(&self) -> &str { &self.value } }"),
    ("src/keys.rs", "use std::env; fn f() { env!(\"X\"); }"),
    ("src/upstream/credential.rs", "fn f(key: &Secret) { key.expose() }"),
    ("src/upstream.rs", "use tokio::time::Instant; fn f() { Instant::now() }"),
    ("src/cli.rs", "use crate::{proxy, check}; fn f() { std::env::args_os() }"),
    ("src/simulator.rs", "use crate::formats::{Dialect, Wire}; use crate::simulator::store;"),
    ("src/main.rs", "use keyweir::cli; fn main() { cli::run() }"),
    (
        "src/lib.rs",
        "//! Docs.\n#![forbid(x)]\npub mod clock;\n/// Docs.\n#[doc(x)]\npub mod keys;\npub mod config;",
    ),
    ("tests/proxy/main.rs", "use keyweir::upstream; use std::fs::read;"),
];

fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}

fn read_sources(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            files.push(file(name, &fs::read_to_string(&path).unwrap()));
        }
    }
}
