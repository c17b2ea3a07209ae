//! The two waits of an exchange, on one timer that is hardly ever touched.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::error::Phase;

/// A timer that lives as long as its connection and serves one exchange after the other.
///
/// It is never disarmed, and armed again only when it fires: for the whole of a usual exchange that
/// is one reset to a later moment, which is an atomic store. While an answer flows, the timer ticks
/// [`TICKS`] times in an idle timeout, and silence is counted in ticks; so a chunk costs neither a
/// look at the clock nor a timer, and silence is noticed between one and one and a quarter timeouts
/// after it began.
pub(super) struct Patience {
    timer: Pin<Box<Sleep>>,
    timeouts: Timeouts,
    /// When the exchange began, or its request was last seen to move.
    since: Instant,
    /// Bytes that had gone out then.
    moved: u64,
    /// Ticks since a piece of the answer came.
    silent: u32,
}

/// How long to wait for a provider. Each is held to between 4 ms and 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// For a connection: name, TCP, egress proxy and TLS together.
    pub connect: Duration,
    /// From the last byte of the request to the head of the answer; also how long the provider may
    /// leave an unfinished request lying.
    pub first_byte: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
}

/// Ticks in an idle timeout.
const TICKS: u32 = 4;

/// The resolution of tokio's timers, times the ticks.
const SHORTEST: Duration = Duration::from_millis(4);

/// What tokio's timers can hold is not endless.
const LONGEST: Duration = Duration::from_hours(30 * 24);

impl Timeouts {
    pub(super) fn bounded(self) -> Self {
        let Self { connect, first_byte, idle } = self;
        let [connect, first_byte, idle] =
            [connect, first_byte, idle].map(|timeout| timeout.clamp(SHORTEST, LONGEST));
        Self { connect, first_byte, idle }
    }

    fn tick(self) -> Duration {
        self.idle / TICKS
    }
}

impl Patience {
    pub(super) fn new(timeouts: Timeouts) -> Self {
        let now = Instant::now();
        let timer = Box::pin(sleep_until(now + timeouts.first_byte.min(timeouts.tick())));
        Self { timer, timeouts, since: now, moved: 0, silent: 0 }
    }

    /// An exchange begins.
    pub(super) fn begin(&mut self) {
        self.since = Instant::now();
        self.moved = 0;
        self.silent = 0;
        // No later than a tick, so that the timer need not be set back when the answer begins.
        self.rearm(self.since + self.timeouts.first_byte.min(self.timeouts.tick()));
    }

    /// Ready when the head of the answer is overdue, of a request of which so many bytes have moved,
    /// and the last one then.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        moved: u64,
        written_at: Option<Instant>,
    ) -> Poll<Phase> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if moved != self.moved {
                self.moved = moved;
                self.since = now;
            }
            let due = written_at.unwrap_or(self.since) + self.timeouts.first_byte;
            if now >= due {
                return Poll::Ready(written_at.map_or(Phase::Upload, |_| Phase::FirstByte));
            }
            self.rearm(due.min(now + self.timeouts.tick()));
        }
    }

    /// A piece of the answer came.
    pub(super) fn heard(&mut self) {
        self.silent = 0;
    }

    /// Ready when the answer has been silent for too long.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.silent == TICKS {
                return Poll::Ready(());
            }
            self.silent += 1;
            self.rearm(Instant::now() + self.timeouts.tick());
        }
    }

    /// No exchange is under way: `nobody` takes the place of the task that waited last.
    pub(super) fn rest(&mut self, nobody: &mut Context<'_>) {
        // That it has fired means nothing now.
        let _fired: Poll<()> = self.timer.as_mut().poll(nobody);
    }

    fn rearm(&mut self, at: Instant) {
        self.timer.as_mut().reset(at);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        connect: Duration::from_secs(5),
        first_byte: Duration::from_mins(10),
        idle: Duration::from_mins(1),
    };

    async fn seconds_until(patience: &mut Patience) -> u64 {
        let start = Instant::now();
        poll_fn(|cx| patience.poll_idle(cx)).await;
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_within_a_quarter_of_the_idle_timeout() {
        let mut patience = Patience::new(TIMEOUTS);
        for head_after in [0, 1, 14, 100] {
            patience.begin();
            advance(Duration::from_secs(head_after)).await;
            let silent = seconds_until(&mut patience).await;
            assert!((60..=76).contains(&silent), "{silent} s after a head in {head_after} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_not_silence() {
        let mut patience = Patience::new(TIMEOUTS);
        for _ in 0..100 {
            let silent = poll_fn(|cx| patience.poll_idle(cx));
            assert!(timeout(Duration::from_secs(50), silent).await.is_err());
            patience.heard();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_is_due_when_the_last_byte_of_the_request_is_long_gone() {
        let mut patience = Patience::new(TIMEOUTS);
        patience.begin();
        let early =
            timeout(Duration::from_secs(500), poll_fn(|cx| patience.poll_head(cx, 0, None)));
        assert!(early.await.is_err());
        let written = Instant::now();
        let phase = poll_fn(|cx| patience.poll_head(cx, 1, Some(written))).await;
        assert_eq!((phase, written.elapsed().as_secs()), (Phase::FirstByte, 600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_not_taken_times_out_too() {
        let mut patience = Patience::new(TIMEOUTS);
        patience.begin();
        let begun = Instant::now();
        let mut moved = 0;
        for _ in 0..3 {
            let taken = timeout(
                Duration::from_secs(500),
                poll_fn(|cx| patience.poll_head(cx, moved, None)),
            );
            assert!(taken.await.is_err());
            moved += 1;
        }
        assert_eq!(poll_fn(|cx| patience.poll_head(cx, moved, None)).await, Phase::Upload);
        assert!(begun.elapsed() >= Duration::from_secs(2_000));
    }
}
