//! The clockwork: signals, the tasks and connections under way, readiness, and how it all comes to
//! rest.
//!
//! Every handle here is cheap to clone and may be used from several runtimes at once: what they
//! share is atomics and wake-ups, never a lock that is held across an await.

mod census;
pub mod clock;
pub mod connections;
pub mod drain;
pub mod health;
pub mod signals;
pub mod tasks;
pub mod termination;

use std::time::Duration;

pub use clock::Clock;
pub use connections::{Connections, OpenConnection};
pub use drain::{Drain, DrainMode, Drained};
pub use health::{Liveness, Pulse, Readiness, Unready};
pub use signals::{Signal, Signals};
pub use tasks::Tasks;

/// The handles of one process, made together because they lean on each other.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    /// Whether new requests are welcome.
    pub readiness: Readiness,
    /// Whether the worker threads still turn.
    pub liveness: Liveness,
    /// The client connections that are open.
    pub connections: Connections,
    /// The tasks under way.
    pub tasks: Tasks,
    /// How it comes to rest.
    pub drain: Drain,
}

impl Lifecycle {
    /// The handles of a process that, once told to end, drains in this `mode` for at most `limit`.
    pub fn new(mode: DrainMode, limit: Duration) -> Self {
        let readiness = Readiness::default();
        let connections = Connections::default();
        let drain = Drain::new(mode, limit, connections.clone(), readiness.clone());
        let (liveness, tasks) = (Liveness::default(), Tasks::default());
        Self { readiness, liveness, connections, tasks, drain }
    }
}
