//! Answers as they are written: heads, and the frames of chunks.

use std::cell::Cell;

use bytes::Bytes;
use http::response::Parts;
use http::{StatusCode, header};
use http_body::Body;

use super::wire::Batch;
use crate::lifecycle::Clock;

/// What of a request its answer's form depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// It wants the head only.
    pub(super) head_only: bool,
    /// It came by HTTP/1.0.
    pub(super) is_10: bool,
}

/// How the end of an answer's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// It has none, and none may be told.
    None,
    /// It has so many bytes.
    Exact(u64),
    /// By chunks.
    Chunked,
    /// By the connection's end.
    Close,
}

/// What becomes of the connection behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Stays,
    Closes,
    /// It speaks another protocol.
    Switches,
}

impl Measure {
    /// How this body's end is told with that status.
    pub(super) fn of<B: Body>(asked: Asked, status: StatusCode, body: &B) -> Self {
        if status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        {
            return Self::None;
        }
        let exact = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        match exact {
            Some(length) => Self::Exact(length),
            None if asked.head_only => Self::None,
            None if asked.is_10 => Self::Close,
            None => Self::Chunked,
        }
    }
}

/// Writes an answer's head. Its measure comes from its body, not from its headers, but for an
/// answer to `HEAD`, whose length is that of a body which is not sent.
pub(super) fn head(
    text: &mut Vec<u8>,
    parts: &Parts,
    asked: Asked,
    (measure, after): (Measure, After),
    clock: &Clock,
) {
    status_line(text, parts.status, asked);
    let told = parts.headers.contains_key(header::CONTENT_LENGTH);
    let keeps_length = asked.head_only && told;
    let mut dated = false;
    for (name, value) in &parts.headers {
        match *name {
            header::CONTENT_LENGTH if !keeps_length => continue,
            header::TRANSFER_ENCODING => continue,
            header::CONNECTION if after != After::Switches => continue,
            header::DATE => dated = true,
            _ => {}
        }
        line(text, name.as_str().as_bytes(), value.as_bytes());
    }
    match measure {
        Measure::Exact(length) if !keeps_length => {
            text.extend_from_slice(b"content-length: ");
            digits(text, length, 10);
            text.extend_from_slice(b"\r\n");
        }
        Measure::Chunked => text.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Measure::Exact(_) | Measure::None | Measure::Close => {}
    }
    match after {
        After::Closes => text.extend_from_slice(b"connection: close\r\n"),
        After::Stays if asked.is_10 => text.extend_from_slice(b"connection: keep-alive\r\n"),
        After::Stays | After::Switches => {}
    }
    if !dated {
        date(text, clock);
    }
    text.extend_from_slice(b"\r\n");
}

/// Writes the whole answer to a head that is refused.
pub(super) fn refusal(text: &mut Vec<u8>, status: StatusCode, clock: &Clock) {
    status_line(text, status, Asked { head_only: false, is_10: false });
    text.extend_from_slice(b"connection: close\r\ncontent-length: 0\r\n");
    date(text, clock);
    text.extend_from_slice(b"\r\n");
}

/// Adds a chunk of a body. There must be something in it: an empty one would be the last.
pub(super) fn chunk(batch: &mut Batch, piece: Bytes) {
    digits(&mut batch.text, piece.len() as u64, 16);
    batch.text.extend_from_slice(b"\r\n");
    batch.push(piece);
    batch.text.extend_from_slice(b"\r\n");
}

/// The end of a chunked body.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What a client is told that waits with its body.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn status_line(text: &mut Vec<u8>, status: StatusCode, asked: Asked) {
    if status == StatusCode::OK && !asked.is_10 {
        text.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    text.extend_from_slice(if asked.is_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    text.extend_from_slice(status.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    text.extend_from_slice(b"\r\n");
}

fn line(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    // Once for all four.
    text.reserve(name.len() + value.len() + 4);
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// Writes a number, without a detour through the formatter.
fn digits(text: &mut Vec<u8>, number: u64, radix: u64) {
    // As many as the largest number has in the smaller radix.
    let mut digits = [0; 20];
    let (mut rest, mut at) = (number, digits.len());
    for place in digits.iter_mut().rev() {
        let digit = u32::try_from(rest % radix).unwrap_or_default();
        *place = char::from_digit(digit, 16).map_or(b'0', |digit| digit as u8);
        (rest, at) = (rest / radix, at - 1);
        if rest == 0 {
            break;
        }
    }
    text.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// The `date` line of a second, made once in it.
#[derive(Clone, Copy)]
struct Date {
    second: i64,
    line: [u8; DATE_LINE],
}

/// `date: Sun, 06 Nov 1994 08:49:37 GMT` and the line's end.
const DATE_LINE: usize = 37;

thread_local! {
    static DATE: Cell<Date> = const { Cell::new(Date { second: i64::MIN, line: [0; DATE_LINE] }) };
}

fn date(text: &mut Vec<u8>, clock: &Clock) {
    let now = clock.now().wall;
    let mut date = DATE.get();
    if date.second != now.as_second() {
        let made = now.strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string();
        // Years of more than four digits are not to be expected.
        let Ok(line) = made.as_bytes().try_into() else { return };
        date = Date { second: now.as_second(), line };
        DATE.set(date);
    }
    text.extend_from_slice(&date.line);
}
