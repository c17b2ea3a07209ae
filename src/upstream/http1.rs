//! One HTTP/1.1 connection, driven by whoever uses it.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::body::{Progress, Read, Sending};
use super::error::{BodyFault, Fault, SendError, Sent};
use super::gate::Gate;
use super::patience::{Patience, Timeouts};
use super::pool::Seat;
use super::request::{Failure, Prepared};
use super::stream::{Allowance, Stream};

/// The largest head of an answer, and the largest trailers. Providers send 2 to 8 KiB.
const HEAD: usize = 64 * 1024;

/// The most that is buffered of an answer that is read slowly, and of a request that is.
const BUFFER: usize = 256 * 1024;

/// One connection, with all that its exchanges need, so that an exchange need not make it.
///
/// Nothing runs beside it: it makes progress when it is polled by the task that waits for its
/// answer, and while it is idle only when the pool looks at it. Dropping it closes it.
pub(super) struct Http1 {
    connection: Driven,
    sender: http1::SendRequest<Sending>,
    gate: Gate,
    patience: Patience,
    progress: Arc<Progress>,
    allowance: Arc<Allowance>,
    idle_since: Instant,
    afterwards: Afterwards,
    seat: Seat,
}

/// hyper's connection, until it is done and has been let go.
///
/// Only letting it go tells a request that is still in its queue that it was not sent, and the
/// reader of a body that no more will come. What is left after an upgrade, though, is wanted.
struct Driven {
    connection: Option<http1::Connection<TokioIo<Stream>, Sending>>,
    done: bool,
}

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It serves another.
    Keep,
    /// It ends: it was made for one.
    Close,
}

pub(super) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_header_size(HEAD).max_buf_size(BUFFER);
    builder
}

impl Http1 {
    pub(super) async fn open(
        stream: Stream,
        timeouts: Timeouts,
        seat: Seat,
        afterwards: Afterwards,
    ) -> hyper::Result<Box<Self>> {
        let allowance = Allowance::new();
        let stream = stream.with_allowance(Arc::clone(&allowance));
        let (sender, connection) = builder().handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Self {
            connection: Driven { connection: Some(connection), done: false },
            sender,
            gate: Gate::new(),
            patience: Patience::new(timeouts),
            progress: Progress::new(),
            allowance,
            idle_since: Instant::now(),
            afterwards,
            seat,
        }))
    }

    /// Sends a request and waits for the head of its answer. After a failure, drop the connection.
    pub(super) async fn exchange(
        &mut self,
        prepared: Prepared,
        host: &HeaderValue,
        place: &Arc<str>,
    ) -> Result<Response<Incoming>, Failure> {
        let request = prepared.into_http1(host, &self.progress);
        self.allowance.limit();
        self.patience.begin(&self.progress);
        let mut answer = pin!(self.sender.try_send_request(request));
        let Self { connection, gate, patience, progress, .. } = &mut *self;
        let head = poll_fn(|cx| {
            gate.poll(cx, |cx| {
                gate.settle();
                connection.drive(cx);
                let mut told = answer.as_mut().poll(cx);
                if told.is_pending() && connection.release() {
                    told = answer.as_mut().poll(cx);
                }
                match told {
                    Poll::Ready(answer) => Poll::Ready(Ok(answer)),
                    Poll::Pending => patience.poll_head(cx, progress).map(Err),
                }
            })
        });
        let mut error = match head.await {
            Ok(Ok(response)) => {
                self.allowance.lift();
                return Ok(response);
            }
            Err(phase) => {
                let error = SendError::new(place, Fault::Timeout(phase), self.sent());
                return Err(Failure { error, unsent: None });
            }
            Ok(Err(error)) => error,
        };
        let unsent = error.take_message().map(|request| Box::new(Prepared::from_http1(request)));
        let sent = if unsent.is_some() { Sent::No } else { self.sent() };
        let error = error.into_error();
        let error = SendError::new(place, fault_of(&error), sent).caused_by(error);
        Err(Failure { error, unsent })
    }

    /// The next frame of the answer's body.
    pub(super) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Read> {
        let Self { connection, gate, patience, .. } = self;
        let read = gate.poll(cx, |cx| {
            // Asking first tells the connection that a frame is wanted.
            if let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) {
                return Poll::Ready(Ok(frame));
            }
            gate.settle();
            connection.drive(cx);
            connection.release();
            match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                Poll::Pending => patience.poll_idle(cx).map(Err),
            }
        });
        read.map(|read| match read {
            Ok(Some(Ok(frame))) => {
                patience.heard();
                Ok(Some(frame))
            }
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err((body_fault_of(&error), Some(error.into()))),
            Err(()) => Err((BodyFault::Idle, None)),
        })
    }

    /// The connection at rest after an exchange, if it can serve another.
    pub(super) fn rest(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.afterwards == Afterwards::Close || !self.is_usable() {
            return None;
        }
        self.idle_since = Instant::now();
        Some(self)
    }

    /// Looks whether a connection is ready for an exchange, and open at both ends as far as the
    /// runtime has been told.
    pub(super) fn is_usable(&mut self) -> bool {
        let Self { connection, gate, sender, .. } = self;
        let _pending = gate.poll(&mut Context::from_waker(Waker::noop()), |cx| {
            connection.drive(cx);
            Poll::<()>::Pending
        });
        !connection.done && sender.is_ready()
    }

    pub(super) const fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// The bare connection after the server has agreed to an upgrade, at which hyper is done with
    /// it; and what has come of the new protocol already.
    pub(super) fn into_io(mut self: Box<Self>) -> Option<(Stream, Bytes, Seat)> {
        self.is_usable();
        let Self { connection: Driven { connection, done }, seat, .. } = *self;
        let parts = connection.filter(|_| done)?.into_parts();
        Some((parts.io.into_inner(), parts.read_buf, seat))
    }

    fn sent(&self) -> Sent {
        if self.progress.finished_at().is_some() { Sent::Yes } else { Sent::Maybe }
    }
}

impl Driven {
    /// Lets the connection do what it can. What goes wrong is told to the exchange under way, and
    /// to no one if there is none.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = self.connection.as_mut().filter(|_| !self.done) {
            self.done = Pin::new(connection).poll(cx).is_ready();
        }
    }

    /// Lets go of a connection that is done; whether it was just now.
    fn release(&mut self) -> bool {
        self.done && self.connection.take().is_some()
    }
}

fn fault_of(error: &hyper::Error) -> Fault {
    if error.is_user() {
        Fault::RequestBody
    } else if error.is_parse() || io_kind(error) == Some(io::ErrorKind::InvalidData) {
        Fault::Protocol
    } else {
        Fault::Broken
    }
}

/// hyper tells a broken chunk or length by an I/O error of its own.
fn body_fault_of(error: &hyper::Error) -> BodyFault {
    match io_kind(error) {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => BodyFault::Protocol,
        _ => BodyFault::Cut,
    }
}

fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    error.source()?.downcast_ref::<io::Error>().map(io::Error::kind)
}
