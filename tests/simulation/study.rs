//! The situations that are simulated for `docs/simulation.md`, and what is held to in each: shared by
//! the bench that writes the page and the tests that hold shorter runs to the same.

use std::num::NonZeroU32;
use std::time::Duration;

use keyweir::callers::Priority;
use keyweir::formats::{Dialect, Dimension};
use keyweir::keys::{KeySpec, LimitSpec, Reach, Secret, Spec};
use keyweir::limits::{Charging, Learning, Measure, Rule};
use keyweir::simulator::basin::draw::{Draw, Kind as Shape};
use keyweir::simulator::basin::scenario::{
    Caller, Chaos, Fault, Fleet, Load, Name, Pace, Process, Provider, Retry, Spread, Stream,
    Trouble, Weighted,
};
use keyweir::simulator::basin::{self, Kind, Outcome, Scenario};
use keyweir::simulator::meter::{Rejections, Terms};

const MINUTE: Duration = Duration::from_mins(1);

/// Quota groups, each with a key of its own.
const ACCOUNTS: u32 = 4;
/// Tokens and requests that each is granted in a minute.
const TOKENS: u32 = 400_000;
const REQUESTS: u32 = 600;

/// A situation.
pub(crate) struct Situation {
    /// What is told of it.
    pub(crate) name: &'static str,
    pub(crate) section: Section,
    pub(crate) sidecars: u32,
    pub(crate) make: fn(&Situation) -> Scenario,
    /// Load, of the capacity.
    pub(crate) load: f64,
    pub(crate) target: Target,
    /// Why the target is not met, where it is not.
    pub(crate) reason: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Fits,
    Overload,
    Faults,
    Shallow,
}

/// What is held to; what is `None` is only shown.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Requests that leak, at most.
    pub(crate) leak: Option<f64>,
    /// Of the requests sent upstream, those refused for a limit.
    pub(crate) upstream_429: Option<f64>,
    /// Of what could have been served, at least.
    pub(crate) of_optimum: Option<f64>,
    /// The longest of 99 waits in 100, beyond the oracle's, in seconds.
    pub(crate) wait_p99: Option<f64>,
    pub(crate) jain: Option<f64>,
    /// In one slice of time.
    pub(crate) within: Option<Within>,
}

/// What is held to from one moment to another.
#[derive(Clone, Copy)]
pub(crate) struct Within {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) upstream_429: f64,
}

const NOTHING: Target = Target {
    leak: None,
    upstream_429: None,
    of_optimum: None,
    wait_p99: None,
    jain: None,
    within: None,
};

/// While demand fits.
const FITS: Target = Target {
    leak: Some(0.0),
    upstream_429: Some(0.002),
    of_optimum: Some(0.999),
    wait_p99: Some(1.0),
    ..NOTHING
};

/// Beyond capacity: what is shed is what no oracle could serve, and two points more.
const fn overload(upstream_429: f64) -> Target {
    Target {
        leak: Some(0.02),
        upstream_429: Some(upstream_429),
        of_optimum: Some(0.97),
        jain: Some(0.97),
        ..NOTHING
    }
}

/// All situations, in the order of the page.
pub(crate) fn situations() -> Vec<Situation> {
    use Section::{Faults, Fits, Overload, Shallow};
    let mut all = Vec::new();
    let mut add = |name, section, sidecars, make, load, target| {
        all.push(Situation { name, section, sidecars, make, load, target, reason: "" });
    };
    for sidecars in [1, 5, 20, 50] {
        add("tokens, steady", Fits, sidecars, tokens as fn(&Situation) -> Scenario, 0.9, FITS);
        add("tokens, three times as many for 20 s of 100", Fits, sidecars, bursts, 0.9, FITS);
        add("tokens, with the hours of a day", Fits, sidecars, diurnal, 0.9, FITS);
        if sidecars > 1 {
            add("tokens, the i-th sidecar has 1/i", Fits, sidecars, skewed, 0.87, FITS);
        }
        add("requests, rejections count", Fits, sidecars, requests, 0.9, FITS);
    }
    for (sidecars, upstream_429) in [(1, 0.005), (5, 0.005), (20, 0.015), (50, 0.03)] {
        let target = overload(upstream_429);
        add("tokens, three classes", Overload, sidecars, classes, 1.3, target);
        add("requests, rejections count", Overload, sidecars, requests, 1.3, target);
    }
    for sidecars in [1, 5, 20, 50] {
        let unharmed = Target { leak: Some(0.0), of_optimum: Some(0.999), ..NOTHING };
        add("a key dies", Faults, sidecars, key_dies, 0.6, unharmed);
        let learned = Within { from: MINUTE * 5, to: MINUTE * 5 + SECONDS_15, upstream_429: 0.05 };
        let halved =
            Target { leak: Some(0.0), of_optimum: Some(0.97), within: Some(learned), ..NOTHING };
        add("every limit is halved", Faults, sidecars, halves, 0.45, halved);
        add("somebody else takes half", Faults, sidecars, foreign, 0.45, halved);
        let chaos = Target { leak: Some(0.001), of_optimum: Some(0.97), ..NOTHING };
        add("headers are nonsense", Faults, sidecars, nonsense, 0.9, chaos);
        add("headers are gone", Faults, sidecars, headers_gone, 0.9, chaos);
        add("the configuration says twice the truth", Faults, sidecars, doubled, 0.9, chaos);
    }
    let shallow =
        Target { leak: Some(0.0), upstream_429: Some(0.04), of_optimum: Some(0.98), ..NOTHING };
    for sidecars in [1, 5] {
        add("requests, buckets one second deep", Shallow, sidecars, one_second, 0.8, shallow);
    }
    add("requests, buckets five seconds deep", Shallow, 20, five_seconds, 0.8, shallow);
    for situation in &mut all {
        situation.reason = reason(situation.name, situation.sidecars);
    }
    all
}

/// Why a target is missed, where it is.
fn reason(name: &str, sidecars: u32) -> &'static str {
    match (name, sidecars) {
        ("tokens, three classes", 20..) => {
            "a tenth of a bucket is less than one request of each sidecar, some of which are a \
             hundred times the median, and without a coordinator several begin at once"
        }
        ("headers are nonsense", 50..) => {
            "each sidecar sends a request in five seconds to a quota group, and is told nonsense by \
             most answers: some learn too late how much there is"
        }
        _ => "",
    }
}

const SECONDS_15: Duration = Duration::from_secs(15);

fn provider(dimension: Dimension, amount: u32, terms: Terms) -> Provider {
    let key = |nth: u32| KeySpec {
        name: format!("key-{nth}").into(),
        quota_group: format!("project-{nth}").into(),
        weight: 1,
        models: Vec::new(),
        callers: Vec::new(),
        fingerprint: Some(Secret::new(&nth.to_string()).fingerprint()),
    };
    Provider {
        name: "openai".into(),
        dialect: Dialect::OpenAi,
        charging: Charging::OpenAi,
        spec: Spec {
            keys: (1..=ACCOUNTS).map(key).collect(),
            limits: vec![limit(dimension, amount)],
            learning: Learning::On,
            charging: Charging::OpenAi,
            ..Spec::default()
        },
        grants: None,
        terms,
        pace: Pace::default(),
    }
}

fn limit(dimension: Dimension, amount: u32) -> LimitSpec {
    let amount = u64::from(amount);
    LimitSpec {
        models: Vec::new(),
        quota_groups: Vec::new(),
        reach: Reach::EachModel,
        rules: vec![Rule::new(Measure::Of(dimension), amount, MINUTE)],
    }
}

fn stream(rate: f64, median: f64) -> Stream {
    Stream {
        process: Process::Poisson,
        rate,
        names: vec![(0, 1.0)],
        callers: vec![(0, 1.0)],
        priority: Priority::Normal,
        max_wait: Duration::from_secs(30),
        input: Draw::of(Shape::LogNormal { median, sigma: 1.0 }).at_most(100_000.0),
        cached: 0.0,
        output: Draw::of(Shape::LogNormal { median: 200.0, sigma: 0.8 }).at_most(4_000.0),
        max_output: None,
        turns: None,
    }
}

fn scenario(situation: &Situation, provider: Provider, stream: Stream) -> Scenario {
    Scenario {
        providers: vec![provider],
        names: vec![Name {
            name: "gpt-4o".into(),
            targets: vec![(0, "gpt-4o".into(), 1)],
            weighted: Weighted::No,
        }],
        callers: vec![Caller { name: "default".into(), ..Caller::default() }],
        load: Load::Streams(vec![stream]),
        faults: Vec::new(),
        duration: MINUTE * 15,
        fleet: Fleet {
            sidecars: situation.sidecars,
            spread: Spread::Even,
            told: NonZeroU32::new(situation.sidecars),
        },
        estimate_error: 0.03,
        retry: Retry::default(),
        seed: 1,
        start: "2026-11-20T12:00:00Z".parse().unwrap_or_default(),
    }
}

/// Half of the prompts have up to so many tokens; the mean is e^(1/2) times that.
const MEDIAN: f64 = 800.0;

fn tokens(situation: &Situation) -> Scenario {
    let mean = MEDIAN * 0.5_f64.exp();
    let rate = situation.load * f64::from(ACCOUNTS * TOKENS) / 60.0 / mean;
    let provider = provider(Dimension::Tokens, TOKENS, Terms::default());
    scenario(situation, provider, stream(rate, MEDIAN))
}

fn requests(situation: &Situation) -> Scenario {
    let terms = Terms { rejections: Rejections::Count, ..Terms::default() };
    let rate = situation.load * f64::from(ACCOUNTS * REQUESTS) / 60.0;
    scenario(situation, provider(Dimension::Requests, REQUESTS, terms), stream(rate, 600.0))
}

/// The same requests, coming in another way.
fn coming(mut scenario: Scenario, change: impl Fn(&mut Stream)) -> Scenario {
    if let Load::Streams(streams) = &mut scenario.load {
        streams.iter_mut().for_each(change);
    }
    scenario
}

fn bursts(situation: &Situation) -> Scenario {
    let process = Process::Bursts {
        factor: 3.0,
        length: Duration::from_secs(20),
        period: Duration::from_secs(100),
    };
    coming(tokens(situation), |stream| stream.process = process)
}

/// At its highest the load is that of the situation.
fn diurnal(situation: &Situation) -> Scenario {
    coming(tokens(situation), |stream| {
        stream.process = Process::Diurnal { swing: 0.5, period: MINUTE * 10 };
        stream.rate /= 1.5;
    })
}

fn skewed(situation: &Situation) -> Scenario {
    let mut scenario = tokens(situation);
    scenario.fleet.spread = Spread::Skewed;
    scenario
}

/// A fifth each of high and batch, the rest normal.
fn classes(situation: &Situation) -> Scenario {
    let mut scenario = tokens(situation);
    if let Load::Streams(streams) = &mut scenario.load
        && let Some(all) = streams.pop()
    {
        let of = |priority, share| Stream { priority, rate: all.rate * share, ..all.clone() };
        streams.extend([
            of(Priority::High, 0.2),
            of(Priority::Normal, 0.6),
            of(Priority::Batch, 0.2),
        ]);
    }
    scenario
}

fn fault(kind: Trouble, at: Duration) -> Fault {
    Fault { at, lasts: None, kind, provider: None, group: None, key: None, model: None }
}

fn key_dies(situation: &Situation) -> Scenario {
    let mut scenario = requests(situation);
    let dies = fault(Trouble::KeyDies, MINUTE * 5);
    scenario.faults = vec![Fault { key: Some("key-1".into()), ..dies }];
    scenario
}

fn halves(situation: &Situation) -> Scenario {
    let mut scenario = tokens(situation);
    scenario.faults = vec![fault(Trouble::Limits(500), MINUTE * 5)];
    scenario
}

fn foreign(situation: &Situation) -> Scenario {
    let mut scenario = tokens(situation);
    scenario.faults = vec![fault(Trouble::Foreign(500), MINUTE * 5)];
    scenario
}

fn nonsense(situation: &Situation) -> Scenario {
    let mut scenario = tokens(situation);
    scenario.faults = vec![fault(Trouble::Headers(Chaos::Nonsense), Duration::ZERO)];
    scenario
}

fn headers_gone(situation: &Situation) -> Scenario {
    let mut scenario = tokens(situation);
    scenario.faults = vec![fault(Trouble::Headers(Chaos::Gone), Duration::ZERO)];
    scenario
}

fn doubled(situation: &Situation) -> Scenario {
    let mut scenario = tokens(situation);
    for provider in &mut scenario.providers {
        provider.grants = Some(vec![limit(Dimension::Tokens, TOKENS)]);
        provider.spec.limits = vec![limit(Dimension::Tokens, TOKENS * 2)];
    }
    scenario
}

fn one_second(situation: &Situation) -> Scenario {
    let mut scenario = requests(situation);
    for provider in &mut scenario.providers {
        provider.terms.quantum = Some(Duration::from_secs(1));
    }
    scenario
}

fn five_seconds(situation: &Situation) -> Scenario {
    let mut scenario = requests(situation);
    for provider in &mut scenario.providers {
        provider.terms.quantum = Some(Duration::from_secs(5));
    }
    scenario
}

/// What came of a situation for one policy: the mean over the seeds, of waits the longest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) leak: f64,
    pub(crate) upstream_429: f64,
    pub(crate) of_optimum: f64,
    pub(crate) wait_p50: f64,
    pub(crate) wait_p99: f64,
    pub(crate) jain: f64,
    pub(crate) within: f64,
    pub(crate) inversions: u64,
}

/// What came of a situation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Result {
    pub(crate) keyweir: Measured,
    pub(crate) headers: Measured,
    pub(crate) oracle: Measured,
}

/// Simulates a situation with each of the seeds, for so long at most.
pub(crate) fn measure(situation: &Situation, seeds: &[u64], most: Duration) -> Result {
    let mut sums = [Measured::default(); 3];
    for seed in seeds {
        let scenario = (situation.make)(situation);
        let duration = scenario.duration.min(most);
        let scenario = Scenario { seed: *seed, duration, ..scenario };
        let [mut keyweir, mut headers, oracle] = [Kind::Keyweir, Kind::Headers, Kind::Oracle]
            .map(|kind| basin::simulate(&scenario, kind));
        keyweir.compare(&oracle);
        headers.compare(&oracle);
        for (sum, outcome) in sums.iter_mut().zip([&keyweir, &headers, &oracle]) {
            sum.add(outcome, situation.target.within);
        }
    }
    let count = f64::from(u32::try_from(seeds.len().max(1)).unwrap_or(1));
    let [keyweir, headers, oracle] = sums.map(|sum| sum.over(count));
    Result { keyweir, headers, oracle }
}

impl Measured {
    fn add(&mut self, outcome: &Outcome, within: Option<Within>) {
        self.leak += outcome.leak.unwrap_or(0.0);
        self.upstream_429 += outcome.upstream_429;
        self.of_optimum += outcome.of_optimum;
        self.wait_p50 = self.wait_p50.max(outcome.total.wait_p50_ms / 1_000.0);
        self.wait_p99 = self.wait_p99.max(outcome.total.wait_p99_ms / 1_000.0);
        self.jain += outcome.jain;
        self.inversions += outcome.inversions;
        if let Some(within) = within {
            self.within += outcome.timeline.between(within.from, within.to).upstream_429();
        }
    }

    fn over(self, count: f64) -> Self {
        Self {
            leak: self.leak / count,
            upstream_429: self.upstream_429 / count,
            of_optimum: self.of_optimum / count,
            jain: self.jain / count,
            within: self.within / count,
            ..self
        }
    }
}

/// What of a target is missed, with `slack` times as much allowed; a word for each.
pub(crate) fn missed(target: &Target, result: &Result, slack: f64) -> Vec<&'static str> {
    let Measured { leak, upstream_429, of_optimum, wait_p99, jain, within, .. } = result.keyweir;
    // A hundredth of a per cent is the last digit that is told.
    let most = |limit: Option<f64>, found: f64| {
        limit.is_some_and(|limit| found > limit * slack + 0.000_1 * slack)
    };
    let least = |limit: Option<f64>, found: f64| {
        limit.is_some_and(|limit| 1.0 - found > (1.0 - limit) * slack + 0.000_1 * slack)
    };
    let beyond = wait_p99 - result.oracle.wait_p99;
    [
        ("leak", most(target.leak, leak)),
        ("upstream 429", most(target.upstream_429, upstream_429)),
        ("of optimum", least(target.of_optimum, of_optimum)),
        ("p99", most(target.wait_p99, beyond)),
        ("fairness", least(target.jain, jain)),
        ("upstream 429 within", most(target.within.map(|it| it.upstream_429), within)),
    ]
    .into_iter()
    .filter(|(_, missed)| *missed)
    .map(|(name, _)| name)
    .collect()
}
