//! What a provider lets through, as it would: pure functions of the time they are handed.
//!
//! A [`Meter`] stands for one model of one account (the provider-side quota group). It is asked with
//! [`Meter::admit`], told of output with [`Meter::produce`], and read with [`Meter::readings`], which
//! is all that its rate-limit headers may tell. Nothing here allocates.

mod anthropic;
mod azure;
mod gemini;
mod openai;

use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::Now;
use crate::formats::Dimension;

use anthropic::AnthropicMeter;
use azure::AzureMeter;
use gemini::GeminiMeter;
use openai::OpenAiMeter;

/// The window that most limits are counted in.
pub const MINUTE: Duration = Duration::from_mins(1);
/// The longer window.
pub const DAY: Duration = Duration::from_hours(24);

/// Whose habits a simulated account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Habit {
    /// OpenAI.
    OpenAi,
    /// Azure OpenAI.
    Azure,
    /// Anthropic.
    Anthropic,
    /// Google Gemini.
    Gemini,
}

impl Habit {
    /// The word for it in names, paths and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

/// What an account is granted for one model. What is `None` is not limited; what a provider does not
/// have is ignored there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests per minute: every provider.
    pub requests_per_minute: Option<u64>,
    /// Requests per day: OpenAI (a bucket), Gemini (until midnight Pacific).
    pub requests_per_day: Option<u64>,
    /// Tokens per minute: OpenAI and Azure as they charge them, Gemini's input.
    pub tokens_per_minute: Option<u64>,
    /// Tokens per day: OpenAI.
    pub tokens_per_day: Option<u64>,
    /// Input tokens per minute without cache reads: Anthropic.
    pub input_tokens_per_minute: Option<u64>,
    /// Output tokens per minute: Anthropic.
    pub output_tokens_per_minute: Option<u64>,
    /// OpenAI: how much of a minute the buckets hold (one second where limits are quantised), a minute
    /// by default. Anthropic: the same for requests. Azure: the window requests are counted in (1 s or 10 s), 10 s by default.
    pub quantum: Option<Duration>,
    /// What a refused request costs.
    pub rejections: Rejections,
}

/// What a refused request costs its account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rejections {
    /// Nothing.
    #[default]
    Free,
    /// As much of the request limit as a served one (OpenAI's rate-limit guide: "unsuccessful
    /// requests contribute to your per-minute limit"; Azure's quota page says the same).
    Count,
}

/// What a request asks of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Those of them that the provider reads from its cache.
    pub cached: u64,
    /// The bound on output that the request declares.
    pub max_output: Option<u64>,
    /// Answers asked for (`n`, `candidateCount`); 0 counts as 1.
    pub choices: u32,
}

/// Why a request was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that binds longest.
    pub dimension: Dimension,
    /// Its window.
    pub window: Duration,
    /// Its size in that window.
    pub limit: u64,
    /// What is used of it.
    pub used: u64,
    /// What this request would take of it.
    pub requested: u64,
    /// When all limits would let it through if nobody else came; the longest duration if never.
    pub retry_after: Duration,
}

impl Refusal {
    /// Whether the request alone is larger than the whole limit.
    pub const fn oversized(&self) -> bool {
        self.requested > self.limit
    }
}

/// What one limit's headers may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What is counted.
    pub dimension: Dimension,
    /// The limit's size.
    pub limit: u64,
    /// What is left.
    pub remaining: u64,
    /// How long until all of it is there again.
    pub reset: Duration,
}

/// The readings of one meter.
pub type Readings = SmallVec<[Reading; 4]>;

/// The limits of one model of one account, with what is used of them.
#[derive(Clone, Debug)]
pub struct Meter(Kind);

#[derive(Clone, Debug)]
enum Kind {
    OpenAi(OpenAiMeter),
    Azure(AzureMeter),
    Anthropic(AnthropicMeter),
    Gemini(GeminiMeter),
}

impl Meter {
    /// Untouched limits.
    pub fn new(habit: Habit, limits: &Limits, now: Now) -> Self {
        Self(match habit {
            Habit::OpenAi => Kind::OpenAi(OpenAiMeter::new(limits, now.at)),
            Habit::Azure => Kind::Azure(AzureMeter::new(limits)),
            Habit::Anthropic => Kind::Anthropic(AnthropicMeter::new(limits, now.at)),
            Habit::Gemini => Kind::Gemini(GeminiMeter::new(limits)),
        })
    }

    /// Lets a request through, charged by the provider's own rule, or says why not. All of the limits
    /// are charged or, but for a counted rejection, none.
    pub fn admit(&mut self, ask: Ask, now: Now) -> Result<(), Refusal> {
        match &mut self.0 {
            Kind::OpenAi(meter) => meter.admit(ask, now.at),
            Kind::Azure(meter) => meter.admit(ask, now.at),
            Kind::Anthropic(meter) => meter.admit(ask, now.at),
            Kind::Gemini(meter) => meter.admit(ask, now),
        }
    }

    /// Counts output as it is produced, where the provider does (Anthropic).
    pub fn produce(&mut self, output: u64, now: Now) {
        match &mut self.0 {
            Kind::Anthropic(meter) => meter.produce(output, now.at),
            Kind::OpenAi(_) | Kind::Azure(_) | Kind::Gemini(_) => {}
        }
    }

    /// What its headers may tell now; nothing where the provider has none (Gemini).
    pub fn readings(&mut self, now: Now) -> Readings {
        match &mut self.0 {
            Kind::OpenAi(meter) => meter.readings(now.at),
            Kind::Azure(meter) => meter.readings(now.at),
            Kind::Anthropic(meter) => meter.readings(now.at),
            Kind::Gemini(_) => Readings::new(),
        }
    }

    /// Puts other limits in the place of its own (a tier change, a limit halved); what is used stays
    /// used. Which limits there are does not change.
    pub fn resize(&mut self, limits: &Limits, now: Now) {
        match &mut self.0 {
            Kind::OpenAi(meter) => meter.resize(limits, now.at),
            Kind::Azure(meter) => meter.resize(limits),
            Kind::Anthropic(meter) => meter.resize(limits, now.at),
            Kind::Gemini(meter) => meter.resize(limits),
        }
    }
}

impl Limits {
    /// No limits at all.
    pub const NONE: Self = Self {
        requests_per_minute: None,
        requests_per_day: None,
        tokens_per_minute: None,
        tokens_per_day: None,
        input_tokens_per_minute: None,
        output_tokens_per_minute: None,
        quantum: None,
        rejections: Rejections::Free,
    };

    /// The same limits times `permille` thousandths, each at least 1.
    #[must_use]
    pub fn scaled(&self, permille: u64) -> Self {
        let scale =
            |limit: Option<u64>| limit.map(|limit| (limit.saturating_mul(permille) / 1_000).max(1));
        Self {
            requests_per_minute: scale(self.requests_per_minute),
            requests_per_day: scale(self.requests_per_day),
            tokens_per_minute: scale(self.tokens_per_minute),
            tokens_per_day: scale(self.tokens_per_day),
            input_tokens_per_minute: scale(self.input_tokens_per_minute),
            output_tokens_per_minute: scale(self.output_tokens_per_minute),
            quantum: self.quantum,
            rejections: self.rejections,
        }
    }
}

/// The refusal that binds longest, so that its `retry_after` is honest for all of them.
fn longest(first: Option<Refusal>, second: Refusal) -> Refusal {
    match first {
        Some(first) if first.retry_after >= second.retry_after => first,
        Some(_) | None => second,
    }
}
