//! Keyweir beside nginx: the same requests, the same upstream, the same core, in turns.
//!
//! `make bench` runs it all; `cargo bench --bench proxy -- chat paced --rounds 9` runs a part. The
//! binary that is measured is the image's own (`KEYWEIR_BIN`, or `--binary`). With `--control`,
//! Keyweir's place is taken by a second nginx: what differs then is noise.
//!
//! The proxies have core 1 to themselves; load and upstream share core 0. CPU time is read from
//! `schedstat` of the proxies' threads, in nanoseconds.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a bench is outside the house: what goes wrong ends it, loudly"
)]

mod callgrind;
mod clock;
mod load;
mod parse;
mod report;
mod scenarios;
mod stub;
mod subject;
mod wire;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use scenarios::Bench;
use subject::Kind;

#[derive(Debug, Parser)]
#[command(about = "Measures keyweir beside nginx")]
struct Arguments {
    /// What to measure; everything but `callgrind` by default.
    scenarios: Vec<Scenario>,
    /// The keyweir binary that is measured.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// How often the two take turns.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long each turn is measured, in seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Where to write the table, beside standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Measure nginx against nginx.
    #[arg(long)]
    control: bool,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
    /// The machine's load average when the bench began; near zero, or the figures are noise.
    #[arg(skip = std::fs::read_to_string("/proc/loadavg").unwrap_or_default())]
    load_before: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Chat,
    Paced,
    Bulk,
    Latency,
    Memory,
    Ready,
    Size,
    Keys,
    Callgrind,
}

fn main() {
    let arguments = Arguments::parse();
    let pid = std::process::id().to_string();
    run("taskset", &["-a", "-p", "-c", "0", &pid]);
    run("prlimit", &["--nofile=16384:16384", "--pid", &pid]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime.expect("a runtime"), measure(&arguments));
}

async fn measure(arguments: &Arguments) {
    let bench = arguments.bench(stub::start().await);
    let chosen: Vec<Scenario> = if arguments.scenarios.is_empty() {
        let all = Scenario::value_variants().iter().copied();
        all.filter(|scenario| *scenario != Scenario::Callgrind).collect()
    } else {
        arguments.scenarios.clone()
    };
    let mut rows = Vec::new();
    for scenario in chosen {
        eprintln!("{scenario:?}...");
        match scenario {
            Scenario::Chat => rows.push(scenarios::chat(&bench).await),
            Scenario::Paced => rows.push(scenarios::paced(&bench).await),
            Scenario::Bulk => rows.push(scenarios::bulk(&bench).await),
            Scenario::Latency => rows.push(scenarios::latency(&bench).await),
            Scenario::Memory => rows.extend(scenarios::memory(&bench).await),
            Scenario::Ready => rows.push(scenarios::ready(&bench).await),
            Scenario::Size => rows.push(scenarios::size(&bench)),
            Scenario::Keys => rows.extend(scenarios::keys(&bench).await),
            Scenario::Callgrind => callgrind::count(&bench).await,
        }
    }
    if rows.is_empty() {
        return;
    }
    let text = format!("{}\n\n{}", arguments.conditions(), report::table(&rows));
    println!("\n{text}");
    if let Some(out) = &arguments.out {
        std::fs::write(out, text).expect("write the table");
    }
}

impl Arguments {
    fn bench(&self, upstream: std::net::SocketAddr) -> Bench {
        let default = "target/x86_64-unknown-linux-musl/image/keyweir";
        let binary =
            self.binary.clone().or_else(|| std::env::var_os("KEYWEIR_BIN").map(Into::into));
        let binary = binary.unwrap_or_else(|| default.into());
        let keyweir = if self.control {
            Kind::Nginx
        } else {
            assert!(binary.exists(), "{} is not there: `make image`", binary.display());
            Kind::Keyweir { binary: binary.clone(), keys: 16 }
        };
        let window = Duration::from_secs_f64(self.seconds);
        Bench { upstream, binary, keyweir, rounds: self.rounds, window }
    }

    /// What one must know to compare the figures with others.
    fn conditions(&self) -> String {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
        let load = &self.load_before;
        let nginx = Command::new("nginx").arg("-v").output().expect("run nginx").stderr;
        format!(
            "{} × {}, load before {}; {}; {} rounds of {} s in turns{}. Costs are CPU time of the proxy's process; \
             a ratio is the median of the rounds' (lowest–highest).",
            cores,
            model.trim_start_matches(['\t', ' ', ':']),
            load.split_whitespace().next().unwrap_or("unknown"),
            String::from_utf8_lossy(&nginx).trim().replace("nginx version: ", ""),
            self.rounds,
            self.seconds,
            if self.control { "; **control: nginx in both places**" } else { "" },
        )
    }
}

/// Runs a tool of the system that must succeed.
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
