//! What each provider lets through, and what none of them ever does.

mod anthropic;
mod azure;
mod bedrock;
mod gemini;
mod laws;
mod openai;

use jiff::Timestamp;

use super::*;

/// So many milliseconds after the beginning.
fn at(millis: u64) -> Now {
    let after = Duration::from_millis(millis);
    let wall = Timestamp::UNIX_EPOCH.saturating_add(after).unwrap();
    Now { at: Moment::ZERO + after, wall }
}

fn tokens(input: u64, max_output: u64) -> Ask {
    Ask { input, max_output: Some(max_output), ..Ask::default() }
}

fn asking(input: u64) -> Ask {
    Ask { input, ..Ask::default() }
}
