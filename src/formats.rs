//! The interpreters: what a request asks, what an answer used, and what an answer means, in each
//! wire format. They state facts; what follows from a fact is decided in other rooms.
//!
//! Pure: bytes and times in, values out.

pub mod models;
pub mod delay;
pub mod error_body;
pub mod judge;
pub mod levels;
pub mod verdict;
pub mod wire;

pub use error_body::{Refused, error_body, error_event};
pub use judge::{Evidence, judge, judge_event};
pub use levels::{Samples, levels};
pub mod known;
pub mod verdict;
pub mod wire;

pub use known::Known;
pub mod edit;
pub mod facts;
pub mod path;
pub mod stored;
pub mod text;
pub mod verdict;
pub mod wire;

pub use edit::{Edit, Edited, apply};
pub use facts::{Facts, Unreadable, takes_stream_options};
pub use path::{Endpoint, PathFacts, door, read_path};
pub use stored::{StoredId, StoredIds};
pub use text::TextCounts;
pub use verdict::{Dimension, Judgement, Sample, Scope, Usage, Verdict};
pub use wire::{Auth, Dialect, Pattern, Wire};
