//! How many tokens an answer says it used, in every provider's words.

use super::path::PathFacts;
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

/// What a number in a usage object counts. Of two words for the same, the one that ends in `Too` is
/// not believed where both stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Input,
    InputToo,
    Output,
    OutputToo,
    Total,
    Cached,
    CachedToo,
    Written,
    WrittenToo,
    Reasoning,
    ReasoningToo,
    Tools,
}

impl Count {
    /// What the number of that name counts, in any wire format.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            // OpenAI's chat, completions and embeddings, and those who copy them.
            b"prompt_tokens" => Self::Input,
            b"completion_tokens" => Self::Output,
            b"total_tokens" => Self::Total,
            b"cached_tokens" => Self::Cached,
            b"cache_write_tokens" => Self::Written,
            b"reasoning_tokens" => Self::Reasoning,
            // OpenAI's Responses, images and transcriptions, and Anthropic's; then Gemini's.
            b"input_tokens" | b"promptTokenCount" => Self::InputToo,
            b"output_tokens" | b"candidatesTokenCount" => Self::OutputToo,
            b"thinking_tokens" | b"thoughtsTokenCount" => Self::ReasoningToo,
            b"toolUsePromptTokenCount" => Self::Tools,
            b"cache_creation_input_tokens" => Self::WrittenToo,
            // Anthropic's, DeepSeek's, Gemini's.
            b"cache_read_input_tokens"
            | b"prompt_cache_hit_tokens"
            | b"cachedContentTokenCount" => Self::CachedToo,
            _ => return None,
        })
    }
}

impl Counts {
    /// Takes a number of a usage object.
    pub(super) fn note(&mut self, count: Count, told: Option<u64>) {
        let (place, too) = match count {
            Count::Input => (&mut self.input, false),
            Count::InputToo => (&mut self.input, true),
            Count::Output => (&mut self.output, false),
            Count::OutputToo => (&mut self.output, true),
            Count::Total => (&mut self.total, false),
            Count::Cached => (&mut self.cached, false),
            Count::CachedToo => (&mut self.cached, true),
            Count::Written => (&mut self.written, false),
            Count::WrittenToo => (&mut self.written, true),
            Count::Reasoning => (&mut self.reasoning, false),
            Count::ReasoningToo => (&mut self.reasoning, true),
            Count::Tools => (&mut self.tools, false),
        };
        *place = if too { place.or(told) } else { told.or(*place) };
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

#[cfg(test)]
mod tests;
