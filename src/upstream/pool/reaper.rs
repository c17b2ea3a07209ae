//! Lets connections go that nobody uses.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::super::spawn::spawn;
use super::Pool;

/// How long a connection may rest. Just under the shortest of the keep-alives that providers' edges
/// are known for (AWS's load balancers: 60 s; nginx: 75 s; Cloudflare and Google: minutes), so that
/// it is closed from here, and no request meets a close that is under way. Servers with shorter ones
/// (uvicorn, Node: 5 s) are seen to close; see [`super::Http1::is_usable`].
const REST: Duration = Duration::from_secs(55);

/// How often they are looked at. No timer runs while none rests.
const ROUND: Duration = Duration::from_secs(5);

impl Pool {
    /// Sees to it that what rests will be looked at.
    pub(super) fn reap(self: &Arc<Self>) {
        if !self.reaping.load(Ordering::Relaxed) && !self.reaping.swap(true, Ordering::Relaxed) {
            spawn(rounds(Arc::downgrade(self)));
        }
    }

    /// Lets go of what has rested for long, has been closed by its server, or leads to a destination
    /// that no configuration knows any more. Whether there is anything left to look at.
    fn round(&self) -> bool {
        let gone = self.destination.strong_count() == 0;
        let mut state = self.state();
        state
            .resting
            .retain_mut(|line| !gone && line.idle_since().elapsed() < REST && line.is_usable());
        state.shared.retain(|http2| {
            let rested = http2.idle_since().is_some_and(|since| gone || since.elapsed() >= REST);
            http2.is_open() && !rested
        });
        if state.resting.is_empty() {
            state.resting.shrink_to_fit();
        }
        let left = !state.resting.is_empty() || !state.shared.is_empty();
        if !left {
            self.reaping.store(false, Ordering::Relaxed);
        }
        left
    }
}

async fn rounds(pool: Weak<Pool>) {
    loop {
        sleep(ROUND).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.round() {
            return;
        }
    }
}
