//! The interpreters: what a request asks, what an answer used, and what an answer means, in each
//! wire format. They state facts; what follows from a fact is decided in other rooms.
//!
//! Pure: bytes and times in, values out.

mod cut;
pub mod edit;
pub mod facts;
pub mod meter;
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

pub use edit::{Edit, Edited, apply};
pub use facts::{Facts, Unreadable, takes_stream_options};
pub use meter::{Meter, Outcome, Pieces, Plan, Reading};
pub use path::{Endpoint, PathFacts, door, read_path};
pub use stored::{StoredId, StoredIds};
pub use text::TextCounts;
pub use usage::read_usage;
pub use verdict::{Dimension, Judgement, Sample, Scope, Usage, Verdict};
pub use wire::{Auth, Dialect, Wire};
