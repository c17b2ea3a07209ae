//! What `/ready` and `/live` say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, interval};

/// Whether new requests are welcome: the listener is open, a snapshot is in force, and no drain has
/// begun. It never depends on keys or providers. Clones are the same latch.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Latches>);

#[derive(Debug, Default)]
struct Latches {
    listening: AtomicBool,
    configured: AtomicBool,
    draining: AtomicBool,
}

/// Why new requests are not welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    /// The data port is not open yet.
    NotListening,
    /// No configuration is in force yet.
    NotConfigured,
    /// The process has been told to end.
    Draining,
}

impl Readiness {
    /// The data port is open, on every worker.
    pub fn listening(&self) {
        self.0.listening.store(true, Ordering::Release);
    }

    /// A first snapshot is in force.
    pub fn configured(&self) {
        self.0.configured.store(true, Ordering::Release);
    }

    /// The process has been told to end; there is no way back.
    pub fn draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Whether new requests are welcome, and if not, why.
    pub fn check(&self) -> Result<(), Unready> {
        let latches = &self.0;
        if latches.draining.load(Ordering::Acquire) {
            Err(Unready::Draining)
        } else if !latches.configured.load(Ordering::Acquire) {
            Err(Unready::NotConfigured)
        } else if !latches.listening.load(Ordering::Acquire) {
            Err(Unready::NotListening)
        } else {
            Ok(())
        }
    }
}

impl Unready {
    /// The words `/ready` answers with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotListening => "the data port is not open yet",
            Self::NotConfigured => "no configuration is in force yet",
            Self::Draining => "draining",
        }
    }
}

/// How often a worker shows that it turns.
const BEAT: Duration = Duration::from_secs(5);
/// After this long without a beat a worker counts as stuck: six beats, so that a starved CPU
/// (a throttled container is given 10 ms of each 100) is not mistaken for a hang.
const STUCK: Duration = Duration::from_secs(30);

/// Whether the worker threads still turn. Clones are the same register.
#[derive(Clone, Debug)]
pub struct Liveness(Arc<Register>);

#[derive(Debug)]
struct Register {
    start: Instant,
    /// The last beat of each worker, in milliseconds since `start`. One entry per worker thread,
    /// made at the start; locked there and when `/live` is asked.
    beats: Mutex<Vec<Arc<AtomicU64>>>,
}

/// One worker's sign of life.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    last: Arc<AtomicU64>,
}

impl Liveness {
    /// Enters one worker into the register; it is stuck if it never beats.
    pub fn worker(&self) -> Pulse {
        let pulse = Pulse { start: self.0.start, last: Arc::default() };
        pulse.beat();
        let mut beats = self.0.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.push(Arc::clone(&pulse.last));
        pulse
    }

    /// Whether every worker has beaten within the last half minute.
    pub fn is_live(&self) -> bool {
        let now = millis(self.0.start);
        let beats = self.0.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = u64::try_from(STUCK.as_millis()).unwrap_or(u64::MAX);
        beats.iter().all(|last| now.saturating_sub(last.load(Ordering::Relaxed)) < stuck)
    }
}

impl Pulse {
    /// Shows life now.
    pub fn beat(&self) {
        self.last.store(millis(self.start), Ordering::Relaxed);
    }

    /// Shows life for as long as the runtime it is spawned on turns; never returns.
    pub async fn keep(self) {
        let mut beats = interval(BEAT);
        loop {
            beats.tick().await;
            self.beat();
        }
    }
}

impl Default for Liveness {
    fn default() -> Self {
        Self(Arc::new(Register { start: Instant::now(), beats: Mutex::default() }))
    }
}

fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::lifecycle::Tasks;

    #[test]
    fn ready_needs_listener_and_snapshot_and_ends_for_good_with_the_drain() {
        let readiness = Readiness::default();
        assert_eq!(readiness.check(), Err(Unready::NotConfigured));
        readiness.configured();
        assert_eq!(readiness.check(), Err(Unready::NotListening));
        readiness.listening();
        assert_eq!(readiness.check(), Ok(()));
        readiness.draining();
        assert_eq!(readiness.check(), Err(Unready::Draining));
        readiness.listening();
        readiness.configured();
        assert_eq!(readiness.check(), Err(Unready::Draining));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_stops_turning_is_not_live() {
        let liveness = Liveness::default();
        assert!(liveness.is_live(), "nobody is stuck before the workers are there");
        let (kept, stuck) = (liveness.worker(), liveness.worker());
        drop(Tasks::default().spawn(kept.keep()));
        for _ in 0..29 {
            advance(Duration::from_secs(1)).await;
        }
        assert!(liveness.is_live());
        advance(Duration::from_secs(1)).await;
        assert!(!liveness.is_live(), "the second has not beaten for half a minute");
        stuck.beat();
        assert!(liveness.is_live());
    }
}
