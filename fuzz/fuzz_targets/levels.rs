//! Any values under the names of rate-limit headers: read without a panic, and within bounds.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use keyweir::clock::{Moment, Now};
use keyweir::formats::{Dialect, delay, levels};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 16] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-project-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining-req-minute",
    "x-ratelimit-limit",
    "x-ratelimit-reset",
    "x-tokenlimit-remaining",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
    "ratelimit-limit",
    "ratelimit-reset",
    "ratelimit",
    "ratelimit",
    "ratelimit-policy",
];

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for (line, name) in data.split(|byte| *byte == b'\n').zip(NAMES) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let Ok(wall) = Timestamp::from_second(1_795_176_000) else { return };
    let now = Now { at: Moment::ZERO, wall };
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Groq, Dialect::Generic] {
        for sample in levels(dialect, &headers, now) {
            assert!(sample.reset_in.is_none_or(|reset| reset <= delay::LONGEST));
        }
    }
});
