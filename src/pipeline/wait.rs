//! Waiting for capacity: a place among those who wait for a provider, and the call when it is one's
//! turn.

use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;
use tokio::sync::Notify;

use super::desk::{Desk, Found};
use crate::clock::Moment;
use crate::keys::Place;

/// Through which a request is called that waits, perhaps before several desks. What it was given and
/// never took goes back when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Notify,
    found: Mutex<SmallVec<[(usize, Found); 1]>>,
}

impl Bell {
    /// Calls its owner: that is what became of waiting for that target.
    fn ring(&self, target: usize, found: Found) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push((target, found));
        self.rung.notify_one();
    }

    /// Takes what became of waiting, by target.
    pub(super) fn take(&self) -> SmallVec<[(usize, Found); 1]> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits to be called.
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }
}

/// Who is called, and for which of its targets.
#[derive(Debug)]
pub struct Waiter {
    pub(super) bell: Arc<Bell>,
    pub(super) target: usize,
}

impl Waiter {
    pub(super) fn call(self, found: Found) {
        self.bell.ring(self.target, found);
    }
}

/// A place before a desk; dropping it gives it up.
#[derive(Debug)]
pub struct Standing {
    desk: Arc<Desk>,
    place: Place,
}

impl Standing {
    pub(super) fn new(desk: &Arc<Desk>, place: Place) -> Self {
        Self { desk: Arc::clone(desk), place }
    }

    /// When a group that the request has tried can be tried again.
    pub const fn again(&self) -> Option<Moment> {
        self.place.again
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.desk.leave(self.place);
    }
}
