//! Azure OpenAI's limits (quota page of the service): a counter of tokens that is emptied each
//! minute, charged prompt plus `max_tokens` times the answers asked for, and requests counted over
//! windows of 1 or 10 seconds; rejected requests count.

use std::time::Duration;

use super::{Ask, Limits, MINUTE, Reading, Readings, Refusal, longest};
use crate::clock::Moment;
use crate::formats::Dimension;
use crate::simulator::bucket::Counter;

/// The quota page names windows of 1 and 10 seconds.
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct AzureMeter {
    requests: Option<Counter>,
    tokens: Option<Counter>,
    per_minute: u64,
    window: Duration,
}

impl AzureMeter {
    pub(super) fn new(limits: &Limits) -> Self {
        let window = limits.quantum.unwrap_or(WINDOW);
        Self {
            requests: limits
                .requests_per_minute
                .map(|limit| Counter::new(in_window(limit, window), window)),
            tokens: limits.tokens_per_minute.map(|limit| Counter::new(limit, MINUTE)),
            per_minute: limits.requests_per_minute.unwrap_or(0),
            window,
        }
    }

    pub(super) fn admit(&mut self, ask: Ask, now: Moment) -> Result<(), Refusal> {
        let mut refusal = None;
        let charge = charge(ask);
        if let Some(requests) = &mut self.requests {
            refusal = check(requests, 1, (Dimension::Requests, self.window), now).err();
            requests.spend(1, now);
        }
        if let Some(tokens) = &mut self.tokens
            && let Err(other) = check(tokens, charge, (Dimension::Tokens, MINUTE), now)
        {
            refusal = Some(longest(refusal, other));
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if let Some(tokens) = &mut self.tokens {
            tokens.spend(charge, now);
        }
        Ok(())
    }

    pub(super) fn readings(&mut self, now: Moment) -> Readings {
        let mut readings = Readings::new();
        if let Some(requests) = &mut self.requests {
            readings.push(Reading {
                dimension: Dimension::Requests,
                limit: self.per_minute,
                remaining: requests.remaining(now),
                reset: requests.wait_until_full(now),
            });
        }
        if let Some(tokens) = &mut self.tokens {
            readings.push(Reading {
                dimension: Dimension::Tokens,
                limit: tokens.limit(),
                remaining: tokens.remaining(now),
                reset: tokens.wait_until_full(now),
            });
        }
        readings
    }

    pub(super) fn resize(&mut self, limits: &Limits) {
        if let (Some(requests), Some(limit)) = (&mut self.requests, limits.requests_per_minute) {
            requests.resize(in_window(limit, self.window));
            self.per_minute = limit;
        }
        if let (Some(tokens), Some(limit)) = (&mut self.tokens, limits.tokens_per_minute) {
            tokens.resize(limit);
        }
    }
}

fn check(
    counter: &mut Counter,
    requested: u64,
    (dimension, window): (Dimension, Duration),
    now: Moment,
) -> Result<(), Refusal> {
    let retry_after = counter.wait_for(requested, now);
    if retry_after.is_zero() {
        return Ok(());
    }
    let limit = counter.limit();
    let used = limit.saturating_sub(counter.remaining(now));
    Err(Refusal { dimension, window, limit, used, requested, retry_after })
}

fn charge(ask: Ask) -> u64 {
    let output = ask.max_output.unwrap_or(0).saturating_mul(u64::from(ask.choices.max(1)));
    ask.input.saturating_add(output)
}

fn in_window(per_minute: u64, window: Duration) -> u64 {
    (per_minute.saturating_mul(window.as_secs()) / 60).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn meter() -> AzureMeter {
        AzureMeter::new(&Limits {
            requests_per_minute: Some(60),
            tokens_per_minute: Some(10_000),
            ..Limits::NONE
        })
    }

    #[test]
    fn every_answer_asked_for_is_charged_with_max_tokens() {
        let mut meter = meter();
        let ask = Ask { input: 100, max_output: Some(1_000), choices: 3, cached: 0 };
        meter.admit(ask, at(0)).unwrap();
        assert_eq!(meter.readings(at(0))[1].remaining, 6_900);
        assert_eq!(meter.readings(at(60_000))[1].remaining, 10_000, "emptied each minute");
    }

    #[test]
    fn requests_are_counted_over_ten_seconds_and_rejected_ones_count() {
        let mut meter = meter();
        for _ in 0..10 {
            meter.admit(Ask::default(), at(0)).unwrap();
        }
        let refusal = meter.admit(Ask::default(), at(4_000)).unwrap_err();
        assert_eq!(refusal.retry_after, Duration::from_secs(6));
        assert_eq!((refusal.limit, refusal.used), (10, 10));
        meter.admit(Ask::default(), at(10_000)).unwrap();
    }
}
