//! One HTTP/1.1 connection, driven by whoever uses it.
//!
//! Our own, because each request and each piece of a stream passes here: between the bytes and us
//! there is no task, no channel and no buffer that waits. A request and a small body leave in one
//! write; what one read brings becomes one frame; and a connection whose stream is silent holds
//! nothing but itself (see `scratch`).

mod alike;
mod chunked;
mod decoder;
mod encode;
mod head;
mod inbox;
mod malformed;
mod outbox;
mod scratch;
mod source;
#[cfg(test)]
mod tests;

pub use inbox::{Asked, Inbox};
pub use malformed::Malformed;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::SizeHint;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::body::Read;
use super::error::{BodyFault, BoxError, Fault, Phase, SendError, Sent};
use super::patience::{Patience, Timeouts};
use super::pool::Seat;
use super::request::{Failure, Outbound};
use super::stream::Stream;
use outbox::{Outbox, Trouble};

/// One connection, with all that its exchanges need, so that an exchange need not make it.
///
/// Nothing runs beside it: it makes progress when it is polled by the task that waits for its
/// answer, and while it is idle only when the pool looks at it. Dropping it closes it.
pub(super) struct Http1 {
    stream: Stream,
    inbox: Inbox,
    outbox: Outbox,
    patience: Patience,
    idle_since: Instant,
    afterwards: Afterwards,
    seat: Seat,
}

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It serves another.
    Keep,
    /// It ends: it was made for one upgrade.
    Close,
}

/// Why there is no answer.
enum Wrong {
    /// The server has closed the connection.
    Closed,
    /// It spoke before it was asked.
    OutOfTurn,
    Io(io::Error),
    Malformed(Malformed),
    /// The client's body ended early.
    Body(BoxError),
    Late(Phase),
}

impl Http1 {
    pub(super) fn new(
        stream: Stream,
        timeouts: Timeouts,
        seat: Seat,
        afterwards: Afterwards,
    ) -> Box<Self> {
        Box::new(Self {
            stream,
            inbox: Inbox::new(Asked::Content),
            outbox: Outbox::new(),
            patience: Patience::new(timeouts),
            idle_since: Instant::now(),
            afterwards,
            seat,
        })
    }

    /// Sends a request and waits for the head of its answer. After a failure, drop the connection;
    /// `outbound` is whole again if nothing of it was sent.
    pub(super) async fn exchange(
        &mut self,
        outbound: &mut Outbound<'_>,
        host: &HeaderValue,
        place: &Arc<str>,
    ) -> Result<Response<()>, Failure> {
        self.inbox = Inbox::new(match self.afterwards {
            Afterwards::Keep => Asked::by(&outbound.method),
            Afterwards::Close => Asked::Upgrade,
        });
        self.outbox = Outbox::new();
        self.patience.begin();
        let answer = poll_fn(|cx| self.poll_answer(cx, outbound, host)).await;
        answer.map_err(|wrong| self.fail(wrong, outbound, place))
    }

    /// The next frame of the answer's body. What is left of the request goes on its way meanwhile.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        if let Poll::Ready(Err(_)) = self.outbox.poll_rest(cx, &mut self.stream) {
            // The answer has begun and tells it all.
            self.outbox.give_up();
        }
        loop {
            match self.inbox.frame() {
                Ok(None) => {}
                Ok(frame) => {
                    self.patience.heard();
                    return Poll::Ready(Ok(frame));
                }
                Err(malformed) => {
                    return Poll::Ready(Err((BodyFault::Protocol, Some(malformed.into()))));
                }
            }
            if self.inbox.is_done() {
                return Poll::Ready(Ok(None));
            }
            match self.poll_body(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) if self.inbox.close() => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(Err((BodyFault::Cut, None))),
                Poll::Ready(Err(error)) => {
                    let nonsense = error.kind() == io::ErrorKind::InvalidData;
                    let fault = if nonsense { BodyFault::Protocol } else { BodyFault::Cut };
                    return Poll::Ready(Err((fault, Some(error.into()))));
                }
                Poll::Pending => {
                    return self.patience.poll_idle(cx).map(|()| Err((BodyFault::Idle, None)));
                }
            }
        }
    }

    /// Whether there is no frame any more.
    pub(super) fn is_done(&self) -> bool {
        self.inbox.is_done()
    }

    /// How much of the body is to come, where its head told.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.inbox.size_hint()
    }

    /// The connection at rest after an exchange, if it can serve another.
    pub(super) fn rest(mut self: Box<Self>) -> Option<Box<Self>> {
        let whole = self.inbox.is_reusable() && self.outbox.sent() == Sent::Yes;
        if self.afterwards == Afterwards::Close || !whole {
            return None;
        }
        self.idle_since = Instant::now();
        Some(self)
    }

    /// Whether a connection at rest is open and silent, as far as the runtime has been told. It
    /// forgets the task that used it last.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        self.patience.rest(&mut nobody);
        let Self { stream, .. } = self;
        scratch::reading(|buffer| poll_read(stream, &mut nobody, buffer).is_pending())
    }

    pub(super) const fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// The bare connection after the server has agreed to an upgrade, and what has come of the new
    /// protocol already.
    pub(super) fn into_io(self: Box<Self>) -> Option<(Stream, Bytes, Seat)> {
        let Self { stream, inbox, outbox, seat, .. } = *self;
        (outbox.sent() == Sent::Yes).then(|| (stream, inbox.into_early(), seat))
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &mut Outbound<'_>,
        host: &HeaderValue,
    ) -> Poll<Result<Response<()>, Wrong>> {
        // First, so that a connection which its server has closed is found out before anything is
        // sent on it. Where nothing has come, that costs no call of the system's.
        if let Poll::Ready(answer) = self.poll_head(cx) {
            return Poll::Ready(answer);
        }
        match self.outbox.poll_send(cx, &mut self.stream, outbound, host) {
            Poll::Ready(Err(Trouble::Body(error))) => return Poll::Ready(Err(Wrong::Body(error))),
            Poll::Ready(Err(Trouble::Io(error))) if self.outbox.sent() == Sent::No => {
                return Poll::Ready(Err(Wrong::Io(error)));
            }
            // Who closes under a request may have said why. The end of that shows when it is read.
            Poll::Ready(Err(Trouble::Io(_))) => self.outbox.give_up(),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        let Self { patience, outbox, .. } = self;
        patience
            .poll_head(cx, outbox.moved(), outbox.written_at())
            .map(|late| Err(Wrong::Late(late)))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Wrong>> {
        let Self { stream, inbox, outbox, .. } = self;
        scratch::reading(|buffer| {
            loop {
                let read = match ready!(poll_read(stream, cx, buffer)).map_err(Wrong::Io)? {
                    [] => return Poll::Ready(Err(Wrong::Closed)),
                    _ if outbox.sent() == Sent::No => {
                        return Poll::Ready(Err(Wrong::OutOfTurn));
                    }
                    read => read,
                };
                if let Some(response) = inbox.head(read).map_err(Wrong::Malformed)? {
                    return Poll::Ready(Ok(response));
                }
            }
        })
    }

    /// Takes what has come of the body; whether that was anything but the connection's end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Self { stream, inbox, .. } = self;
        scratch::reading(|buffer| {
            let read = ready!(poll_read(stream, cx, buffer))?;
            inbox.body(read);
            Poll::Ready(Ok(!read.is_empty()))
        })
    }

    fn fail(&mut self, wrong: Wrong, outbound: &mut Outbound<'_>, place: &Arc<str>) -> Failure {
        let mut sent = self.outbox.sent();
        let unsent =
            sent == Sent::No && matches!(wrong, Wrong::Closed | Wrong::OutOfTurn | Wrong::Io(_));
        if unsent {
            self.outbox.give_back(outbound);
        }
        let (fault, source): (_, Option<BoxError>) = match wrong {
            Wrong::Closed => (Fault::Broken, None),
            Wrong::OutOfTurn => (Fault::Protocol, None),
            Wrong::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                (Fault::Protocol, Some(error.into()))
            }
            Wrong::Io(error) => (Fault::Broken, Some(error.into())),
            Wrong::Malformed(malformed) => (Fault::Protocol, Some(malformed.into())),
            Wrong::Body(error) => {
                sent = Sent::Maybe;
                (Fault::RequestBody, Some(error))
            }
            Wrong::Late(phase) => (Fault::Timeout(phase), None),
        };
        let error = SendError::new(place, fault, sent);
        let error = if let Some(source) = source { error.caused_by(source) } else { error };
        Failure { error, unsent }
    }
}

/// Reads what has come; nothing if the connection has ended.
fn poll_read<'b>(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    buffer: &'b mut [u8],
) -> Poll<io::Result<&'b mut [u8]>> {
    let mut into = ReadBuf::new(buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut into))?;
    let read = into.filled().len();
    Poll::Ready(Ok(buffer.get_mut(..read).unwrap_or_default()))
}
