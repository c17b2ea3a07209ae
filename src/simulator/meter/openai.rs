//! OpenAI's limits (rate-limit guide): buckets of requests and tokens per minute and per day that
//! refill continuously; tokens are charged up front, the larger of `max_tokens` and the estimate of
//! the request, and never given back.

use std::time::Duration;

use smallvec::SmallVec;

use super::{Ask, DAY, Limits, MINUTE, Reading, Readings, Refusal, Rejections, longest};
use crate::clock::Moment;
use crate::formats::Dimension;
use crate::simulator::bucket::Bucket;

#[derive(Clone, Debug)]
pub(super) struct OpenAiMeter {
    rules: SmallVec<[Rule; 4]>,
    rejections: Rejections,
}

#[derive(Clone, Debug)]
struct Rule {
    dimension: Dimension,
    window: Duration,
    bucket: Bucket,
}

impl OpenAiMeter {
    pub(super) fn new(limits: &Limits, now: Moment) -> Self {
        let depth = limits.quantum.unwrap_or(MINUTE);
        let rules = rules_of(limits)
            .into_iter()
            .filter_map(|(dimension, window, limit)| {
                let depth = if window == DAY { DAY } else { depth };
                Some(Rule { dimension, window, bucket: Bucket::new(limit?, window, depth, now) })
            })
            .collect();
        Self { rules, rejections: limits.rejections }
    }

    pub(super) fn admit(&mut self, ask: Ask, now: Moment) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal(ask, now) {
            if self.rejections == Rejections::Free {
                return Err(refusal);
            }
            // What the rejection costs is part of the wait, or the hint would not be honest.
            self.reject(now);
            return Err(self.refusal(ask, now).unwrap_or(refusal));
        }
        for rule in &mut self.rules {
            rule.bucket.spend(charge(rule.dimension, ask), now);
        }
        Ok(())
    }

    /// One reading for requests and one for tokens: the one of fewest left, where there are two.
    pub(super) fn readings(&mut self, now: Moment) -> Readings {
        let mut readings = Readings::new();
        for rule in &mut self.rules {
            let reading = rule.reading(now);
            match readings.iter_mut().find(|other| other.dimension == reading.dimension) {
                Some(other) if other.remaining > reading.remaining => *other = reading,
                Some(_) => {}
                None => readings.push(reading),
            }
        }
        readings
    }

    pub(super) fn resize(&mut self, limits: &Limits, now: Moment) {
        for (dimension, window, limit) in rules_of(limits) {
            let rule = self
                .rules
                .iter_mut()
                .find(|rule| rule.dimension == dimension && rule.window == window);
            if let (Some(rule), Some(limit)) = (rule, limit) {
                rule.bucket.resize(limit, now);
            }
        }
    }

    fn refusal(&mut self, ask: Ask, now: Moment) -> Option<Refusal> {
        let mut refusal = None;
        for rule in &mut self.rules {
            if let Err(other) = rule.check(ask, now) {
                refusal = Some(longest(refusal, other));
            }
        }
        refusal
    }

    fn reject(&mut self, now: Moment) {
        for rule in &mut self.rules {
            if rule.dimension == Dimension::Requests {
                rule.bucket.forfeit(1, now);
            }
        }
    }
}

impl Rule {
    fn check(&mut self, ask: Ask, now: Moment) -> Result<(), Refusal> {
        let requested = charge(self.dimension, ask);
        let retry_after = self.bucket.wait_for(requested, now);
        if retry_after.is_zero() {
            return Ok(());
        }
        // What the message calls "Limit" and "Used" is that of the bucket in force.
        let limit = self.bucket.limit().min(self.bucket.size());
        let used = limit.saturating_sub(self.bucket.remaining(now));
        let (dimension, window) = (self.dimension, self.window);
        Err(Refusal { dimension, window, limit, used, requested, retry_after })
    }

    fn reading(&mut self, now: Moment) -> Reading {
        Reading {
            dimension: self.dimension,
            limit: self.bucket.limit(),
            remaining: self.bucket.remaining(now),
            reset: self.bucket.wait_until_full(now),
        }
    }
}

fn rules_of(limits: &Limits) -> [(Dimension, Duration, Option<u64>); 4] {
    [
        (Dimension::Requests, MINUTE, limits.requests_per_minute),
        (Dimension::Tokens, MINUTE, limits.tokens_per_minute),
        (Dimension::Requests, DAY, limits.requests_per_day),
        (Dimension::Tokens, DAY, limits.tokens_per_day),
    ]
}

fn charge(dimension: Dimension, ask: Ask) -> u64 {
    match dimension {
        Dimension::Requests => 1,
        Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => {
            ask.input.max(ask.max_output.unwrap_or(0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn tokens(input: u64, max_output: u64) -> Ask {
        Ask { input, max_output: Some(max_output), ..Ask::default() }
    }

    fn limits(requests: u64, tokens: u64) -> Limits {
        Limits {
            requests_per_minute: Some(requests),
            tokens_per_minute: Some(tokens),
            ..Limits::NONE
        }
    }

    #[test]
    fn tokens_are_charged_up_front_as_the_larger_of_estimate_and_max_tokens() {
        let mut meter = OpenAiMeter::new(&limits(60, 6_000), at(0));
        meter.admit(tokens(100, 1_000), at(0)).unwrap();
        meter.admit(tokens(500, 16), at(0)).unwrap();
        let readings = meter.readings(at(0));
        assert_eq!(readings[0].remaining, 58);
        assert_eq!(readings[1].remaining, 4_500);
        assert_eq!(readings[1].reset, Duration::from_secs(15), "1,500 at 100 a second");
    }

    #[test]
    fn a_refusal_says_when_the_longest_of_its_limits_lets_it_through() {
        let mut meter = OpenAiMeter::new(&limits(60, 6_000), at(0));
        for _ in 0..6 {
            meter.admit(tokens(1_000, 0), at(0)).unwrap();
        }
        let refusal = meter.admit(tokens(2_000, 0), at(5_000)).unwrap_err();
        assert_eq!(refusal.dimension, Dimension::Tokens);
        assert_eq!((refusal.limit, refusal.used, refusal.requested), (6_000, 5_500, 2_000));
        assert_eq!(refusal.retry_after, Duration::from_secs(15));
        assert!(!refusal.oversized());
        assert_eq!(meter.readings(at(5_000))[0].remaining, 59, "nothing was charged");
        meter.admit(tokens(2_000, 0), at(20_000)).unwrap();
    }

    #[test]
    fn a_request_larger_than_the_bucket_is_told_so() {
        let mut meter = OpenAiMeter::new(&limits(60, 6_000), at(0));
        let refusal = meter.admit(tokens(7_000, 0), at(0)).unwrap_err();
        assert!(refusal.oversized());
        assert_eq!(refusal.retry_after, Duration::MAX);
    }

    #[test]
    fn quantised_limits_allow_a_sixtieth_at_once() {
        let quantised = Limits { quantum: Some(Duration::from_secs(1)), ..limits(600, 60_000) };
        let mut meter = OpenAiMeter::new(&quantised, at(0));
        for _ in 0..10 {
            meter.admit(tokens(1, 0), at(0)).unwrap();
        }
        let refusal = meter.admit(tokens(1, 0), at(0)).unwrap_err();
        assert_eq!(refusal.dimension, Dimension::Requests);
        assert_eq!(refusal.retry_after, Duration::from_millis(100));
        assert_eq!(meter.readings(at(0))[0].limit, 600, "headers tell the minute's limit");
    }

    #[test]
    fn rejections_that_count_keep_an_empty_bucket_empty() {
        let counting = Limits { rejections: Rejections::Count, ..limits(60, 1_000_000) };
        let mut meter = OpenAiMeter::new(&counting, at(0));
        for _ in 0..60 {
            meter.admit(tokens(1, 0), at(0)).unwrap();
        }
        assert!(meter.admit(tokens(1, 0), at(900)).is_err());
        let refusal = meter.admit(tokens(1, 0), at(1_000)).unwrap_err();
        assert_eq!(
            refusal.retry_after,
            Duration::from_secs(1),
            "the rejection took what was there"
        );
        meter.admit(tokens(1, 0), at(2_000)).unwrap();
    }

    #[test]
    fn a_days_bucket_is_told_of_when_it_is_the_emptier() {
        let daily = Limits { requests_per_day: Some(100), ..limits(60, 1_000) };
        let mut meter = OpenAiMeter::new(&daily, at(0));
        for second in 0..80 {
            meter.admit(tokens(1, 0), at(second * 1_000)).unwrap();
        }
        let reading = meter.readings(at(80_000))[0];
        assert_eq!((reading.limit, reading.remaining), (100, 20));
    }
}
