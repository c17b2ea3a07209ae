//! The socket, and what is on its way out. Nothing is kept for a connection that rests: what is read
//! and what is written goes through buffers of the thread.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that one read takes at most.
const READ: usize = 64 * 1024;

/// Bytes that are written together, a little more or less.
const TOGETHER: usize = 64 * 1024;

/// A piece of a body from this size on is written from where it is; a smaller one is copied, which
/// costs less than a further slice.
const LARGE: usize = 4 * 1024;

/// Large pieces that are written together.
const MOST_LARGE: usize = 4;

thread_local! {
    static INBOX: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static OUTBOX: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A client's socket.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    /// What the client was too slow to take.
    unsent: VecDeque<Bytes>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, unsent: VecDeque::new() }
    }

    /// Hands what can be read to `take`: nothing, when the client has closed its side.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        let mut buffer = INBOX.take();
        buffer.resize(READ, 0);
        let mut read = ReadBuf::new(&mut buffer);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut read);
        let taken = polled.map_ok(|()| take(read.filled()));
        INBOX.set(buffer);
        taken
    }

    /// Writes what is gathered, and keeps of it what the client does not take now.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, batch: &mut Batch) -> io::Result<()> {
        let stream = Pin::new(&mut self.stream);
        let sent = if !self.unsent.is_empty() {
            Poll::Pending
        } else if batch.larges.is_empty() {
            stream.poll_write(cx, &batch.text)
        } else {
            let slices: SmallVec<[IoSlice<'_>; 2 * MOST_LARGE + 1]> =
                batch.parts().map(|part| IoSlice::new(part.bytes())).collect();
            stream.poll_write_vectored(cx, &slices)
        };
        let sent = match sent {
            Poll::Ready(sent) => sent?,
            Poll::Pending => 0,
        };
        if sent < batch.size() {
            batch.rest(sent, &mut self.unsent);
        }
        batch.clear();
        Ok(())
    }

    /// Whether everything has been written.
    pub(super) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Writes on; ready whenever the client has taken something.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(piece) = self.unsent.front_mut() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, piece))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            piece.advance(sent);
            if piece.is_empty() {
                self.unsent.pop_front();
            }
        }
        if self.unsent.is_empty() {
            // Its room is given back.
            self.unsent = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// What is written together.
#[derive(Debug)]
pub(super) struct Batch {
    /// Heads, chunks' frames and small pieces.
    pub(super) text: Vec<u8>,
    /// Large pieces, each with the place in `text` before which it goes.
    larges: SmallVec<[(usize, Bytes); MOST_LARGE]>,
    large_bytes: usize,
}

/// A stretch of a batch.
enum Part<'b> {
    Text(&'b [u8]),
    Large(&'b Bytes),
}

impl Batch {
    /// An empty one, in the thread's buffer.
    pub(super) fn new() -> Self {
        Self { text: OUTBOX.take(), larges: SmallVec::new(), large_bytes: 0 }
    }

    /// Adds a piece of a body.
    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.len() < LARGE {
            self.text.extend_from_slice(&piece);
        } else {
            self.large_bytes += piece.len();
            self.larges.push((self.text.len(), piece));
        }
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// Whether it is better written before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.size() >= TOGETHER || self.larges.len() == MOST_LARGE
    }

    fn size(&self) -> usize {
        self.text.len() + self.large_bytes
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut begin = 0;
        let pairs = self.larges.iter().flat_map(move |(end, large)| {
            let text = self.text.get(begin..*end).unwrap_or_default();
            begin = *end;
            [Part::Text(text), Part::Large(large)]
        });
        let last = self.larges.last().map_or(0, |(end, _)| *end);
        let last = Part::Text(self.text.get(last..).unwrap_or_default());
        pairs.chain([last]).filter(|part| !part.bytes().is_empty())
    }

    /// Everything behind the first `sent` bytes.
    fn rest(&self, mut sent: usize, unsent: &mut VecDeque<Bytes>) {
        for part in self.parts() {
            let length = part.bytes().len();
            if sent < length {
                unsent.push_back(match part {
                    Part::Text(text) => {
                        Bytes::copy_from_slice(text.get(sent..).unwrap_or_default())
                    }
                    Part::Large(large) => large.slice(sent..),
                });
            }
            sent = sent.saturating_sub(length);
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.larges.clear();
        self.large_bytes = 0;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.text.clear();
        if self.text.capacity() <= 2 * TOGETHER {
            OUTBOX.set(std::mem::take(&mut self.text));
        }
    }
}

impl<'b> Part<'b> {
    fn bytes(&self) -> &'b [u8] {
        match self {
            Self::Text(text) => text,
            Self::Large(large) => large,
        }
    }
}
