//! The injector's admin port: probes and metrics.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::lifecycle::{Liveness, Readiness};
use crate::serve::{Handler, Incoming};
use crate::telemetry::Injections;

/// What the admin port shows.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) readiness: Readiness,
    pub(super) liveness: Liveness,
    pub(super) metrics: Injections,
    /// Why the API server could not trust this replica, if so.
    pub(super) trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Door {
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "the admin port only shows\n".to_owned());
        }
        match request.uri().path() {
            "/ready" => self.ready(),
            "/live" if self.liveness.is_live() => text(StatusCode::OK, "live\n".to_owned()),
            "/live" => {
                text(StatusCode::SERVICE_UNAVAILABLE, "it has not turned lately\n".to_owned())
            }
            "/metrics" => self.scraped(),
            _ => text(StatusCode::NOT_FOUND, "here are /metrics, /ready and /live\n".to_owned()),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let unready = self.readiness.check().err().map(|unready| unready.as_str().to_owned());
        match unready.or_else(|| (self.trouble)()) {
            None => text(StatusCode::OK, "ready\n".to_owned()),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    }

    fn scraped(&self) -> Response<Full<Bytes>> {
        match self.metrics.render() {
            Ok(body) => {
                let mut response = Response::new(Full::from(body));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(error) => {
                tracing::error!(%error, "Could not write the metrics");
                text(StatusCode::INTERNAL_SERVER_ERROR, "no metrics\n".to_owned())
            }
        }
    }
}

impl Handler for Door {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.answer(&request)
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn it_is_ready_when_it_listens_and_is_trusted_and_until_it_drains() {
        let trouble = Arc::new(Mutex::new(Some("not trusted".to_owned())));
        let told = Arc::clone(&trouble);
        let door = Door {
            readiness: Readiness::default(),
            liveness: Liveness::default(),
            metrics: Injections::new().unwrap(),
            trouble: Arc::new(move || told.lock().unwrap().clone()),
        };
        let ask = |path: &str| {
            door.answer(&Request::builder().uri(path).body(()).unwrap()).status().as_u16()
        };
        assert_eq!(ask("/ready"), 503);
        door.readiness.configured();
        door.readiness.listening();
        assert_eq!(ask("/ready"), 503, "nobody trusts it yet");
        *trouble.lock().unwrap() = None;
        assert_eq!(ask("/ready"), 200);
        door.readiness.draining();
        assert_eq!(ask("/ready"), 503);
        assert_eq!((ask("/live"), ask("/metrics"), ask("/")), (200, 200, 404));
        let post = Request::builder().method("POST").uri("/metrics").body(()).unwrap();
        assert_eq!(door.answer(&post).status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
