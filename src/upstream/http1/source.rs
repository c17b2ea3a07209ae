//! A client's body, framed for its way out as it comes.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use smallvec::SmallVec;

use super::super::body::{OutBody, Streamed};
use super::super::error::BoxError;
use super::super::request::Field;
use super::encode;

/// What is taken ahead of the connection at once.
const TOGETHER: usize = 64 * 1024;

/// A client's body and how its end is told.
pub(super) struct Source {
    body: Streamed,
    framing: Framing,
}

enum Framing {
    /// So many bytes are to come.
    Length(u64),
    /// In chunks, with these trailers after them.
    Chunked(SmallVec<[HeaderName; 2]>),
}

impl Source {
    /// Takes a body that streams; in chunks where its length is not known.
    pub(super) fn take(
        body: &mut OutBody,
        length: Option<u64>,
        headers: &[Field<'_>],
    ) -> Option<Self> {
        let OutBody::Stream(body) = mem::take(body) else { return None };
        let framing = length.map_or_else(|| Framing::Chunked(announced(headers)), Framing::Length);
        Some(Self { body, framing })
    }

    pub(super) fn into_body(self) -> Streamed {
        self.body
    }

    /// Takes what has come, and whether there is more; an error if the client's body broke off.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut VecDeque<Bytes>,
    ) -> Poll<Result<bool, BoxError>> {
        let mut filled = 0;
        while filled < TOGETHER {
            let frame = match self.body.as_mut().poll_frame(cx) {
                Poll::Ready(frame) => frame.transpose()?,
                Poll::Pending if filled > 0 => break,
                Poll::Pending => return Poll::Pending,
            };
            match frame.map(http_body::Frame::into_data) {
                Some(Ok(data)) => {
                    filled += data.len();
                    self.put(data, queue)?;
                }
                Some(Err(frame)) => {
                    self.end(frame.into_trailers().ok(), queue)?;
                    return Poll::Ready(Ok(false));
                }
                None => {
                    self.end(None, queue)?;
                    return Poll::Ready(Ok(false));
                }
            }
            if self.body.is_end_stream() {
                self.end(None, queue)?;
                return Poll::Ready(Ok(false));
            }
        }
        Poll::Ready(Ok(true))
    }

    fn put(&mut self, data: Bytes, queue: &mut VecDeque<Bytes>) -> Result<(), BoxError> {
        let length = data.len() as u64;
        match &mut self.framing {
            // A chunk of no bytes would be the last.
            _ if length == 0 => {}
            Framing::Length(left) => {
                *left = left.checked_sub(length).ok_or("the body is longer than announced")?;
                queue.push_back(data);
            }
            Framing::Chunked(_) => {
                queue.push_back(Bytes::from(format!("{length:x}\r\n")));
                queue.extend([data, Bytes::from_static(b"\r\n")]);
            }
        }
        Ok(())
    }

    fn end(
        &self,
        trailers: Option<HeaderMap>,
        queue: &mut VecDeque<Bytes>,
    ) -> Result<(), BoxError> {
        match &self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => return Err("the body is shorter than announced".into()),
            Framing::Chunked(announced) => {
                let mut last = b"0\r\n".to_vec();
                if let Some(trailers) = trailers {
                    encode::trailers(&mut last, &trailers, announced);
                }
                last.extend_from_slice(b"\r\n");
                queue.push_back(Bytes::from(last));
            }
        }
        Ok(())
    }
}

/// The trailers that the head announces: others would be a surprise.
fn announced(headers: &[Field<'_>]) -> SmallVec<[HeaderName; 2]> {
    let trailer = headers.iter().filter(|(name, _)| *name == header::TRAILER);
    let values = trailer.filter_map(|(_, value)| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}
