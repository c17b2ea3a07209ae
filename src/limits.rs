//! The scales: how full each limit of a quota group is, what is reserved against it before a
//! request is sent, what is settled when it ends, and who waits for the rest.
//!
//! A [`Ledger`] holds the limits that are drawn on together: continuously refilled buckets, a bound
//! on concurrency, and the holds that a provider's 429s put on them. What is written down is only
//! the prior; the provider's headers and 429s are the evidence.
//!
//! Pure: times and random numbers are handed in. It knows nothing of keys, providers or callers.

mod bucket;
mod charging;
mod counter;
mod credit;
mod drain;
mod draw;
mod durable;
mod estimate;
mod estimates;
mod fill;
mod hold;
mod kinship;
mod learn;
mod ledger;
mod lengths;
mod level;
mod limit;
mod queue;
mod rolling;
mod rule;
mod share;
mod steering;
mod term;
mod told;
mod window;

pub use charging::{Charging, Demand, charged_to_caller};
pub use durable::{Counts, Damage, Snapshot};
pub use estimate::{Estimate, Estimator, Features};
pub use estimates::Estimates;
pub use hold::{Holds, jitter};
pub use kinship::{Account, Kinship};
pub use learn::Drift;
pub use ledger::{Binding, Blocked, Ledger, Reservation, Terms};
pub use lengths::Lengths;
pub use level::{Level, limit_name};
pub use queue::{Queue, Ticket};
pub use rule::{Cost, Learning, Measure, Rule};
pub use share::{Share, Sharing};
pub use steering::Steering;
pub use term::{Clause, Days, Mode, Schedule, Term};
pub use window::{Period, Window};

#[cfg(test)]
mod tests;
