//! One request on its way out, as fast as the provider takes it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderValue;
use smallvec::SmallVec;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::super::body::OutBody;
use super::super::error::{BoxError, Sent};
use super::super::request::Outbound;
use super::super::stream::Stream;
use super::source::Source;
use super::{encode, scratch};

/// A body up to this size is copied behind its head: that costs less than a list of two pieces.
const JOINED: u64 = 16 * 1024;

/// Pieces that one write takes.
const SLICES: usize = 16;

/// One request, as far as it has left.
#[derive(Debug)]
pub(super) struct Outbox {
    stage: Stage,
    /// What is written next.
    queue: VecDeque<Bytes>,
    /// Where more comes from.
    source: Option<Box<Source>>,
    /// Bytes that the connection has taken.
    moved: u64,
    sent: Sent,
}

#[derive(Debug)]
enum Stage {
    New,
    Writing,
    /// All of it was written.
    Written(Instant),
    /// The connection takes no more.
    Broken,
}

/// Why no more of a request can be sent.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The client's body ended early.
    Body(BoxError),
    /// The connection broke.
    Io(io::Error),
}

impl Outbox {
    pub(super) const fn new() -> Self {
        let queue = VecDeque::new();
        Self { stage: Stage::New, queue, source: None, moved: 0, sent: Sent::No }
    }

    /// Writes the request; ready when all of it was.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        outbound: &mut Outbound<'_>,
        host: &HeaderValue,
    ) -> Poll<Result<(), Trouble>> {
        if let Stage::New = self.stage {
            self.stage = Stage::Writing;
            self.begin(cx, stream, outbound, host).map_err(Trouble::Io)?;
        }
        self.poll_rest(cx, stream)
    }

    /// Writes what is left after its beginning.
    pub(super) fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<Result<(), Trouble>> {
        match self.stage {
            Stage::Written(_) => return Poll::Ready(Ok(())),
            Stage::New | Stage::Broken => return Poll::Pending,
            Stage::Writing => {}
        }
        loop {
            ready!(self.poll_queue(cx, stream)).map_err(Trouble::Io)?;
            let Some(source) = &mut self.source else { break };
            match source.poll_fill(cx, &mut self.queue) {
                Poll::Ready(Ok(more)) if more => {}
                Poll::Ready(Ok(_)) => self.source = None,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Trouble::Body(error))),
                Poll::Pending => {
                    // TLS may hold back what it was given.
                    ready!(Pin::new(stream).poll_flush(cx)).map_err(Trouble::Io)?;
                    return Poll::Pending;
                }
            }
        }
        ready!(Pin::new(stream).poll_flush(cx)).map_err(Trouble::Io)?;
        self.stage = Stage::Written(Instant::now());
        self.sent = Sent::Yes;
        Poll::Ready(Ok(()))
    }

    /// The connection takes no more.
    pub(super) fn give_up(&mut self) {
        self.stage = Stage::Broken;
        self.queue.clear();
        self.source = None;
    }

    /// Gives back what was taken of a request of which nothing has left.
    pub(super) fn give_back(&mut self, outbound: &mut Outbound<'_>) {
        if let Some(source) = self.source.take() {
            outbound.body = OutBody::Stream(source.into_body());
        }
    }

    /// How much of the request may have left.
    pub(super) const fn sent(&self) -> Sent {
        self.sent
    }

    /// Bytes that the connection has taken.
    pub(super) const fn moved(&self) -> u64 {
        self.moved
    }

    /// When the last byte was written, if it was.
    pub(super) const fn written_at(&self) -> Option<Instant> {
        if let Stage::Written(at) = self.stage { Some(at) } else { None }
    }

    /// Makes the head, and writes it together with a body that is small.
    fn begin(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        outbound: &mut Outbound<'_>,
        host: &HeaderValue,
    ) -> io::Result<()> {
        scratch::writing(|buffer| {
            encode::head(buffer, outbound, host);
            let length = outbound.body.length();
            match &mut outbound.body {
                OutBody::Pieces(pieces) if length.is_some_and(|length| length <= JOINED) => {
                    pieces.iter().for_each(|piece| buffer.extend_from_slice(piece));
                }
                OutBody::Pieces(pieces) => {
                    self.queue.push_back(wiped(buffer));
                    let pieces = pieces.iter().filter(|piece| !piece.is_empty());
                    self.queue.extend(pieces.cloned());
                    return Ok(());
                }
                body @ OutBody::Stream(_) if length != Some(0) => {
                    self.source = Source::take(body, length, outbound.headers).map(Box::new);
                }
                OutBody::Empty | OutBody::Stream(_) => {}
            }
            let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, buffer) else {
                self.queue.push_back(wiped(buffer));
                return Ok(());
            };
            let written = self.note(written, stream)?;
            if let Some(rest @ [_, ..]) = buffer.get(written..) {
                self.queue.push_back(wiped(rest));
            }
            Ok(())
        })
    }

    fn poll_queue(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let written = ready!(self.poll_write(cx, stream));
            let mut written = self.note(written, stream)?;
            while let Some(piece) = self.queue.front_mut() {
                if written < piece.len() {
                    drop(piece.split_to(written));
                    break;
                }
                written -= piece.len();
                self.queue.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<usize>> {
        let pieces = self.queue.iter().take(SLICES).map(|piece| IoSlice::new(piece));
        let pieces: SmallVec<[IoSlice<'_>; SLICES]> = pieces.collect();
        Pin::new(stream).poll_write_vectored(cx, &pieces)
    }

    /// Takes down what a write came to.
    fn note(&mut self, written: io::Result<usize>, stream: &Stream) -> io::Result<usize> {
        // Of a write that fails, TLS may have sent a part.
        if written.is_ok() || !stream.is_plain() {
            self.sent = Sent::Maybe;
        }
        match written? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => {
                self.moved += written as u64;
                Ok(written)
            }
        }
    }
}

/// A copy that is wiped when it is gone: there is a key in it.
fn wiped(bytes: &[u8]) -> Bytes {
    Bytes::from_owner(Zeroizing::new(bytes.to_vec()))
}
