//! Counts what is under way, across threads, and wakes who waits for it to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A count of things under way. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Census(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    present: AtomicUsize,
    arrivals: AtomicU64,
    /// Told when the first one comes and when the last one goes.
    turned: Notify,
}

/// One thing under way; it is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Counted(Census);

impl Census {
    /// Counts one more.
    pub(super) fn enter(&self) -> Counted {
        self.0.arrivals.fetch_add(1, Ordering::SeqCst);
        if self.0.present.fetch_add(1, Ordering::SeqCst) == 0 {
            self.0.turned.notify_waiters();
        }
        Counted(self.clone())
    }

    /// How many are under way.
    pub(super) fn present(&self) -> usize {
        self.0.present.load(Ordering::SeqCst)
    }

    /// How many ever came.
    pub(super) fn arrivals(&self) -> u64 {
        self.0.arrivals.load(Ordering::SeqCst)
    }

    /// Waits until none is under way.
    pub(super) async fn empty(&self) {
        self.until(|| self.present() == 0).await;
    }

    /// Waits until more than `seen` have ever come.
    pub(super) async fn arrival_after(&self, seen: u64) {
        self.until(|| self.arrivals() > seen).await;
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let mut turned = std::pin::pin!(self.0.turned.notified());
            // Enlisted before looking, so that a turn between the look and the wait is not missed.
            turned.as_mut().enable();
            if holds() {
                return;
            }
            turned.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let shared = &self.0.0;
        if shared.present.fetch_sub(1, Ordering::SeqCst) == 1 {
            shared.turned.notify_waiters();
        }
    }
}
