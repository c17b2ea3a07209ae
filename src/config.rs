//! The rule book: the configuration as written, merged and checked, becomes the configuration as
//! used, or every mistake at once with its place.
//!
//! Pure: text in, values or diagnostics out.

pub mod used;

pub use used::Config;
