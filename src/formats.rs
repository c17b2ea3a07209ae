//! The interpreters: what a request asks, what an answer used, and what an answer means, in each
//! wire format. They state facts; what follows from a fact is decided in other rooms.
//!
//! Pure: bytes and times in, values out.

mod bound;
mod cut;
pub mod delay;
pub mod edit;
pub mod error_body;
pub mod facts;
pub mod judge;
mod json;
pub mod known;
pub mod levels;
pub mod meter;
pub mod models;
pub mod path;
mod scalar;
mod skim;
mod sse;
pub mod stored;
mod tally;
pub mod text;
pub mod usage;
pub mod verdict;
pub mod wire;

pub use bound::{bound_output, output_field};
pub use edit::{Edit, Edited, apply};
pub use error_body::{Refused, error_body};
pub use facts::{Facts, Unreadable, takes_stream_options};
pub use judge::{Evidence, judge, judge_event};
pub use known::Known;
pub use levels::{Samples, levels};
pub use meter::{Meter, Plan};
pub use path::{Endpoint, EndpointKind, PathFacts, door, read_path};
pub use stored::{StoredId, StoredIds};
pub use text::TextCounts;
pub use usage::read_usage;
pub use verdict::{Dimension, Judgement, Sample, Scope, Usage, Verdict};
pub use wire::{Auth, Dialect, Pattern, Wire};
