//! How long a client is waited for. One timer for a connection, that ticks: most waits end long
//! before the first tick, and cost nothing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// How long a new connection may stay silent.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a client may take to send a request's head, to leave its connection at rest, or to take
/// anything of its answer, in ticks: longer than HTTP clients keep a connection at rest (Go 90 s,
/// Java 5 min), for one that is closed under a request is a failure that the client sees.
const MOST_TICKS: u8 = 6;
const TICK: Duration = Duration::from_mins(1);

/// What is left of it.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// The client has said something.
    spoken: bool,
    /// Ticks within this wait.
    ticks: u8,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// The client has said something.
    pub(super) fn heard(&mut self) {
        self.spoken = true;
    }

    /// Another wait begins.
    pub(super) fn renew(&mut self) {
        self.ticks = 0;
    }

    /// Ready when the client has been waited for long enough.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let first = if self.spoken { TICK } else { SILENCE };
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(first)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The first tick may have begun before the wait.
            if !self.spoken || self.ticks == MOST_TICKS {
                return Poll::Ready(());
            }
            self.ticks += 1;
            *timer = Box::pin(sleep(TICK));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::Instant;

    use super::*;

    async fn wait(patience: &mut Patience) -> Duration {
        let began = Instant::now();
        poll_fn(|cx| patience.poll_end(cx)).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_may_be_silent_for_half_a_minute() {
        let waited = wait(&mut Patience::default()).await;
        assert_eq!(waited.as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_spoken_is_waited_for_six_minutes_and_at_most_seven() {
        for before in [0, 29, 45, 100, 1_000] {
            let mut patience = Patience::default();
            assert!(poll_fn(|cx| Poll::Ready(patience.poll_end(cx))).await.is_pending());
            patience.heard();
            sleep(Duration::from_secs(before)).await;
            patience.renew();
            let waited = wait(&mut patience).await;
            assert!((360..=420).contains(&waited.as_secs()), "after {before} s: {waited:?}");
        }
    }
}
