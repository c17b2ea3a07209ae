//! The scenarios. Subjects take turns within each, so that what else the machine does hits all.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::load::{Connection, Load};
use crate::report::{Row, Verdict, median};
use crate::subject::{Kind, Subject};
use crate::wire::Traffic;

/// What all scenarios are given.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    /// The upstream's address.
    pub(crate) upstream: SocketAddr,
    /// The binary that is measured, and how it is started.
    pub(crate) binary: PathBuf,
    pub(crate) keyweir: Kind,
    /// How often the subjects take turns.
    pub(crate) rounds: usize,
    /// How long a turn is measured.
    pub(crate) window: Duration,
}

/// Before each measurement: connections are opened, caches warmed.
const WARM_UP: Duration = Duration::from_millis(500);

/// A scenario of CPU time.
#[derive(Clone, Copy, Debug)]
struct Cost {
    what: &'static str,
    traffic: Traffic,
    clients: u32,
    goal: f64,
}

/// CPU per request, 1 KB each way, 32 connections.
pub(crate) async fn chat(bench: &Bench) -> Row {
    let what = "chat, 1 KB, 32 connections: CPU µs per request";
    cost(bench, Cost { what, traffic: Traffic::Chat, clients: 32, goal: 1.1 }).await
}

/// CPU per event, 300 streams with an event every 20 ms.
pub(crate) async fn paced(bench: &Bench) -> Row {
    let what = "300 paced streams, an event each 20 ms: CPU µs per event";
    cost(bench, Cost { what, traffic: Traffic::Paced, clients: 300, goal: 1.25 }).await
}

/// CPU per event, streams as fast as they can be written.
pub(crate) async fn bulk(bench: &Bench) -> Row {
    let what = "8 bulk streams: CPU µs per event";
    cost(bench, Cost { what, traffic: Traffic::Bulk, clients: 8, goal: 1.5 }).await
}

/// CPU per request with more and more keys, each against one key.
pub(crate) async fn keys(bench: &Bench) -> Vec<Row> {
    let pool = |keys| Kind::Keyweir { binary: bench.binary.clone(), keys };
    let load = Cost { what: "", traffic: Traffic::Chat, clients: 32, goal: 1.05 };
    let one = pool(1).start(bench.upstream).await;
    let mut rows = Vec::new();
    for keys in [16, 64, 256] {
        let many = pool(keys).start(bench.upstream).await;
        let [base, costs] = take_turns(bench, load, [&one, &many]).await;
        rows.push(Row {
            what: format!("{keys} keys (left: 1 key): CPU µs per request"),
            nginx: Some(median(&base)),
            keyweir: median(&costs),
            verdict: Verdict::Ratio { rounds: ratios(&base, &costs), goal: load.goal },
        });
    }
    rows
}

/// Median latency at one connection, over that of asking the upstream directly.
pub(crate) async fn latency(bench: &Bench) -> Row {
    const BLOCK: usize = 100;
    let nginx = Kind::Nginx.start(bench.upstream).await;
    let keyweir = bench.keyweir.start(bench.upstream).await;
    let mut connections = Vec::new();
    for mut connection in [
        Connection::direct(bench.upstream).await,
        Connection::open(nginx.data).await,
        Connection::open(keyweir.data).await,
    ] {
        connection.timed_chats(2 * BLOCK).await;
        connections.push((connection, Vec::new()));
    }
    for _ in 0..bench.rounds * 10 {
        for (connection, times) in &mut connections {
            let block = connection.timed_chats(BLOCK).await;
            times.extend(block.iter().map(|time| micros(*time)));
        }
    }
    let [direct, through_nginx, through_keyweir] =
        [0, 1, 2].map(|index| median(&connections[index].1));
    let (nginx, keyweir) = (through_nginx - direct, through_keyweir - direct);
    Row {
        what: format!("added median latency, 1 connection (direct: {direct:.0} µs): µs"),
        nginx: Some(nginx),
        keyweir,
        verdict: Verdict::AtMost { amount: keyweir, goal: nginx + 15.0 },
    }
}

/// Resident memory when idle, and for each of a thousand open streams.
pub(crate) async fn memory(bench: &Bench) -> Vec<Row> {
    const STREAMS: u32 = 1000;
    let (nginx_idle, nginx_stream) = resident(&Kind::Nginx, bench.upstream, STREAMS).await;
    let (idle, stream) = resident(&bench.keyweir, bench.upstream, STREAMS).await;
    vec![
        Row {
            what: "resident when idle: MiB".into(),
            nginx: Some(nginx_idle / 1024.0),
            keyweir: idle / 1024.0,
            verdict: Verdict::AtMost { amount: idle / 1024.0, goal: 7.0 },
        },
        Row {
            what: format!("resident for each of {STREAMS} open streams: KiB"),
            nginx: Some(nginx_stream),
            keyweir: stream,
            verdict: Verdict::AtMost { amount: stream, goal: 12.0 },
        },
    ]
}

/// From the start of the process to the first 200 on `/ready`.
pub(crate) async fn ready(bench: &Bench) -> Row {
    let (mut nginx, mut keyweir) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds * 3 {
        nginx.push(millis(Kind::Nginx.start(bench.upstream).await.ready_after));
        keyweir.push(millis(bench.keyweir.start(bench.upstream).await.ready_after));
    }
    let keyweir = median(&keyweir);
    Row {
        what: "from start to ready: ms".into(),
        nginx: Some(median(&nginx)),
        keyweir,
        verdict: Verdict::AtMost { amount: keyweir, goal: 50.0 },
    }
}

/// The binary's size.
pub(crate) fn size(bench: &Bench) -> Row {
    let bytes = std::fs::metadata(&bench.binary).expect("the binary").len();
    let mebibytes = f64::from(u32::try_from(bytes).expect("a binary below 4 GiB")) / 1_048_576.0;
    Row {
        what: "binary: MiB".into(),
        nginx: None,
        keyweir: mebibytes,
        verdict: Verdict::AtMost { amount: mebibytes, goal: 12.0 },
    }
}

async fn cost(bench: &Bench, scenario: Cost) -> Row {
    let nginx = Kind::Nginx.start(bench.upstream).await;
    let keyweir = bench.keyweir.start(bench.upstream).await;
    let [base, costs] = take_turns(bench, scenario, [&nginx, &keyweir]).await;
    Row {
        what: scenario.what.into(),
        nginx: Some(median(&base)),
        keyweir: median(&costs),
        verdict: Verdict::Ratio { rounds: ratios(&base, &costs), goal: scenario.goal },
    }
}

/// CPU microseconds per unit of work, of both subjects in each round.
async fn take_turns(bench: &Bench, scenario: Cost, subjects: [&Subject; 2]) -> [Vec<f64>; 2] {
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..bench.rounds {
        for (subject, costs) in subjects.iter().zip(&mut costs) {
            costs.push(turn(bench, scenario, subject).await);
        }
    }
    costs
}

async fn turn(bench: &Bench, scenario: Cost, subject: &Subject) -> f64 {
    let load = Load::start(scenario.traffic, scenario.clients, subject.data);
    let streams = scenario.traffic != Traffic::Chat;
    let done = || if streams { load.events() } else { load.requests() };
    // Paced clients come in one after the other, for a second.
    tokio::time::sleep(if streams { 3 * WARM_UP } else { WARM_UP }).await;
    let (before, cpu) = (done(), subject.cpu());
    // A scrape in each window: metrics are not only kept, but also read.
    subject.ask("/metrics").await;
    tokio::time::sleep(bench.window).await;
    let (after, cpu) = (done(), subject.cpu().saturating_sub(cpu));
    load.check();
    assert!(after > before, "Nothing was answered");
    micros(cpu) / f64::from(u32::try_from(after - before).expect("a short window"))
}

async fn resident(kind: &Kind, upstream: SocketAddr, streams: u32) -> (f64, f64) {
    let subject = kind.start(upstream).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = kibibytes(&subject);
    let load = Load::start(Traffic::Held, streams, subject.data);
    // Each client comes in within a second and has an event every second: three are enough for all
    // to be answered and for buffers to be what they will be.
    tokio::time::sleep(Duration::from_secs(4)).await;
    load.check();
    assert!(load.events() >= 2 * streams as usize, "Only {} events", load.events());
    (idle, (kibibytes(&subject) - idle) / f64::from(streams))
}

fn ratios(base: &[f64], costs: &[f64]) -> Vec<f64> {
    costs.iter().zip(base).map(|(cost, base)| cost / base).collect()
}

fn kibibytes(subject: &Subject) -> f64 {
    f64::from(u32::try_from(subject.resident()).expect("less than 4 TiB"))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
