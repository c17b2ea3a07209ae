//! What is known of models: prices and context windows, as data that ships with the binary.
//!
//! Prices are US dollars per million tokens at the standard tier, from `LiteLLM`'s public price file
//! (MIT licence, November 2026); where a model has no price of its own for cached input or cache
//! writes, its input price stands. Configuration overrides them (`prices:`).

use super::Dialect;

/// What is known of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// What its provider calls it.
    pub name: &'static str,
    /// The largest input, in tokens.
    pub context: u32,
    /// What its tokens cost.
    pub price: Price,
}

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Input that was not read from a cache.
    pub input: f64,
    /// Input read from the provider's cache.
    pub cached_input: f64,
    /// Input written to the provider's cache.
    pub cache_write: f64,
    /// Output.
    pub output: f64,
}

impl Price {
    /// What an answer cost, in US dollars.
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    pub fn of(&self, usage: &super::Usage) -> f64 {
        let cached = usage.cached_input.min(usage.input);
        let written = usage.cache_write.min(usage.input - cached);
        let fresh = usage.input - cached - written;
        (fresh as f64 * self.input
            + cached as f64 * self.cached_input
            + written as f64 * self.cache_write
            + usage.output as f64 * self.output)
            / 1e6
    }
}

/// The model of that name. A dated name (`gpt-4o-2024-08-06`, `claude-opus-5-20260301`) is the model
/// it is a snapshot of.
pub fn find(name: &str) -> Option<&'static Model> {
    by_name(name).or_else(|| by_name(undated(name)?))
}

/// The smallest prefix of a prompt that its provider caches, in tokens.
///
/// 1,024 as a rule (OpenAI's prompt-caching guide); some models of Anthropic's and Gemini's need more
/// (Anthropic's prompt-caching guide, Gemini's context-caching guide).
pub fn smallest_cached_prefix(model: &str) -> u64 {
    const MORE: [(&str, u64); 6] = [
        ("claude-3-5-haiku", 2_048),
        ("claude-haiku-4-5", 4_096),
        ("claude-opus-4-5", 4_096),
        ("claude-opus-4-6", 4_096),
        ("gemini-2.5-pro", 4_096),
        ("gemini-3", 4_096),
    ];
    let more = MORE.iter().find(|(family, _)| model.starts_with(family));
    more.map_or(1_024, |(_, tokens)| *tokens)
}

/// Whether the provider of that dialect serves this model of the table under its own name.
pub fn is_made_by(name: &str, dialect: Dialect) -> bool {
    let beginnings: &[&str] = match dialect {
        Dialect::OpenAi => &["gpt-", "o3", "o4", "text-embedding-"],
        Dialect::Anthropic => &["claude-"],
        Dialect::Gemini => &["gemini-"],
        Dialect::Mistral => &["mistral-"],
        Dialect::Cohere => &["command-"],
        Dialect::DeepSeek => &["deepseek-"],
        Dialect::Xai => &["grok-"],
        Dialect::Groq => &["openai/gpt-oss-"],
        Dialect::Azure
        | Dialect::OpenRouter
        | Dialect::Together
        | Dialect::Fireworks
        | Dialect::Perplexity
        | Dialect::Cerebras
        | Dialect::Nvidia
        | Dialect::HuggingFace
        | Dialect::Ollama
        | Dialect::Vllm
        | Dialect::Generic => &[],
    };
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

fn by_name(name: &str) -> Option<&'static Model> {
    MODELS.binary_search_by(|model| model.name.cmp(name)).ok().and_then(|at| MODELS.get(at))
}

/// The name without a trailing `-20260301` or `-2026-03-01`.
fn undated(name: &str) -> Option<&str> {
    ["-20260301".len(), "-2026-03-01".len()].into_iter().find_map(|len| {
        let (model, date) = name.split_at_checked(name.len().checked_sub(len)?)?;
        let digits = date.bytes().filter(u8::is_ascii_digit).count();
        (date.starts_with('-') && digits == 8).then_some(model)
    })
}

const fn model(name: &'static str, context: u32, price: Price) -> Model {
    Model { name, context, price }
}

const fn price(input: f64, cached_input: f64, cache_write: f64, output: f64) -> Price {
    Price { input, cached_input, cache_write, output }
}

/// Every model, sorted by name.
#[rustfmt::skip]
pub const MODELS: &[Model] = &[
    model("claude-fable-5", 1_000_000, price(10.0, 1.0, 12.5, 50.0)),
    model("claude-fable-5-1", 1_000_000, price(10.0, 0.25, 12.5, 50.0)),
    model("claude-haiku-4-5", 200_000, price(1.0, 0.1, 1.25, 5.0)),
    model("claude-haiku-5-5", 1_000_000, price(0.1, 0.01, 0.125, 0.5)),
    model("claude-opus-4-6", 1_000_000, price(5.0, 0.5, 6.25, 25.0)),
    model("claude-opus-4-7", 1_000_000, price(5.0, 0.5, 6.25, 25.0)),
    model("claude-opus-4-8", 1_000_000, price(5.0, 0.5, 6.25, 25.0)),
    model("claude-opus-5", 1_000_000, price(5.0, 0.5, 6.25, 25.0)),
    model("claude-opus-5-5", 1_000_000, price(4.0, 0.2, 5.0, 20.0)),
    model("claude-sonnet-4-6", 1_000_000, price(3.0, 0.3, 3.75, 15.0)),
    model("claude-sonnet-5", 1_000_000, price(2.0, 0.2, 2.5, 10.0)),
    model("claude-sonnet-5-5", 1_000_000, price(2.0, 0.1, 2.5, 10.0)),
    model("command-a-03-2025", 256_000, price(2.5, 2.5, 2.5, 10.0)),
    model("deepseek-v4-flash", 1_000_000, price(0.3, 0.006, 0.3, 1.2)),
    model("deepseek-v4-pro", 1_000_000, price(1.32, 0.044, 1.32, 3.96)),
    model("gemini-2.5-flash", 1_050_000, price(0.3, 0.03, 0.3, 2.5)),
    model("gemini-2.5-flash-lite", 1_050_000, price(0.1, 0.01, 0.1, 0.4)),
    model("gemini-2.5-pro", 1_050_000, price(1.25, 0.125, 1.25, 10.0)),
    model("gemini-3.1-pro-preview", 1_050_000, price(2.0, 0.2, 2.0, 12.0)),
    model("gemini-3.5-flash", 1_050_000, price(1.5, 0.15, 1.5, 9.0)),
    model("gemini-3.5-flash-lite", 1_050_000, price(0.3, 0.03, 0.3, 2.5)),
    model("gemini-3.6-flash", 1_050_000, price(0.75, 0.075, 0.75, 3.75)),
    model("gemini-3.7-flash", 1_050_000, price(0.75, 0.075, 0.75, 3.75)),
    model("gemini-3.8-flash", 1_050_000, price(0.75, 0.075, 0.75, 3.75)),
    model("gpt-4.1", 1_050_000, price(2.0, 0.5, 2.0, 8.0)),
    model("gpt-4.1-mini", 1_050_000, price(0.4, 0.1, 0.4, 1.6)),
    model("gpt-4.1-nano", 1_050_000, price(0.1, 0.025, 0.1, 0.4)),
    model("gpt-4o", 128_000, price(2.5, 1.25, 2.5, 10.0)),
    model("gpt-4o-mini", 128_000, price(0.15, 0.075, 0.15, 0.6)),
    model("gpt-5", 272_000, price(1.25, 0.125, 1.25, 10.0)),
    model("gpt-5-mini", 272_000, price(0.25, 0.025, 0.25, 2.0)),
    model("gpt-5-nano", 272_000, price(0.05, 0.005, 0.05, 0.4)),
    model("gpt-5.1", 272_000, price(1.25, 0.125, 1.25, 10.0)),
    model("gpt-5.4", 1_050_000, price(2.5, 0.25, 2.5, 15.0)),
    model("gpt-5.4-mini", 272_000, price(0.75, 0.075, 0.75, 4.5)),
    model("gpt-5.4-nano", 272_000, price(0.2, 0.02, 0.2, 1.25)),
    model("gpt-5.5", 1_050_000, price(5.0, 0.5, 5.0, 30.0)),
    model("gpt-5.6", 922_000, price(4.0, 0.4, 5.0, 20.0)),
    model("gpt-5.6-luna", 922_000, price(0.2, 0.02, 0.25, 1.2)),
    model("gpt-5.6-terra", 922_000, price(2.0, 0.2, 2.5, 12.0)),
    model("gpt-6-astra", 922_000, price(10.0, 1.0, 12.5, 50.0)),
    model("gpt-6-luna", 922_000, price(0.1, 0.01, 0.125, 0.5)),
    model("gpt-6-sol", 922_000, price(2.0, 0.2, 2.5, 10.0)),
    model("gpt-6.1-sol", 922_000, price(2.0, 0.1, 2.5, 10.0)),
    model("gpt-6.1-terra", 922_000, price(1.0, 0.05, 1.25, 5.0)),
    model("grok-4.20", 1_000_000, price(1.25, 0.2, 1.25, 2.5)),
    model("grok-4.7", 500_000, price(2.0, 0.5, 2.0, 6.0)),
    model("mistral-large-3", 262_000, price(0.5, 0.05, 0.5, 1.5)),
    model("mistral-large-4", 1_050_000, price(1.36, 0.14, 1.36, 4.18)),
    model("mistral-medium-3.5", 262_000, price(1.5, 0.15, 1.5, 7.5)),
    model("mistral-small-2603", 262_000, price(0.15, 0.015, 0.15, 0.6)),
    model("o3", 200_000, price(2.0, 0.5, 2.0, 8.0)),
    model("o4-mini", 200_000, price(1.1, 0.275, 1.1, 4.4)),
    model("openai/gpt-oss-120b", 131_000, price(0.15, 0.0375, 0.15, 0.6)),
    model("openai/gpt-oss-20b", 131_000, price(0.075, 0.0375, 0.075, 0.3)),
    model("text-embedding-3-large", 8_000, price(0.13, 0.13, 0.13, 0.0)),
    model("text-embedding-3-small", 8_000, price(0.02, 0.02, 0.02, 0.0)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Usage;

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(MODELS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn a_dated_name_is_the_model_it_is_a_snapshot_of() {
        for (dated, name) in [
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("claude-opus-4-6-20260301", "claude-opus-4-6"),
            ("claude-opus-5-20260301", "claude-opus-5"),
            ("o3-2025-04-16", "o3"),
        ] {
            assert_eq!(find(dated).map(|model| model.name), Some(name), "{dated}");
        }
        for unknown in ["", "-", "20260301", "gpt-4o-2024", "llama-3", "é-20260301"] {
            assert_eq!(find(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn cached_tokens_cost_what_the_cache_costs() {
        let usage =
            Usage { input: 1_000_000, cached_input: 600_000, output: 10, ..Usage::default() };
        let cost = find("gpt-4o").unwrap().price.of(&usage);
        assert!((cost - (0.4 * 2.5 + 0.6 * 1.25 + 0.0001)).abs() < 1e-9, "{cost}");
    }
}
