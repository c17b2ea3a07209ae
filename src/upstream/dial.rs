//! A new connection: name, TCP, egress proxy, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::connect::{Refusal, connect};
use super::destination::{Destination, ReadyProxy, Secure};
use super::error::{Fault, Phase, SendError, Sent};
use super::resolve::{Addresses, Resolver};
use super::stream::Stream;
use super::tls::H2;

/// After how long the next address of a name is tried beside the one that does not answer
/// (RFC 8305 section 5 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);

/// A probe on a silent connection after 30 s, then every 10 s, and dead after three: cloud NAT
/// forgets a silent connection after 350 s (AWS) or even 240 s (Azure), and reasoning models are
/// silent for minutes.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Which versions of HTTP a connection may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 if the server has it.
    Any,
    /// HTTP/1.1, which has upgrades.
    Http1,
}

/// A connection, and whether it speaks HTTP/2.
pub(super) struct Dialled {
    pub(super) stream: Stream,
    pub(super) http2: bool,
}

/// Makes a connection within the destination's connect timeout.
pub(super) async fn dial(
    destination: &Destination,
    resolver: &Resolver,
    offer: Offer,
) -> Result<Dialled, SendError> {
    let attempt = Attempt { destination, phase: Mutex::new(Phase::Lookup) };
    let dialled = timeout(destination.timeouts.connect, attempt.run(resolver, offer)).await;
    dialled.unwrap_or_else(|_| Err(attempt.fail(Fault::Timeout(attempt.phase()))))
}

struct Attempt<'a> {
    destination: &'a Destination,
    phase: Mutex<Phase>,
}

impl Attempt<'_> {
    async fn run(&self, resolver: &Resolver, offer: Offer) -> Result<Dialled, SendError> {
        let Destination { settings, address, secure, proxy, .. } = self.destination;
        let Some(proxy) = proxy else {
            let tcp = self.connect(resolver, &settings.host, settings.port, *address).await?;
            let Some(secure) = secure else { return Ok(plain(Stream::Plain(tcp))) };
            return Ok(dialled(self.secure(secure, offer, tcp).await?, Stream::Tls));
        };
        let (host, port) = (proxy.proxy.host(), proxy.proxy.port());
        let tcp = self.connect(resolver, host, port, proxy.address).await?;
        match (&proxy.secure, secure) {
            (None, None) => Ok(plain(Stream::Plain(self.pass(proxy, tcp).await?))),
            (None, Some(secure)) => {
                let tcp = self.pass(proxy, tcp).await?;
                Ok(dialled(self.secure(secure, offer, tcp).await?, Stream::Tls))
            }
            (Some(outer), inner) => {
                let outer = self.secure(outer, Offer::Http1, tcp).await?;
                let outer = self.pass(proxy, *outer).await?;
                let Some(secure) = inner else { return Ok(plain(Stream::Tls(Box::new(outer)))) };
                Ok(dialled(self.secure(secure, offer, outer).await?, Stream::Nested))
            }
        }
    }

    async fn connect(
        &self,
        resolver: &Resolver,
        host: &str,
        port: u16,
        address: Option<IpAddr>,
    ) -> Result<TcpStream, SendError> {
        let addresses = match address {
            Some(address) => Addresses::from_iter([SocketAddr::new(address, port)]),
            None => resolver
                .addresses(host, port)
                .await
                .map_err(|error| self.fail(Fault::Lookup).caused_by(error))?,
        };
        self.enter(Phase::Connect);
        let tcp = first_of(addresses)
            .await
            .and_then(|tcp| prepare(&tcp).map(|()| tcp))
            .map_err(|error| self.fail(Fault::Connect).caused_by(error))?;
        Ok(tcp)
    }

    /// Has the egress proxy connect `io` with the destination.
    async fn pass<T>(&self, proxy: &ReadyProxy, io: T) -> Result<T, SendError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.enter(Phase::Proxy);
        let passed = connect(io, &connect_request(proxy)).await;
        passed.map_err(|refusal| {
            let status = if let Refusal::Status(status) = refusal { Some(status) } else { None };
            self.fail(Fault::Proxy(status)).caused_by(refusal)
        })
    }

    async fn secure<T>(
        &self,
        secure: &Secure,
        offer: Offer,
        io: T,
    ) -> Result<Box<TlsStream<T>>, SendError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.enter(Phase::Tls);
        let config = match offer {
            Offer::Any => &secure.tls.any,
            Offer::Http1 => &secure.tls.http1,
        };
        let handshake = TlsConnector::from(Arc::clone(config)).connect(secure.name.clone(), io);
        let tls = Box::pin(handshake).await;
        Ok(Box::new(tls.map_err(|error| self.fail(Fault::Tls).caused_by(error))?))
    }

    fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, fault: Fault) -> SendError {
        SendError::new(&self.destination.place, fault, Sent::No)
    }
}

fn plain(stream: Stream) -> Dialled {
    Dialled { stream, http2: false }
}

fn dialled<T>(tls: Box<TlsStream<T>>, stream: fn(Box<TlsStream<T>>) -> Stream) -> Dialled {
    let http2 = tls.get_ref().1.alpn_protocol() == Some(H2);
    Dialled { stream: stream(tls), http2 }
}

/// The request for a way through, which holds the proxy's password.
fn connect_request(proxy: &ReadyProxy) -> Zeroizing<Vec<u8>> {
    let target = proxy.target.as_bytes();
    let mut request = [b"CONNECT ", target, b" HTTP/1.1\r\nhost: ", target, b"\r\n"].concat();
    if let Some(authorization) = proxy.proxy.authorization() {
        let line = [b"proxy-authorization: ", authorization.as_bytes(), b"\r\n"].concat();
        request.extend_from_slice(&line);
    }
    request.extend_from_slice(b"\r\n");
    Zeroizing::new(request)
}

/// The first address that takes a connection; each gets a head start over the next.
async fn first_of(addresses: Addresses) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no addresses");
    while let Some(address) = waiting.next() {
        trying.push(TcpStream::connect(address));
        let head_start = sleep(STAGGER);
        tokio::select! {
            Some(tried) = trying.next() => match tried {
                Ok(tcp) => return Ok(tcp),
                Err(error) => last = error,
            },
            () = head_start, if waiting.len() > 0 => {}
        }
    }
    while let Some(tried) = trying.next().await {
        match tried {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Small writes leave at once, and a connection that has died in silence is noticed.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::{Instant, timeout};

    use super::*;

    async fn open() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    async fn time_to(addresses: [SocketAddr; 2], expected: SocketAddr) -> Duration {
        let start = Instant::now();
        let tcp = first_of(Addresses::from_iter(addresses)).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), expected);
        start.elapsed()
    }

    #[tokio::test]
    async fn an_address_that_refuses_hands_over_at_once() {
        let (listener, closed) = open().await;
        drop(listener);
        let (_listener, at) = open().await;
        assert!(time_to([closed, at], at).await < STAGGER);
        assert!(first_of(Addresses::from_iter([closed])).await.is_err());
        assert!(first_of(Addresses::new()).await.is_err());
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_has_a_head_start_and_no_more() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let full = socket.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut backlog = Vec::new();
        let wait = Duration::from_millis(100);
        while let Ok(Ok(tcp)) = timeout(wait, TcpStream::connect(silent)).await {
            backlog.push(tcp);
        }
        let (_listener, at) = open().await;
        let waited = time_to([silent, at], at).await;
        assert!(waited >= STAGGER && waited < STAGGER * 4, "{waited:?}");
        assert!(time_to([at, silent], at).await < STAGGER);
    }
}
