//! Scenarios of the study.
use std::num::NonZeroU32;
use std::time::Duration;

use keyweir::callers::Priority;
use keyweir::formats::{Dialect, Dimension};
use keyweir::keys::{KeySpec, LimitSpec, Reach, Secret, Spec};
use keyweir::limits::{Learning, Measure, Rule};
use keyweir::simulator::basin::Scenario;
use keyweir::simulator::basin::draw::{Draw, Kind as Shape};
use keyweir::simulator::basin::scenario::{
    Fleet, Load, Name, Pace, Process, Provider, Retry, Spread, Stream, Weighted,
};
use keyweir::simulator::meter::{Rejections, Tariff, Terms};

pub const MINUTE: Duration = Duration::from_mins(1);

/// A provider of four projects, each with so many requests or tokens a minute.
pub fn provider(dimension: Dimension, amount: u64, terms: Terms) -> Provider {
    let keys = (1..=4).map(|nth| KeySpec {
        name: format!("key-{nth}").into(),
        quota_group: format!("project-{nth}").into(),
        weight: 1,
        models: Vec::new(),
        callers: Vec::new(),
        fingerprint: Some(Secret::new(&nth.to_string()).fingerprint()),
    });
    let rule = Rule { measure: Measure::Of(dimension), amount, window: MINUTE };
    let limit = LimitSpec {
        models: Vec::new(),
        quota_groups: Vec::new(),
        reach: Reach::EachModel,
        rules: vec![rule],
    };
    Provider {
        name: "openai".into(),
        dialect: Dialect::OpenAi,
        tariff: Tariff::OpenAi,
        spec: Spec {
            keys: keys.collect(),
            limits: vec![limit],
            learning: Learning::On,
            ..Spec::default()
        },
        grants: None,
        terms,
        pace: Pace::default(),
    }
}

pub fn scenario(provider: Provider, rate: f64, input: Draw, sidecars: u32) -> Scenario {
    let stream = Stream {
        process: Process::Poisson,
        rate,
        names: vec![(0, 1.0)],
        callers: vec![(0, 1.0)],
        priority: Priority::Normal,
        max_wait: Duration::from_secs(30),
        input,
        cached: 0.0,
        output: Draw::of(Shape::LogNormal { median: 200.0, sigma: 0.8 }).at_most(4_000.0),
        max_output: None,
        turns: None,
    };
    Scenario {
        providers: vec![provider],
        names: vec![Name {
            name: "gpt-4o".into(),
            targets: vec![(0, "gpt-4o".into(), 1)],
            weighted: Weighted::No,
        }],
        callers: vec!["default".into()],
        load: Load::Streams(vec![stream]),
        faults: Vec::new(),
        duration: MINUTE * 15,
        fleet: Fleet { sidecars, spread: Spread::Even, told: NonZeroU32::new(sidecars) },
        estimate_error: 0.03,
        retry: Retry::default(),
        seed: 1,
        start: "2026-11-20T12:00:00Z".parse().unwrap_or_default(),
    }
}

/// Requests: 4 × 600 a minute, rejections count.
pub fn requests(load: f64, sidecars: u32) -> Scenario {
    let terms = Terms { rejections: Rejections::Count, ..Terms::default() };
    let input = Draw::of(Shape::LogNormal { median: 600.0, sigma: 1.0 }).at_most(20_000.0);
    scenario(provider(Dimension::Requests, 600, terms), 40.0 * load, input, sidecars)
}

/// Tokens: 4 × 400,000 a minute, log-normal prompts.
pub fn tokens(load: f64, sidecars: u32) -> Scenario {
    let input = Draw::of(Shape::LogNormal { median: 800.0, sigma: 1.0 }).at_most(20_000.0);
    let mean = 800.0 * 0.5_f64.exp();
    let rate = load * 4.0 * 400_000.0 / 60.0 / mean;
    scenario(provider(Dimension::Tokens, 400_000, Terms::default()), rate, input, sidecars)
}
