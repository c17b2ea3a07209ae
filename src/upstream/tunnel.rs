//! A connection after an upgrade: bytes both ways.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pool::Seat;
use super::response::ResponseBody;
use super::stream::Stream;

/// What came of asking for an upgrade.
#[derive(Debug)]
pub enum Tunnelled {
    /// The provider agreed: its 101, and the bytes.
    Open(Response<()>, Tunnel),
    /// It answered in HTTP instead.
    Refused(Response<ResponseBody>),
}

/// The bytes of an upgraded connection, for `tokio::io::copy_bidirectional`. Dropping it closes the
/// connection. It knows no timeout of its own, for a session may rest as long as both ends like; a
/// peer that is dead is noticed by TCP keep-alive within a minute or so.
pub struct Tunnel {
    stream: Stream,
    /// What came together with the head of the answer.
    early: Bytes,
    _seat: Seat,
}

impl Tunnel {
    pub(super) fn new(stream: Stream, early: Bytes, seat: Seat) -> Self {
        Self { stream, early, _seat: seat }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}
