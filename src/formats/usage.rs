//! How many tokens an answer says it used, in every provider's words.

use serde::Deserialize;

use super::path::PathFacts;
use super::scalar::Scalar;
use super::skim::{Level, Skim};
use super::tally::Tally;
use super::verdict::Usage;
use super::wire::{Dialect, Wire};

/// The usage that a whole JSON answer tells; `None` where it tells none.
///
/// `path` says in which wire format it was asked for, and `dialect` whose habits it follows.
pub fn read_usage(path: &PathFacts, dialect: Dialect, body: &[u8]) -> Option<Usage> {
    let mut tally = Tally::default();
    Skim::new(Level::Top).feed(body, &mut tally);
    tally.counts.usage(path.wire, dialect)
}

/// Token counts as a provider told them; streams tell them in pieces, and the last word holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) input: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) written: Option<u64>,
    /// Input of tools (Gemini), outside `input`.
    pub(super) tools: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) reasoning: Option<u64>,
    pub(super) total: Option<u64>,
}

impl Counts {
    /// Reads the JSON of a usage object, whatever its wire format; what it does not tell is `None`.
    pub(super) fn read(raw: &[u8]) -> Self {
        serde_json::from_slice::<Option<Told>>(raw)
            .ok()
            .flatten()
            .map_or_else(Self::default, Told::counts)
    }

    /// Takes what `newer` tells.
    pub(super) fn merge(&mut self, newer: &Self) {
        self.input = newer.input.or(self.input);
        self.cached = newer.cached.or(self.cached);
        self.written = newer.written.or(self.written);
        self.tools = newer.tools.or(self.tools);
        self.output = newer.output.or(self.output);
        self.reasoning = newer.reasoning.or(self.reasoning);
        self.total = newer.total.or(self.total);
    }

    /// The same in our words: `input` with what was cached, `output` with reasoning.
    pub(super) fn usage(&self, wire: Wire, dialect: Dialect) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let input = self.input.unwrap_or(0);
        let cached = self.cached.unwrap_or(0);
        let written = self.written.unwrap_or(0);
        let output = self.output.unwrap_or(0);
        let reasoning = self.reasoning.unwrap_or(0);
        let (input, output) = match wire {
            // Anthropic's input is what stands after the last cache breakpoint.
            Wire::Anthropic => (input.saturating_add(cached).saturating_add(written), output),
            // Gemini's candidates do not include thoughts.
            Wire::Gemini => {
                let tools = self.tools.unwrap_or(0);
                (input.saturating_add(tools), output.saturating_add(reasoning))
            }
            Wire::OpenAi | Wire::Cohere | Wire::Ollama | Wire::Http => {
                (input, self.whole_output(dialect))
            }
        };
        Some(Usage { input, cached_input: cached, cache_write: written, output, reasoning })
    }

    /// xAI, and Gemini behind OpenAI's format, leave reasoning out of the completion's tokens, but
    /// not out of the total.
    fn whole_output(&self, dialect: Dialect) -> u64 {
        let output = self.output.unwrap_or(0);
        let beside = match (self.total, self.input) {
            (Some(total), Some(input)) => total.saturating_sub(input),
            _ if dialect == Dialect::Xai => output.saturating_add(self.reasoning.unwrap_or(0)),
            _ => 0,
        };
        output.max(beside)
    }
}

/// A usage object as it is written, all wire formats in one.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    // OpenAI's chat, completions and embeddings, and those who copy them.
    prompt_tokens: Scalar,
    completion_tokens: Scalar,
    total_tokens: Scalar,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    // DeepSeek's.
    prompt_cache_hit_tokens: Scalar,
    // OpenAI's Responses, images and transcriptions, and Anthropic's.
    input_tokens: Scalar,
    output_tokens: Scalar,
    input_tokens_details: Option<Details>,
    output_tokens_details: Option<Details>,
    // Anthropic's alone.
    cache_read_input_tokens: Scalar,
    cache_creation_input_tokens: Scalar,
    // Gemini's.
    #[serde(rename = "promptTokenCount")]
    prompt_token_count: Scalar,
    #[serde(rename = "cachedContentTokenCount")]
    cached_content_token_count: Scalar,
    #[serde(rename = "candidatesTokenCount")]
    candidates_token_count: Scalar,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts_token_count: Scalar,
    #[serde(rename = "toolUsePromptTokenCount")]
    tool_use_prompt_token_count: Scalar,
    // Cohere's: what the model read and wrote, and what is billed; the limits count the former.
    tokens: Option<Pair>,
    billed_units: Option<Pair>,
    cached_tokens: Scalar,
    // Groq's, inside `x_groq`.
    usage: Option<Box<Told>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the names are the providers'")]
struct Details {
    cached_tokens: Scalar,
    cache_write_tokens: Scalar,
    reasoning_tokens: Scalar,
    thinking_tokens: Scalar,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pair {
    input_tokens: Scalar,
    output_tokens: Scalar,
}

impl Told {
    fn counts(self) -> Counts {
        if let Some(inner) = self.usage {
            return inner.counts();
        }
        let prompt = self.prompt_tokens_details.or(self.input_tokens_details).unwrap_or_default();
        let written =
            self.completion_tokens_details.or(self.output_tokens_details).unwrap_or_default();
        let pair = self.tokens.or(self.billed_units).unwrap_or_default();
        let first = |counts: &[&Scalar]| counts.iter().find_map(|count| count.count());
        Counts {
            input: first(&[
                &self.prompt_tokens,
                &self.input_tokens,
                &self.prompt_token_count,
                &pair.input_tokens,
            ]),
            cached: first(&[
                &prompt.cached_tokens,
                &self.cache_read_input_tokens,
                &self.prompt_cache_hit_tokens,
                &self.cached_content_token_count,
                &self.cached_tokens,
            ]),
            written: first(&[&prompt.cache_write_tokens, &self.cache_creation_input_tokens]),
            tools: self.tool_use_prompt_token_count.count(),
            output: first(&[
                &self.completion_tokens,
                &self.output_tokens,
                &self.candidates_token_count,
                &pair.output_tokens,
            ]),
            reasoning: first(&[
                &written.reasoning_tokens,
                &written.thinking_tokens,
                &self.thoughts_token_count,
            ]),
            total: self.total_tokens.count(),
        }
    }
}

#[cfg(test)]
mod tests;
