//! A request's body between the connection, which reads it, and the handler, which asks for it: one
//! piece at a time, and none that was not asked for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::chunked::Chunked;
use super::head::Length;
use crate::serve::incoming::{BodyError, Incoming};

/// The handler's end of a body that is still under way.
#[derive(Debug)]
pub(in crate::serve) struct Flow(Mutex<Shared>);

#[derive(Debug)]
struct Shared {
    /// What has arrived and was not taken yet.
    piece: Bytes,
    state: State,
    /// Bytes that the handler has yet to get, if the head told.
    left: Option<u64>,
    /// The handler waits for a piece.
    wanted: bool,
    handler: Option<Waker>,
    connection: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Cut,
    Malformed,
}

impl Flow {
    pub(in crate::serve) fn poll_piece(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut shared = self.lock();
        if !shared.piece.is_empty() {
            let piece = std::mem::take(&mut shared.piece);
            shared.left = shared.left.map(|left| left.saturating_sub(piece.len() as u64));
            return Poll::Ready(Some(Ok(piece)));
        }
        let error = match shared.state {
            State::Open => {
                shared.wanted = true;
                shared.handler = Some(cx.waker().clone());
                // The connection looks by itself after each turn of a handler in its own task.
                if let Some(connection) = shared.connection.take_if(|it| !it.will_wake(cx.waker()))
                {
                    connection.wake();
                }
                return Poll::Pending;
            }
            State::Ended => return Poll::Ready(None),
            State::Cut => BodyError::Cut,
            State::Malformed => BodyError::Malformed,
        };
        shared.state = State::Ended;
        Poll::Ready(Some(Err(error)))
    }

    /// Whether nothing more comes of it.
    pub(in crate::serve) fn is_over(&self) -> bool {
        let shared = self.lock();
        shared.piece.is_empty() && shared.state == State::Ended
    }

    /// Bytes that are still to come, if the head told.
    pub(in crate::serve) fn left(&self) -> Option<u64> {
        self.lock().left
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's end of a body that is still under way. Dropped before its end, the body is cut.
#[derive(Debug)]
pub(crate) struct Feed {
    flow: Arc<Flow>,
    decoder: Decoder,
    ended: bool,
}

#[derive(Debug)]
enum Decoder {
    /// Bytes still to come.
    Exact(u64),
    Chunked(Chunked),
}

/// A body of which `rest` has come together with its head: the handler's end, the connection's end
/// if there is more to come, and how much of `rest` belongs to it.
pub(crate) fn begin(length: Length, rest: &[u8]) -> (Incoming, Option<Feed>, usize) {
    let mut decoder = match length {
        Length::Exact(length) => Decoder::Exact(length),
        Length::Chunked => Decoder::Chunked(Chunked::default()),
    };
    let (piece, used) = decoder.decode(rest);
    if decoder.is_done() && used.is_some() {
        return (Incoming::whole(piece), None, used.unwrap_or_default());
    }
    let left = match length {
        Length::Exact(length) => Some(length),
        Length::Chunked => None,
    };
    let state = if used.is_some() { State::Open } else { State::Malformed };
    let shared = Shared { piece, state, left, wanted: false, handler: None, connection: None };
    let flow = Arc::new(Flow(Mutex::new(shared)));
    let feed = Feed { flow: Arc::clone(&flow), decoder, ended: used.is_none() };
    (Incoming::flowing(flow), Some(feed), used.unwrap_or(rest.len()))
}

impl Feed {
    /// Ready when the handler waits for a piece.
    pub(super) fn poll_wanted(&self, cx: &Context<'_>) -> Poll<()> {
        let mut shared = self.flow.lock();
        if shared.wanted {
            return Poll::Ready(());
        }
        if !shared.connection.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            shared.connection = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Whether the handler has let go of the body.
    pub(super) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.flow) == 1
    }

    /// Whether all of it has been read.
    pub(super) fn is_complete(&self) -> bool {
        self.decoder.is_done()
    }

    /// Whether nothing more is to be read for it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Hands on what has been read, nothing if the client has closed its side, and says how much of
    /// it belonged to the body.
    pub(crate) fn take(&mut self, bytes: &[u8], here: &Waker) -> usize {
        if bytes.is_empty() {
            self.deliver(Bytes::new(), State::Cut, Some(here));
            return 0;
        }
        let (piece, used) = self.decoder.decode(bytes);
        let state = match used {
            None => State::Malformed,
            Some(_) if self.decoder.is_done() => State::Ended,
            Some(_) => State::Open,
        };
        self.deliver(piece, state, Some(here));
        used.unwrap_or(bytes.len())
    }

    /// Reads past what nobody wants; whoever still does sees the body cut. Says how much of it
    /// belonged to the body, `None` if that is malformed.
    pub(super) fn discard(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.ended {
            self.deliver(Bytes::new(), State::Cut, None);
        }
        self.decoder.decode(bytes).1
    }

    fn deliver(&mut self, piece: Bytes, state: State, here: Option<&Waker>) {
        self.ended = state != State::Open;
        if piece.is_empty() && !self.ended {
            // A chunk's head alone is no piece.
            return;
        }
        let mut shared = self.flow.lock();
        (shared.piece, shared.state, shared.wanted) = (piece, state, false);
        let handler = shared.handler.take();
        drop(shared);
        // In the connection's own task, the handler's turn is next.
        let is_here = |handler: &Waker| here.is_some_and(|here| handler.will_wake(here));
        if let Some(handler) = handler.filter(|handler| !is_here(handler)) {
            handler.wake();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if !self.ended {
            self.deliver(Bytes::new(), State::Cut, None);
        }
    }
}

impl Decoder {
    fn is_done(&self) -> bool {
        match self {
            Self::Exact(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
        }
    }

    /// What of `bytes` is body, and how much of them belonged to it; `None` if that is malformed.
    fn decode(&mut self, bytes: &[u8]) -> (Bytes, Option<usize>) {
        match self {
            Self::Exact(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let piece = bytes.get(..most).unwrap_or_default();
                *left -= piece.len() as u64;
                (Bytes::copy_from_slice(piece), Some(most))
            }
            Self::Chunked(chunked) => {
                let mut data = BytesMut::with_capacity(bytes.len());
                let used = chunked.decode(bytes, &mut data);
                (data.freeze(), used.ok())
            }
        }
    }
}
