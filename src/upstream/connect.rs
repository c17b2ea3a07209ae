//! Asking an egress proxy for a way through.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::http1;

/// Why there is no way through.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The proxy said so.
    Status(StatusCode),
    /// It did not answer in HTTP.
    Http(hyper::Error),
    /// It sent bytes before the client did, which in TLS as in HTTP speaks first.
    Early,
}

/// Sends a `CONNECT` request and gives the connection back when the proxy has consented. Bound it
/// with a timeout.
pub(super) async fn connect<T>(io: T, request: Request<Empty<Bytes>>) -> Result<T, Refusal>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = http1::builder().handshake(TokioIo::new(io)).await;
    let (mut sender, mut connection) = handshake.map_err(Refusal::Http)?;
    let mut answer = pin!(sender.send_request(request));
    let mut done = None;
    let answer = poll_fn(|cx| {
        if done.is_none()
            && let Poll::Ready(result) = Pin::new(&mut connection).poll(cx)
        {
            done = Some(result);
        }
        answer.as_mut().poll(cx)
    });
    let status = answer.await.map_err(Refusal::Http)?.status();
    if !status.is_success() {
        return Err(Refusal::Status(status));
    }
    let done = match done {
        Some(done) => done,
        None => (&mut connection).await,
    };
    done.map_err(Refusal::Http)?;
    let parts = connection.into_parts();
    if parts.read_buf.is_empty() { Ok(parts.io.into_inner()) } else { Err(Refusal::Early) }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "it answered {}", status.as_u16()),
            Self::Http(_) => f.write_str("it did not answer in HTTP"),
            Self::Early => f.write_str("it spoke out of turn"),
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Http(error) => Some(error),
            Self::Status(_) | Self::Early => None,
        }
    }
}
