//! An answer's body on its way back.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::error::{BodyError, BodyFault, BoxError};
use super::http1::Http1;
use super::http2::Http2Body;
use super::pool::Pool;

/// An answer's body, frame by frame as it comes; each is handed on as soon as it is here.
///
/// At its end the connection serves the next request. Dropped before that, it ends the call at
/// once: an HTTP/2 stream is reset and an HTTP/1.1 connection closed, unless the rest has already
/// come and is small.
pub struct ResponseBody {
    line: Line,
}

enum Line {
    Http1(Box<Http1>, Arc<Pool>),
    Http2(Box<Http2Body>),
    Ended,
}

/// What is read of an answer that nobody wants any more, to keep its connection.
const REMAINDER: usize = 16 * 1024;
const REMAINDER_FRAMES: usize = 4;

impl ResponseBody {
    pub(super) fn http1(http1: Box<Http1>, pool: Arc<Pool>) -> Self {
        Self::new(Line::Http1(http1, pool))
    }

    pub(super) fn http2(body: Http2Body) -> Self {
        Self::new(Line::Http2(Box::new(body)))
    }

    fn new(line: Line) -> Self {
        let mut body = Self { line };
        if body.is_end_stream() {
            body.end();
        }
        body
    }

    fn end(&mut self) {
        if let Line::Http1(http1, pool) = mem::replace(&mut self.line, Line::Ended) {
            pool.give_back(http1);
        }
    }

    fn fail(&mut self, fault: BodyFault, source: Option<BoxError>) -> BodyError {
        let line = mem::replace(&mut self.line, Line::Ended);
        BodyError::new(line.place(), fault, source)
    }
}

impl Line {
    fn place(&self) -> &str {
        match self {
            Self::Http1(_, pool) => &pool.place,
            Self::Http2(body) => body.place(),
            Self::Ended => "",
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let read = match &mut self.line {
            Line::Http1(http1, _) => ready!(http1.poll_frame(cx)),
            Line::Http2(body) => ready!(body.poll_frame(cx)),
            Line::Ended => return Poll::Ready(None),
        };
        Poll::Ready(match read {
            Ok(Some(frame)) => {
                if self.is_end_stream() {
                    self.end();
                }
                Some(Ok(frame))
            }
            Ok(None) => {
                self.end();
                None
            }
            Err((fault, source)) => Some(Err(self.fail(fault, source))),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.line {
            Line::Http1(http1, _) => http1.is_done(),
            Line::Http2(body) => body.is_end_stream(),
            Line::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.line {
            Line::Http1(http1, _) => http1.size_hint(),
            Line::Http2(body) => body.size_hint(),
            Line::Ended => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let Line::Http1(http1, _) = &self.line else { return };
        if http1.size_hint().exact().is_some_and(|left| left > REMAINDER as u64) {
            return;
        }
        let (mut cx, mut read) = (Context::from_waker(Waker::noop()), 0);
        for _ in 0..REMAINDER_FRAMES {
            match Pin::new(&mut *self).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => read += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(Some(Err(_)) | None) | Poll::Pending => return,
            }
            if read > REMAINDER {
                return;
            }
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match &self.line {
            Line::Http1(..) => "HTTP/1.1",
            Line::Http2(_) => "HTTP/2",
            Line::Ended => "ended",
        };
        write!(f, "ResponseBody({}, {line})", self.line.place())
    }
}
