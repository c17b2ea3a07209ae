//! A request's body into its stream, as fast as the provider takes it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;

use super::super::error::BoxError;
use super::Sending;

/// A body on its way.
pub(super) struct Pump {
    stream: SendStream<Bytes>,
    body: Sending,
    /// What has been taken from the body and not been sent.
    piece: Bytes,
}

/// The most that is handed to the connection at once: so that what is counted as sent is about what
/// has been.
const PIECE: usize = 64 * 1024;

impl Pump {
    pub(super) fn new(stream: SendStream<Bytes>, body: Sending) -> Self {
        Self { stream, body, piece: Bytes::new() }
    }

    /// Ready when all was sent, when the provider wants no more (its answer, or the stream's error,
    /// tells why), or with the error of the client's body.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            if let Poll::Ready(Ok(_) | Err(_)) = self.stream.poll_reset(cx) {
                return Poll::Ready(Ok(()));
            }
            while !self.piece.is_empty() {
                if !ready!(self.poll_room(cx)) {
                    return Poll::Ready(Ok(()));
                }
                let part = self.piece.split_to(self.piece.len().min(PIECE));
                let last = self.piece.is_empty() && self.body.is_end_stream();
                if self.stream.send_data(part, last).is_err() || last {
                    return Poll::Ready(Ok(()));
                }
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            // An error means that the stream is over, as above.
                            drop(self.stream.send_trailers(trailers));
                            return Poll::Ready(Ok(()));
                        }
                    }
                },
                Some(Err(error)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(error));
                }
                None => {
                    drop(self.stream.send_data(Bytes::new(), true));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Whether there is room for more, or `false` if there never will be.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.stream.reserve_capacity(self.piece.len().min(PIECE));
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(false),
            }
        }
        Poll::Ready(true)
    }
}
