//! A workload as written → as used.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::compile::limit_of_workload;
use super::super::place::{At, Draft};
use super::super::raw::{Priority as Class, Share};
use super::super::used::{Caller, Config, Priority, Provider};
use super::{
    Book, Reality, Told, USUAL_INPUT, USUAL_OUTPUT, Workload, draws, faults, raw, terms_of,
};
use crate::limits::Charging;
use crate::simulator::basin::draw::{Draw, Kind};
use crate::simulator::basin::scenario::{Pace, Process, Spread, Stream, Turns};
use crate::simulator::meter::{Rejections, SpendLimit, SpendSpan, Terms};

/// The version of this format.
const VERSION: u64 = 1;
/// Sidecars that a simulation may have.
pub(super) const MOST_SIDECARS: u32 = 100_000;
/// Entries that a Secret may be said to have: a pool has no more keys.
const MOST_KEYS: u32 = 256;
/// Requests a second of one stream.
const HIGHEST_RATE: f64 = 1e6;
/// The error of estimates where none is written (measured: `facts` of the estimator, 2.9 % on average).
const ESTIMATE_ERROR: f64 = 0.03;

pub(super) fn compile(draft: &Draft<'_>, raw: &raw::Workload, config: &Config) -> Workload {
    if let Some(other) = raw.version.filter(|version| *version != VERSION) {
        let message = format!("version {other} is unknown here; this is version {VERSION}");
        draft.error(&At::ROOT.key("version"), message);
    }
    let mut book = Book::default();
    let streams = streams(draft, raw, config, &mut book);
    Workload {
        duration: raw.duration.map(|duration| duration.0),
        seed: raw.seed,
        sidecars: raw.sidecars.and_then(|count| sidecars(draft, &At::ROOT.key("sidecars"), count)),
        spread: raw.spread.map_or(Spread::Even, |spread| match spread {
            raw::Spread::Even => Spread::Even,
            raw::Spread::Skewed => Spread::Skewed,
            raw::Spread::Greedy(share) => Spread::Greedy(share),
        }),
        told: raw.told.map_or(Told::Truth, |told| self::told(draft, told)),
        estimate_error: raw.estimate_error.map_or(ESTIMATE_ERROR, |share| share.0),
        keys: keys(draft, raw, config),
        streams,
        trace: raw.trace.as_ref().map(Into::into),
        book,
        providers: realities(draft, raw, config),
        faults: faults::compile(draft, &raw.faults.0, config),
    }
}

fn sidecars(draft: &Draft<'_>, at: &At<'_>, count: u32) -> Option<NonZeroU32> {
    if count == 0 || count > MOST_SIDECARS {
        draft.error(at, format!("must be between 1 and {MOST_SIDECARS}"));
    }
    NonZeroU32::new(count)
}

fn told(draft: &Draft<'_>, told: raw::Told) -> Told {
    match told {
        raw::Told::Unknown => Told::Nothing,
        raw::Told::Count(count) => {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            sidecars(draft, &At::ROOT.key("told"), count).map_or(Told::Truth, Told::Count)
        }
    }
}

fn keys(draft: &Draft<'_>, raw: &raw::Workload, config: &Config) -> Vec<(Box<str>, u32)> {
    let at = At::ROOT.key("keys");
    let mut keys = Vec::new();
    for (secret, count) in &raw.keys.0 {
        let at = at.key(secret);
        let sources = || config.providers.iter().flat_map(|provider| &provider.keys);
        if !sources().any(|source| *source.secret == **secret) {
            let meant = draft.closest(secret, sources().map(|source| &*source.secret));
            draft.slip(&at, "no provider takes its keys from this Secret", meant);
        } else if sources().any(|it| *it.secret == **secret && it.entries.is_some()) {
            draft.error(&at, "the configuration names the entries of this Secret");
        }
        if *count == 0 || *count > MOST_KEYS {
            draft.error(&at, format!("must be between 1 and {MOST_KEYS}"));
        }
        keys.push((secret.as_str().into(), *count));
    }
    keys
}

fn streams(
    draft: &Draft<'_>,
    raw: &raw::Workload,
    config: &Config,
    book: &mut Book,
) -> Vec<Stream> {
    let at = At::ROOT.key("requests");
    if raw.trace.is_some() && !raw.requests.0.is_empty() {
        draft.error(&at, "either `requests` or a `trace`, not both");
    }
    if raw.trace.is_none() && raw.requests.0.is_empty() && draft.is_written(&At::ROOT) {
        draft.missing(&At::ROOT, "requests", "its `requests` are missing, or a `trace`");
    }
    let written = raw.requests.0.iter().enumerate();
    written.map(|(index, one)| stream(draft, &at.index(index), one, config, book)).collect()
}

fn stream(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::Stream,
    config: &Config,
    book: &mut Book,
) -> Stream {
    let rate = written.rate.map_or(0.0, |rate| rate.0);
    if written.rate.is_none() {
        draft.missing(at, "rate", "its `rate` is missing: requests a second");
    } else if !(rate > 0.0 && rate <= HIGHEST_RATE) {
        draft.error(&at.key("rate"), "must be more than 0 and at most a million a second");
    }
    let names = names(draft, at, written, config, book);
    let callers = callers(draft, at, written, book);
    let first = callers.first().and_then(|(caller, _)| book.callers.get(*caller));
    let terms = terms_of(config, first.map_or("", |name| name));
    let draw = |field: &str, draw: &Option<raw::Draw>| {
        draw.as_ref().map(|draw| draws::compile(draft, &at.key(field), draw))
    };
    let usual = usual(terms, rate);
    let share = |share: Option<Share>| share.map(|share| share.0);
    Stream {
        process: written
            .arrivals
            .as_ref()
            .map_or(Process::Poisson, |arrivals| process(draft, &at.key("arrivals"), &arrivals.0)),
        names,
        callers,
        priority: written.priority.map_or(terms.priority, priority),
        max_wait: written.max_wait.map_or(terms.max_wait, |wait| wait.0),
        input: draw("input", &written.input).unwrap_or(usual.input),
        cached: share(written.cached).unwrap_or(0.0),
        output: draw("output", &written.output).unwrap_or(usual.output),
        max_output: draw("maxTokens", &written.max_tokens),
        turns: written.turns.as_ref().map(|turns| self::turns(draft, &at.key("turns"), turns)),
        ..usual
    }
}

/// What a stream is where nothing is written.
pub(super) const fn usual(terms: &Caller, rate: f64) -> Stream {
    Stream {
        process: Process::Poisson,
        rate,
        names: Vec::new(),
        callers: Vec::new(),
        priority: terms.priority,
        max_wait: terms.max_wait,
        input: Draw::of(Kind::LogNormal { median: USUAL_INPUT, sigma: 1.0 }).at_most(100_000.0),
        cached: 0.0,
        output: Draw::of(Kind::LogNormal { median: USUAL_OUTPUT, sigma: 0.8 }).at_most(8_000.0),
        max_output: None,
        turns: None,
    }
}

fn names(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::Stream,
    config: &Config,
    book: &mut Book,
) -> Vec<(usize, f64)> {
    let at_model = at.key("model");
    if written.model.0.is_empty() {
        draft.missing(at, "model", "its `model` is missing: an alias, or `provider/model`");
    }
    let mut names = Vec::new();
    for (name, weight) in &written.model.0 {
        match book.name(name, config) {
            Ok(index) => names.push((index, *weight)),
            Err(message) => draft.error(&at_model, message),
        }
        let provider = name.split_once('/').map(|(provider, _)| provider);
        let is_known = |name: &str| config.providers.iter().any(|provider| *provider.name == *name);
        let is_alias = config.aliases.iter().any(|alias| *alias.name == **name);
        if let Some(provider) = provider.filter(|provider| !is_alias && !is_known(provider)) {
            let names = config.providers.iter().map(|provider| &*provider.name);
            let meant = draft.closest(provider, names);
            draft.slip(&at_model, format!("there is no provider `{provider}`"), meant);
        }
    }
    names
}

fn callers(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::Stream,
    book: &mut Book,
) -> Vec<(usize, f64)> {
    if written.caller.0.is_empty() && !draft.is_written(&at.key("caller")) {
        return vec![(book.caller("default"), 1.0)];
    }
    written.caller.0.iter().map(|(name, weight)| (book.caller(name), *weight)).collect()
}

fn process(draft: &Draft<'_>, at: &At<'_>, written: &raw::Pattern) -> Process {
    let word = written.process.unwrap_or(raw::Process::Poisson);
    if written.process.is_none() {
        draft.missing(at, "process", "its `process` is missing");
    }
    let span = |field: &str, span: Option<super::super::raw::Span>, usual: Duration| {
        let span = span.map_or(usual, |span| span.0);
        if span.is_zero() {
            draft.error(&at.key(field), "must be longer than nothing");
        }
        span
    };
    match word {
        raw::Process::Poisson => Process::Poisson,
        raw::Process::Constant => Process::Constant,
        raw::Process::Gamma => {
            let variation = written.variation.unwrap_or(2.0);
            if !(0.1..=20.0).contains(&variation) {
                draft.error(&at.key("variation"), "must be between 0.1 and 20");
            }
            Process::Gamma { variation }
        }
        raw::Process::Diurnal => Process::Diurnal {
            swing: written.swing.map_or(0.5, |swing| swing.0),
            period: span("period", written.period, Duration::from_hours(24)),
        },
        raw::Process::Bursts => {
            let factor = written.factor.unwrap_or(3.0);
            if !(1.0..=1_000.0).contains(&factor) {
                draft.error(&at.key("factor"), "must be between 1 and 1,000");
            }
            let length = span("length", written.length, Duration::from_secs(20));
            let period = span("period", written.period, Duration::from_secs(100));
            if length >= period {
                draft.error(&at.key("length"), "must be shorter than the `period`");
            }
            Process::Bursts { factor, length, period }
        }
    }
}

fn turns(draft: &Draft<'_>, at: &At<'_>, written: &raw::Turns) -> Turns {
    let draw = |field: &str, draw: &Option<raw::Draw>, usual: Draw| {
        draw.as_ref().map_or(usual, |draw| draws::compile(draft, &at.key(field), draw))
    };
    Turns {
        count: draw("count", &written.count, Draw::of(Kind::Uniform(20.0, 80.0))),
        pause: draw("pause", &written.pause, Draw::of(Kind::Exponential(2.0))),
        growth: draw("growth", &written.growth, Draw::of(Kind::Exponential(500.0))),
        cached: written.cached.map_or(0.9, |share| share.0),
    }
}

fn realities(draft: &Draft<'_>, raw: &raw::Workload, config: &Config) -> Vec<Reality> {
    let at = At::ROOT.key("providers");
    for (name, _) in &raw.providers.0 {
        if !config.providers.iter().any(|provider| *provider.name == **name) {
            let names = config.providers.iter().map(|provider| &*provider.name);
            let meant = draft.closest(name, names);
            draft.slip(&at.key(name), "the configuration has no such provider", meant);
        }
    }
    let providers = config.providers.iter();
    let written = |provider: &Provider| {
        raw.providers.0.iter().find(|(name, _)| **name == *provider.name).map(|(_, it)| it)
    };
    providers
        .map(|provider| match written(provider) {
            Some(written) => reality(draft, &at.key(&provider.name), written, provider),
            None => Reality {
                limits: None,
                charging: provider.charging,
                terms: Terms::default(),
                pace: Pace::default(),
            },
        })
        .collect()
}

fn reality(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::Provider,
    provider: &Provider,
) -> Reality {
    let usual = Pace::default();
    let draw = |field: &str, draw: &Option<raw::Draw>, usual: Draw| {
        draw.as_ref().map_or(usual, |draw| draws::compile(draft, &at.key(field), draw))
    };
    let at_limits = at.key("limits");
    let limits = written.limits.0.iter().enumerate();
    let limits = limits.map(|(nth, it)| limit_of_workload(draft, &at_limits.index(nth), it));
    let growth = written.growth;
    if growth.is_some_and(|growth| !(1.0..=1_000.0).contains(&growth)) {
        draft.error(&at.key("growth"), "must be between 1 and 1,000");
    }
    Reality {
        limits: draft.is_written(&at_limits).then(|| limits.collect()),
        charging: charging(draft, &at.key("charging"), written).unwrap_or(provider.charging),
        terms: Terms {
            quantum: written.quantum.map(|quantum| quantum.0).filter(|it| !it.is_zero()),
            rejections: match written.rejections {
                Some(raw::Rejections::Counted) => Rejections::Count,
                Some(raw::Rejections::Free) | None => Rejections::Free,
            },
            concurrency: None,
            ramp: growth.map(permille),
            spend: written.spend.as_ref().and_then(|it| spend(draft, &at.key("spend"), it)),
        },
        pace: Pace {
            first_byte: draw("firstByte", &written.first_byte, usual.first_byte),
            speed: draw("speed", &written.speed, usual.speed),
            rejection: written.rejection.map_or(usual.rejection, |rejection| rejection.0),
        },
    }
}

fn charging(draft: &Draft<'_>, at: &At<'_>, written: &raw::Provider) -> Option<Charging> {
    let name = written.charging.as_deref()?;
    let charging = Charging::named(name);
    if charging.is_none() {
        let known: Vec<_> = Charging::ALL.iter().map(|it| it.as_str()).collect();
        let message = format!("not one of `{}`", known.join("`, `"));
        draft.slip(at, message, draft.closest(name, known));
    }
    charging
}

fn spend(draft: &Draft<'_>, at: &At<'_>, written: &raw::Spend) -> Option<SpendLimit> {
    for (field, there) in [
        ("amount", written.amount.is_some()),
        ("per", written.per.is_some()),
        ("input", written.input.is_some()),
        ("output", written.output.is_some()),
    ] {
        if !there {
            draft.missing(at, field, format!("its `{field}` is missing"));
        }
    }
    let dollars = |field: &str, dollars: Option<f64>| {
        let dollars = dollars?;
        if !(0.0..=1e9).contains(&dollars) {
            draft.error(&at.key(field), "must be an amount of US dollars that exists");
        }
        Some(micros(dollars))
    };
    Some(SpendLimit {
        amount: dollars("amount", written.amount)?,
        span: match written.per? {
            raw::SpendSpan::TenMinutes => SpendSpan::TenMinutes,
            raw::SpendSpan::Month => SpendSpan::Month,
        },
        // A dollar for a million tokens is a millionth of a dollar for one.
        input: dollars("input", written.input)?,
        output: dollars("output", written.output)?,
    })
}

const fn priority(written: Class) -> Priority {
    match written {
        Class::High => Priority::High,
        Class::Normal => Priority::Normal,
        Class::Batch => Priority::Batch,
    }
}

/// Thousandths of a factor that has been checked.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a fraction saturates"
)]
pub(super) fn permille(factor: f64) -> u64 {
    (factor * 1_000.0).round() as u64
}

/// Millionths of a dollar; from a price for a million tokens, millionths of those for one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a fraction saturates"
)]
fn micros(dollars: f64) -> u64 {
    (dollars * 1e6).round() as u64
}
