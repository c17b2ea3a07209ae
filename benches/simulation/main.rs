//! Writes `docs/simulation.md`: `make simulate`. Seeds are fixed, so that the page changes only when the
//! code does.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program of the makers' own")]

#[path = "../../tests/simulation/study.rs"]
mod study;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use study::{Measured, Result, Section, Situation, Target, measure, missed, situations};

/// Each situation is simulated with all of them.
const SEEDS: [u64; 3] = [1, 2, 3];

const HEAD: &str = "\
# Keyweir in simulation

Written by `make simulate`; [what it does](simulate.md) is written down elsewhere. Four quota groups of one model, 15
minutes, three seeds, and a wait of 30 s at most; every sidecar is told how many there are (`fleet.replicas`), and
nothing else: there is no coordinator. *Tokens*: 400,000 a minute each, log-normal prompts. *Requests*: 600 a minute
each, and a request that is refused counts as one that is served. First bytes come after half a second.

**leak**: requests answered 429, or shed though an oracle that sees the providers' own counters would have served as
many more. **429**: of the requests sent upstream, those that a provider refused for a limit. **served**: tokens, of the
most that could have been. **p50**, **p99**: waits for capacity; **p99 best**: the oracle's. **even**: Jain's index over
the sidecars that shed anything. *queue*: a plain queue gated by `remaining` headers, with the very same requests. What
misses its target is **bold**.
";

fn main() {
    // `cargo test --benches` runs it too, and asks for nothing.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let situations = situations();
    let results = side_by_side(&situations);
    let mut page = HEAD.to_owned();
    let mut reasons = String::new();
    for section in [Section::Fits, Section::Overload, Section::Faults, Section::Shallow] {
        page.push_str(heading(section));
        page.push_str(
            "\n| situation | sidecars | leak | 429 | served | p50 | p99 | p99 best | even | queue: leak | \
             queue: 429 | queue: served |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        let own = situations.iter().zip(&results).filter(|(it, _)| it.section == section);
        for (situation, result) in own {
            page.push_str(&row(situation, result));
            let missed = missed(&situation.target, result, 1.0);
            if !missed.is_empty() {
                let reason = if situation.reason.is_empty() {
                    "not explained yet"
                } else {
                    situation.reason
                };
                writeln!(
                    reasons,
                    "- {}, {} sidecars ({}): {reason}",
                    situation.name,
                    situation.sidecars,
                    missed.join(", ")
                )
                .unwrap();
            }
        }
    }
    page.push_str("\n## Missed, and why\n\n");
    page.push_str(if reasons.is_empty() { "Nothing.\n" } else { &reasons });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/simulation.md");
    fs::write(&path, &page).unwrap();
    println!("{page}");
}

const fn heading(section: Section) -> &'static str {
    match section {
        Section::Fits => {
            "\n## Demand fits: load 0.9\n\nTarget: no leak, at most 0.2 % of the requests refused upstream, \
             99.9 % of what was asked for is served, p99 within 1 s of the best.\n"
        }
        Section::Overload => {
            "\n## Demand does not fit: load 1.3\n\nTarget: at most 0.5, 0.5, 1.5, 3 % refused upstream with 1, 5, 20, \
             50 sidecars, 97 % of the optimum served, at most 2 points shed beyond what the oracle sheds, fairness \
             0.97, and nobody of the highest class shed while somebody of a lower one waits.\n"
        }
        Section::Faults => {
            "\n## Something goes wrong, after five minutes\n\nTarget: no leak where it still fits; a dead key changes \
             nothing; when limits are halved or somebody else takes half, at most 5 % are refused for 15 s, and 97 % \
             of the optimum is served; headers that lie or are gone, and a wrong configuration, cost at most 0.1 % \
             and 3 % of the optimum.\n"
        }
        Section::Shallow => {
            "\n## Shallow buckets: load 0.8\n\nA limit of a minute that is enforced by the second. Target, while all \
             sidecars together hold half a bucket at most: no leak, at most 4 % refused, 98 % served.\n"
        }
    }
}

fn row(situation: &Situation, result: &Result) -> String {
    let missed = missed(&situation.target, result, 1.0);
    let mark = |name: &str, text: String| {
        if missed.contains(&name) { format!("**{text}**") } else { text }
    };
    let Measured { leak, upstream_429, of_optimum, wait_p50, wait_p99, jain, within, .. } =
        result.keyweir;
    let Target { within: held, .. } = situation.target;
    let refused = mark("upstream 429", percent(upstream_429));
    let refused = match held {
        Some(_) => {
            let within = mark("upstream 429 within", percent(within));
            format!("{refused} ({within} in 15 s)")
        }
        None => refused,
    };
    let cells = [
        situation.name.to_owned(),
        situation.sidecars.to_string(),
        mark("leak", percent(leak)),
        refused,
        mark("of optimum", percent(of_optimum)),
        seconds(wait_p50),
        mark("p99", seconds(wait_p99)),
        seconds(result.oracle.wait_p99),
        mark("fairness", format!("{jain:.2}")),
        percent(result.headers.leak),
        percent(result.headers.upstream_429),
        percent(result.headers.of_optimum),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent {
        ..0.005 => "0 %".to_owned(),
        0.005..10.0 => format!("{percent:.2} %"),
        _ => format!("{percent:.1} %"),
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1_000.0) } else { format!("{seconds:.1} s") }
}

/// Simulates all of them, on as many threads as there are cores.
fn side_by_side(situations: &[Situation]) -> Vec<Result> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut results = Vec::with_capacity(situations.len());
    for batch in situations.chunks(cores) {
        thread::scope(|scope| {
            let running: Vec<_> = batch
                .iter()
                .map(|it| scope.spawn(|| measure(it, &SEEDS, Duration::from_hours(1))))
                .collect();
            results.extend(running.into_iter().map(|thread| thread.join().unwrap()));
        });
    }
    results
}
