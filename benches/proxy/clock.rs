//! The only clock of the bench.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a bench is outside the house, and measures it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
