//! What is told of a limit to those who watch.

use std::time::Duration;

use crate::formats::Dimension;

use super::rule::Measure;

/// The state of one limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// What is counted.
    pub measure: Measure,
    /// In what time; zero for concurrency.
    pub window: Duration,
    /// What is left, of 1; negative in debt.
    pub level: f64,
    /// What is written.
    pub configured: Option<u64>,
    /// What the provider told; of concurrency, what it has shown to carry.
    pub learned: Option<u64>,
    /// How long until nothing is left if it goes on being used as it is, by everybody; `None` if that
    /// is not to be expected.
    pub exhausted_in: Option<Duration>,
    /// Sidecars that it is taken to be shared by, this one included.
    pub replicas: u32,
}

impl Level {
    /// What is taken, of 1; more in debt.
    pub fn used(&self) -> f64 {
        1.0 - self.level
    }

    /// The word for this limit in metrics and messages, as in the configuration.
    pub fn name(&self) -> &'static str {
        limit_name(self.measure, self.window)
    }
}

/// The configuration's word for a limit: `tokensPerMinute`. Windows that it cannot name, learned
/// from headers, are called by the next longer one that it can.
pub fn limit_name(measure: Measure, window: Duration) -> &'static str {
    const REQUESTS: [&str; 5] = [
        "requestsPerSecond",
        "requestsPerMinute",
        "requestsPerHour",
        "requestsPerDay",
        "requestsPerMonth",
    ];
    const TOKENS: [&str; 5] =
        ["tokensPerSecond", "tokensPerMinute", "tokensPerHour", "tokensPerDay", "tokensPerMonth"];
    const INPUT: [&str; 5] = [
        "inputTokensPerSecond",
        "inputTokensPerMinute",
        "inputTokensPerHour",
        "inputTokensPerDay",
        "inputTokensPerMonth",
    ];
    const OUTPUT: [&str; 5] = [
        "outputTokensPerSecond",
        "outputTokensPerMinute",
        "outputTokensPerHour",
        "outputTokensPerDay",
        "outputTokensPerMonth",
    ];
    const COST: [&str; 5] =
        ["costPerSecond", "costPerMinute", "costPerHour", "costPerDay", "costPerMonth"];
    let [second, minute, hour, day, month] = match measure {
        Measure::Concurrency => return "concurrency",
        Measure::Cost => COST,
        Measure::Of(Dimension::Requests) => REQUESTS,
        Measure::Of(Dimension::Tokens) => TOKENS,
        Measure::Of(Dimension::InputTokens) => INPUT,
        Measure::Of(Dimension::OutputTokens) => OUTPUT,
    };
    match window.as_secs() {
        0..=1 => second,
        2..=60 => minute,
        61..=3_600 => hour,
        3_601..=86_400 => day,
        _ => month,
    }
}
