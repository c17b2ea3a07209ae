//! Heads that are alike.
//!
//! A provider's answers have the same headers in the same order, request after request, and most of
//! the same values. So the last few heads are remembered, and one like them is read by comparing: its
//! names need neither be parsed nor looked up nor hashed again, which is two thirds of the work.
//! Whatever is in the least unusual is left to the parser.

use std::cell::RefCell;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use memchr::memchr;
use smallvec::SmallVec;

use super::head::Framing;

/// Heads that one thread remembers. Each destination has a few: streams, other answers, refusals.
const KEPT: usize = 16;

/// The longest head that is remembered, in bytes.
const LONGEST: usize = 8 * 1024;

thread_local! {
    /// The last one first.
    static HEADS: RefCell<Vec<Alike>> = const { RefCell::new(Vec::new()) };
}

/// A head that others may be like.
struct Alike {
    /// The line with the status, its newline included.
    begin: Box<[u8]>,
    status: StatusCode,
    lines: Vec<Line>,
    /// The headers in the order of their lines.
    headers: HeaderMap,
}

struct Line {
    /// The name as it is written, the colon and the blank.
    name: Box<[u8]>,
    /// Whether it tells of the body's end or the connection's.
    frames: bool,
}

/// A head that was read.
pub(super) struct Read {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// The bytes that it took.
    pub(super) length: usize,
}

/// Reads the head that begins there, if it is like one that is remembered and all of it has come.
pub(super) fn read(whole: &Bytes, begin: usize) -> Option<Read> {
    HEADS.with_borrow_mut(|heads| {
        let mut found = heads.iter().enumerate();
        let (place, read) = found.find_map(|(at, alike)| Some((at, alike.read(whole, begin)?)))?;
        if let Some(up_to) = heads.get_mut(..=place).filter(|_| place > 0) {
            up_to.rotate_right(1);
        }
        Some(read)
    })
}

/// Remembers a head of HTTP/1.1 for those that come after it.
pub(super) fn remember(head: &[u8], parsed: &[httparse::Header<'_>], read: &Read) {
    if let Some(alike) = Alike::new(head, parsed, read) {
        HEADS.with_borrow_mut(|heads| {
            heads.truncate(KEPT - 1);
            heads.insert(0, alike);
        });
    }
}

impl Alike {
    /// `None` where its headers' order is lost in the map, for one of them stands there twice.
    fn new(head: &[u8], parsed: &[httparse::Header<'_>], read: &Read) -> Option<Self> {
        let Read { status, headers, length, .. } = read;
        if *length > LONGEST || headers.keys_len() != parsed.len() {
            return None;
        }
        let (begin, _) = head.split_at_checked(memchr(b'\n', head)? + 1)?;
        let mut headers = headers.clone();
        for value in headers.values_mut() {
            // A copy, so that it does not hold on to all that came with it.
            *value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        }
        let mut lines = Vec::with_capacity(parsed.len());
        for (header, name) in parsed.iter().zip(headers.keys()) {
            if !header.name.eq_ignore_ascii_case(name.as_str()) {
                return None;
            }
            let written = [header.name.as_bytes(), b": "].concat().into();
            lines.push(Line { name: written, frames: Framing::is_told_by(name) });
        }
        Some(Self { begin: begin.into(), status: *status, lines, headers })
    }

    fn read(&self, whole: &Bytes, begin: usize) -> Option<Read> {
        let bytes = whole.get(begin..)?;
        let mut rest = bytes.strip_prefix(&*self.begin)?;
        let mut values = SmallVec::<[&[u8]; 32]>::new();
        for line in &self.lines {
            let (value, after) = value(rest.strip_prefix(&*line.name)?)?;
            values.push(value);
            rest = after;
        }
        let rest = rest.strip_prefix(b"\r\n")?;
        let (mut headers, mut framing) = (self.headers.clone(), Framing::default());
        for (((name, header), value), line) in headers.iter_mut().zip(values).zip(&self.lines) {
            if header.as_bytes() != value {
                *header = HeaderValue::from_maybe_shared(whole.slice_ref(value)).ok()?;
            }
            if line.frames {
                framing.note(name, header).ok()?;
            }
        }
        Some(Read { status: self.status, headers, framing, length: bytes.len() - rest.len() })
    }
}

/// The value of a header behind its name, and what follows its line; `None` if it is not quite as
/// everyone writes it.
fn value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr(b'\n', bytes)? + 1)?;
    let value = line.strip_suffix(b"\r\n")?;
    let is_blank = |byte: Option<&u8>| matches!(byte, None | Some(b' ' | b'\t'));
    (!is_blank(value.first()) && !is_blank(value.last())).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::head::parse_anew;
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nDate: today\r\ncontent-type: a/b\r\nx-id: 1\r\nContent-Length: 12\r\n\r\n";

    fn is_read(head: &[u8]) -> bool {
        read(&Bytes::copy_from_slice(head), 0).is_some()
    }

    fn parse(head: &[u8]) -> Read {
        parse_anew(&Bytes::copy_from_slice(head), 0).unwrap().unwrap()
    }

    fn told(read: &Read) -> String {
        let Read { status, headers, framing, length } = read;
        format!("{status} {headers:?} {framing:?} {length}")
    }

    #[test]
    fn a_head_like_another_is_read_without_the_parser() {
        assert!(!is_read(HEAD));
        parse(HEAD);
        assert!(is_read(HEAD));
        let text = std::str::from_utf8(HEAD).unwrap();
        assert!(is_read(text.replace("12", "0").replace("today", "tomorrow").as_bytes()));
        for other in [
            text.replace("200 OK", "201 Created"),
            text.replace("x-id", "X-Id"),
            text.replace("x-id: 1\r\n", ""),
            text.replace("\r\n\r\n", "\r\nx: y\r\n\r\n"),
            text.replace(": ", ":"),
            text.replace("today", "to\r\n day"),
            text.replace("today\r", "today"),
            text.replace("12", "1\u{1}2"),
            text.replace("\r\n\r\n", "\r\n"),
        ] {
            assert!(!is_read(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn a_header_that_stands_there_twice_is_left_to_the_parser() {
        let twice = b"HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n";
        parse(twice);
        assert!(!is_read(twice));
    }

    #[test]
    fn the_heads_of_a_few_kinds_of_answers_are_remembered_and_no_more() {
        let head = |kind: usize| format!("HTTP/1.1 200 OK\r\nx-{kind}: 1\r\n\r\n");
        for kind in 0..KEPT * 2 {
            parse(head(kind).as_bytes());
        }
        let known = (0..KEPT * 2).filter(|kind| is_read(head(*kind).as_bytes())).count();
        assert_eq!(known, KEPT);
        HEADS.with_borrow(|heads| assert_eq!(heads.len(), KEPT));
    }

    proptest! {
        #[test]
        fn whatever_is_read_so_is_read_as_the_parser_would(
            edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            length in any::<prop::sample::Index>(),
        ) {
            parse(HEAD);
            let mut head = [HEAD, b"body"].concat();
            for (at, byte) in edits {
                let at = at.index(head.len());
                head[at] = byte;
            }
            head.truncate(length.index(head.len() * 4));
            let whole = Bytes::from(head);
            if let Some(read) = read(&whole, 0) {
                let parsed = parse_anew(&whole, 0).unwrap().unwrap();
                prop_assert_eq!(told(&read), told(&parsed));
            }
        }
    }
}
