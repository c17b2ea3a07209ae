//! An answer on its way out.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;

use super::encode::{self, Measure};
use super::wire::Batch;

/// What is left of an answer's body.
#[derive(Debug)]
pub(super) struct Reply<B> {
    /// `None` when it has ended.
    body: Option<B>,
    measure: Measure,
    broken: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Reply<B> {
    /// The body of an answer whose head is written, to be told that way. One that must not be sent
    /// is let go of.
    pub(super) fn new(body: B, measure: Measure, head_only: bool) -> Self {
        let is_sent = !head_only && !matches!(measure, Measure::None | Measure::Exact(0));
        Self { body: is_sent.then_some(body), measure, broken: false }
    }

    /// Takes what is ready of the body.
    pub(super) fn fill(&mut self, cx: &mut Context<'_>, batch: &mut Batch) {
        while let Some(body) = &mut self.body
            && !batch.is_full()
        {
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers would need a leave that no client of ours gives.
                    if let Ok(piece) = frame.into_data() {
                        self.take(piece, batch);
                    }
                }
                Poll::Ready(Some(Err(_))) => self.breaks(),
                Poll::Ready(None) => self.end(batch),
            }
            if self.body.as_ref().is_some_and(B::is_end_stream) {
                self.end(batch);
            }
        }
    }

    fn take(&mut self, piece: Bytes, batch: &mut Batch) {
        if piece.is_empty() {
            return;
        }
        match &mut self.measure {
            Measure::None => {}
            Measure::Close => batch.push(piece),
            Measure::Chunked => encode::chunk(batch, piece),
            Measure::Exact(left) => match left.checked_sub(piece.len() as u64) {
                Some(less) => {
                    *left = less;
                    batch.push(piece);
                    if less == 0 {
                        self.end(batch);
                    }
                }
                // More than was announced.
                None => self.breaks(),
            },
        }
    }

    fn end(&mut self, batch: &mut Batch) {
        self.body = None;
        match self.measure {
            Measure::Chunked => batch.text.extend_from_slice(encode::LAST_CHUNK),
            // Less than was announced.
            Measure::Exact(1..) => self.broken = true,
            Measure::Exact(0) | Measure::None | Measure::Close => {}
        }
    }

    fn breaks(&mut self) {
        self.body = None;
        self.broken = true;
    }

    /// Whether all of it has been taken, or it broke off.
    pub(super) fn is_over(&self) -> bool {
        self.body.is_none()
    }

    /// Whether it broke off, which the client must see.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether its end is told by the connection's.
    pub(super) fn ends_by_close(&self) -> bool {
        self.measure == Measure::Close
    }
}
