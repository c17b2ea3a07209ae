//! The model basin: providers as they behave, in virtual time and as a server.
//!
//! [`meter`] and [`bucket`] are pure: what a provider lets through, as a function of the time handed
//! in. The server around them answers over HTTP as OpenAI, Azure OpenAI, Anthropic and Gemini do, as
//! strictly, with their headers, errors and faults. It shares no reader with the rooms it is there to
//! test.
//!
//! All providers share one address: [`Simulator::url`] followed by `/v1` is OpenAI's base URL, alone
//! it is Anthropic's, Gemini's and Azure's.

pub mod basin;
pub mod bucket;
pub mod demo;
pub mod meter;

mod anthropic;
mod azure;
mod body;
mod call;
mod control;
mod delivery;
mod exchange;
mod fault;
mod gemini;
mod multipart;
mod openai;
mod plan;
mod problem;
mod reply;
mod server;
mod store;
mod tally;
mod tap;
mod turn;
mod websocket;
mod wires;
mod world;

pub use fault::{Fault, FaultId, FaultKind};
pub use meter::{Habit, Limits, Rejections};
pub use plan::{Account, Compression, Key, Model, ModelKind, Pace, Plan};
pub use server::Simulator;
pub use tally::{AccountTally, KeyTally, Seen, Tally};
