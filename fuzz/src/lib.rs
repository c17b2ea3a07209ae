//! What the fuzz targets share: a body that is cut anywhere must be read as the whole.

use bytes::Bytes;
use keyweir::formats::{Dialect, Endpoint, Meter, Plan, Wire, meter::Reading};

/// Every endpoint that answers in a way of its own, with its wire format.
pub const ENDPOINTS: [(Wire, Endpoint); 8] = [
    (Wire::OpenAi, Endpoint::ChatCompletions),
    (Wire::OpenAi, Endpoint::Completions),
    (Wire::OpenAi, Endpoint::Responses),
    (Wire::OpenAi, Endpoint::Other),
    (Wire::Anthropic, Endpoint::Messages),
    (Wire::Gemini, Endpoint::StreamGenerateContent),
    (Wire::Cohere, Endpoint::ChatCompletions),
    (Wire::Ollama, Endpoint::ChatCompletions),
];

/// Splits the fuzzer's input into a seed and a body.
pub fn seeded(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(&seed, body)| (seed, body))
}

/// Reads `body` of that type, at once and in pieces of changing length; `seed` draws the endpoint,
/// the pieces, and whether usage is taken out.
///
/// # Panics
///
/// Where the two differ, or a byte is lost: what the fuzzer looks for.
pub fn read_both_ways(content_type: &str, seed: u8, body: &[u8]) {
    let (wire, endpoint) = ENDPOINTS[usize::from(seed) % ENDPOINTS.len()];
    let plan = Plan {
        wire,
        endpoint,
        dialect: Dialect::Generic,
        content_type: Some(content_type),
        content_encoding: None,
        strip_usage: seed & 0x80 != 0,
    };
    let whole = run(&plan, std::iter::once(body));
    assert_eq!(run(&plan, pieces(seed, body)), whole, "{plan:?}");
    assert!(plan.strip_usage || whole.0 == body, "{plan:?}");
}

fn run<'b>(plan: &Plan<'_>, pieces: impl Iterator<Item = &'b [u8]>) -> (Vec<u8>, Reading) {
    let mut meter = Meter::new(plan);
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(meter.read(Bytes::copy_from_slice(piece)).concat());
    }
    let _cut = meter.cut("The provider broke off");
    out.extend(meter.end());
    (out, meter.reading())
}

/// Pieces of 1 to 32 bytes, their lengths drawn from `seed`.
pub fn pieces(seed: u8, body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed) | 1;
    let mut rest = body;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = 1 + (state >> 27) as usize;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
