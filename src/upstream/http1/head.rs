//! The head of an answer, and what it says of the body (RFC 9112 sections 4 to 6).

use std::mem::{self, MaybeUninit};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use httparse::{ParserConfig, Status};

use super::alike::{self, Read};
use super::decoder::Decoder;
use super::inbox::Asked;
use super::malformed::Malformed;

/// The largest head of an answer, and the largest trailers. Providers send 2 to 8 KiB.
pub(super) const LARGEST: usize = 64 * 1024;

/// The most headers in either.
pub(super) const MOST_HEADERS: usize = 100;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Decoder,
    /// Whether the connection may serve another exchange after this one.
    pub(super) persistent: bool,
    /// The bytes that it took.
    pub(super) length: usize,
}

/// Reads the head that begins there, if all of it has come. Its headers' values are parts of `whole`.
pub(super) fn parse(whole: &Bytes, begin: usize, asked: Asked) -> Result<Option<Head>, Malformed> {
    let read = match alike::read(whole, begin) {
        Some(read) => read,
        None => match parse_anew(whole, begin)? {
            Some(read) => read,
            None => return Ok(None),
        },
    };
    let Read { status, mut headers, mut framing, length } = read;
    if framing.chunked && framing.length.is_some() {
        // The coding counts (section 6.3). The length must go no further, nor is such a server to be
        // trusted with another request on this connection.
        headers.remove(header::CONTENT_LENGTH);
        framing.connection = Connection::Close;
    }
    let body = framing.body(status, asked)?;
    let persistent = framing.is_persistent() && !matches!(body, Decoder::UntilClose { .. });
    Ok(Some(Head { status, headers, body, persistent, length }))
}

/// The same by the parser alone.
pub(super) fn parse_anew(whole: &Bytes, begin: usize) -> Result<Option<Read>, Malformed> {
    let bytes = whole.get(begin..).unwrap_or_default();
    let mut slots = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut slots) {
        Ok(Status::Complete(length)) if length <= LARGEST => length,
        Ok(Status::Partial) if bytes.len() <= LARGEST => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Malformed::Endless),
        Err(_) => return Err(Malformed::Head),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Malformed::Head)?;
    let old = parsed.version != Some(1);
    let mut framing = Framing { old, ..Framing::default() };
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for header in &*parsed.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(whole.slice_ref(header.value));
        let (Ok(name), Ok(value)) = (name, value) else { return Err(Malformed::Head) };
        framing.note(&name, &value)?;
        headers.append(name, value);
    }
    let read = Read { status, headers, framing, length };
    if !old {
        alike::remember(bytes, parsed.headers, &read);
    }
    Ok(Some(read))
}

/// What the headers tell of the body's end, and of the connection's.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// HTTP/1.0.
    old: bool,
    length: Option<u64>,
    chunked: bool,
    connection: Connection,
}

/// What the server says that it will do with the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Connection {
    #[default]
    Unsaid,
    Keep,
    /// Whatever else it says.
    Close,
}

impl Framing {
    /// Whether such a header is one to note.
    pub(super) fn is_told_by(name: &HeaderName) -> bool {
        *name == header::CONTENT_LENGTH
            || *name == header::TRANSFER_ENCODING
            || *name == header::CONNECTION
    }

    /// Takes down what a header tells.
    pub(super) fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Malformed> {
        if *name == header::CONTENT_LENGTH {
            if self.length.replace(length(value)?).is_some() {
                return Err(Malformed::Length);
            }
        } else if *name == header::TRANSFER_ENCODING {
            // We ask for no other, and could not take another off.
            let chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
            if mem::replace(&mut self.chunked, true) || !chunked {
                return Err(Malformed::Coding);
            }
        } else if *name == header::CONNECTION {
            for option in value.as_bytes().split(|byte| *byte == b',') {
                let option = option.trim_ascii();
                if option.eq_ignore_ascii_case(b"close") {
                    self.connection = Connection::Close;
                } else if option.eq_ignore_ascii_case(b"keep-alive")
                    && self.connection == Connection::Unsaid
                {
                    self.connection = Connection::Keep;
                }
            }
        }
        Ok(())
    }

    fn body(&self, status: StatusCode, asked: Asked) -> Result<Decoder, Malformed> {
        let none = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || asked == Asked::Head
            || (asked == Asked::Connect && status.is_success());
        Ok(match (none, self.chunked, self.length) {
            (true, ..) => Decoder::Length(0),
            // HTTP/1.0 knows no codings, so whoever sent that may mean anything (section 6.1).
            (false, true, _) if self.old => return Err(Malformed::Coding),
            (false, true, _) => Decoder::chunked(),
            (false, false, Some(length)) => Decoder::Length(length),
            (false, false, None) => Decoder::UntilClose { ended: false },
        })
    }

    fn is_persistent(&self) -> bool {
        match self.connection {
            Connection::Unsaid => !self.old,
            Connection::Keep => true,
            Connection::Close => false,
        }
    }
}

/// Digits and nothing else.
fn length(value: &HeaderValue) -> Result<u64, Malformed> {
    let digits = value.as_bytes();
    if digits.is_empty() {
        return Err(Malformed::Length);
    }
    digits.iter().try_fold(0_u64, |length, digit| {
        let digit = match digit {
            b'0'..=b'9' => u64::from(digit - b'0'),
            _ => return Err(Malformed::Length),
        };
        let length = length.checked_mul(10).and_then(|length| length.checked_add(digit));
        length.ok_or(Malformed::Length)
    })
}
