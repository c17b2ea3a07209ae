//! What runs beside the streams of a connection: its frames, and the question whether it lives.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::super::pool::Pool;
use super::super::stream::Stream;
use super::{STREAMS, State, UNSETTLED};

/// How often a connection with open streams is asked whether it lives, and how long it may take to
/// say so. A model that thinks for minutes looks just like a dead peer; its connection does not.
const ASK_EVERY: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How long a connection may take to say farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs a connection until it ends.
pub(super) async fn drive(
    mut connection: Connection<Stream, Bytes>,
    state: Arc<State>,
    pool: Weak<Pool>,
) {
    let mut pulse = Pulse::new(connection.ping_pong());
    let ended = poll_fn(|cx| {
        let ended = Pin::new(&mut connection).poll(cx).is_ready();
        if state.learn(connection.max_concurrent_send_streams())
            && let Some(pool) = pool.upgrade()
        {
            pool.changed();
        }
        if ended || pulse.poll(cx, &state).is_ready() { Poll::Ready(()) } else { Poll::Pending }
    });
    let released = tokio::select! {
        () = ended => false,
        () = state.released.notified() => true,
    };
    state.closed.store(true, Ordering::Relaxed);
    if released {
        // It ends of itself, for nobody holds it any more; and if it does not, it is dropped.
        drop(timeout(FAREWELL, connection).await);
    }
    if let Some(pool) = pool.upgrade() {
        pool.changed();
    }
}

impl State {
    /// Takes up the peer's limit; whether it has changed.
    fn learn(&self, limit: usize) -> bool {
        if limit == UNSETTLED {
            return false;
        }
        let limit = limit.min(STREAMS);
        let known = self.limit.swap(limit, Ordering::Relaxed) == limit;
        !self.settled.swap(true, Ordering::Relaxed) || !known
    }
}

/// Asks a connection with open streams, every now and then, whether it lives.
struct Pulse {
    pings: Option<PingPong>,
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl Pulse {
    fn new(pings: Option<PingPong>) -> Self {
        Self { pings, timer: Box::pin(sleep(ASK_EVERY)), asked: false }
    }

    /// Ready when the peer has not answered.
    fn poll(&mut self, cx: &mut Context<'_>, state: &State) -> Poll<()> {
        let Some(pings) = &mut self.pings else { return Poll::Pending };
        if self.asked && pings.poll_pong(cx).is_ready() {
            self.asked = false;
            self.timer.as_mut().reset(Instant::now() + ASK_EVERY);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.asked {
                return Poll::Ready(());
            }
            let in_use = state.open.load(Ordering::Relaxed) > 0;
            self.asked = in_use && pings.send_ping(Ping::opaque()).is_ok();
            let wait = if self.asked { ANSWER_WITHIN } else { ASK_EVERY };
            self.timer.as_mut().reset(Instant::now() + wait);
            if self.asked && pings.poll_pong(cx).is_ready() {
                self.asked = false;
            }
        }
        Poll::Pending
    }
}
