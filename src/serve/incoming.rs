//! A request's body on its way in, whichever HTTP it came by.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::http1::Flow;

/// A request's body. Over HTTP/1.1 one that came together with its head is here whole; any other is
/// read from the connection only while it is polled. Trailers are read and dropped.
#[derive(Debug)]
pub struct Incoming(Kind);

#[derive(Debug)]
enum Kind {
    /// What is left of it is here; empty is ended.
    Whole(Bytes),
    /// It comes as it is asked for.
    Flowing(Arc<Flow>),
    Http2(hyper::body::Incoming),
}

/// A request's body ended before it was complete.
#[derive(Debug)]
pub enum BodyError {
    /// The client closed its side, or the connection broke.
    Cut,
    /// Its chunks are malformed.
    Malformed,
    /// An HTTP/2 stream failed.
    Http2(hyper::Error),
}

impl Incoming {
    /// A body that is here whole.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }

    /// A body that comes as it is asked for.
    pub(super) fn flowing(flow: Arc<Flow>) -> Self {
        Self(Kind::Flowing(flow))
    }

    pub(super) fn http2(body: hyper::body::Incoming) -> Self {
        Self(Kind::Http2(body))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Flowing(flow) => {
                flow.poll_piece(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
            Kind::Http2(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| Some(frame?.map_err(BodyError::Http2)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Flowing(flow) => flow.is_over(),
            Kind::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Flowing(flow) => flow.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Kind::Http2(body) => body.size_hint(),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "the body ended before it was complete",
            Self::Malformed => "the body's chunks are malformed",
            Self::Http2(_) => "the body's stream failed",
        })
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Http2(error) => Some(error),
            Self::Cut | Self::Malformed => None,
        }
    }
}
