//! Token counts in Google's words: candidates without thoughts, input without what tools added.

use crate::formats::Usage;
use crate::translate::json::{Json, object};

/// Reads a `usageMetadata` object.
pub(crate) fn read(usage: &Json<'_>) -> Usage {
    let count = |name: &str| usage.get(name).and_then(Json::as_count).unwrap_or(0);
    let reasoning = count("thoughtsTokenCount");
    Usage {
        input: count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount")),
        cached_input: count("cachedContentTokenCount"),
        cache_write: 0,
        output: count("candidatesTokenCount").saturating_add(reasoning),
        reasoning,
    }
}

/// Writes a `usageMetadata` object.
pub(crate) fn write(usage: &Usage) -> Json<'static> {
    let some = |count: u64| Some(count).filter(|count| *count > 0);
    object([
        ("promptTokenCount", usage.input.into()),
        ("cachedContentTokenCount", some(usage.cached_input).into()),
        ("candidatesTokenCount", usage.output.saturating_sub(usage.reasoning).into()),
        ("thoughtsTokenCount", some(usage.reasoning).into()),
        ("totalTokenCount", usage.input.saturating_add(usage.output).into()),
    ])
}
