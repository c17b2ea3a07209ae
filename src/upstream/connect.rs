//! Asking an egress proxy for a way through.

use std::fmt;
use std::io;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::http1::{Asked, Inbox, Malformed};

/// What one read of an answer may bring. It is a few hundred bytes.
const BUFFER: usize = 4 * 1024;

/// Why there is no way through.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The proxy said so.
    Status(StatusCode),
    /// It did not answer in HTTP.
    Malformed(Malformed),
    /// The connection broke.
    Io(io::Error),
    /// It sent bytes before the client did, which in TLS as in HTTP speaks first.
    Early,
}

/// Sends a `CONNECT` request and gives the connection back when the proxy has consented. Bound it
/// with a timeout.
pub(super) async fn connect<T>(mut io: T, request: &[u8]) -> Result<T, Refusal>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    io.write_all(request).await.map_err(Refusal::Io)?;
    io.flush().await.map_err(Refusal::Io)?;
    let mut inbox = Inbox::new(Asked::Connect);
    let mut buffer = vec![0; BUFFER];
    let status = loop {
        let read = io.read(&mut buffer).await.map_err(Refusal::Io)?;
        if read == 0 {
            return Err(Refusal::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        let read = buffer.get_mut(..read).unwrap_or_default();
        if let Some(response) = inbox.head(read).map_err(Refusal::Malformed)? {
            break response.status();
        }
    };
    if !status.is_success() {
        return Err(Refusal::Status(status));
    }
    if inbox.into_early().is_empty() { Ok(io) } else { Err(Refusal::Early) }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "it answered {}", status.as_u16()),
            Self::Malformed(_) | Self::Io(_) => f.write_str("it did not answer in HTTP"),
            Self::Early => f.write_str("it spoke out of turn"),
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Status(_) | Self::Early => None,
        }
    }
}
