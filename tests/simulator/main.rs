//! The simulator over real sockets: answers as the providers give them, refusals and faults.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests stop the test when they fail"
)]

mod anthropic;
mod azure;
mod demo;
mod faults;
mod gemini;
mod http;
mod openai;
mod transport;
