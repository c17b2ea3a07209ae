//! The key rack: pools of keys, the quota groups they draw on, the health of each, and the choice
//! of one for a request.
//!
//! Pure: times and random numbers are handed in.

pub mod secret;

pub use secret::{Fingerprint, Secret};
