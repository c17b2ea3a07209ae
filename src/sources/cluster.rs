//! The cluster's API, as a pod reaches it: the address from the environment, the certificate
//! authority and the token from the service account that is mounted, read anew as they rotate.
//!
//! A client of its own under `kube`'s, and not `kube`'s reader of kubeconfigs: that brings a second
//! YAML reader and a `JSONPath` with regular expressions, 3.5 MB that a pod has no use for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{AUTHORIZATION, InvalidHeaderValue};
use http::uri::{InvalidUri, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::Body;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::time::Instant;
use tower_service::Service;

use super::{environment, files, problem::Problem};

/// Where the kubelet mounts the service account.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How often the mounted files are looked at: the kubelet renews a token long before it ends.
const FRESH: Duration = Duration::from_mins(1);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection that has been silent for so long is asked whether it lives, and given so long to
/// answer: a watch is silent for minutes.
const SILENCE: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(15);

/// The way to the cluster's API.
pub struct Cluster {
    /// The client of the API.
    pub client: kube::Client,
    /// The namespace of the pod.
    pub namespace: String,
}

/// There is no way to the cluster's API.
#[derive(Debug)]
pub enum NoCluster {
    /// The variables that Kubernetes sets in every pod are missing, or no address.
    NoAddress,
    /// A file of the service account cannot be read.
    Account(Problem),
    /// A file of the service account holds something else than it should.
    Unusable(&'static str),
}

impl Cluster {
    /// Finds the way, with the service account that is mounted in that folder. Needs a runtime.
    ///
    /// # Errors
    /// Outside a pod, or where the service account is not mounted.
    pub fn of_pod(service_account: &Path) -> Result<Self, NoCluster> {
        let variable = |name: &str| environment::variable(name).ok_or(NoCluster::NoAddress);
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let address: Uri = format!("https://{host}:{port}").parse()?;
        let folder = service_account.to_owned();
        let namespace = files::read_text(&folder.join("namespace")).map_err(NoCluster::Account)?;
        let held = Held::read(&folder, Instant::now())?;
        let line = Line { address, folder: folder.into(), held: Arc::new(Mutex::new(held)) };
        let namespace = namespace.trim().to_owned();
        Ok(Self { client: kube::Client::new(line, namespace.clone()), namespace })
    }
}

/// What every request is put on.
#[derive(Clone)]
struct Line {
    address: Uri,
    folder: Arc<Path>,
    held: Arc<Mutex<Held>>,
}

/// What was read, and what came of it.
struct Held {
    authority: String,
    token: HeaderValue,
    client: Client<HttpsConnector<HttpConnector>, Body>,
    read: Instant,
}

impl Held {
    fn read(folder: &Path, now: Instant) -> Result<Self, NoCluster> {
        let authority = files::read_text(&folder.join("ca.crt")).map_err(NoCluster::Account)?;
        let client = client(&authority)?;
        Ok(Self { client, token: token(folder)?, authority, read: now })
    }

    /// Takes what has changed; what cannot be read for the moment stays as it was.
    fn refresh(&mut self, folder: &Path, now: Instant) {
        self.read = now;
        match token(folder) {
            Ok(token) => self.token = token,
            Err(error) => tracing::warn!(%error, "The service account's token stays as it was"),
        }
        let path: PathBuf = folder.join("ca.crt");
        match files::read_text(&path) {
            Ok(authority) if authority == self.authority => {}
            Ok(authority) => match client(&authority) {
                Ok(client) => {
                    tracing::info!("The cluster has another certificate authority");
                    (self.authority, self.client) = (authority, client);
                }
                Err(error) => tracing::warn!(%error, "The cluster's authority stays as it was"),
            },
            Err(error) => tracing::warn!(%error, "The cluster's authority stays as it was"),
        }
    }
}

fn token(folder: &Path) -> Result<HeaderValue, NoCluster> {
    let token = files::read_text(&folder.join("token")).map_err(NoCluster::Account)?;
    let mut token = HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
    token.set_sensitive(true);
    Ok(token)
}

fn client(authority: &str) -> Result<Client<HttpsConnector<HttpConnector>, Body>, NoCluster> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        let unusable = "ca.crt is not PEM as it should be";
        let certificate = certificate.map_err(|_| NoCluster::Unusable(unusable))?;
        roots.add(certificate).map_err(|_| NoCluster::Unusable("ca.crt holds no certificate"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| NoCluster::Unusable("this build has no TLS version"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut plain = HttpConnector::new();
    plain.enforce_http(false);
    plain.set_connect_timeout(Some(CONNECT));
    plain.set_keepalive(Some(SILENCE));
    plain.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http1()
        .enable_http2()
        .wrap_connector(plain);
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(SILENCE)
        .http2_keep_alive_timeout(ANSWER);
    Ok(builder.build(connector))
}

impl Service<Request<Body>> for Line {
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.duration_since(held.read) >= FRESH {
            held.refresh(&self.folder, now);
        }
        let mut parts = self.address.clone().into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        parts.path_and_query = request.uri().path_and_query().cloned();
        // Both were parsed, so they fit together.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        request.headers_mut().insert(AUTHORIZATION, held.token.clone());
        held.client.request(request)
    }
}

impl From<InvalidUri> for NoCluster {
    fn from(_: InvalidUri) -> Self {
        Self::NoAddress
    }
}

impl From<InvalidHeaderValue> for NoCluster {
    fn from(_: InvalidHeaderValue) -> Self {
        Self::Unusable("token is no token")
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Display for NoCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str(
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no API server: this runs \
                 in a pod",
            ),
            Self::Account(problem) => write!(f, "the service account is not mounted: {problem}"),
            Self::Unusable(what) => write!(f, "the service account cannot be used: {what}"),
        }
    }
}

impl std::error::Error for NoCluster {}
