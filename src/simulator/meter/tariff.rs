//! How each provider charges, as data.

use std::time::Duration;

use super::{Ask, DAY};
use crate::formats::Dimension;
use crate::limits::Charging;

/// How a provider charges a request against its limits, and in what shape it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tariff {
    /// OpenAI (rate-limit guide): buckets that refill continuously; tokens are charged up front, the
    /// larger of `max_tokens` and the estimate of the request, and never given back.
    OpenAi,
    /// Azure OpenAI (quota page): a counter of tokens that is emptied each minute, charged prompt plus
    /// `max_tokens` times the answers asked for; requests counted over 1 or 10 seconds; rejected
    /// requests count.
    Azure,
    /// Anthropic (rate-limits page): buckets that refill continuously. Cache reads are free, output
    /// counts as it is produced, and `max_tokens` plays no part.
    Anthropic,
    /// Gemini (rate-limits page): counters of requests and input per minute, and of requests until
    /// midnight in California. Output does not count.
    Gemini,
    /// AWS Bedrock (token burndown page): prompt and `max_tokens` are reserved when a request begins
    /// and settled at its end, cache reads given back, output times the burndown rate.
    Bedrock {
        /// What an output token counts; 5 on some of Claude.
        burndown: u64,
    },
    /// What is used: input when a request begins, output as it is produced. The rest of the world.
    AsUsed,
    /// The same, without input that was read from its cache (Groq's rate-limit page).
    Uncached,
}

/// Output that Bedrock reserves for a request that declares no bound ("unset = the model's maximum").
const MODEL_MAXIMUM: u64 = 8_192;

/// The shape in which a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A bucket that refills continuously and holds what refills in so long.
    Bucket(Duration),
    /// A counter that is emptied when its window ends.
    Counter(Duration),
    /// A counter that is emptied at midnight in California.
    PacificDay,
}

impl Tariff {
    /// How a provider charges this model, by the proxy's table of what providers do.
    pub fn of(charging: Charging, model: &str) -> Self {
        match charging {
            Charging::OpenAi => Self::OpenAi,
            Charging::Azure => Self::Azure,
            Charging::Anthropic => Self::Anthropic,
            Charging::Gemini => Self::Gemini,
            Charging::Bedrock => {
                Self::Bedrock { burndown: if model.contains("anthropic.claude") { 5 } else { 1 } }
            }
            Charging::Groq => Self::Uncached,
            Charging::Cerebras => Self::Bedrock { burndown: 1 },
            Charging::Metered => Self::AsUsed,
        }
    }

    /// What a request takes from a limit when it is let through.
    pub(in crate::simulator) const fn upfront(self, dimension: Dimension, ask: Ask) -> u64 {
        let most = match ask.max_output {
            Some(most) => most,
            None => 0,
        };
        let uncached = ask.input.saturating_sub(ask.cached);
        match (dimension, self) {
            (Dimension::Requests, _) => 1,
            (_, Self::OpenAi) => {
                if most > ask.input {
                    most
                } else {
                    ask.input
                }
            }
            (Dimension::Tokens, Self::Azure) => {
                let choices = if ask.choices == 0 { 1 } else { ask.choices };
                ask.input.saturating_add(most.saturating_mul(choices as u64))
            }
            (Dimension::Tokens, Self::Bedrock { .. }) => {
                let most = if ask.max_output.is_none() { MODEL_MAXIMUM } else { most };
                ask.input.saturating_add(most)
            }
            (Dimension::Tokens | Dimension::InputTokens, Self::Anthropic | Self::Uncached) => {
                uncached
            }
            (Dimension::OutputTokens, _) => 0,
            (Dimension::Tokens | Dimension::InputTokens, _) => ask.input,
        }
    }

    /// What must be there before a request begins: what it takes then; of a limit that is charged only
    /// as output flows, anything at all.
    pub(in crate::simulator) const fn needed(self, dimension: Dimension, ask: Ask) -> u64 {
        let upfront = self.upfront(dimension, ask);
        if upfront == 0 && self.meters(dimension) { 1 } else { upfront }
    }

    /// What output takes as it is produced.
    pub(in crate::simulator) const fn flowing(self, dimension: Dimension, output: u64) -> u64 {
        if self.meters(dimension) { output } else { 0 }
    }

    /// What a request is charged in the end, where that replaces what it took when it began.
    pub(in crate::simulator) const fn settled(
        self,
        dimension: Dimension,
        ask: Ask,
        output: u64,
    ) -> Option<u64> {
        match (self, dimension) {
            (Self::Bedrock { burndown }, Dimension::Tokens) => {
                let input = ask.input.saturating_sub(ask.cached);
                Some(input.saturating_add(output.saturating_mul(burndown)))
            }
            _ => None,
        }
    }

    /// What a request is charged in all.
    pub(in crate::simulator) const fn charged(
        self,
        dimension: Dimension,
        ask: Ask,
        output: u64,
    ) -> u64 {
        match self.settled(dimension, ask, output) {
            Some(settled) => settled,
            None => self.upfront(dimension, ask).saturating_add(self.flowing(dimension, output)),
        }
    }

    /// Whether output counts against limits of that dimension while it is produced.
    pub const fn meters(self, dimension: Dimension) -> bool {
        match self {
            Self::Anthropic | Self::AsUsed | Self::Uncached => {
                matches!(dimension, Dimension::OutputTokens | Dimension::Tokens)
            }
            Self::Bedrock { .. } => matches!(dimension, Dimension::OutputTokens),
            Self::OpenAi | Self::Azure | Self::Gemini => false,
        }
    }

    /// How limits of that dimension and window are counted. `quantum` is how much of a minute OpenAI's
    /// buckets and Anthropic's requests hold, and the window of Azure's requests.
    pub(super) fn shape(
        self,
        dimension: Dimension,
        window: Duration,
        quantum: Option<Duration>,
    ) -> Shape {
        let requests = dimension == Dimension::Requests;
        match self {
            Self::OpenAi => Shape::Bucket(quantum.filter(|_| window < DAY).unwrap_or(window)),
            Self::Anthropic => Shape::Bucket(quantum.filter(|_| requests).unwrap_or(window)),
            Self::Azure if requests => Shape::Counter(quantum.unwrap_or(AZURE_WINDOW).min(window)),
            Self::Gemini if window == DAY => Shape::PacificDay,
            Self::Azure | Self::Gemini => Shape::Counter(window),
            Self::Bedrock { .. } | Self::AsUsed | Self::Uncached => {
                Shape::Bucket(quantum.unwrap_or(window))
            }
        }
    }

    /// Whether rejected requests count whatever is said of them.
    pub(super) const fn counts_rejections(self) -> bool {
        matches!(self, Self::Azure)
    }

    /// Whether its answers carry rate-limit headers.
    pub const fn has_headers(self) -> bool {
        !matches!(self, Self::Gemini | Self::Bedrock { .. })
    }
}

/// The quota page names windows of 1 and 10 seconds.
const AZURE_WINDOW: Duration = Duration::from_secs(10);
