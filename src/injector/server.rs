//! The webhook's port: TLS with whatever certificate is valid now, and HTTP/1.1, which is what API
//! servers speak to webhooks.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::certificates::Shown;
use super::webhook::Webhook;
use crate::lifecycle::Readiness;
use crate::serve::Rounds;

/// Connections that are open at once: an API server keeps a few, and there are a few of those.
const MOST_CONNECTIONS: usize = 512;
/// How long a client may take for its part of TLS.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a client may take to send a request's head, or leave its connection at rest: API
/// servers keep theirs for 90 s.
const HEAD: Duration = Duration::from_mins(2);
/// How long to leave the listener alone after it failed.
const BREATHER: Duration = Duration::from_millis(100);

/// TLS that shows what is handed over by `shown`, from one connection to the next.
///
/// # Errors
/// Where the build has no TLS version.
pub fn tls(shown: watch::Receiver<Option<Shown>>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Present(shown)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificate of this moment.
struct Present(watch::Receiver<Option<Shown>>);

impl ResolvesServerCert for Present {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().as_ref().map(|shown| Arc::clone(&shown.key))
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Present").field(&*self.0.borrow()).finish()
    }
}

/// What answers on every connection.
#[derive(Clone, Debug)]
pub struct Office {
    /// Answers.
    pub webhook: Webhook,
    /// Once it says no, each answer is the last on its connection. An API server goes on using
    /// connections that it has, wherever its Service leads by now, and what it sends on one that is
    /// being closed at rest fails.
    pub readiness: Readiness,
}

/// Accepts until the drain closes the listener, and answers reviews on every connection.
pub async fn accept(listener: TcpListener, tls: TlsAcceptor, office: Office, rounds: Rounds) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut closing = pin!(rounds.drain.closing());
    loop {
        let accepted = tokio::select! {
            () = &mut closing => return,
            accepted = next(Arc::clone(&room), &listener) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let (tls, office, of_task) = (tls.clone(), office.clone(), rounds.clone());
                drop(rounds.tasks.spawn(async move {
                    serve(stream, &tls, office, &of_task).await;
                    drop(place);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "Could not accept a connection");
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
}

/// The next connection, once there is room for it.
async fn next(
    room: Arc<Semaphore>,
    listener: &TcpListener,
) -> std::io::Result<(TcpStream, Option<OwnedSemaphorePermit>)> {
    // Nobody closes the semaphore.
    let place = room.acquire_owned().await.ok();
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn serve(stream: TcpStream, tls: &TlsAcceptor, office: Office, rounds: &Rounds) {
    let open = rounds.connections.open();
    let stream = match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS did not come about"),
        Err(_) => return tracing::debug!("TLS did not come about in time"),
    };
    let service = service_fn(move |request| {
        let office = office.clone();
        async move {
            let mut response = office.webhook.answer(request).await;
            if office.readiness.check().is_err() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
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
