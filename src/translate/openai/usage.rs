//! Token counts in OpenAI's words: input with what was cached, output with reasoning.

use crate::formats::Usage;
use crate::translate::json::{Json, object};

/// Reads a `usage` object.
pub(crate) fn read(usage: &Json<'_>) -> Usage {
    let count = |name: &str| usage.get(name).and_then(Json::as_count).unwrap_or(0);
    let detail = |of: &str, name: &str| usage.get(of)?.get(name)?.as_count();
    let cached = detail("prompt_tokens_details", "cached_tokens");
    let deepseek = || usage.get("prompt_cache_hit_tokens").and_then(Json::as_count);
    let input = count("prompt_tokens");
    let reasoning = detail("completion_tokens_details", "reasoning_tokens").unwrap_or(0);
    // xAI, and Gemini behind this format, leave reasoning out of the completion's tokens, but not
    // out of the total.
    let output = count("completion_tokens").max(count("total_tokens").saturating_sub(input));
    Usage {
        input,
        cached_input: cached.or_else(deepseek).unwrap_or(0),
        cache_write: detail("prompt_tokens_details", "cache_write_tokens").unwrap_or(0),
        output,
        reasoning,
    }
}

/// Writes a `usage` object.
pub(crate) fn write(usage: &Usage) -> Json<'static> {
    object([
        ("prompt_tokens", usage.input.into()),
        ("completion_tokens", usage.output.into()),
        ("total_tokens", (usage.input + usage.output).into()),
        (
            "prompt_tokens_details",
            object([
                ("cached_tokens", usage.cached_input.into()),
                ("cache_write_tokens", usage.cache_write.into()),
            ]),
        ),
        ("completion_tokens_details", object([("reasoning_tokens", usage.reasoning.into())])),
    ])
}
