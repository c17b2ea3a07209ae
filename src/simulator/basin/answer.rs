//! Upstream answers as the proxy would have judged and read them: with the retry hints that each
//! provider gives, in the precision in which it writes them.

use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;

use crate::clock::{Moment, Now};
use crate::formats::{Dialect, Dimension, Judgement, Sample, Samples, Scope, Verdict};
use crate::simulator::meter::{Cause, DAY, MINUTE, Reading, Readings, Refusal, Tariff};

/// An upstream answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) judgement: Judgement,
    pub(super) samples: Samples,
}

impl Answer {
    pub(super) fn of(verdict: Verdict) -> Self {
        Self { judgement: Judgement::of(verdict), samples: Samples::new() }
    }
}

/// How a refusal is judged that is heard at `heard`, with these samples beside it.
pub(super) fn refused(
    (tariff, dialect): (Tariff, Dialect),
    refusal: &Refusal,
    samples: &Samples,
    heard: Moment,
) -> Judgement {
    let of_day = refusal.window >= DAY;
    let (verdict, scope) = match (refusal.cause, tariff) {
        (Cause::Spend, Tariff::Gemini) => (Verdict::RateLimited, Scope::Group),
        (Cause::Spend, _) => (Verdict::QuotaExhausted, Scope::Group),
        (Cause::Rate, Tariff::OpenAi | Tariff::Gemini) if of_day => {
            (Verdict::QuotaExhausted, Scope::Model)
        }
        (Cause::Rate | Cause::Concurrency | Cause::Ramp, _) => (Verdict::RateLimited, Scope::Model),
    };
    let named = match (refusal.cause, tariff) {
        (Cause::Rate, Tariff::Bedrock { .. })
        | (Cause::Concurrency | Cause::Ramp | Cause::Spend, _) => None,
        (Cause::Rate, _) => Some(refusal.dimension),
    };
    let told = hint(tariff, refusal);
    let (delay, dimension) = match named {
        Some(named) => longest(dialect, told, named, samples),
        None => (told, None),
    };
    // Only OpenAI says that no waiting helps.
    let oversized = tariff == Tariff::OpenAi && refusal.oversized();
    Judgement {
        scope,
        retry_at: delay.filter(|_| !oversized).map(|delay| heard + delay),
        dimension,
        oversized,
        ..Judgement::of(verdict)
    }
}

/// When to come back, as each provider writes it. Who asks for more than there ever is, is told
/// nothing.
fn hint(tariff: Tariff, refusal: &Refusal) -> Option<Duration> {
    let wait = refusal.retry_after;
    match (refusal.cause, tariff) {
        // The message names the day on which it ends.
        (Cause::Spend, Tariff::Anthropic | Tariff::OpenAi) => Some(wait),
        (Cause::Spend | Cause::Concurrency, _) | (_, Tariff::Bedrock { .. }) => None,
        // Who is told nothing by Gemini is known to be held for a minute.
        (_, Tariff::Gemini) if refusal.oversized() => Some(MINUTE),
        _ if refusal.oversized() => None,
        (_, Tariff::Gemini) => Some(wait),
        (_, Tariff::OpenAi | Tariff::Azure) => Some(up_to(wait, MILLI)),
        (_, Tariff::Anthropic | Tariff::AsUsed | Tariff::Uncached) => Some(up_to(wait, SECOND)),
    }
}

/// What is told in words speaks for the limit that refused; another that is empty as well may hold
/// longer. Without words the resets are all there is.
fn longest(
    dialect: Dialect,
    told: Option<Duration>,
    named: Dimension,
    samples: &Samples,
) -> (Option<Duration>, Option<Dimension>) {
    let is_empty = |sample: &&Sample| sample.remaining == Some(0);
    let is_named = |sample: &&Sample| sample.dimension == named;
    let named_is_empty = samples.iter().any(|sample| is_named(&sample) && is_empty(&sample));
    let exhausted = samples.iter().filter(|s| is_empty(s) || is_named(s) && !named_is_empty);
    let latest = match told {
        // Its resets tell when a limit is whole again.
        Some(_) if dialect == Dialect::Anthropic => None,
        Some(_) => exhausted
            .filter(|sample| !is_named(sample))
            .filter_map(|sample| Some((next_room(dialect, sample)?, sample.dimension)))
            .max_by_key(|(delay, _)| *delay),
        None => exhausted
            .filter_map(|sample| Some((sample.reset_in?, sample.dimension)))
            .max_by_key(|(delay, _)| *delay),
    };
    let (reset, dimension) = latest.unzip();
    let delay = told.max(reset).filter(|delay| !delay.is_zero());
    (delay, dimension.filter(|_| reset > told).or(Some(named)))
}

/// When an empty bucket has room for one more.
fn next_room(dialect: Dialect, sample: &Sample) -> Option<Duration> {
    let reset = sample.reset_in?;
    if !matches!(dialect, Dialect::OpenAi | Dialect::Groq) || reset <= MINUTE {
        return Some(reset);
    }
    reset.checked_div(u32::try_from(sample.limit?).unwrap_or(u32::MAX))
}

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Rounded up to whole `unit`s.
fn up_to(time: Duration, unit: Duration) -> Duration {
    let units = time.as_nanos().div_ceil(unit.as_nanos().max(1));
    unit.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX))
}

/// What the proxy reads from the headers that tell these readings.
pub(super) fn samples(
    (tariff, dialect): (Tariff, Dialect),
    readings: &Readings,
    now: Now,
) -> Samples {
    let mut samples: Samples =
        readings.iter().map(|reading| sample((tariff, dialect), reading, now)).collect();
    // `anthropic-ratelimit-tokens-*` shows the most restrictive of the limits of tokens.
    if tariff == Tariff::Anthropic {
        let of_tokens = readings.iter().filter(|it| it.dimension != Dimension::Requests);
        if let Some(tightest) = of_tokens.min_by_key(|reading| reading.remaining) {
            let reading = Reading { dimension: Dimension::Tokens, ..*tightest };
            samples.push(sample((tariff, dialect), &reading, now));
        }
    }
    samples
}

fn sample((tariff, dialect): (Tariff, Dialect), reading: &Reading, now: Now) -> Sample {
    let Reading { dimension, limit, remaining, reset, window } = *reading;
    let requests = dimension == Dimension::Requests;
    let (remaining, reset) = match tariff {
        Tariff::Anthropic => {
            let rounded = if requests { remaining } else { (remaining + 500) / 1_000 * 1_000 };
            (rounded, until_whole_second(now, reset))
        }
        Tariff::Azure => (remaining, up_to(reset, SECOND)),
        Tariff::OpenAi
        | Tariff::Gemini
        | Tariff::Bedrock { .. }
        | Tariff::AsUsed
        | Tariff::Uncached => (remaining, up_to(reset, MILLI)),
    };
    let told = match dialect {
        Dialect::OpenAi if requests => refill_window(limit, remaining, reset),
        Dialect::OpenAi | Dialect::Azure | Dialect::Anthropic => Some(MINUTE),
        Dialect::Groq
        | Dialect::Mistral
        | Dialect::Xai
        | Dialect::Fireworks
        | Dialect::Together => Some(window),
        Dialect::Gemini
        | Dialect::Cohere
        | Dialect::DeepSeek
        | Dialect::OpenRouter
        | Dialect::Perplexity
        | Dialect::Cerebras
        | Dialect::Nvidia
        | Dialect::HuggingFace
        | Dialect::Ollama
        | Dialect::Vllm
        | Dialect::Generic => None,
    };
    Sample {
        dimension,
        limit: Some(limit),
        remaining: Some(remaining),
        reset_in: Some(reset),
        window: told,
    }
}

/// A wall time in whole seconds, rounded up, read again as a delay.
fn until_whole_second(now: Now, reset: Duration) -> Duration {
    let whole = now.wall_at(now.at + reset);
    let seconds = whole.as_second() + i64::from(whole.subsec_nanosecond() > 0);
    let written = Timestamp::from_second(seconds).unwrap_or(whole);
    now.moment_of(written).since(now.at)
}

/// The window that the proxy makes out of limit, rest and reset where nothing names it.
fn refill_window(limit: u64, remaining: u64, reset: Duration) -> Option<Duration> {
    let used = limit.checked_sub(remaining).filter(|used| *used > 0)?;
    let whole = reset.as_nanos() * u128::from(limit) / u128::from(used);
    if whole < MINUTE.as_nanos() {
        return Some(MINUTE);
    }
    let near = |window: &Duration| {
        let window = window.as_nanos();
        whole * 10 >= window * 8 && whole * 4 <= window * 5
    };
    [MINUTE, DAY].into_iter().find(near)
}

/// What headers tell that lie: stale, swapped between dimensions, absurd, or not there at all.
pub(super) fn nonsense(samples: &Samples, before: &Samples, random: &mut Rng) -> Samples {
    let mut told = samples.clone();
    match random.u32(0..5) {
        0 => told.clear(),
        1 => told.clone_from(before),
        2 => {
            for sample in &mut told {
                sample.dimension = match sample.dimension {
                    Dimension::Requests => Dimension::Tokens,
                    Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => {
                        Dimension::Requests
                    }
                };
            }
        }
        3 => {
            for sample in &mut told {
                sample.remaining = Some(u64::MAX);
                sample.reset_in = Some(Duration::ZERO);
            }
        }
        _ => {
            for sample in &mut told {
                sample.remaining = Some(0);
                // As far ahead as a reader believes (a month).
                sample.reset_in = Some(DAY * 31);
            }
        }
    }
    told
}

#[cfg(test)]
mod tests;
