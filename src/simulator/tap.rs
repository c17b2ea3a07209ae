//! A connection on which an answer can be replaced by bytes that no HTTP library would send.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is sent in the answer's place; then the connection is closed.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) bytes: Bytes,
    /// How many more times they are sent.
    pub(crate) again: u32,
}

/// Where a handler leaves a [`Raw`] for its connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sabotage(Arc<Mutex<Option<Raw>>>);

/// A connection with a [`Sabotage`].
#[derive(Debug)]
pub(crate) struct Tap {
    stream: TcpStream,
    sabotage: Sabotage,
    raw: Option<Raw>,
    left: Bytes,
}

impl Sabotage {
    /// From now on nothing but `raw` is written to the connection. To be called while the answer is
    /// being made: over HTTP/1.1 everything written later belongs to it.
    pub(crate) fn set(&self, raw: Raw) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(raw);
    }

    fn take(&self) -> Option<Raw> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Tap {
    pub(crate) const fn new(stream: TcpStream, sabotage: Sabotage) -> Self {
        Self { stream, sabotage, raw: None, left: Bytes::new() }
    }

    fn poll_raw(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if self.left.is_empty() {
                let Some(raw) = self.raw.as_mut().filter(|raw| raw.again > 0) else {
                    break;
                };
                raw.again -= 1;
                self.left = raw.bytes.clone();
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.left))?;
            self.left.advance(written);
        }
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(raw) = self.sabotage.take() {
            self.left = raw.bytes.clone();
            self.raw = Some(raw);
        }
        if self.raw.is_some() {
            return self.poll_raw(cx);
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(raw) = self.sabotage.take() {
            self.left = raw.bytes.clone();
            self.raw = Some(raw);
        }
        if self.raw.is_some() {
            return self.poll_raw(cx);
        }
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
