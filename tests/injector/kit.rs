//! A webhook on loopback, and an API server that asks it over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use json_patch::Patch;
use keyweir::injector::Defaults;
use keyweir::injector::certificates::{Act, Keeper, Observed, Shown, Terms};
use keyweir::injector::events::{Events, News};
use keyweir::injector::knowledge::Knowledge;
use keyweir::injector::server::{self, Office};
use keyweir::injector::webhook::Webhook;
use keyweir::lifecycle::{Clock, DrainMode, Lifecycle};
use keyweir::serve::Rounds;
use keyweir::telemetry::Injections;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;

use crate::case::Case;

/// The name by which the API server calls the webhook.
pub(crate) const NAME: &str = "keyweir-injector.keyweir.svc";

/// A webhook that listens.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) knowledge: Knowledge,
    pub(crate) metrics: Injections,
    pub(crate) news: mpsc::Receiver<News>,
    pub(crate) lifecycle: Lifecycle,
}

/// Serves with what is shown.
pub(crate) async fn serve(shown: watch::Receiver<Option<Shown>>) -> Served {
    let clock = Clock::start();
    let knowledge = Knowledge::new(None, clock);
    let metrics = Injections::new().unwrap();
    let (events, news) = Events::channel();
    let defaults: Defaults = Case::around(Value::Null).defaults;
    let webhook = Webhook::new(defaults, knowledge.clone(), events, metrics.clone(), clock);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let lifecycle = Lifecycle::new(DrainMode::Gateway, Duration::from_secs(5));
    let rounds = Rounds {
        connections: lifecycle.connections.clone(),
        tasks: lifecycle.tasks.clone(),
        drain: lifecycle.drain.clone(),
        clock,
    };
    let office = Office { webhook, readiness: lifecycle.readiness.clone() };
    let tls = server::tls(shown).unwrap();
    drop(lifecycle.tasks.spawn(server::accept(listener, tls, office, rounds)));
    Served { address, knowledge, metrics, news, lifecycle }
}

/// A certificate of a keeper that has just begun, and the bundle that trusts it.
pub(crate) fn certified() -> (watch::Receiver<Option<Shown>>, String) {
    let terms = Terms {
        authority: Duration::from_hours(24),
        leaf: Duration::from_hours(1),
        settle: Duration::ZERO,
    };
    let now = now();
    let (mut keeper, shown) = Keeper::new(terms, vec![NAME.to_owned()]);
    keeper.saw_secret(Observed::Missing);
    let acts = keeper.step(now).unwrap();
    let [Act::Write(write)] = acts.as_slice() else { panic!("{acts:?}") };
    keeper.saw_secret(Observed::read("1".to_owned(), &write.entries));
    keeper.step(now).unwrap();
    let pem = write.entries.0["ca.crt"].to_vec();
    (shown, String::from_utf8(pem).unwrap())
}

/// What the API server would see of the wall's clock.
pub(crate) fn now() -> Timestamp {
    Clock::start().now().wall
}

/// An API server that trusts this bundle and looks at that time.
pub(crate) struct ApiServer(Arc<ClientConfig>);

/// A moment that stands still.
#[derive(Debug)]
struct Still(Timestamp);

impl TimeProvider for Still {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl ApiServer {
    pub(crate) fn new(bundle: &str, at: Timestamp) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(Still(at)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// Posts a body and returns status and answer.
    pub(crate) async fn post(
        &self,
        address: SocketAddr,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), String> {
        let response = self.exchange(address, path, body).await?;
        Ok((response.status(), response.into_body()))
    }

    /// Posts a body and returns the whole response.
    pub(crate) async fn exchange(
        &self,
        address: SocketAddr,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Bytes>, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let name = ServerName::try_from(NAME).unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.0));
        let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("host", NAME)
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from(body))
            .unwrap();
        let asked = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        tokio::pin!(asked);
        tokio::select! {
            answered = &mut asked => answered,
            ended = connection => {
                // An answer may have come whole before the connection ended.
                match tokio::time::timeout(Duration::from_secs(5), asked).await {
                    Ok(answered) => answered,
                    Err(_) => Err(format!("{ended:?}")),
                }
            }
        }
    }

    /// Asks about an object and returns the response's part of the review.
    pub(crate) async fn review(
        &self,
        address: SocketAddr,
        path: &str,
        request: Value,
    ) -> Result<Value, String> {
        let review = review(&request);
        let (status, body) = self.post(address, path, review.to_string().into_bytes()).await?;
        if status != StatusCode::OK {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)));
        }
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["response"]["uid"], "u-1");
        Ok(answer["response"].take())
    }
}

/// A whole review around a request's own fields.
pub(crate) fn review(request: &Value) -> Value {
    let kind = if request["object"]["kind"] == "ConfigMap" { "ConfigMap" } else { "Pod" };
    let mut whole = json!({
        "uid": "u-1",
        "kind": {"group": "", "version": "v1", "kind": kind},
        "resource": {"group": "", "version": "v1", "resource": format!("{}s", kind.to_lowercase())},
        "operation": "CREATE",
        "namespace": "shop",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "oldObject": null,
        "dryRun": false,
    });
    for (field, value) in request.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": whole})
}

/// The patch in a response.
pub(crate) fn patch(response: &Value) -> Patch {
    assert_eq!(response["patchType"], "JSONPatch", "{response}");
    let patch = BASE64_STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&patch).unwrap()
}
