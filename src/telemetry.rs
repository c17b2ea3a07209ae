//! The meters: metric handles, the access record, and the log.
//!
//! Labels come only from names that the configuration or the shipped price table knows. A handle is
//! looked up the first time a combination of labels occurs under a snapshot and kept from then on,
//! so that no request hashes a label.

pub mod logging;
pub mod metrics;
pub mod record;
pub mod sheet;

pub use metrics::Metrics;
pub use record::{AccessLog, Record};
pub use sheet::{Lane, LaneId, Outcome, Sheet, TokenKind, Would};
