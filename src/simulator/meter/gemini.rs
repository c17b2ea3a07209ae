//! Gemini's limits (rate-limits page): requests and input tokens per minute, and requests per day
//! until midnight in California, per project and model. Output and `maxOutputTokens` do not count.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

use super::{Ask, DAY, Limits, MINUTE, Refusal, longest};
use crate::clock::{Moment, Now};
use crate::formats::Dimension;
use crate::simulator::bucket::Counter;

/// Where Gemini's days end.
const PACIFIC: &str = "America/Los_Angeles";

#[derive(Clone, Debug)]
pub(super) struct GeminiMeter {
    requests: Option<Counter>,
    input: Option<Counter>,
    daily: Option<Counter>,
}

impl GeminiMeter {
    pub(super) fn new(limits: &Limits) -> Self {
        let counter = |limit: Option<u64>, window| limit.map(|limit| Counter::new(limit, window));
        Self {
            requests: counter(limits.requests_per_minute, MINUTE),
            input: counter(limits.tokens_per_minute, MINUTE),
            daily: counter(limits.requests_per_day, DAY),
        }
    }

    pub(super) fn admit(&mut self, ask: Ask, now: Now) -> Result<(), Refusal> {
        if let Some(daily) = &mut self.daily
            && daily.is_over(now.at)
        {
            daily.begin(next_midnight(now));
        }
        let mut refusal = None;
        for (counter, rule, requested) in self.rules(ask) {
            if let Err(other) = check(counter, requested, rule, now.at) {
                refusal = Some(longest(refusal, other));
            }
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        for (counter, _, requested) in self.rules(ask) {
            counter.spend(requested, now.at);
        }
        Ok(())
    }

    pub(super) fn resize(&mut self, limits: &Limits) {
        let resize = |counter: &mut Option<Counter>, limit: Option<u64>| {
            if let (Some(counter), Some(limit)) = (counter, limit) {
                counter.resize(limit);
            }
        };
        resize(&mut self.requests, limits.requests_per_minute);
        resize(&mut self.input, limits.tokens_per_minute);
        resize(&mut self.daily, limits.requests_per_day);
    }

    fn rules(&mut self, ask: Ask) -> impl Iterator<Item = (&mut Counter, Rule, u64)> {
        let rule = |counter, dimension, window, requested| {
            Option::map(counter, |counter| (counter, Rule { dimension, window }, requested))
        };
        [
            rule(self.requests.as_mut(), Dimension::Requests, MINUTE, 1),
            rule(self.input.as_mut(), Dimension::InputTokens, MINUTE, ask.input),
            rule(self.daily.as_mut(), Dimension::Requests, DAY, 1),
        ]
        .into_iter()
        .flatten()
    }
}

#[derive(Clone, Copy)]
struct Rule {
    dimension: Dimension,
    window: Duration,
}

fn check(counter: &mut Counter, requested: u64, rule: Rule, now: Moment) -> Result<(), Refusal> {
    let retry_after = counter.wait_for(requested, now);
    if retry_after.is_zero() {
        return Ok(());
    }
    let limit = counter.limit();
    let used = limit.saturating_sub(counter.remaining(now));
    let Rule { dimension, window } = rule;
    Err(Refusal { dimension, window, limit, used, requested, retry_after })
}

/// The moment at which the day ends in California. Looked up once a day.
fn next_midnight(now: Now) -> Moment {
    let zone = TimeZone::get(PACIFIC).unwrap_or(TimeZone::UTC);
    let midnight = now
        .wall
        .to_zoned(zone)
        .checked_add(1.day())
        .and_then(|tomorrow: Zoned| tomorrow.start_of_day());
    midnight.map_or(now.at + DAY, |midnight| now.moment_of(midnight.timestamp()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn now(wall: &str, seconds: u64) -> Now {
        let wall: Timestamp = wall.parse().unwrap();
        let seconds = Duration::from_secs(seconds);
        Now { at: Moment::ZERO + seconds, wall: wall.saturating_add(seconds).unwrap() }
    }

    fn asking(input: u64) -> Ask {
        Ask { input, ..Ask::default() }
    }

    #[test]
    fn a_day_ends_at_midnight_in_california() {
        let mut meter =
            GeminiMeter::new(&Limits { requests_per_day: Some(2), ..Limits::default() });
        // 22:00 in California, in summer time.
        let start = "2026-07-02T05:00:00Z";
        meter.admit(asking(1), now(start, 0)).unwrap();
        meter.admit(asking(1), now(start, 60)).unwrap();
        let refusal = meter.admit(asking(1), now(start, 3_600)).unwrap_err();
        assert_eq!(refusal.window, DAY);
        assert_eq!(refusal.retry_after, Duration::from_hours(1));
        meter.admit(asking(1), now(start, 7_200)).unwrap();
    }

    #[test]
    fn a_day_in_which_clocks_change_has_its_own_length() {
        // 00:30 in California on the day in which summer time ends: 24.5 hours are left.
        let midnight = next_midnight(now("2026-11-01T07:30:00Z", 0));
        assert_eq!(midnight.since(Moment::ZERO), Duration::from_mins(24 * 60 + 30));
    }

    #[test]
    fn input_counts_and_output_does_not() {
        let limits = Limits { tokens_per_minute: Some(1_000), ..Limits::default() };
        let mut meter = GeminiMeter::new(&limits);
        let start = "2026-07-02T05:00:00Z";
        let ask = Ask { input: 600, max_output: Some(8_000), ..Ask::default() };
        meter.admit(ask, now(start, 0)).unwrap();
        let refusal = meter.admit(ask, now(start, 20)).unwrap_err();
        assert_eq!(refusal.dimension, Dimension::InputTokens);
        assert_eq!(refusal.retry_after, Duration::from_secs(40));
    }
}
