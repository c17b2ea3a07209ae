//! The words for what a provider speaks.

use http::HeaderName;

/// A wire format: the shape of paths, requests, answers, streams and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// OpenAI's API and the many that copy it.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Cohere's native API.
    Cohere,
    /// Ollama's native API (`/api/...`).
    Ollama,
    /// Any other HTTP API: pooled, limited and failed over, but not understood.
    Http,
}

impl Wire {
    /// Every wire format.
    pub const ALL: [Self; 6] =
        [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Cohere, Self::Ollama, Self::Http];

    /// The word for it in configuration and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Cohere => "cohere",
            Self::Ollama => "ollama",
            Self::Http => "http",
        }
    }

    /// The wire format of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wire| wire.as_str() == name)
    }
}

/// Whose habits an answer follows where providers of one wire format differ: error codes, rate-limit
/// headers, what a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the providers' names")]
pub enum Dialect {
    OpenAi,
    Azure,
    Anthropic,
    Gemini,
    Mistral,
    Cohere,
    Groq,
    DeepSeek,
    Xai,
    OpenRouter,
    Together,
    Fireworks,
    Perplexity,
    Cerebras,
    Nvidia,
    HuggingFace,
    Ollama,
    Vllm,
    /// Nothing is known but HTTP itself: status, `Retry-After`, `RateLimit-*`.
    Generic,
}

impl Dialect {
    /// Whether OpenAI's Responses are there beside its chat (each provider's API reference).
    pub const fn has_responses(self) -> bool {
        !matches!(
            self,
            Self::Mistral
                | Self::Cohere
                | Self::DeepSeek
                | Self::Together
                | Self::Perplexity
                | Self::Cerebras
                | Self::Nvidia
        )
    }
}

/// How a credential is put on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer <key>`.
    Bearer,
    /// The bare key in a header of this name, e.g. `x-api-key`.
    Header(HeaderName),
}

/// A name, or the beginning of one before a `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// The text before the `*`, or all of it.
    pub text: Box<str>,
    /// Whether a `*` followed.
    pub open: bool,
}

impl Pattern {
    /// Whether `name` is meant.
    pub fn matches(&self, name: &str) -> bool {
        if self.open { name.starts_with(&*self.text) } else { name == &*self.text }
    }
}
