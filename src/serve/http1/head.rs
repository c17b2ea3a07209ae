//! A request's head (RFC 9112): read whole, or refused.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};

/// Header lines that one request may have.
const MOST_HEADERS: usize = 100;

/// Bytes that a request's head may take.
pub(super) const MOST_BYTES: usize = 408 * 1024;

/// Bytes that a request's target may take: what the type for it can hold.
const MOST_TARGET: usize = u16::MAX as usize - 1;

/// A request's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// What it says.
    pub parts: Parts,
    /// How its body is measured.
    pub length: Length,
    /// Whether the client goes on with this connection.
    pub persistent: bool,
    /// Whether it waits with its body for a `100 Continue`.
    pub expects: bool,
    /// Whether it offers another protocol.
    pub upgrades: bool,
}

/// How a request's body is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It has so many bytes; 0 where there is none.
    Exact(u64),
    /// It tells by chunks.
    Chunked,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHead {
    /// It is no HTTP, or may be read in two ways.
    Malformed,
    /// Its target is too long.
    TargetTooLong,
    /// It is too large, or has too many lines.
    TooLarge,
    /// It asks to be connected through to somewhere.
    Connect,
    /// It is of another version than 1.0 and 1.1.
    Version,
}

impl BadHead {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}

impl Head {
    /// Reads the head with which `bytes` begin, and says how long it is; `None` if there is more of
    /// it to come.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, BadHead> {
        let mut lines = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, &mut lines) {
            Ok(httparse::Status::Complete(length)) if length <= MOST_BYTES => length,
            Ok(httparse::Status::Partial) if bytes.len() < MOST_BYTES => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooLarge),
            Err(httparse::Error::Version) if names_http(bytes) => return Err(BadHead::Version),
            Err(_) => return Err(BadHead::Malformed),
        };
        let text = bytes.get(..length).unwrap_or_default();
        Ok(Some((Self::of(&request, text)?, length)))
    }

    fn of(request: &httparse::Request<'_, '_>, text: &[u8]) -> Result<Self, BadHead> {
        let version = if request.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let (method, uri) = (method(request)?, uri(request)?);
        // The values share one copy of the text. The target has a copy of its own, for it is
        // remembered as long as the answer flows.
        let copy = Bytes::copy_from_slice(text);
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        let mut fields = Fields::default();
        for line in &*request.headers {
            let name = HeaderName::from_bytes(line.name.as_bytes());
            let name = name.map_err(|_| BadHead::Malformed)?;
            let value = HeaderValue::from_maybe_shared(share(&copy, text, line.value));
            let value = value.map_err(|_| BadHead::Malformed)?;
            fields.note(&name, value.as_bytes())?;
            headers.append(name, value);
        }
        let is_11 = version == Version::HTTP_11;
        let length = fields.length(is_11)?;
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.uri, parts.version, parts.headers) = (method, uri, version, headers);
        Ok(Self {
            parts,
            length,
            persistent: !fields.close && (is_11 || fields.keep_alive),
            expects: fields.expects && is_11,
            upgrades: fields.upgrades && is_11,
        })
    }
}

fn method(request: &httparse::Request<'_, '_>) -> Result<Method, BadHead> {
    let method = request.method.unwrap_or_default();
    match Method::from_bytes(method.as_bytes()) {
        Ok(Method::CONNECT) => Err(BadHead::Connect),
        Ok(method) => Ok(method),
        Err(_) => Err(BadHead::Malformed),
    }
}

fn uri(request: &httparse::Request<'_, '_>) -> Result<Uri, BadHead> {
    let target = request.path.unwrap_or_default().as_bytes();
    if target.len() > MOST_TARGET {
        return Err(BadHead::TargetTooLong);
    }
    Uri::from_maybe_shared(Bytes::copy_from_slice(target)).map_err(|_| BadHead::Malformed)
}

/// The bytes of `part`, which lies within `text`, out of the `copy` of it.
fn share(copy: &Bytes, text: &[u8], part: &[u8]) -> Bytes {
    let begin = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    match begin.checked_add(part.len()) {
        Some(end) if end <= copy.len() => copy.slice(begin..end),
        _ => Bytes::copy_from_slice(part),
    }
}

/// Whether what is no version that we know is one at all.
fn names_http(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.split(|byte| *byte == b' ').nth(2).is_some_and(|version| version.starts_with(b"HTTP/"))
}

/// What the header lines say of the message itself.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a header of its own")]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    host: bool,
    close: bool,
    keep_alive: bool,
    expects: bool,
    upgrades: bool,
}

impl Fields {
    fn note(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), BadHead> {
        match *name {
            // Two lengths, be they the same, or another coding: whoever stood before us may have
            // measured differently.
            header::CONTENT_LENGTH => {
                let length = decimal(value).filter(|_| self.length.is_none());
                self.length = Some(length.ok_or(BadHead::Malformed)?);
            }
            header::TRANSFER_ENCODING => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(BadHead::Malformed);
                }
                self.chunked = true;
            }
            header::HOST if self.host => return Err(BadHead::Malformed),
            header::HOST => self.host = true,
            header::CONNECTION => {
                for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= word.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            header::EXPECT => self.expects |= value.eq_ignore_ascii_case(b"100-continue"),
            header::UPGRADE => self.upgrades = true,
            _ => {}
        }
        Ok(())
    }

    /// How the body is measured (RFC 9112, section 6.3).
    fn length(&self, is_11: bool) -> Result<Length, BadHead> {
        match (self.length, self.chunked) {
            // A host must be named (section 3.2).
            _ if is_11 && !self.host => Err(BadHead::Malformed),
            (length, false) => Ok(Length::Exact(length.unwrap_or_default())),
            (None, true) if is_11 => Ok(Length::Chunked),
            // Two measures, or chunks in a version that does not know them (section 6.1).
            (_, true) => Err(BadHead::Malformed),
        }
    }
}

/// Digits and nothing else.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
#[path = "head/tests.rs"]
mod tests;
