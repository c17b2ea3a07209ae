//! Certificates that make and rotate themselves.
//!
//! One Secret holds a certificate authority that all replicas share; each signs a short-lived
//! certificate of its own with it, in memory. Nobody leads: whoever sees that something is due does
//! it, and the API server lets one of them win. A new authority is trusted (in the `caBundle` of the
//! webhooks) well before it signs, and the old one until nothing that it signed can be alive. The
//! bundle itself is the memory of what was trusted.
//!
//! `decide` is pure: it is handed the Secret, the bundles and the time, and says what to do.

mod authority;
mod bundle;
pub mod cluster;
mod decide;
pub mod files;
mod keeper;
mod stored;
#[cfg(test)]
mod tests;

pub use authority::{Authority, Certificate, Leaf, Shown};
pub use bundle::Seen;
pub use decide::{NotReady, Terms};
pub use keeper::{Act, Keeper, Write};
pub use stored::{Entries, Observed, Stored};
