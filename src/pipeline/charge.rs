//! What a request is charged by its provider: an estimate before it is sent, and what stands in the
//! end.

use crate::formats::{Dialect, Facts, Usage, models};
use crate::limits::Cost;

/// Bytes of text for a token, the usual rule of thumb for English and code (OpenAI's help page on
/// tokens).
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens for an image or a document, whose true number only the provider knows.
const TOKENS_PER_MEDIUM: u64 = 1_000;

/// Output that is reckoned with where a provider meters it as it flows.
const METERED_OUTPUT: u64 = 512;

/// What tells a request's prefix from others, if it is long enough for its provider to cache.
pub(super) fn cached_prefix(model: &str, facts: &Facts) -> Option<u64> {
    let tokens = facts.text.bytes() / BYTES_PER_TOKEN;
    facts.prefix.filter(|_| tokens >= models::smallest_cached_prefix(model))
}

/// What a request will be charged, as far as can be told before it is sent.
pub(super) fn estimate(dialect: Dialect, facts: &Facts) -> Cost {
    let media = u64::from(facts.images) + u64::from(facts.documents);
    let text = facts.text.bytes() / BYTES_PER_TOKEN + facts.text.numbers;
    let input = text.saturating_add(media * TOKENS_PER_MEDIUM);
    let most = facts.max_output.map(|most| most.saturating_mul(u64::from(facts.choices)));
    let metered = most.unwrap_or(METERED_OUTPUT).min(METERED_OUTPUT);
    let tokens = match Charging::of(dialect) {
        Charging::Larger => input.max(most.unwrap_or(0)),
        Charging::Sum => input.saturating_add(most.unwrap_or(0)),
        Charging::Input => input,
        Charging::Metered | Charging::MeteredUncached => input.saturating_add(metered),
    };
    Cost { requests: 1, tokens, input, output: metered }
}

/// What it was charged, once its usage is known.
pub(super) fn settled(dialect: Dialect, reserved: &Cost, usage: &Usage) -> Cost {
    let used = Cost::used(usage);
    match Charging::of(dialect) {
        Charging::Larger | Charging::Sum => {
            Cost { tokens: reserved.tokens.max(used.input), ..used }
        }
        Charging::Input => Cost { tokens: used.input, ..used },
        Charging::Metered => used,
        Charging::MeteredUncached => {
            Cost { input: used.input.saturating_sub(usage.cached_input), ..used }
        }
    }
}

/// How a provider charges tokens against its limits.
#[derive(Clone, Copy)]
enum Charging {
    /// Up front, the larger of `max_tokens` and an estimate from the text; nothing comes back
    /// (OpenAI rate-limit guide).
    Larger,
    /// Up front, the prompt and `max_tokens` together (Azure quota guide).
    Sum,
    /// Input alone (Gemini rate-limit guide).
    Input,
    /// What was really used.
    Metered,
    /// The same, without what was read from its cache (Anthropic's and Groq's rate-limit guides).
    MeteredUncached,
}

impl Charging {
    fn of(dialect: Dialect) -> Self {
        const RULES: [(Dialect, Charging); 5] = [
            (Dialect::OpenAi, Charging::Larger),
            (Dialect::Azure, Charging::Sum),
            (Dialect::Gemini, Charging::Input),
            (Dialect::Anthropic, Charging::MeteredUncached),
            (Dialect::Groq, Charging::MeteredUncached),
        ];
        let rule = RULES.iter().find(|(known, _)| *known == dialect);
        rule.map_or(Self::Metered, |(_, charging)| *charging)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Endpoint, PathFacts, Wire};

    fn facts(body: &str) -> Facts {
        let path = PathFacts::of(Endpoint::ChatCompletions, Wire::OpenAi);
        Facts::read(&path, body.as_bytes()).unwrap()
    }

    #[test]
    fn openai_charges_the_larger_of_max_tokens_and_the_text_and_gives_nothing_back() {
        let facts = facts(r#"{"model":"m","max_tokens":900,"n":2,"messages":[]}"#);
        let cost = estimate(Dialect::OpenAi, &facts);
        assert_eq!((cost.tokens, cost.requests), (1_800, 1));
        let used = Usage { input: 10, output: 20, ..Usage::default() };
        assert_eq!(settled(Dialect::OpenAi, &cost, &used).tokens, 1_800);
        assert_eq!(settled(Dialect::Mistral, &cost, &used).tokens, 30);
    }

    #[test]
    fn what_anthropic_has_cached_costs_no_input() {
        let used = Usage { input: 1_000, cached_input: 900, output: 5, ..Usage::default() };
        let cost = settled(Dialect::Anthropic, &Cost::REQUEST, &used);
        assert_eq!((cost.input, cost.output), (100, 5));
    }
}
