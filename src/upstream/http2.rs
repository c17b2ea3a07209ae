//! One HTTP/2 connection and its streams.
//!
//! On `h2` itself: a request then needs neither a task nor a channel of its
//! own, the peer's stream limit is there to be read, and an error tells whether the peer has looked
//! at the request at all.

mod driver;
mod pump;
mod sending;

pub(super) use sending::{Progress, Sending};

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Response, header};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::body::Read;
use super::destination::Destination;
use super::error::{BodyFault, Fault, Phase, SendError, Sent};
use super::patience::Patience;
use super::pool::Pool;
use super::request::{Failure, Outbound};
use super::spawn::spawn;
use super::stream::Stream;
use pump::Pump;

/// What one stream may send ahead of its reader: the most that a client which stops reading holds.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The same for a connection: some tens of such clients, before the others feel them.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;

/// What one stream may buffer of a request that the provider does not take.
const SEND_BUFFER: usize = 256 * 1024;

/// The largest head of an answer, and the largest trailers; as for HTTP/1.1.
const HEAD: u32 = 64 * 1024;

/// Streams on one connection, however many the peer would take: one lost packet holds up all.
const STREAMS: usize = 256;

/// Streams opened before the peer's settings have come: the one that every server takes. The others
/// of a burst wait for the settings, which follow the handshake by a round trip at most.
const STREAMS_AT_FIRST: usize = 1;

/// What h2 takes for the limit until then. No server can announce it, so any other value is the
/// peer's own.
const UNSETTLED: usize = usize::MAX - 1;

/// Streams that clients left and whose last frames may still come. Beyond h2's default of 50 those
/// frames would count as the peer's errors, of which a connection bears only 1,024.
const STREAMS_LEFT: usize = 1024;

/// Interim answers (1xx) before the answer.
const INTERIM: usize = 64;

/// A connection. It ends when the last holder lets go of it and its streams have ended.
pub(super) struct Http2 {
    sender: SendRequest<Bytes>,
    state: Arc<State>,
}

/// What the connection's driver and its users tell each other.
struct State {
    /// Streams that may be open at once.
    limit: AtomicUsize,
    /// Streams that are.
    open: AtomicUsize,
    /// Whether the limit is the peer's own.
    settled: AtomicBool,
    /// Whether no stream may be opened any more.
    closed: AtomicBool,
    idle_since: Mutex<Instant>,
    released: Notify,
}

/// The right to one stream.
pub(super) struct Slot {
    http2: Arc<Http2>,
    pool: Arc<Pool>,
}

/// The body of an answer.
pub(super) struct Http2Body {
    receive: RecvStream,
    /// What is still to be sent of the request, where the answer came first.
    pump: Option<Pump>,
    patience: Patience,
    /// Bytes still to come, if the head told.
    left: Option<u64>,
    stage: Stage,
    slot: Slot,
}

enum Stage {
    Data,
    Trailers,
    Ended,
}

impl Http2 {
    /// Begins to speak HTTP/2; the peer need not have answered yet.
    pub(super) async fn open(stream: Stream, pool: &Arc<Pool>) -> Result<Arc<Self>, h2::Error> {
        let handshake = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEAD)
            .initial_max_send_streams(UNSETTLED)
            .max_concurrent_reset_streams(STREAMS_LEFT)
            .enable_push(false)
            .handshake(stream);
        let (sender, connection) = handshake.await?;
        let state = Arc::new(State {
            limit: AtomicUsize::new(STREAMS_AT_FIRST),
            open: AtomicUsize::new(0),
            settled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
            released: Notify::new(),
        });
        spawn(driver::drive(connection, Arc::clone(&state), Arc::downgrade(pool)));
        Ok(Arc::new(Self { sender, state }))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.state.closed.load(Ordering::Relaxed)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.state.settled.load(Ordering::Relaxed)
    }

    /// Streams that may be open at once.
    pub(super) fn limit(&self) -> usize {
        self.state.limit.load(Ordering::Relaxed)
    }

    /// Streams that may still be opened.
    pub(super) fn room(&self) -> usize {
        self.limit().saturating_sub(self.state.open.load(Ordering::Relaxed))
    }

    /// A stream, if there is room. Call it under the pool's lock.
    pub(super) fn take(self: &Arc<Self>, pool: &Arc<Pool>) -> Option<Slot> {
        if !self.is_open() || self.room() == 0 {
            return None;
        }
        self.state.open.fetch_add(1, Ordering::Relaxed);
        Some(Slot { http2: Arc::clone(self), pool: Arc::clone(pool) })
    }

    /// Since when no stream has been open; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        if self.state.open.load(Ordering::Relaxed) > 0 {
            return None;
        }
        Some(*self.state.idle_since.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.state.released.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let state = &self.http2.state;
        if state.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            *state.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        self.pool.freed();
    }
}

impl Slot {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(
        self,
        outbound: &mut Outbound<'_>,
        destination: &Destination,
    ) -> Result<Response<Http2Body>, Failure> {
        let place = &destination.place;
        let mut sender = self.http2.sender.clone();
        // Fails where the connection is going away; sending would take the request along.
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            self.http2.state.closed.store(true, Ordering::Relaxed);
            let error = SendError::new(place, Fault::Broken, Sent::No).caused_by(error);
            return Err(Failure { error, unsent: true });
        }
        let fail = |error| Failure { error, unsent: false };
        let progress = Progress::new();
        let Some((request, body)) = outbound.take_http2(destination, &progress) else {
            return Err(fail(SendError::new(place, Fault::Request, Sent::No)));
        };
        let (response, stream) =
            sender.send_request(request, body.is_end_stream()).map_err(|error| {
                fail(SendError::new(place, Fault::Request, Sent::No).caused_by(error))
            })?;
        let mut wait = Wait {
            response,
            pump: (!body.is_end_stream()).then(|| Pump::new(stream, body)),
            patience: Patience::new(destination.timeouts),
            interim: 0,
        };
        wait.patience.begin();
        match poll_fn(|cx| wait.poll(cx, &progress)).await {
            Ok(response) => {
                let length = announced(response.headers());
                Ok(response.map(|receive| Http2Body::new(receive, length, wait, self)))
            }
            Err(end) => Err(fail(end.told(place, &progress))),
        }
    }
}

/// A request whose answer is waited for.
struct Wait {
    response: h2::client::ResponseFuture,
    pump: Option<Pump>,
    patience: Patience,
    interim: usize,
}

/// Why the wait is over without an answer.
enum End {
    Timeout(Phase),
    /// The client's body ended early.
    Body(super::error::BoxError),
    Stream(h2::Error),
    /// Interim answers without end.
    Interim,
}

impl Wait {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        progress: &Progress,
    ) -> Poll<Result<Response<RecvStream>, End>> {
        if let Some(Poll::Ready(pumped)) = self.pump.as_mut().map(|pump| pump.poll(cx)) {
            self.pump = None;
            pumped.map_err(End::Body)?;
        }
        while let Poll::Ready(Some(Ok(_))) = self.response.poll_informational(cx) {
            self.interim += 1;
            if self.interim > INTERIM {
                return Poll::Ready(Err(End::Interim));
            }
        }
        if let Poll::Ready(response) = Pin::new(&mut self.response).poll(cx) {
            return Poll::Ready(response.map_err(End::Stream));
        }
        let (moved, written_at) = (progress.bytes(), progress.finished_at());
        self.patience.poll_head(cx, moved, written_at).map(|phase| Err(End::Timeout(phase)))
    }
}

impl End {
    fn told(self, place: &Arc<str>, progress: &Progress) -> SendError {
        let sent = if progress.finished_at().is_some() { Sent::Yes } else { Sent::Maybe };
        match self {
            Self::Timeout(phase) => SendError::new(place, Fault::Timeout(phase), sent),
            Self::Interim => SendError::new(place, Fault::Protocol, sent),
            Self::Body(error) => SendError::new(place, Fault::RequestBody, sent).caused_by(error),
            Self::Stream(error) => {
                let sent = if is_unprocessed(&error) { Sent::No } else { sent };
                let broken = error.is_io() || error.is_remote();
                let fault = if broken { Fault::Broken } else { Fault::Protocol };
                SendError::new(place, fault, sent).caused_by(error)
            }
        }
    }
}

/// Whether the peer says that it has not looked at the request (RFC 9113 sections 6.8 and 8.7).
fn is_unprocessed(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_remote()
        && ((error.is_go_away() && reason == Some(Reason::NO_ERROR))
            || (error.is_reset() && reason == Some(Reason::REFUSED_STREAM)))
}

/// The body's length as the head tells it; h2 sees to it that it is true.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Http2Body {
    fn new(receive: RecvStream, left: Option<u64>, wait: Wait, slot: Slot) -> Self {
        let Wait { pump, patience, .. } = wait;
        Self { receive, pump, patience, left, stage: Stage::Data, slot }
    }

    /// The next frame.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        if self.pump.as_mut().is_some_and(|pump| pump.poll(cx).is_ready()) {
            // Whatever became of the request's rest, the answer has begun and tells it all.
            self.pump = None;
        }
        let Poll::Ready(frame) = self.poll_receive(cx) else {
            return self.patience.poll_idle(cx).map(|()| Err((BodyFault::Idle, None)));
        };
        self.patience.heard();
        Poll::Ready(frame.map_err(|error| {
            let cut = error.is_io() || error.is_remote();
            (if cut { BodyFault::Cut } else { BodyFault::Protocol }, Some(error.into()))
        }))
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, h2::Error>> {
        if let Stage::Data = self.stage {
            match ready!(self.receive.poll_data(cx)).transpose()? {
                Some(data) => return Poll::Ready(self.taken(data).map(Some)),
                None => self.stage = Stage::Trailers,
            }
        }
        if let Stage::Trailers = self.stage {
            let trailers = ready!(self.receive.poll_trailers(cx))?;
            self.stage = Stage::Ended;
            return Poll::Ready(Ok(trailers.map(Frame::trailers)));
        }
        Poll::Ready(Ok(None))
    }

    /// Only what is read is asked for again: a client that stops reading stops the provider.
    fn taken(&mut self, data: Bytes) -> Result<Frame<Bytes>, h2::Error> {
        self.receive.flow_control().release_capacity(data.len())?;
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        Ok(Frame::data(data))
    }

    pub(super) fn place(&self) -> &Arc<str> {
        &self.slot.pool.place
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.receive.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
