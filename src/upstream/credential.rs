//! A key, made ready to be put on requests.

use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::formats::Auth;
use crate::keys::Secret;

/// A key as the header that carries it, made once and put on any number of requests.
///
/// The header's bytes belong to a buffer that is wiped when the last clone of it is gone, so a key
/// costs nothing per request and leaves no copies behind on the heap: HTTP/1.1 writes it into memory
/// that is wiped as well. What cannot be wiped are the buffers of h2 and rustls in which a request is
/// written; they are overwritten by the next one. The value is marked as sensitive: it prints as such, and HTTP/2 keeps it out of
/// its compression table.
#[derive(Clone)]
pub struct Credential {
    name: HeaderName,
    value: HeaderValue,
}

/// A key with characters that no header may hold (a line break, a control character).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfitCredential;

impl Credential {
    /// Makes a key ready.
    pub fn new(auth: &Auth, secret: &Secret) -> Result<Self, UnfitCredential> {
        let (name, scheme) = match auth {
            Auth::Bearer => (AUTHORIZATION, "Bearer "),
            Auth::Header(name) => (name.clone(), ""),
        };
        let key = secret.expose();
        let mut line = Zeroizing::new(Vec::with_capacity(scheme.len() + key.len()));
        line.extend_from_slice(scheme.as_bytes());
        line.extend_from_slice(key.as_bytes());
        let mut value =
            HeaderValue::from_maybe_shared(Bytes::from_owner(line)).map_err(|_| UnfitCredential)?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }

    pub(super) const fn name(&self) -> &HeaderName {
        &self.name
    }

    pub(super) const fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// As HTTP/2 wants it.
    pub(super) fn put_on(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), self.value.clone());
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [redacted]", self.name)
    }
}

impl fmt::Display for UnfitCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key holds characters that cannot stand in a header")
    }
}

impl std::error::Error for UnfitCredential {}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_on(auth: &Auth, headers: &mut HeaderMap) {
        Credential::new(auth, &Secret::new("sk-1")).unwrap().put_on(headers);
    }

    #[test]
    fn a_key_replaces_whatever_the_header_held() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer theirs"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic theirs"));
        put_on(&Auth::Bearer, &mut headers);
        put_on(&Auth::Header(HeaderName::from_static("x-api-key")), &mut headers);
        let values: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
        assert_eq!(values, ["Bearer sk-1"]);
        assert_eq!(headers["x-api-key"], "sk-1");
        assert!(headers.values().all(HeaderValue::is_sensitive));
    }

    #[test]
    fn a_key_shows_itself_nowhere() {
        let credential = Credential::new(&Auth::Bearer, &Secret::new("sk-1")).unwrap();
        let mut headers = HeaderMap::new();
        credential.put_on(&mut headers);
        assert!(!format!("{credential:?} {headers:?}").contains("sk-1"));
    }

    #[test]
    fn a_key_with_a_line_break_is_refused() {
        assert!(Credential::new(&Auth::Bearer, &Secret::new("sk\r\nx: y")).is_err());
    }
}
