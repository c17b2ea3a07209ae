//! The gate: accepts connections and serves a function on them. It knows nothing of what the
//! function does.

mod address;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lifecycle::{Connections, Drain, Tasks};

pub use address::open;

/// Connections that one listener keeps open at once. A pod's applications stay far below; beyond it
/// new ones wait in the kernel's backlog.
const MOST_CONNECTIONS: usize = 16_384;

/// How long a new connection may stay silent.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a client may take to send a request's head, or leave its connection at rest: longer
/// than HTTP clients keep theirs (Go 90 s, Java 5 min), for a connection closed under a request is a
/// failure that the client sees.
const HEAD_TIMEOUT: Duration = Duration::from_mins(6);

/// What the kernel keeps for us while we are busy.
const BACKLOG: i32 = 4_096;

/// How long to leave the listener alone after the process ran out of file descriptors.
const BREATHER: Duration = Duration::from_millis(100);

/// Streams that one HTTP/2 connection may have open.
const H2_STREAMS: u32 = 1_024;

/// Anything that answers requests.
pub trait Handler: Clone + Send + 'static {
    /// The answer's body.
    type Body: Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;

    /// Answers one request.
    fn handle(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// What a listener needs of the clockwork.
#[derive(Clone, Debug)]
pub struct Rounds {
    /// Counts the connections, so that a drain knows when it is quiet.
    pub connections: Connections,
    /// Keeps track of what runs.
    pub tasks: Tasks,
    /// Says when to stop accepting, and when to stop.
    pub drain: Drain,
}

/// Opens a listener. With `SO_REUSEPORT` several workers may listen on one address, and the kernel
/// spreads the connections.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` stands for IPv4 too.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Fails if somebody else already listens on `address`, which `SO_REUSEPORT` would let pass.
pub fn claim(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// Accepts until the drain closes the listener, and serves `handler` on every connection.
pub async fn accept<H: Handler>(listener: TcpListener, handler: H, rounds: Rounds) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut closing = pin!(rounds.drain.closing());
    loop {
        let room = Arc::clone(&room);
        let (place, accepted) = tokio::select! {
            () = &mut closing => return,
            accepted = next(room, &listener) => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = serve(stream, handler.clone(), rounds.clone());
                rounds.tasks.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => after(&error).await,
        }
    }
}

/// The next connection, once there is room for it.
async fn next(
    room: Arc<Semaphore>,
    listener: &TcpListener,
) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
    // Nobody closes the semaphore.
    let place = room.acquire_owned().await.ok();
    (place, listener.accept().await)
}

/// Most accept errors belong to one connection; running out of descriptors needs a breather.
async fn after(error: &io::Error) {
    if !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    ) {
        tracing::warn!(%error, "Could not accept a connection");
        tokio::time::sleep(BREATHER).await;
    }
}

async fn serve<H: Handler>(stream: TcpStream, handler: H, rounds: Rounds) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "A connection was gone before it was served");
        return;
    }
    let open = rounds.connections.open();
    let spoken = tokio::select! {
        spoken = tokio::time::timeout(SILENCE, stream.readable()) => matches!(spoken, Ok(Ok(()))),
        () = rounds.drain.closing() => true,
    };
    if !spoken {
        return;
    }
    let service = service_fn(move |request| {
        let handler = handler.clone();
        // Boxed: hyper keeps room for the future as long as the connection is open, and a stream has
        // long been answered while its body still flows.
        async move { Ok::<_, Infallible>(Box::pin(handler.handle(request)).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(H2_STREAMS);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = rounds.drain.closing() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = rounds.drain.over() => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended badly");
    }
    drop(open);
}
