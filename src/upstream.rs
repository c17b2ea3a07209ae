//! The back door: pooled connections, TLS, egress proxies, timeouts and upgrades; and the only place
//! where a credential is put on a request.
//!
//! HTTP/1.1 and HTTP/2 (by ALPN) over TLS, HTTP/1.1 without. Answers are handed back as they come:
//! no redirect is followed, no status is judged, and nothing is sent a second time that a provider
//! may have seen.
//!
//! An HTTP/1.1 exchange costs no task, no timer and no look-up by name: the request's own task
//! drives the connection, the connection keeps what its exchanges need (`http1`, `patience`), and a
//! destination knows its pool by number.

mod body;
mod connect;
mod credential;
mod destination;
mod dial;
mod error;
mod http1;
mod http2;
mod patience;
mod pool;
mod proxies;
mod request;
mod resolve;
mod response;
mod spawn;
mod stream;
mod tls;
mod tunnel;

pub use body::{OutBody, Streamed};
pub use credential::{Credential, UnfitCredential};
pub use destination::{Destination, Settings, SettingsError};
pub use error::{BodyError, BodyFault, BoxError, Fault, Phase, SendError, Sent};
pub use http1::{Asked, Inbox, Malformed};
pub use patience::Timeouts;
pub use proxies::{Proxies, Proxy, ProxyError};
pub use request::{Field, Outbound};
pub use response::ResponseBody;
pub use tls::Roots;
pub use tunnel::{Tunnel, Tunnelled};

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::{HeaderValue, Response, StatusCode, header};

use pool::{Line, Need, Pool};
use request::Failure;

/// The connections of one worker. Use it from that worker's runtime only: connections live on the
/// runtime that made them.
pub struct Upstream {
    /// Few: as many as there are providers.
    pools: Mutex<Vec<Entry>>,
    most: usize,
}

/// HTTP/1.1 connections open at once to one destination, where nothing else is said. Each request
/// under way takes one, and file descriptors are what runs out first.
const CONNECTIONS: usize = 1024;

struct Entry {
    id: u64,
    destination: Weak<Destination>,
    pool: Arc<Pool>,
}

impl Upstream {
    /// With no connections yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With at most so many HTTP/1.1 connections open at once to one destination, 1,024 being the
    /// default. A request that needs another waits for one, but no longer than the destination's
    /// connect timeout.
    pub fn with_connections(most: usize) -> Self {
        Self { pools: Mutex::default(), most }
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    ///
    /// A connection that its server has closed is replaced in silence, as long as nothing of the
    /// request was sent on it. Dropping the future ends the call.
    pub async fn send(
        &self,
        destination: &Arc<Destination>,
        outbound: Outbound<'_>,
    ) -> Result<Response<ResponseBody>, SendError> {
        self.send_telling(destination, outbound, &AtomicBool::new(false)).await
    }

    /// The same. `begun` is true for as long as something of the request may have left: who drops the
    /// future before that has sent nothing.
    pub async fn send_telling(
        &self,
        destination: &Arc<Destination>,
        mut outbound: Outbound<'_>,
        begun: &AtomicBool,
    ) -> Result<Response<ResponseBody>, SendError> {
        let pool = self.pool(destination);
        match attempt(&pool, destination, &mut outbound, (Need::Any, begun)).await {
            Ok(response) => Ok(response),
            Err(Failure { unsent: true, .. }) => {
                begun.store(false, Ordering::Relaxed);
                let again = attempt(&pool, destination, &mut outbound, (Need::Fresh, begun));
                Box::pin(again).await.map_err(|failure| failure.error)
            }
            Err(failure) => Err(failure.error),
        }
    }

    /// Asks for an upgrade to the protocol that `outbound`'s `Upgrade` header names (`websocket`
    /// where there is none), over an HTTP/1.1 connection of its own.
    pub async fn tunnel(
        &self,
        destination: &Arc<Destination>,
        outbound: Outbound<'_>,
    ) -> Result<Tunnelled, SendError> {
        let pool = self.pool(destination);
        let (websocket, upgrade) =
            (HeaderValue::from_static("websocket"), HeaderValue::from_static("upgrade"));
        let mut fields: Vec<Field<'_>> = outbound.headers.to_vec();
        fields.retain(|(name, _)| *name != header::CONNECTION);
        fields.push((&header::CONNECTION, &upgrade));
        if !fields.iter().any(|(name, _)| *name == header::UPGRADE) {
            fields.push((&header::UPGRADE, &websocket));
        }
        let mut outbound = Outbound { headers: &fields, ..outbound };
        let mut line = Box::pin(pool.acquire_apart(destination)).await?;
        let place = &destination.place;
        let response = line.exchange(&mut outbound, &destination.host, place).await;
        let response = response.map_err(|failure| failure.error)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Tunnelled::Refused(response.map(|()| ResponseBody::http1(line, pool))));
        }
        let io = line.into_io();
        let (stream, early, seat) =
            io.ok_or_else(|| SendError::new(place, Fault::Broken, Sent::Yes))?;
        Ok(Tunnelled::Open(response, Tunnel::new(stream, early, seat)))
    }

    fn pool(&self, destination: &Arc<Destination>) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = pools.iter().find(|entry| entry.id == destination.id()) {
            return Arc::clone(&entry.pool);
        }
        // A new destination comes with a new configuration, which may have forgotten others.
        pools.retain(|entry| entry.destination.strong_count() > 0);
        let pool = Pool::new(destination, self.most);
        pools.push(Entry {
            id: destination.id(),
            destination: Arc::downgrade(destination),
            pool: Arc::clone(&pool),
        });
        pool
    }
}

async fn attempt(
    pool: &Arc<Pool>,
    destination: &Destination,
    outbound: &mut Outbound<'_>,
    (need, begun): (Need, &AtomicBool),
) -> Result<Response<ResponseBody>, Failure> {
    let line = pool.acquire(destination, need).await;
    begun.store(line.is_ok(), Ordering::Relaxed);
    match line {
        Ok(Line::Http1(mut line)) => {
            let response = line.exchange(outbound, &destination.host, &pool.place).await?;
            Ok(response.map(|()| ResponseBody::http1(line, Arc::clone(pool))))
        }
        Ok(Line::Http2(slot)) => {
            let response = slot.exchange(outbound, destination).await?;
            Ok(response.map(ResponseBody::http2))
        }
        Err(error) => Err(Failure { error, unsent: false }),
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self::with_connections(CONNECTIONS)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(pools.iter().map(|entry| &entry.pool.place)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;
    use http::uri::PathAndQuery;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn may_be_sent<T: Send>(_: T) {}

    fn there(port: u16) -> Arc<Destination> {
        let minute = Duration::from_mins(1);
        let there = Destination::new(Settings {
            tls: false,
            host: "127.0.0.1".into(),
            port,
            authority: HeaderValue::from_static("127.0.0.1"),
            roots: Roots::BuiltIn,
            proxy: None,
            timeouts: Timeouts { connect: minute, first_byte: minute, idle: minute },
        });
        there.unwrap()
    }

    fn outbound() -> Outbound<'static> {
        Outbound {
            method: Method::GET,
            path: PathAndQuery::from_static("/begun"),
            headers: &[],
            body: OutBody::Empty,
            credential: None,
        }
    }

    #[test]
    fn what_is_under_way_may_go_to_other_threads() {
        let (upstream, there) = (Upstream::new(), there(80));
        may_be_sent(&upstream);
        may_be_sent(upstream.send(&there, outbound()));
        may_be_sent(upstream.send_telling(&there, outbound(), &AtomicBool::new(false)));
        may_be_sent(upstream.tunnel(&there, outbound()));
        may_be_sent(None::<ResponseBody>);
    }

    #[tokio::test]
    async fn nothing_has_begun_before_there_is_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listening = there(listener.local_addr().unwrap().port());
        let (upstream, begun) = (Upstream::new(), AtomicBool::new(false));
        let sending = upstream.send_telling(&listening, outbound(), &begun);
        let arrived = async {
            // Others may knock by mistake: ports are used again.
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 10];
                if stream.read_exact(&mut head).await.is_ok() && head == *b"GET /begun" {
                    return stream;
                }
            }
        };
        tokio::select! { _ = sending => panic!("nobody answers"), _ = arrived => {} }
        assert!(begun.load(Ordering::Relaxed), "the request has arrived");
        // Held, so that nobody else listens there either.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let closed = there(silent.local_addr().unwrap().port());
        let begun = AtomicBool::new(true);
        assert!(upstream.send_telling(&closed, outbound(), &begun).await.is_err());
        assert!(!begun.load(Ordering::Relaxed), "nobody listens");
    }
}
