//! The scales: how full each limit of a quota group is, what is reserved against it before a
//! request is sent, what is settled when it ends, and who waits for the rest.
//!
//! A [`Ledger`] holds the limits that are drawn on together: continuously refilled buckets, a bound
//! on concurrency, and the holds that a provider's 429s put on them. What is written down is only
//! the prior; the provider's headers and 429s are the evidence.
//!
//! Pure: times and random numbers are handed in. It knows nothing of keys, providers or callers.

mod bucket;
mod claim;
mod hold;
mod learn;
mod ledger;
mod level;
mod queue;
mod rule;
mod supply;

pub use claim::{Claim, Priority};
pub use hold::{Holds, jitter};
pub use ledger::{Binding, Blocked, Ledger, Reservation};
pub use level::Level;
pub use queue::{Ahead, LaneId, Order, Own, PATIENCE, Queue, Ticket};
pub use rule::{Cost, Learning, Measure, Rule};
pub use supply::{AHEAD, Supply};

#[cfg(test)]
mod tests;
