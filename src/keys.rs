//! The key rack: pools of keys, the quota groups they draw on, the health of each, and the choice
//! of one for a request.
//!
//! A [`Pool`] knows by slot: up to 256 keys and as many groups, so that who may serve a request is
//! a matter of a few bits, and a choice costs the same for one key as for all. It holds no key's
//! value, only what tells one from another.
//!
//! Pure: times and random numbers are handed in.

mod admission;
mod affinity;
mod ask;
mod bits;
mod budget;
mod choose;
mod circuit;
mod counted;
mod explain;
mod gate;
mod group;
mod models;
mod pool;
mod rack;
mod reach;
mod rebuild;
mod refusals;
mod report;
pub mod secret;
mod spec;
mod status;
mod stored;
mod tried;

pub use admission::{Admission, Anyway, Decision, MOST_WAITING, Outcome, Place, Refused, Why};
pub use ask::{Ask, Body, Causes, Choice, Nothing, Wait};
pub use budget::{Backoff, RetryBudget};
pub use choose::Held;
pub use explain::{Obstacle, Reason};
pub use gate::Cause;
pub use pool::{GroupId, KeyId, Pool, Probe, Reservation};
pub use rack::KeyState;
pub use rebuild::{Rebuilt, Rejected, Rejection};
pub use report::Event;
pub use secret::{Fingerprint, Secret};
pub use spec::{Breaker, KeySpec, LimitSpec, Pattern, Reach, Spec, rules_for};
pub use status::{BreakerState, GroupState, GroupStatus, KeyStatus, ModelStatus, Status};
pub use stored::Stored;
pub use tried::Tried;

#[cfg(test)]
mod tests;
