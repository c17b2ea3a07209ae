//! The bytes of a connection, whatever they are wrapped in.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection's bytes.
pub(super) struct Stream {
    carrier: Carrier,
    allowance: Option<Arc<Allowance>>,
}

/// What carries them.
pub(super) enum Carrier {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// TLS to the provider inside TLS to the egress proxy.
    Nested(Box<TlsStream<TlsStream<TcpStream>>>),
}

/// How many more bytes may be read before the head of the answer is complete.
///
/// hyper bounds one head; this bounds all that may come before the last one, so that a server
/// cannot send interim answers (1xx) without end.
pub(super) struct Allowance(AtomicU64);

/// Above the largest head and the largest single read together.
const HEADS: u64 = 1024 * 1024;
const UNLIMITED: u64 = u64::MAX;

impl Allowance {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(UNLIMITED)))
    }

    /// The head of an answer is waited for.
    pub(super) fn limit(&self) {
        self.0.store(HEADS, Ordering::Relaxed);
    }

    /// It came: a body may be as long as it likes.
    pub(super) fn lift(&self) {
        self.0.store(UNLIMITED, Ordering::Relaxed);
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed);
        if left == UNLIMITED {
            return Ok(());
        }
        match left.checked_sub(bytes as u64) {
            Some(left) => self.0.store(left, Ordering::Relaxed),
            None => return Err(io::Error::new(io::ErrorKind::InvalidData, "endless head")),
        }
        Ok(())
    }
}

impl Stream {
    /// The same bytes, with a bound on what may come before an answer.
    pub(super) fn with_allowance(mut self, allowance: Arc<Allowance>) -> Self {
        self.allowance = Some(allowance);
        self
    }
}

impl From<Carrier> for Stream {
    fn from(carrier: Carrier) -> Self {
        Self { carrier, allowance: None }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// Calls the same method of whatever carries the bytes.
macro_rules! carried {
    ($stream:expr, $method:ident $(, $argument:expr)*) => {
        match &mut $stream.get_mut().carrier {
            Carrier::Plain(carrier) => Pin::new(carrier).$method($($argument),*),
            Carrier::Tls(carrier) => Pin::new(carrier).$method($($argument),*),
            Carrier::Nested(carrier) => Pin::new(carrier).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(carried!(self.as_mut(), poll_read, cx, buffer))?;
        if let Some(allowance) = &self.allowance {
            allowance.spend(buffer.filled().len().saturating_sub(before))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        carried!(self, poll_write, cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        carried!(self, poll_write_vectored, cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self, poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self, poll_shutdown, cx)
    }
}
