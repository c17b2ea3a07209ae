//! A request as it is handed in, and as each version of HTTP wants it.

use std::sync::Arc;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body::Body;

use super::body::{OutBody, Progress, Sending};
use super::credential::Credential;
use super::destination::Destination;
use super::error::SendError;

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

/// A request with its credential on, for either version of HTTP.
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) path: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: OutBody,
}

/// A request that failed.
pub(super) struct Failure {
    pub(super) error: SendError,
    /// The request, if nothing of it was sent.
    pub(super) unsent: Option<Box<Prepared>>,
}

impl Prepared {
    pub(super) fn new(outbound: Outbound<'_>) -> Self {
        let Outbound { method, path, headers: fields, body, credential } = outbound;
        let mut headers = HeaderMap::with_capacity(fields.len() + OURS);
        for (name, value) in fields {
            if **name != header::CONTENT_LENGTH && **name != header::TRANSFER_ENCODING {
                headers.append(*name, (*value).clone());
            }
        }
        if let Some(credential) = credential {
            credential.put_on(&mut headers);
        }
        Self { method, path, headers, body }
    }

    pub(super) fn into_http1(
        self,
        host: &HeaderValue,
        progress: &Arc<Progress>,
    ) -> Request<Sending> {
        let Self { method, path, mut headers, body } = self;
        headers.insert(header::HOST, host.clone());
        let mut request = Request::new(Sending::new(body, Arc::clone(progress)));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(path);
        *request.headers_mut() = headers;
        request
    }

    /// The request again, when a connection could not begin with it.
    pub(super) fn from_http1(request: Request<Sending>) -> Self {
        let (parts, body) = request.into_parts();
        let path = parts.uri.into_parts().path_and_query;
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Self { method: parts.method, path, headers: parts.headers, body: body.into_body() }
    }

    /// `None` if it cannot be written, which no path and authority should lead to.
    pub(super) fn into_http2(
        self,
        destination: &Destination,
        progress: &Arc<Progress>,
    ) -> Option<(Request<()>, Sending)> {
        let Self { method, path, mut headers, body } = self;
        for name in CONNECTION_HEADERS {
            headers.remove(name);
        }
        if headers.get(header::TE).is_some_and(|value| value != "trailers") {
            headers.remove(header::TE);
        }
        let body = Sending::new(body, Arc::clone(progress));
        if let Some(length) =
            body.size_hint().exact().filter(|length| *length > 0 || means_body(&method))
        {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(if destination.secure.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        uri.authority = Some(destination.authority.clone());
        uri.path_and_query = Some(path);
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_parts(uri).ok()?;
        *request.headers_mut() = headers;
        Some((request, body))
    }
}

/// Headers that are put on here: credential, host, length.
const OURS: usize = 3;

/// HTTP/2 has none of these (RFC 9113 section 8.2.2), and `:authority` for `Host`.
const CONNECTION_HEADERS: [HeaderName; 5] = [
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Methods whose requests tell their length even when it is zero (RFC 9110 section 8.6).
fn means_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
