//! Writes docs/simulation.md.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#[path = "../../tests/simulation/study.rs"]
mod study;
use keyweir::simulator::basin::{self, Kind};
use std::time::Instant;

fn main() {
    for (name, make) in
        [("tokens", study::tokens as fn(f64, u32) -> _), ("requests", study::requests)]
    {
        for load in [0.9, 1.3] {
            for n in [1, 5, 20, 50] {
                let scenario = make(load, n);
                let began = Instant::now();
                let report = basin::compare(&scenario, &Kind::ALL);
                println!("{name} load {load} N={n} took {:?}\n{}", began.elapsed(), report.table());
            }
        }
    }
    let mut week = study::requests(1.0, 3);
    week.providers =
        vec![study::provider(keyweir::formats::Dimension::Requests, 3_000, Default::default())];
    if let basin::scenario::Load::Streams(streams) = &mut week.load {
        streams[0].rate = 150.0;
    }
    week.duration = study::MINUTE * 60 * 24;
    for kind in Kind::ALL {
        let began = Instant::now();
        let outcome = basin::simulate(&week, kind);
        let took = began.elapsed();
        println!(
            "{}: {} requests in {took:?}: {:.0}/s",
            kind.as_str(),
            outcome.total.offered,
            outcome.total.offered as f64 / took.as_secs_f64()
        );
    }
}
