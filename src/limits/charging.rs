//! How providers charge a request against their limits: one table.
//!
//! What is taken before a request is sent, what stands when it has ended, and in what windows it is
//! counted. Which row holds for a provider follows from its dialect, or from `charging:` in its
//! configuration.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::formats::models::Price;
use crate::formats::{Dialect, Dimension, Usage};

use super::rule::{Cost, Measure};
use super::window::{Period, Window};

/// A provider's way of charging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Charging {
    /// The larger of `max_tokens` and an estimate from the text, up front; nothing comes back
    /// (OpenAI's rate-limit guide). Cached input counts.
    OpenAi,
    /// The prompt and `max_tokens` for every answer asked for, up front, in a minute that is emptied
    /// at its end; requests are counted over 10 seconds (Azure OpenAI's quota page).
    Azure,
    /// Input that was not read from its cache, and output as it is produced; `max_tokens` plays no
    /// part (Anthropic's rate-limit page).
    Anthropic,
    /// Input alone; days end at midnight in California (Gemini's rate-limit page).
    Gemini,
    /// What was really used, without what was read from its cache (Groq's rate-limit page).
    Groq,
    /// The prompt and `max_tokens` up front; in the end what was used, without what was read from
    /// its cache, and output of recent Claude models five times (Bedrock's quota pages).
    Bedrock,
    /// The prompt and `max_tokens` up front; in the end what was used (Cerebras's rate-limit page).
    Cerebras,
    /// What was really used: who says nothing else.
    #[default]
    Metered,
}

/// What is known of a request before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Input tokens, estimated, cached ones included.
    pub input: u64,
    /// Those of them that the provider is expected to read from its cache.
    pub cached: u64,
    /// Output tokens that an answer has on average.
    pub output: u64,
    /// Output tokens that 95 of 100 answers do not exceed.
    pub output_high: u64,
    /// The most output tokens that the request allows for one answer.
    pub max_output: Option<u64>,
    /// Answers asked for; zero counts as one.
    pub choices: u32,
}

/// One row of the table.
struct Row {
    charging: Charging,
    /// The word for it in configuration.
    word: &'static str,
    /// The providers that charge so.
    dialects: &'static [Dialect],
    up_front: UpFront,
    in_the_end: InTheEnd,
    cached: Cached,
    /// Requests in a minute.
    requests: Shape,
    /// Tokens in a minute.
    tokens: Shape,
    /// Anything in a day.
    day: Shape,
}

/// Tokens that are taken when a request is admitted.
#[derive(Clone, Copy)]
enum UpFront {
    /// The larger of input and `max_tokens`.
    Larger,
    /// Input and `max_tokens`.
    Sum,
    /// Input.
    Input,
    /// Input, and what an answer has on average: the provider counts output as it comes.
    Expected,
}

/// Tokens that stand when it has ended.
#[derive(Clone, Copy)]
enum InTheEnd {
    /// What was taken, its estimate of the input put right.
    AsTaken,
    /// Input.
    Input,
    /// Input and output.
    Used,
    /// Input, and output as often as the model says.
    Burned,
}

/// Whether input that was read from the provider's cache counts.
#[derive(Clone, Copy, PartialEq)]
enum Cached {
    Counts,
    /// At no time.
    Free,
    /// When it is admitted, and is given back in the end.
    Returned,
}

/// In what kind of window an amount is counted.
#[derive(Clone, Copy)]
enum Shape {
    Refill,
    Fixed,
    Rolling,
    /// Over so many seconds.
    Sliced(u64),
    /// Until midnight in California.
    Pacific,
}

#[rustfmt::skip]
const TABLE: [Row; 8] = [
    Row { charging: Charging::OpenAi, word: "openai", dialects: &[Dialect::OpenAi],
        up_front: UpFront::Larger, in_the_end: InTheEnd::AsTaken, cached: Cached::Counts,
        requests: Shape::Refill, tokens: Shape::Refill, day: Shape::Refill },
    Row { charging: Charging::Azure, word: "azure", dialects: &[Dialect::Azure],
        up_front: UpFront::Sum, in_the_end: InTheEnd::AsTaken, cached: Cached::Counts,
        requests: Shape::Sliced(10), tokens: Shape::Fixed, day: Shape::Refill },
    Row { charging: Charging::Anthropic, word: "anthropic", dialects: &[Dialect::Anthropic],
        up_front: UpFront::Expected, in_the_end: InTheEnd::Used, cached: Cached::Free,
        requests: Shape::Refill, tokens: Shape::Refill, day: Shape::Refill },
    Row { charging: Charging::Gemini, word: "gemini", dialects: &[Dialect::Gemini],
        up_front: UpFront::Input, in_the_end: InTheEnd::Input, cached: Cached::Counts,
        requests: Shape::Rolling, tokens: Shape::Rolling, day: Shape::Pacific },
    Row { charging: Charging::Groq, word: "groq", dialects: &[Dialect::Groq],
        up_front: UpFront::Expected, in_the_end: InTheEnd::Used, cached: Cached::Free,
        requests: Shape::Refill, tokens: Shape::Refill, day: Shape::Refill },
    Row { charging: Charging::Bedrock, word: "bedrock", dialects: &[],
        up_front: UpFront::Sum, in_the_end: InTheEnd::Burned, cached: Cached::Returned,
        requests: Shape::Refill, tokens: Shape::Refill, day: Shape::Refill },
    Row { charging: Charging::Cerebras, word: "cerebras", dialects: &[Dialect::Cerebras],
        up_front: UpFront::Sum, in_the_end: InTheEnd::Used, cached: Cached::Counts,
        requests: Shape::Refill, tokens: Shape::Refill, day: Shape::Refill },
    Row { charging: Charging::Metered, word: "metered", dialects: &[],
        up_front: UpFront::Expected, in_the_end: InTheEnd::Used, cached: Cached::Counts,
        requests: Shape::Refill, tokens: Shape::Refill, day: Shape::Refill },
];

/// Models whose cached input counts all the same (Anthropic's rate-limit page: all but the newer
/// ones), by the beginning of their names.
const CACHE_COUNTS: [&str; 2] = ["claude-3-5-haiku", "claude-3-haiku"];

/// Claude models of Bedrock whose output counts once. That of all later ones counts five times
/// (Bedrock's page on token burndown rates: Claude 3.7 and newer).
const BURNED_ONCE: [&str; 5] =
    ["claude-v2", "claude-instant", "claude-3-haiku", "claude-3-sonnet", "claude-3-opus"];
const BURNED_ONCE_TOO: &str = "claude-3-5-";
const BURNDOWN: u64 = 5;

/// Where Gemini's days end.
const PACIFIC: &str = "America/Los_Angeles";
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// More tokens are absurd; so small that sums of several stay exact.
const MOST: u64 = 1 << 50;

impl Charging {
    /// Every way.
    pub const ALL: [Self; 8] = [
        Self::OpenAi,
        Self::Azure,
        Self::Anthropic,
        Self::Gemini,
        Self::Groq,
        Self::Bedrock,
        Self::Cerebras,
        Self::Metered,
    ];

    /// How providers of that dialect charge.
    pub fn of(dialect: Dialect) -> Self {
        let row = TABLE.iter().find(|row| row.dialects.contains(&dialect));
        row.map_or(Self::Metered, |row| row.charging)
    }

    /// The way of that name in configuration (`charging: openai`).
    pub fn named(word: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.word == word).map(|row| row.charging)
    }

    /// The word for it in configuration.
    pub fn as_str(self) -> &'static str {
        self.row().map_or("metered", |row| row.word)
    }

    /// What is taken before the request is sent. `model` is what the provider calls it. No money:
    /// that is only ever a caller's limit.
    pub fn reserve(self, model: &str, demand: &Demand) -> Cost {
        let Some(row) = self.row() else { return Cost::REQUEST };
        let read = if row.is_free(model) { demand.cached.min(demand.input) } else { 0 };
        let input = (demand.input - read).min(MOST);
        let expected = demand.expected();
        let tokens = match row.up_front {
            UpFront::Larger => input.max(demand.allowed().unwrap_or(0)),
            UpFront::Sum => input.saturating_add(demand.allowed().unwrap_or_else(|| demand.high())),
            UpFront::Input => input,
            UpFront::Expected => input.saturating_add(expected),
        };
        Cost { requests: 1, tokens, input, output: expected, money: 0 }
    }

    /// What stands against its limits when it has ended with that usage.
    pub fn settle(self, model: &str, reserved: &Cost, usage: &Usage) -> Cost {
        let Some(row) = self.row() else { return Cost::used(usage) };
        let free = row.is_free(model) || row.cached == Cached::Returned;
        let read = if free { usage.cached_input.min(usage.input) } else { 0 };
        let input = (usage.input - read).min(MOST);
        let output = usage.output.min(MOST);
        let tokens = match row.in_the_end {
            InTheEnd::AsTaken => match row.up_front {
                UpFront::Larger if reserved.tokens <= reserved.input => input,
                UpFront::Larger => reserved.tokens.max(input),
                _ => reserved.tokens.saturating_sub(reserved.input).saturating_add(input),
            },
            InTheEnd::Input => input,
            InTheEnd::Used => input.saturating_add(output),
            InTheEnd::Burned => input.saturating_add(output.saturating_mul(burndown(model))),
        };
        Cost { requests: 1, tokens, input, output, money: 0 }
    }

    /// What a request costs at least of which so many output tokens have been seen so far, whatever
    /// was taken for it.
    pub fn flowed(self, model: &str, reserved: &Cost, output: u64) -> Cost {
        let seen = Usage { input: reserved.input, output, ..Usage::default() };
        let so_far = self.settle(model, reserved, &seen);
        Cost { requests: reserved.requests, ..so_far }
    }

    /// The kind of window in which an amount of that measure and length is counted.
    pub fn window(self, measure: Measure, length: Duration) -> Window {
        let Some(row) = self.row() else { return length.into() };
        let shape = match (measure, length) {
            (Measure::Of(_) | Measure::Cost, DAY) => row.day,
            (Measure::Of(Dimension::Requests), MINUTE) => row.requests,
            (Measure::Of(_), MINUTE) => row.tokens,
            _ => Shape::Refill,
        };
        match shape {
            Shape::Refill => Window::Refill(length),
            Shape::Fixed => Window::Fixed(length),
            Shape::Rolling => Window::Rolling(length),
            Shape::Sliced(slice) => {
                Window::Sliced { window: length, slice: Duration::from_secs(slice) }
            }
            Shape::Pacific => TimeZone::get(PACIFIC)
                .map_or(Window::Fixed(length), |zone| Window::Calendar(Period::Day, zone)),
        }
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.charging == self)
    }
}

impl Row {
    fn is_free(&self, model: &str) -> bool {
        self.cached == Cached::Free && !CACHE_COUNTS.iter().any(|name| model.starts_with(name))
    }
}

fn burndown(model: &str) -> u64 {
    let once = BURNED_ONCE.iter().any(|name| model.contains(name));
    let claude = model.contains("anthropic.claude");
    if claude && !once && !model.contains(BURNED_ONCE_TOO) { BURNDOWN } else { 1 }
}

impl Demand {
    /// What a caller's limits reserve, whatever the provider's own rule: the input, and as much
    /// output as is allowed or, where nothing is said, as 95 of 100 answers have.
    pub fn of_caller(&self, price: Option<&Price>) -> Cost {
        let output = self.allowed().unwrap_or_else(|| self.high());
        let usage = Usage { input: self.input.min(MOST), output, ..Usage::default() };
        charged_to_caller(&usage, price)
    }

    /// The output that is allowed, of all answers together.
    fn allowed(&self) -> Option<u64> {
        self.max_output.map(|most| self.times(most))
    }

    fn expected(&self) -> u64 {
        self.times(self.max_output.map_or(self.output, |most| most.min(self.output)))
    }

    fn high(&self) -> u64 {
        self.times(self.output_high)
    }

    fn times(&self, output: u64) -> u64 {
        output.saturating_mul(u64::from(self.choices.max(1))).min(MOST)
    }
}

/// What an answered request costs a caller: tokens as they were used, and money where the price is
/// known, rounded up to a millionth of a dollar.
pub fn charged_to_caller(usage: &Usage, price: Option<&Price>) -> Cost {
    Cost { money: price.map_or(0, |price| micro_dollars(price.of(usage))), ..Cost::used(usage) }
}

/// Dollars as whole millionths; nothing for what is no price.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what fits, and NaN becomes zero"
)]
fn micro_dollars(dollars: f64) -> u64 {
    const MOST: f64 = 1e15;
    // A sum of products is off by a little: a hundred dollars are not a millionth more.
    (dollars * 1e6 - 1e-6).ceil().clamp(0.0, MOST) as u64
}

#[cfg(test)]
mod tests;
