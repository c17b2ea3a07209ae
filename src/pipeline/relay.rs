//! The provider's answer on its way to the client: it passes as it comes while the meter reads
//! along, and what it cost is settled however it ends.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

use super::desk::Spending;
use super::exchange::{Ending, Exchange};
use crate::formats::Meter;
use crate::formats::meter::Outcome as Ended;
use crate::telemetry::Outcome;
use crate::upstream;

/// Pieces that are ready together leave together, up to this size: a frame of its own for each
/// costs three times as much.
const TOGETHER: usize = 64 * 1024;

/// Output is charged as it flows in steps of so many bytes, which is about 256 tokens.
const STEP: u64 = 1024;

/// A provider's answer on its way to the client.
///
/// Dropped before its end (the client left), the upstream call ends with it and what flowed is
/// charged.
#[derive(Debug)]
pub struct Relay {
    source: Source,
    head: Option<Bytes>,
    ready: SmallVec<[Bytes; 2]>,
    tail: Tail,
    length: SizeHint,
    /// Bytes handed over.
    passed: u64,
    /// Bytes of output that are charged.
    charged: u64,
    meter: Meter,
    exchange: Exchange,
    spending: Option<Spending>,
    closed: bool,
    outcome: Outcome,
}

/// Where pieces come from.
#[derive(Debug)]
enum Source {
    Open(upstream::ResponseBody),
    /// It broke off behind the head.
    Cut(upstream::BodyError),
    Ended,
}

/// What is still to come after the last piece.
#[derive(Debug)]
enum Tail {
    None,
    Trailers(Box<http::HeaderMap>),
    /// Before it breaks, what has been handed over must have left: a connection that is told of a
    /// break drops what it has not written yet.
    Breaking,
    Broken,
}

/// The provider's answer broke off, and so does ours.
#[derive(Clone, Copy, Debug)]
pub struct Broken;

/// What a relay is made of.
#[derive(Debug)]
pub struct Parts {
    /// What was read of the body already, to be judged.
    pub head: Bytes,
    /// The rest of it.
    pub body: upstream::ResponseBody,
    /// Why there is no rest, where it broke off while it was read.
    pub cut: Option<upstream::BodyError>,
    /// Whether the body leaves as long as it came.
    pub unchanged: bool,
    /// Reads along.
    pub meter: Meter,
    /// The request.
    pub exchange: Exchange,
    /// What it holds of the limits; `None` if that is settled.
    pub spending: Option<Spending>,
    /// How the request ends for the application if the answer passes whole.
    pub outcome: Outcome,
}

impl Relay {
    /// A relay of that answer.
    pub fn new(parts: Parts) -> Box<Self> {
        let Parts { head, body, cut, unchanged, meter, exchange, spending, outcome } = parts;
        let rest = body.size_hint();
        let length = match rest.exact() {
            Some(rest) if unchanged && cut.is_none() => {
                SizeHint::with_exact(rest + head.len() as u64)
            }
            _ => SizeHint::default(),
        };
        let is_empty = head.is_empty() && cut.is_none() && body.is_end_stream();
        let mut relay = Box::new(Self {
            source: cut.map_or_else(|| Source::Open(body), Source::Cut),
            head: (!head.is_empty()).then_some(head),
            ready: SmallVec::new(),
            tail: Tail::None,
            length,
            passed: 0,
            charged: 0,
            meter,
            exchange,
            spending,
            closed: false,
            outcome,
        });
        if is_empty {
            // The client's connection is told so at once (`HEAD`, 204, 304): it asks for no body then.
            relay.end();
        }
        relay
    }

    /// Takes pieces from the source until it has no more just now.
    fn fill(&mut self, cx: &mut Context<'_>) {
        if let Some(head) = self.head.take() {
            self.take(head);
        }
        if matches!(self.source, Source::Cut(_))
            && let Source::Cut(error) = mem::replace(&mut self.source, Source::Ended)
        {
            self.cut(&error);
        }
        while let Source::Open(body) = &mut self.source {
            if self.ready.iter().map(Bytes::len).sum::<usize>() >= TOGETHER {
                return;
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(frame))) => {
                    let last = body.is_end_stream();
                    match frame.into_data() {
                        Ok(piece) => self.take(piece),
                        Err(frame) => {
                            if let Ok(trailers) = frame.into_trailers() {
                                self.tail = Tail::Trailers(Box::new(trailers));
                            }
                        }
                    }
                    if last {
                        self.end();
                    }
                }
                Poll::Ready(Some(Err(error))) => self.cut(&error),
                Poll::Ready(None) => self.end(),
            }
        }
    }

    fn take(&mut self, piece: Bytes) {
        for piece in self.meter.read(piece) {
            if !piece.is_empty() {
                self.ready.push(piece);
            }
        }
        let seen = self.meter.output_seen();
        if seen >= self.charged + STEP {
            self.charged = seen;
            self.flow(seen);
        }
    }

    /// So many bytes of output have flowed: what goes beyond the reservations is charged as it does.
    fn flow(&mut self, bytes: u64) {
        if let Some(spending) = &mut self.spending {
            self.exchange.flow(spending.flow(bytes));
        }
    }

    /// The provider's answer is whole. It is settled before its last piece leaves, so that whatever
    /// the client asks next already finds it settled.
    fn end(&mut self) {
        self.source = Source::Ended;
        let held = self.meter.end();
        if !held.is_empty() {
            self.ready.push(held);
        }
        self.close(self.outcome, None);
    }

    /// The provider's answer broke off: the client's must look broken too, and never finished.
    fn cut(&mut self, error: &upstream::BodyError) {
        self.source = Source::Ended;
        tracing::debug!(%error, "An answer broke off");
        self.ready.extend(self.meter.cut("the provider's answer broke off"));
        self.tail = Tail::Breaking;
        self.close(Outcome::UpstreamError, Some("cut"));
    }

    /// Settles what it cost and writes down how it ended. Only the first time counts.
    fn close(&mut self, outcome: Outcome, word: Option<&'static str>) {
        if mem::replace(&mut self.closed, true) {
            return;
        }
        let reading = self.meter.reading();
        let (outcome, word) = match (word, &reading.outcome) {
            (Some(word), _) => (outcome, word),
            (None, Ended::Complete) => (outcome, "complete"),
            (None, Ended::Cut) => (outcome, "cut"),
            // Well begun, but not well ended: the application has seen it.
            (None, Ended::Error { .. }) if outcome == Outcome::Ok => {
                (Outcome::UpstreamError, "error")
            }
            (None, Ended::Error { .. }) => (outcome, "error"),
        };
        let usage = reading.usage;
        if self.ready.is_empty() || !self.exchange.first_byte() {
            self.exchange.tick();
        }
        if let Some(spending) = self.spending.take() {
            spending.settle(&reading, &mut self.exchange);
        }
        self.exchange.close(outcome, Ending { usage, word });
    }

    /// Everything that is ready, in one piece.
    fn together(&mut self) -> Option<Bytes> {
        let mut ready = mem::take(&mut self.ready);
        if ready.len() < 2 {
            return ready.pop();
        }
        let mut joined = BytesMut::with_capacity(ready.iter().map(Bytes::len).sum());
        for piece in ready {
            joined.extend_from_slice(&piece);
        }
        Some(joined.freeze())
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.fill(cx);
        if let Some(piece) = self.together() {
            self.exchange.first_byte();
            self.passed += piece.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if matches!(self.source, Source::Open(_)) {
            // It may be long until more comes.
            self.exchange.let_go();
            return Poll::Pending;
        }
        Poll::Ready(match mem::replace(&mut self.tail, Tail::None) {
            Tail::None => None,
            Tail::Trailers(trailers) => Some(Ok(Frame::trailers(*trailers))),
            Tail::Breaking => {
                // Hyper writes out when a body has nothing more for now, and polls it again.
                self.tail = Tail::Broken;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Tail::Broken => Some(Err(Broken)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!((&self.source, &self.tail), (Source::Ended, Tail::None)) && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.length.exact() == Some(self.passed) {
            // All that was announced has passed, and the connection asks for no more.
            self.end();
        }
        self.close(Outcome::Cancelled, Some("cancelled"));
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the provider's answer broke off")
    }
}

impl std::error::Error for Broken {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_stream_holds_little() {
        // With the reader of its events, which is on the heap, a fifth of what a stream may cost.
        assert!(size_of::<Relay>() <= 2_304, "{}", size_of::<Relay>());
    }
}
