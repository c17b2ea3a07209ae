//! How the process comes to rest once it is told to end.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::{Connections, Readiness};

/// How long no client connection may have been open before a sidecar believes that the application
/// is gone (DESIGN: "until no client connection has been open for a second").
pub const SILENCE: Duration = Duration::from_secs(1);

/// What is done with the listener when the process is told to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrainMode {
    /// It stays open until the application has gone: in a pod, the application is told to end at
    /// the same time, and still calls.
    #[default]
    Sidecar,
    /// It is closed at once and open streams finish: behind a Service, new connections have
    /// elsewhere to go.
    Gateway,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Nobody was left.
    Clean,
    /// The time was up; this many connections were still open.
    TimedOut {
        /// Connections that are cut.
        open: usize,
    },
    /// A second signal came; this many connections were still open.
    Cut {
        /// Connections that are cut.
        open: usize,
    },
}

/// Tells everyone when to stop accepting and when it is over. Clones are the same drain.
///
/// ## `Running` => (`Draining` | `Cut`)
/// On the first [`signal`](Self::signal), or on [`cut`](Self::cut).
/// ## `Draining` => (`Over` | `Cut`)
/// When nobody is left or the time is up; on the second signal.
/// ## `Cut` => `Over`
/// At once.
#[derive(Clone, Debug)]
pub struct Drain {
    mode: DrainMode,
    limit: Duration,
    connections: Connections,
    readiness: Readiness,
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Draining,
    Cut,
    Over,
}

impl Drain {
    /// A drain of this `mode`, that takes at most `limit` once begun.
    pub fn new(
        mode: DrainMode,
        limit: Duration,
        connections: Connections,
        readiness: Readiness,
    ) -> Self {
        Self { mode, limit, connections, readiness, phase: watch::Sender::new(Phase::Running) }
    }

    /// Told to end: the first time the drain begins, the second time it is over at once.
    pub fn signal(&self) {
        self.readiness.draining();
        self.phase.send_modify(|phase| match *phase {
            Phase::Running => *phase = Phase::Draining,
            Phase::Draining => *phase = Phase::Cut,
            Phase::Cut | Phase::Over => {}
        });
    }

    /// Ends without draining.
    pub fn cut(&self) {
        self.readiness.draining();
        self.reach(Phase::Cut);
    }

    /// Waits until the drain begins.
    pub async fn begun(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Waits for the moment at which the listener is to be closed and every connection to end with
    /// the request it is in: the beginning of a gateway's drain, the end of a sidecar's.
    pub async fn closing(&self) {
        self.reached(self.closes()).await;
    }

    /// Whether that moment has come.
    pub fn is_closing(&self) -> bool {
        *self.phase.borrow() >= self.closes()
    }

    fn closes(&self) -> Phase {
        match self.mode {
            DrainMode::Gateway => Phase::Draining,
            DrainMode::Sidecar => Phase::Over,
        }
    }

    /// Waits until it is over: whatever is still open may be dropped.
    pub async fn over(&self) {
        self.reached(Phase::Over).await;
    }

    /// Waits for the drain to begin, carries it through, and lets everyone go. To be awaited once,
    /// on the control thread.
    pub async fn carry_through(&self) -> Drained {
        self.begun().await;
        let ended = tokio::select! {
            biased;
            () = self.reached(Phase::Cut) => Drained::Cut { open: self.connections.count() },
            left = timeout(self.limit, self.nobody_left()) => match left {
                Ok(()) => Drained::Clean,
                Err(_) => Drained::TimedOut { open: self.connections.count() },
            },
        };
        self.reach(Phase::Over);
        ended
    }

    async fn nobody_left(&self) {
        match self.mode {
            DrainMode::Sidecar => self.connections.quiet(SILENCE).await,
            DrainMode::Gateway => self.connections.closed().await,
        }
    }

    fn reach(&self, goal: Phase) {
        self.phase.send_modify(|phase| *phase = goal.max(*phase));
    }

    async fn reached(&self, goal: Phase) {
        let mut phase = self.phase.subscribe();
        if phase.wait_for(|phase| *phase >= goal).await.is_err() {
            // The sender is ours, so this cannot be; were it, nobody would be left to tell.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
#[path = "drain/tests.rs"]
mod tests;
