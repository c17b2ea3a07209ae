//! Token counts in Anthropic's words: input without what the cache read or took in.

use crate::formats::Usage;
use crate::translate::json::{Json, object};

/// Takes what a `usage` object tells over what is known: a stream tells it in pieces.
pub(crate) fn read(usage: &Json<'_>, known: &Told) -> Told {
    let count = |name: &str, known: u64| usage.get(name).and_then(Json::as_count).unwrap_or(known);
    let details = usage.get("output_tokens_details");
    let thinking = details.and_then(|details| details.get("thinking_tokens")?.as_count());
    Told {
        input: count("input_tokens", known.input),
        read: count("cache_read_input_tokens", known.read),
        written: count("cache_creation_input_tokens", known.written),
        output: count("output_tokens", known.output),
        thinking: thinking.unwrap_or(known.thinking),
    }
}

/// The numbers as Anthropic tells them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    input: u64,
    read: u64,
    written: u64,
    output: u64,
    thinking: u64,
}

impl Told {
    /// The same in our words.
    pub(crate) const fn usage(&self) -> Usage {
        Usage {
            input: self.input.saturating_add(self.read).saturating_add(self.written),
            cached_input: self.read,
            cache_write: self.written,
            output: self.output,
            reasoning: self.thinking,
        }
    }
}

/// Writes a `usage` object.
pub(crate) fn write(usage: &Usage) -> Json<'static> {
    let cached = usage.cached_input.saturating_add(usage.cache_write);
    let thinking = Some(usage.reasoning).filter(|tokens| *tokens > 0);
    object([
        ("input_tokens", usage.input.saturating_sub(cached).into()),
        ("cache_creation_input_tokens", usage.cache_write.into()),
        ("cache_read_input_tokens", usage.cached_input.into()),
        ("output_tokens", usage.output.into()),
        (
            "output_tokens_details",
            thinking.map(|tokens| object([("thinking_tokens", tokens.into())])).into(),
        ),
    ])
}
