//! The demo, with the plainest of proxies in its middle: one that tries key after key until one
//! serves.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyweir::simulator::demo::{self, DemoConfig, Options, ProxyAddress, Summary};
use tokio::net::{TcpListener, TcpStream};

#[test]
fn an_application_behind_a_patient_proxy_sees_no_failure() {
    let (summary, seen) = run(6, Patience::Endless);
    assert!(summary.is_clean(), "{seen}");
    assert!(summary.answers > 80, "{seen}");
    let refused = summary.tally.refused();
    for kind in ["rateLimited", "keyInvalid", "overloaded"] {
        assert!(refused.contains_key(kind), "no {kind} in {refused:?}");
    }
    assert!(seen.contains("outage"), "{seen}");
    assert!(seen.contains("absorbed them all"), "{seen}");
}

#[test]
fn an_application_behind_a_proxy_that_tries_once_sees_the_storm() {
    let (summary, seen) = run(3, Patience::None);
    assert!(!summary.is_clean());
    assert!(seen.contains("status 401"), "{seen}");
    assert!(seen.contains("the application saw"), "{seen}");
}

#[derive(Clone, Copy, PartialEq)]
enum Patience {
    None,
    Endless,
}

fn run(seconds: u32, patience: Patience) -> (Summary, String) {
    let mut out = Vec::new();
    let options = Options { seconds, ..Options::default() };
    let summary = demo::run(options, &mut out, |config| start(config, patience)).unwrap();
    (summary, String::from_utf8(out).unwrap())
}

fn nowhere() -> ProxyAddress {
    let addr = SocketAddr::from(([127, 0, 0, 1], 9));
    ProxyAddress { data: addr, admin: addr }
}

/// Starts the proxy on a thread that ends with the process.
fn start(config: &DemoConfig, patience: Patience) -> io::Result<ProxyAddress> {
    let (_, rest) = config.yaml.split_once("baseUrl: http://").unwrap();
    let pool = Arc::new(Pool {
        upstream: rest.lines().next().unwrap().parse().unwrap(),
        keys: config.secrets.iter().flat_map(|secret| secret.entries.clone()).collect(),
        next: AtomicUsize::new(0),
        patience,
    });
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                runtime_spawn(serve(stream, Arc::clone(&pool)));
            }
        });
    });
    Ok(ProxyAddress { data: addr, admin: nowhere().admin })
}

fn runtime_spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::runtime::Handle::current().spawn(work);
}

struct Pool {
    upstream: SocketAddr,
    keys: Vec<(String, String)>,
    next: AtomicUsize,
    patience: Patience,
}

async fn serve(stream: TcpStream, pool: Arc<Pool>) {
    let service = service_fn(|request: Request<Incoming>| {
        let pool = Arc::clone(&pool);
        async move { Ok::<_, std::convert::Infallible>(pool.forward(request).await) }
    });
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    builder.serve_connection(TokioIo::new(stream), service).await.unwrap();
}

impl Pool {
    async fn forward(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        loop {
            let path = parts.uri.path_and_query().unwrap().as_str();
            let (status, answer) = self.once(path, &parts.headers, body.clone()).await;
            if status == StatusCode::OK || self.patience == Patience::None {
                return Response::builder().status(status).body(Full::new(answer)).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn once(&self, path: &str, headers: &HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
        let stream = TcpStream::connect(self.upstream).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::runtime::Handle::current().spawn(connection);
        let mut request = Request::post(path).header("host", "upstream");
        let key = self.key_for(path);
        request = if path.starts_with("/v1beta") {
            request.header("x-goog-api-key", key)
        } else if path == "/v1/messages" {
            request
                .header("x-api-key", key)
                .header("anthropic-version", headers.get("anthropic-version").unwrap())
        } else {
            request.header("authorization", format!("Bearer {key}"))
        };
        let answer = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        driver.abort();
        (status, body)
    }

    fn key_for(&self, path: &str) -> &str {
        let prefix = match path {
            "/v1/messages" => "claude",
            "/v1/chat/completions" => "",
            _ => "gemini",
        };
        let openai = |name: &str| name.starts_with("main") || name.starts_with("eu");
        let fits =
            |name: &str| if prefix.is_empty() { openai(name) } else { name.starts_with(prefix) };
        let keys: Vec<_> = self.keys.iter().filter(|(name, _)| fits(name)).collect();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &keys[turn % keys.len()].1
    }
}
