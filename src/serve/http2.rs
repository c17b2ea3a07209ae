//! HTTP/2 in clear text with prior knowledge (h2c), by hyper.

use std::convert::Infallible;
use std::pin::pin;

use http::Request;
use hyper::body::Incoming as Body;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::Handler;
use super::incoming::Incoming;
use super::rewound::Rewound;
use crate::lifecycle::Drain;

/// Streams that one connection may have open.
const STREAMS: u32 = 1_024;

/// Serves a connection to its end, or to the drain's.
pub(super) async fn serve<H: Handler>(stream: Rewound, handler: H, drain: &Drain) {
    let service = service_fn(move |request: Request<Body>| {
        let handler = handler.clone();
        // Boxed: hyper keeps room for the future as long as the stream is open, and it has long been
        // answered while its body still flows.
        async move {
            let request = request.map(Incoming::http2);
            Ok::<_, Infallible>(Box::pin(handler.handle(request)).await)
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.closing() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = drain.over() => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended badly");
    }
}
