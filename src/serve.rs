//! The gate: accepts connections and serves a function on them. It knows nothing of what the
//! function does.

pub mod http1;
mod http2;
mod incoming;
mod rewound;
mod upgrade;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lifecycle::{Clock, Connections, Drain, Tasks};
use http1::{Connection, End};

pub use incoming::{BodyError, Incoming};
pub use rewound::Rewound;
pub use upgrade::OnUpgrade;

/// Connections that one listener keeps open at once. A pod's applications stay far below; beyond it
/// new ones wait in the kernel's backlog.
const MOST_CONNECTIONS: usize = 16_384;

/// What the kernel keeps for us while we are busy.
const BACKLOG: i32 = 4_096;

/// How long to leave the listener alone after the process ran out of file descriptors.
const BREATHER: Duration = Duration::from_millis(100);

/// Anything that answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The answer's body.
    type Body: Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
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
    /// Tells the date.
    pub clock: Clock,
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
                drop(rounds.tasks.spawn(serve(stream, handler.clone(), &rounds, place)));
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

/// Serves one connection. This is no `async fn`, for that would keep room for its arguments twice.
fn serve<H: Handler>(
    stream: TcpStream,
    handler: H,
    rounds: &Rounds,
    place: Option<OwnedSemaphorePermit>,
) -> impl Future<Output = ()> + Send + use<H> {
    let counted = (rounds.connections.open(), place);
    let drain = rounds.drain.clone();
    let nodelay = stream.set_nodelay(true);
    let mut connection = Connection::new(stream, rounds.clock);
    async move {
        if let Err(error) = nodelay {
            tracing::debug!(%error, "A connection was gone before it was served");
            return;
        }
        // At the drain's end it is dropped with its runtime.
        match connection.serve(&handler, &drain).await {
            End::Over => {}
            End::Switched(handover) => handover.give(connection.into_rewound()),
            // Rare: boxed, so that its future takes no room elsewhere.
            End::Http2 => {
                Box::pin(http2::serve(connection.into_rewound(), handler, &drain)).await;
            }
        }
        drop(counted);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;
    use crate::lifecycle::{DrainMode, Lifecycle};

    #[derive(Clone)]
    struct Large;

    impl Handler for Large {
        type Body = Full<Bytes>;

        async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
            let room = [0; 10_000];
            std::future::pending::<()>().await;
            Response::new(Full::from(request.uri().path().to_owned() + &room.len().to_string()))
        }
    }

    #[tokio::test]
    async fn an_open_connection_takes_little_room() {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let Lifecycle { connections, tasks, drain, .. } =
            Lifecycle::new(DrainMode::Gateway, Duration::ZERO);
        let rounds = Rounds { connections, tasks, drain, clock: Clock::start() };
        let size = size_of_val(&serve(stream, Large, &rounds, None));
        assert!(size <= 1_024, "{size} bytes for each connection");
    }
}
