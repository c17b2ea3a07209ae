//! A request's body as a stream takes it, and word of how far it got.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::super::body::OutBody;
use super::super::error::BoxError;

/// A body as the connection takes it, leaving word of how far it got.
pub(in super::super) struct Sending {
    body: OutBody,
    /// The next of the pieces, and the bytes that they still hold.
    next: usize,
    left: u64,
    progress: Arc<Progress>,
}

impl Sending {
    pub(in super::super) fn new(body: OutBody, progress: Arc<Progress>) -> Self {
        let left =
            if let OutBody::Stream(_) = body { 0 } else { body.length().unwrap_or_default() };
        progress.begin();
        let sending = Self { body, next: 0, left, progress };
        if sending.is_end_stream() {
            sending.progress.finish();
        }
        sending
    }

    fn take_piece(&mut self) -> Option<Bytes> {
        let OutBody::Pieces(pieces) = &mut self.body else { return None };
        loop {
            let piece = mem::take(pieces.get_mut(self.next)?);
            self.next += 1;
            if !piece.is_empty() {
                return Some(piece);
            }
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.body {
            OutBody::Stream(stream) => std::task::ready!(stream.as_mut().poll_frame(cx)),
            OutBody::Empty | OutBody::Pieces(_) => {
                self.take_piece().map(|piece| Ok(Frame::data(piece)))
            }
        };
        if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
            let moved = data.map_or(0, Bytes::len) as u64;
            self.left = self.left.saturating_sub(moved);
            self.progress.moved(moved);
        }
        if frame.is_none() || self.is_end_stream() {
            self.progress.finish();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            OutBody::Empty => true,
            OutBody::Pieces(_) => self.left == 0,
            OutBody::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            OutBody::Empty | OutBody::Pieces(_) => SizeHint::with_exact(self.left),
            OutBody::Stream(stream) => stream.size_hint(),
        }
    }
}

/// How far the body under way on a connection has got. "Sent" here means handed to the connection's
/// own bounded buffer, which is as near to the wire as can be seen.
pub(in super::super) struct Progress {
    base: Instant,
    /// Bytes since the connection began: it only ever grows.
    moved: AtomicU64,
    /// When the last one was sent, in nanoseconds after `base`; [`UNFINISHED`] before that.
    finished: AtomicU64,
}

const UNFINISHED: u64 = u64::MAX;

impl Progress {
    pub(in super::super) fn new() -> Arc<Self> {
        let finished = AtomicU64::new(UNFINISHED);
        Arc::new(Self { base: Instant::now(), moved: AtomicU64::new(0), finished })
    }

    fn begin(&self) {
        self.finished.store(UNFINISHED, Ordering::Relaxed);
    }

    fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    fn finish(&self) {
        if self.finished.load(Ordering::Relaxed) == UNFINISHED {
            let nanos = u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(UNFINISHED - 1);
            self.finished.store(nanos, Ordering::Relaxed);
        }
    }

    pub(in super::super) fn bytes(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// When the last byte was sent, if it was.
    pub(in super::super) fn finished_at(&self) -> Option<Instant> {
        match self.finished.load(Ordering::Relaxed) {
            UNFINISHED => None,
            nanos => Some(self.base + Duration::from_nanos(nanos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use smallvec::SmallVec;

    use super::*;

    fn data(sending: &mut Sending) -> Option<Bytes> {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(sending).poll_frame(&mut cx) {
            Poll::Ready(frame) => frame.map(|frame| frame.unwrap().into_data().unwrap()),
            Poll::Pending => panic!("pieces are always ready"),
        }
    }

    #[test]
    fn pieces_go_out_in_order_and_the_last_one_finishes() {
        let pieces = ["ab", "", "c", ""].map(|piece| Bytes::from_static(piece.as_bytes()));
        let progress = Progress::new();
        let body = OutBody::Pieces(SmallVec::from_iter(pieces));
        let mut sending = Sending::new(body, Arc::clone(&progress));
        assert_eq!(sending.size_hint().exact(), Some(3));
        assert_eq!(data(&mut sending).unwrap(), "ab");
        assert!(progress.finished_at().is_none() && !sending.is_end_stream());
        assert_eq!(data(&mut sending).unwrap(), "c");
        assert!(progress.finished_at().is_some() && sending.is_end_stream());
        assert_eq!((data(&mut sending), progress.bytes()), (None, 3));
    }

    #[test]
    fn a_body_without_bytes_is_finished_when_it_begins() {
        for body in [OutBody::Empty, OutBody::from(Bytes::new())] {
            let progress = Progress::new();
            let sending = Sending::new(body, Arc::clone(&progress));
            assert!(sending.is_end_stream() && progress.finished_at().is_some());
        }
    }
}
