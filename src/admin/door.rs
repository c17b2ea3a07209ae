//! The admin port's answers. It shows; it steers nothing.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::page::{self, Page};
use super::status::Status;
use crate::keys::Secret;
use crate::lifecycle::{Liveness, Readiness};
use crate::serve::{Handler, Incoming};
use crate::telemetry::Metrics;

/// What the admin port shows.
#[derive(Clone)]
pub struct Admin {
    readiness: Readiness,
    liveness: Liveness,
    metrics: Metrics,
    /// Brings the gauges up to date, and tells the status.
    look: Arc<dyn Fn() -> Status + Send + Sync>,
    token: Option<Arc<Secret>>,
}

impl Admin {
    /// An admin port that shows these, and asks for `token` where there is one. `look` is called
    /// for each scrape, status and page: it brings the gauges up to date on its way.
    pub fn new(
        readiness: Readiness,
        liveness: Liveness,
        metrics: Metrics,
        look: Arc<dyn Fn() -> Status + Send + Sync>,
        token: Option<Arc<Secret>>,
    ) -> Self {
        Self { readiness, liveness, metrics, look, token }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(
                StatusCode::METHOD_NOT_ALLOWED,
                "the admin port only shows: GET or HEAD\n",
            );
        }
        match path {
            "/ready" => return self.ready(),
            "/live" => return self.live(),
            _ => {}
        }
        if !self.lets_in(request) {
            let mut response = text(StatusCode::UNAUTHORIZED, "a bearer token is asked for\n");
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            return response;
        }
        match path {
            "/metrics" => self.metrics(),
            "/status" => self.status(),
            "/" => self.page(),
            _ => text(StatusCode::NOT_FOUND, "here are /, /status, /metrics, /ready and /live\n"),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        match self.readiness.check() {
            Ok(()) => text(StatusCode::OK, "ready\n"),
            Err(unready) => text(StatusCode::SERVICE_UNAVAILABLE, unready.as_str()),
        }
    }

    fn live(&self) -> Response<Full<Bytes>> {
        if self.liveness.is_live() {
            text(StatusCode::OK, "live\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "a worker has not turned for half a minute\n")
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        (self.look)();
        match self.metrics.render() {
            Ok(body) => {
                reply(&[("content-type", "text/plain; version=0.0.4; charset=utf-8")], body)
            }
            Err(error) => {
                tracing::error!(%error, "Could not write the metrics");
                text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n")
            }
        }
    }

    fn status(&self) -> Response<Full<Bytes>> {
        match serde_json::to_vec_pretty(&(self.look)()) {
            Ok(body) => reply(&[("content-type", "application/json")], body),
            Err(error) => {
                tracing::error!(%error, "Could not write the status");
                text(StatusCode::INTERNAL_SERVER_ERROR, "the status could not be written\n")
            }
        }
    }

    fn page(&self) -> Response<Full<Bytes>> {
        reply(&page::HEADERS, Page(&(self.look)()).to_string().into_bytes())
    }

    /// Compares fingerprints, which are keyed hashes: the time it takes tells nothing of the token.
    fn lets_in<B>(&self, request: &Request<B>) -> bool {
        let Some(token) = &self.token else { return true };
        let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        given.is_some_and(|given| Secret::new(given).fingerprint() == token.fingerprint())
    }
}

impl Handler for Admin {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.answer(&request)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("token", &self.token).finish_non_exhaustive()
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn reply(headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let fresh = HeaderValue::from_static("no-store");
    response.headers_mut().entry(CACHE_CONTROL).or_insert(fresh);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin(token: Option<&str>) -> Admin {
        let token = token.map(|token| Arc::new(Secret::new(token)));
        let look = Arc::new(Status::default);
        let metrics = Metrics::new().unwrap();
        Admin::new(Readiness::default(), Liveness::default(), metrics, look, token)
    }

    fn ask(admin: &Admin, path: &str, token: Option<&str>) -> Response<Full<Bytes>> {
        let mut request = Request::builder().uri(path);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        admin.answer(&request.body(()).unwrap())
    }

    #[test]
    fn a_token_is_asked_for_everywhere_but_by_the_probes() {
        let admin = admin(Some("open sesame"));
        for path in ["/", "/status", "/metrics", "/else"] {
            assert_eq!(ask(&admin, path, None).status(), StatusCode::UNAUTHORIZED, "{path}");
            let wrong = ask(&admin, path, Some("open barley"));
            assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED, "{path}");
        }
        assert_eq!(ask(&admin, "/status", Some("open sesame")).status(), StatusCode::OK);
        assert_eq!(ask(&admin, "/live", None).status(), StatusCode::OK);
        let ready = ask(&admin, "/ready", None);
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE, "nothing is open yet");
    }

    #[test]
    fn it_shows_and_steers_nothing() {
        let post = Request::builder().method("POST").uri("/status").body(()).unwrap();
        assert_eq!(admin(None).answer(&post).status(), StatusCode::METHOD_NOT_ALLOWED);
        let metrics = ask(&admin(None), "/metrics", None);
        let kind = metrics.headers()[CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    }
}
