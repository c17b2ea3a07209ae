//! A request as it is handed in, and as HTTP/2 wants it; `http1` writes it as it is.

use std::mem;
use std::sync::Arc;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body::Body;

use super::body::OutBody;
use super::credential::Credential;
use super::destination::Destination;
use super::error::SendError;
use super::http2::{Progress, Sending};

/// A header, borrowed from whoever set it: nothing of a request's headers is copied before they are
/// written.
pub type Field<'a> = (&'a HeaderName, &'a HeaderValue);

/// A request to be sent.
#[derive(Debug)]
pub struct Outbound<'a> {
    /// Its method.
    pub method: Method,
    /// Path and query, the base URL's path included.
    pub path: PathAndQuery,
    /// Its end-to-end headers (RFC 9110 section 7.6.1), without the client's credential. Length,
    /// framing, `Host` and the provider's credential are put on here, over what they hold.
    pub headers: &'a [Field<'a>],
    /// Its body.
    pub body: OutBody,
    /// The key it is sent with, if the provider needs one.
    pub credential: Option<&'a Credential>,
}

/// A request that failed.
pub(super) struct Failure {
    pub(super) error: SendError,
    /// Whether nothing of it was sent: then it is whole, and may be tried on another connection.
    pub(super) unsent: bool,
}

impl Outbound<'_> {
    /// The request for HTTP/2. `None` if it cannot be written, which no path and authority should
    /// lead to.
    pub(super) fn take_http2(
        &mut self,
        destination: &Destination,
        progress: &Arc<Progress>,
    ) -> Option<(Request<()>, Sending)> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + OURS);
        for (name, value) in self.headers {
            if passes_http2(name, value) {
                headers.append(*name, (*value).clone());
            }
        }
        if let Some(credential) = self.credential {
            credential.put_on(&mut headers);
        }
        let body = Sending::new(mem::take(&mut self.body), Arc::clone(progress));
        if let Some(length) =
            body.size_hint().exact().filter(|length| *length > 0 || means_body(&self.method))
        {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(if destination.secure.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        uri.authority = Some(destination.authority.clone());
        uri.path_and_query = Some(self.path.clone());
        let mut request = Request::new(());
        *request.method_mut() = mem::take(&mut self.method);
        *request.uri_mut() = Uri::from_parts(uri).ok()?;
        *request.headers_mut() = headers;
        Some((request, body))
    }
}

/// Headers that are put on over those of a request: credential and length.
const OURS: usize = 2;

/// HTTP/2 has no headers of a connection (RFC 9113 section 8.2.2), `:authority` for `Host`, and a
/// length of its own reckoning.
fn passes_http2(name: &HeaderName, value: &HeaderValue) -> bool {
    match name.as_str() {
        "host" | "connection" | "content-length" | "transfer-encoding" | "upgrade"
        | "keep-alive" | "proxy-connection" => false,
        "te" => value == "trailers",
        _ => true,
    }
}

/// Methods whose requests tell their length even when it is zero (RFC 9110 section 8.6).
pub(super) fn means_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
