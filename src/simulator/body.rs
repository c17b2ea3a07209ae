//! The body of an answer: pieces with pauses between them, which may stall or break.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::world::World;

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A piece, after a pause.
    Send { wait: Duration, bytes: Bytes, output: u64 },
    /// The connection breaks.
    Cut,
    /// Nothing, for [`STALL`]; then the connection breaks.
    Stall,
}

/// How long a stalled answer is silent: longer than any client waits.
pub(crate) const STALL: Duration = Duration::from_hours(1);

/// What was written before a connection breaks is given this long to leave: a break at once would
/// take it back from the server's own buffer.
const LEAVE: Duration = Duration::from_millis(5);

/// A body on its way.
pub(crate) struct Body {
    steps: VecDeque<Step>,
    pause: Option<Pin<Box<Sleep>>>,
    length: Option<u64>,
    lease: Option<Lease>,
}

/// The body broke, as it was meant to.
#[derive(Debug)]
pub(crate) struct Broken;

/// An answer in flight: counts what is sent, and at its end whether the client stayed.
#[derive(Debug)]
pub(crate) struct Lease {
    world: Arc<World>,
    account: usize,
    model: Option<usize>,
    stayed: bool,
}

impl Body {
    /// A body of these steps; `length` is declared where it is known.
    pub(crate) fn new(steps: VecDeque<Step>, length: Option<u64>, lease: Option<Lease>) -> Self {
        let mut body = Self { steps, pause: None, length, lease };
        if body.steps.is_empty() {
            body.finish();
        }
        body
    }

    /// All of it at once.
    pub(crate) fn whole(bytes: Bytes, lease: Option<Lease>) -> Self {
        let length = Some(bytes.len() as u64);
        let mut steps = VecDeque::new();
        if !bytes.is_empty() {
            steps.push_back(Step::Send { wait: Duration::ZERO, bytes, output: 0 });
        }
        Self::new(steps, length, lease)
    }

    fn poll_pause(&mut self, length: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if length.is_zero() {
            return Poll::Ready(());
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(length)));
        ready!(pause.as_mut().poll(cx));
        self.pause = None;
        Poll::Ready(())
    }

    fn finish(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.stayed = true;
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let wait = match self.steps.front() {
            None => {
                self.finish();
                return Poll::Ready(None);
            }
            Some(Step::Send { wait, .. }) => *wait,
            Some(Step::Cut) => LEAVE,
            Some(Step::Stall) => STALL,
        };
        ready!(self.poll_pause(wait, cx));
        let step = self.steps.pop_front();
        if self.steps.is_empty() {
            self.finish();
        }
        let Some(Step::Send { bytes, output, .. }) = step else {
            return Poll::Ready(Some(Err(Broken)));
        };
        if let Some(lease) = &self.lease {
            lease.produce(output);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Lease {
    /// Counts a request in.
    pub(crate) fn new(world: &Arc<World>, account: usize) -> Self {
        if let Some(owner) = world.account(account) {
            let mut ledger = world.ledger();
            let tally = ledger.account(&owner.name);
            tally.in_flight += 1;
            tally.in_flight_max = tally.in_flight_max.max(tally.in_flight);
        }
        Self { world: Arc::clone(world), account, model: None, stayed: false }
    }

    /// Output from now on is this model's.
    pub(crate) const fn of_model(&mut self, model: usize) {
        self.model = Some(model);
    }

    /// Counts output that is being sent.
    pub(crate) fn produce(&self, output: u64) {
        if output == 0 {
            return;
        }
        if let Some(model) = self.model {
            self.world.produce(self.account, model, output);
        }
        if let Some(owner) = self.world.account(self.account) {
            self.world.ledger().account(&owner.name).output_tokens += output;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(owner) = self.world.account(self.account) {
            let mut ledger = self.world.ledger();
            let tally = ledger.account(&owner.name);
            tally.in_flight = tally.in_flight.saturating_sub(1);
            tally.abandoned += u64::from(!self.stayed);
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated answer breaks off here")
    }
}

impl std::error::Error for Broken {}
