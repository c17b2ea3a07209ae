//! Anthropic's limits (rate-limits page): buckets of requests, input tokens and output tokens per
//! minute that refill continuously. Cache reads are free; output counts as it is produced, and
//! `max_tokens` plays no part. A limit of 60 requests a minute "may be enforced as 1 request per second".

use super::{Ask, Limits, MINUTE, Reading, Readings, Refusal, longest};
use crate::clock::Moment;
use crate::formats::Dimension;
use crate::simulator::bucket::Bucket;

#[derive(Clone, Debug)]
pub(super) struct AnthropicMeter {
    buckets: [(Dimension, Option<Bucket>); 3],
}

impl AnthropicMeter {
    pub(super) fn new(limits: &Limits, now: Moment) -> Self {
        let buckets = limits_of(limits).map(|(dimension, limit)| {
            let requests = dimension == Dimension::Requests;
            let depth = limits.quantum.filter(|_| requests).unwrap_or(MINUTE);
            (dimension, limit.map(|limit| Bucket::new(limit, MINUTE, depth, now)))
        });
        Self { buckets }
    }

    pub(super) fn admit(&mut self, ask: Ask, now: Moment) -> Result<(), Refusal> {
        let mut refusal = None;
        for (dimension, bucket) in self.in_force() {
            let requested = needed(dimension, ask);
            let retry_after = bucket.wait_for(requested, now);
            if !retry_after.is_zero() {
                let limit = bucket.limit();
                let used = limit.saturating_sub(bucket.remaining(now));
                let window = MINUTE;
                let other = Refusal { dimension, window, limit, used, requested, retry_after };
                refusal = Some(longest(refusal, other));
            }
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        for (dimension, bucket) in self.in_force() {
            if dimension != Dimension::OutputTokens {
                bucket.spend(needed(dimension, ask), now);
            }
        }
        Ok(())
    }

    pub(super) fn produce(&mut self, output: u64, now: Moment) {
        for (dimension, bucket) in self.in_force() {
            if dimension == Dimension::OutputTokens {
                bucket.spend(output, now);
            }
        }
    }

    pub(super) fn readings(&mut self, now: Moment) -> Readings {
        self.in_force()
            .map(|(dimension, bucket)| Reading {
                dimension,
                limit: bucket.limit(),
                remaining: bucket.remaining(now),
                reset: bucket.wait_until_full(now),
            })
            .collect()
    }

    pub(super) fn resize(&mut self, limits: &Limits, now: Moment) {
        for ((_, bucket), (_, limit)) in self.buckets.iter_mut().zip(limits_of(limits)) {
            if let (Some(bucket), Some(limit)) = (bucket, limit) {
                bucket.resize(limit, now);
            }
        }
    }

    fn in_force(&mut self) -> impl Iterator<Item = (Dimension, &mut Bucket)> {
        self.buckets
            .iter_mut()
            .filter_map(|(dimension, bucket)| bucket.as_mut().map(|bucket| (*dimension, bucket)))
    }
}

fn limits_of(limits: &Limits) -> [(Dimension, Option<u64>); 3] {
    [
        (Dimension::Requests, limits.requests_per_minute),
        (Dimension::InputTokens, limits.input_tokens_per_minute),
        (Dimension::OutputTokens, limits.output_tokens_per_minute),
    ]
}

/// What must be there before the request begins; of output, anything at all.
fn needed(dimension: Dimension, ask: Ask) -> u64 {
    match dimension {
        Dimension::Requests | Dimension::OutputTokens => 1,
        Dimension::InputTokens | Dimension::Tokens => ask.input.saturating_sub(ask.cached),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn meter() -> AnthropicMeter {
        let limits = Limits {
            requests_per_minute: Some(60),
            input_tokens_per_minute: Some(60_000),
            output_tokens_per_minute: Some(6_000),
            ..Limits::NONE
        };
        AnthropicMeter::new(&limits, at(0))
    }

    fn left(meter: &mut AnthropicMeter, millis: u64) -> [u64; 3] {
        let readings = meter.readings(at(millis));
        [readings[0].remaining, readings[1].remaining, readings[2].remaining]
    }

    #[test]
    fn cache_reads_are_free_and_max_tokens_plays_no_part() {
        let mut meter = meter();
        let ask = Ask { input: 50_000, cached: 48_000, max_output: Some(64_000), choices: 1 };
        meter.admit(ask, at(0)).unwrap();
        assert_eq!(left(&mut meter, 0), [59, 58_000, 6_000]);
    }

    #[test]
    fn output_counts_as_it_is_produced_and_may_run_into_debt() {
        let mut meter = meter();
        meter.admit(Ask { input: 10, ..Ask::default() }, at(0)).unwrap();
        meter.produce(6_500, at(0));
        let refusal = meter.admit(Ask { input: 10, ..Ask::default() }, at(0)).unwrap_err();
        assert_eq!(refusal.dimension, Dimension::OutputTokens);
        assert_eq!(refusal.retry_after, Duration::from_millis(5_010), "501 tokens at 100 a second");
        meter.admit(Ask { input: 10, ..Ask::default() }, at(5_010)).unwrap();
    }

    #[test]
    fn sixty_a_minute_may_be_enforced_as_one_a_second() {
        let quantum = Some(Duration::from_secs(1));
        let limits = Limits { requests_per_minute: Some(60), quantum, ..Limits::NONE };
        let mut meter = AnthropicMeter::new(&limits, at(0));
        meter.admit(Ask::default(), at(0)).unwrap();
        let refusal = meter.admit(Ask::default(), at(250)).unwrap_err();
        assert_eq!(refusal.retry_after, Duration::from_millis(750));
    }

    #[test]
    fn a_refused_request_takes_nothing() {
        let mut meter = meter();
        assert!(meter.admit(Ask { input: 60_001, ..Ask::default() }, at(0)).is_err());
        assert_eq!(left(&mut meter, 0), [60, 60_000, 6_000]);
    }

    #[test]
    fn a_bucket_is_full_again_when_its_reset_says() {
        let mut meter = meter();
        meter.admit(Ask { input: 30_000, ..Ask::default() }, at(0)).unwrap();
        assert_eq!(meter.readings(at(0))[1].reset, Duration::from_secs(30));
        assert_eq!(left(&mut meter, 30_000), [60, 60_000, 6_000]);
    }
}
