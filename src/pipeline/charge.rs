//! What is known of a request before it is sent.

use crate::formats::Facts;
use crate::limits::Demand;

/// Bytes of text for a token, the usual rule of thumb for English and code (OpenAI's help page on
/// tokens).
pub(super) const BYTES_PER_TOKEN: u64 = 4;

/// Tokens for an image or a document, whose true number only the provider knows.
const TOKENS_PER_MEDIUM: u64 = 1_000;

/// Output that is reckoned with where a provider meters it as it flows.
const METERED_OUTPUT: u64 = 512;

/// What a request will need, as far as can be told.
pub(super) fn demand(facts: &Facts) -> Demand {
    let media = u64::from(facts.images) + u64::from(facts.documents);
    let text = facts.text.bytes() / BYTES_PER_TOKEN + facts.text.numbers;
    Demand {
        input: text.saturating_add(media * TOKENS_PER_MEDIUM),
        cached: 0,
        output: METERED_OUTPUT,
        output_high: METERED_OUTPUT,
        max_output: facts.max_output,
        choices: facts.choices,
    }
}
