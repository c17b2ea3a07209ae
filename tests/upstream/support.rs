//! Servers to call, and short ways to call them.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyweir::upstream::{
    BodyError, Destination, Field, OutBody, Outbound, ResponseBody, Roots, SendError, Settings,
    Timeouts, Upstream,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a test's server answers with.
pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, BodyError>>;

/// What a test's server does with a request.
pub(crate) trait Serve: Fn(Request<Incoming>) -> Served + Send + Sync + 'static {}
impl<F: Fn(Request<Incoming>) -> Served + Send + Sync + 'static> Serve for F {}

/// An answer on its way.
pub(crate) type Served = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A server on the loopback.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    connections: Arc<AtomicUsize>,
}

/// What a server speaks.
#[derive(Clone)]
pub(crate) enum Speaks {
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 over TLS.
    Http1(TlsAcceptor),
    /// HTTP/2 over TLS, with at most so many streams on a connection.
    Http2(TlsAcceptor, u32),
}

impl Server {
    /// Serves HTTP.
    pub(crate) async fn http(speaks: Speaks, serve: impl Serve) -> Self {
        let serve = Arc::new(serve);
        Self::raw(move |tcp| {
            let (speaks, serve) = (speaks.clone(), Arc::clone(&serve));
            async move {
                match speaks {
                    Speaks::Plain => http1(tcp, serve).await,
                    Speaks::Http1(acceptor) => {
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            http1(tls, serve).await;
                        }
                    }
                    Speaks::Http2(acceptor, streams) => {
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            http2(tls, serve, streams).await;
                        }
                    }
                }
            }
        })
        .await
    }

    /// Does as it is told with each connection.
    pub(crate) async fn raw<F>(mut script: impl FnMut(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { at: listener.local_addr().unwrap(), connections: Arc::default() };
        let connections = Arc::clone(&server.connections);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                tcp.set_nodelay(true).unwrap();
                tokio::spawn(script(tcp));
            }
        });
        server
    }

    /// Writes these bytes to whoever has sent a request head, and keeps the connection open.
    pub(crate) async fn answering(answer: impl Into<Bytes>) -> Self {
        let answer = answer.into();
        Self::raw(move |mut tcp| {
            let answer = answer.clone();
            async move {
                read_head(&mut tcp).await;
                drop(tokio::io::AsyncWriteExt::write_all(&mut tcp, &answer).await);
                rest(tcp).await;
            }
        })
        .await
    }

    /// Connections taken so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Settings of a destination without TLS.
    pub(crate) fn plain(&self) -> Settings {
        Settings {
            tls: false,
            host: "127.0.0.1".into(),
            port: self.at.port(),
            authority: HeaderValue::from_str(&self.at.to_string()).unwrap(),
            roots: Roots::BuiltIn,
            proxy: None,
            timeouts: PATIENT,
        }
    }

    /// Settings of a destination whose certificates come from `authority`.
    pub(crate) fn secure(&self, authority: &Authority) -> Settings {
        Settings {
            tls: true,
            host: "localhost".into(),
            authority: HeaderValue::from_str(&format!("localhost:{}", self.at.port())).unwrap(),
            roots: authority.roots(),
            ..self.plain()
        }
    }
}

/// Longer than any test.
pub(crate) const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(20),
    first_byte: Duration::from_secs(20),
    idle: Duration::from_secs(20),
};

async fn http1<T>(io: T, serve: Arc<impl Serve>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = serve(request);
        async move { Ok::<_, BodyError>(answer.await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    drop(connection.await);
}

async fn http2<T>(io: T, serve: Arc<impl Serve>, streams: u32)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = serve(request);
        async move { Ok::<_, BodyError>(answer.await) }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(streams)
        .serve_connection(TokioIo::new(io), service);
    drop(connection.await);
}

/// A certificate authority of the test's own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Roots that hold it alone.
    pub(crate) fn roots(&self) -> Roots {
        Roots::Bundle(self.pem.as_bytes().into())
    }

    /// A server that is `localhost`, and speaks these protocols.
    pub(crate) fn acceptor(&self, alpn: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A destination made of settings.
pub(crate) fn to(settings: Settings) -> Arc<Destination> {
    Destination::new(settings).unwrap()
}

/// A GET.
pub(crate) fn get<'a>(path: &'static str) -> Outbound<'a> {
    Outbound {
        method: Method::GET,
        path: PathAndQuery::from_static(path),
        headers: &[],
        body: OutBody::Empty,
        credential: None,
    }
}

/// Headers as they are handed in.
pub(crate) fn fields(headers: &HeaderMap) -> Vec<Field<'_>> {
    headers.iter().collect()
}

/// A POST.
pub(crate) fn post<'a>(path: &'static str, body: impl Into<OutBody>) -> Outbound<'a> {
    Outbound { method: Method::POST, body: body.into(), ..get(path) }
}

/// An answer with that text.
pub(crate) fn text(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()).map_err(|never| match never {}).boxed_unsync())
}

/// All of an answer's body, as text.
pub(crate) async fn read(response: Response<ResponseBody>) -> Result<String, BodyError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// The text of the answer to a GET.
pub(crate) async fn fetch(upstream: &Upstream, destination: &Arc<Destination>) -> String {
    read(upstream.send(destination, get("/")).await.unwrap()).await.unwrap()
}

/// The error of a GET.
pub(crate) async fn refused(upstream: &Upstream, destination: &Arc<Destination>) -> SendError {
    match upstream.send(destination, get("/")).await {
        Ok(response) => panic!("answered with {}", response.status()),
        Err(error) => error,
    }
}

/// Reads up to the empty line.
pub(crate) async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match io.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Reads and forgets until the other side has closed.
pub(crate) async fn rest(mut io: impl AsyncRead + Unpin) {
    let mut buffer = [0; 1024];
    while io.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// Lets everything happen that can happen by itself.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
