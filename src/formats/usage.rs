//! How many tokens an answer says it used, in every provider's words.

use super::json::Cursor;
use super::path::PathFacts;
use super::scalar;
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

/// How far inside a usage object counts may stand.
const MAX_DEPTH: usize = 2;

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
        Self::read_on(&mut Cursor::new(raw)).unwrap_or_default()
    }

    /// Reads the usage object that follows, and passes it.
    pub(super) fn read_on(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut counts = Self::default();
        counts.object(cursor, 0)?;
        Some(counts)
    }

    /// Takes what an object tells, which stands in so many others.
    fn object(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Option<()> {
        if cursor.rest().first() != Some(&b'{') {
            return cursor.value().map(drop);
        }
        cursor.step();
        let mut billed = None;
        while let Some(name) = cursor.member()? {
            match name {
                // Groq's stands inside `x_groq`, Cohere's inside `tokens`.
                b"usage"
                | b"tokens"
                | b"prompt_tokens_details"
                | b"input_tokens_details"
                | b"completion_tokens_details"
                | b"output_tokens_details"
                    if depth < MAX_DEPTH =>
                {
                    self.object(cursor, depth + 1)?;
                }
                b"billed_units" => billed = Some(cursor.value()?),
                _ => self.note(name, scalar::count(cursor.value()?)),
            }
        }
        // What Cohere bills stands first, but the limits count what the model read and wrote.
        if let Some(billed) = billed.filter(|_| depth < MAX_DEPTH) {
            self.object(&mut Cursor::new(billed), depth + 1)?;
        }
        Some(())
    }

    /// Takes one number. Where there are two for the same, the first name of a line here is believed.
    fn note(&mut self, name: &[u8], told: Option<u64>) {
        let believe = |count: &mut Option<u64>| *count = told.or(*count);
        let fill = |count: &mut Option<u64>| *count = count.or(told);
        match name {
            // OpenAI's chat, completions and embeddings, and those who copy them.
            b"prompt_tokens" => believe(&mut self.input),
            b"completion_tokens" => believe(&mut self.output),
            b"total_tokens" => believe(&mut self.total),
            b"cached_tokens" => believe(&mut self.cached),
            b"cache_write_tokens" => believe(&mut self.written),
            b"reasoning_tokens" => believe(&mut self.reasoning),
            // OpenAI's Responses, images and transcriptions, and Anthropic's; then Gemini's.
            b"input_tokens" | b"promptTokenCount" => fill(&mut self.input),
            b"output_tokens" | b"candidatesTokenCount" => fill(&mut self.output),
            b"thinking_tokens" | b"thoughtsTokenCount" => fill(&mut self.reasoning),
            b"toolUsePromptTokenCount" => fill(&mut self.tools),
            b"cache_creation_input_tokens" => fill(&mut self.written),
            // Anthropic's, DeepSeek's, Gemini's.
            b"cache_read_input_tokens"
            | b"prompt_cache_hit_tokens"
            | b"cachedContentTokenCount" => {
                fill(&mut self.cached);
            }
            _ => {}
        }
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
