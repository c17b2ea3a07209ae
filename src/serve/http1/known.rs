//! Heads that were read before. A client writes one head again and again, but for its body's length
//! and a value or two: taking the rest from memory costs a fifth of reading it.
//!
//! What is found here is what [`Head::read`] would say; whatever is in doubt is not found.

use std::cell::Cell;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use memchr::memchr;
use smallvec::SmallVec;

use super::head::{self, Head, Length};

/// Heads that a thread remembers, and the largest of them in bytes.
const MOST_HEADS: usize = 8;
const MOST_BYTES: usize = 4 * 1024;

/// Values that may be new in a head that is known.
const MOST_NEW: usize = 4;

/// Of the heads that are not known, each so manieth is remembered: who never says the same twice
/// pays little for it.
const EACH: u8 = 4;

thread_local! {
    static KNOWN: Cell<Vec<Known>> = const { Cell::new(Vec::new()) };
    static UNKNOWN: Cell<u8> = const { Cell::new(0) };
}

/// Reads the head with which `bytes` begin, as [`Head::read`] does.
pub fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, head::BadHead> {
    let mut known = KNOWN.take();
    let found = known.iter().enumerate().find_map(|(at, known)| Some((at, known.again(bytes)?)));
    if let Some((at, found)) = found {
        // What is asked for more often comes to be looked at sooner.
        known.swap(at, at.saturating_sub(1));
        KNOWN.set(known);
        return Ok(Some(found));
    }
    let read = Head::read(bytes);
    if let Ok(Some((head, length))) = &read {
        let unknown = UNKNOWN.get();
        UNKNOWN.set((unknown + 1) % EACH);
        if unknown == 0
            && let Some(new) = Known::new(bytes.get(..*length).unwrap_or_default(), head)
        {
            known.truncate(MOST_HEADS - 1);
            known.push(new);
        }
    }
    KNOWN.set(known);
    read
}

/// A head that was read.
#[derive(Debug)]
struct Known {
    text: Bytes,
    lines: Vec<Line>,
    head: Head,
}

/// A line of it.
#[derive(Debug)]
struct Line {
    /// Where it begins and where it ends, line end included.
    begin: usize,
    end: usize,
    /// Its name, if its value may be another, and where that begins.
    name: Option<(HeaderName, usize)>,
}

impl Known {
    /// Remembers a head, unless that is not worth it.
    fn new(text: &[u8], head: &Head) -> Option<Self> {
        if text.len() > MOST_BYTES {
            return None;
        }
        let (mut lines, mut begin) = (Vec::new(), 0);
        while let Some(length) = memchr(b'\n', text.get(begin..)?) {
            let end = begin + length + 1;
            let line = text.get(begin..end)?;
            line.strip_suffix(b"\r\n")?;
            let name = if lines.is_empty() { None } else { changeable(line, head) };
            lines.push(Line { begin, end, name: name.map(|(name, at)| (name, begin + at)) });
            begin = end;
        }
        Some(Self { text: Bytes::copy_from_slice(text), lines, head: head.clone() })
    }

    /// The head with which `bytes` begin, if it is this one but for a few values, and its length.
    fn again(&self, bytes: &[u8]) -> Option<(Head, usize)> {
        if bytes.starts_with(&self.text) {
            return Some((self.head.clone(), self.text.len()));
        }
        let mut news: SmallVec<[(&HeaderName, &[u8]); MOST_NEW]> = SmallVec::new();
        let mut rest = bytes;
        for line in &self.lines {
            if let Some(after) = rest.strip_prefix(self.text.get(line.begin..line.end)?) {
                rest = after;
                continue;
            }
            let (name, value) = line.name.as_ref()?;
            let after = rest.strip_prefix(self.text.get(line.begin..*value)?)?;
            let (new, after) = after.split_at_checked(memchr(b'\n', after)? + 1)?;
            if news.len() == MOST_NEW {
                return None;
            }
            news.push((name, trim(new.strip_suffix(b"\r\n")?)));
            rest = after;
        }
        let mut head = self.head.clone();
        for (name, new) in news {
            if *name == header::CONTENT_LENGTH {
                head.length = Length::Exact(head::decimal(new)?);
            }
            *head.parts.headers.get_mut(name)? = HeaderValue::from_bytes(new).ok()?;
        }
        Some((head, bytes.len() - rest.len()))
    }
}

/// A header's value without the white space around it (RFC 9110, section 5.6.3), and that is blanks
/// and tabs only.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The name of a header line whose value may be another, and where that begins. Nothing may change
/// that says how the message is to be read, but for its length.
fn changeable(line: &[u8], head: &Head) -> Option<(HeaderName, usize)> {
    let colon = memchr(b':', line)?;
    let name = HeaderName::from_bytes(line.get(..colon)?).ok()?;
    let is_fixed = matches!(
        name,
        header::HOST
            | header::CONNECTION
            | header::TRANSFER_ENCODING
            | header::EXPECT
            | header::UPGRADE
    );
    let is_single = head.parts.headers.get_all(&name).iter().count() == 1;
    (is_single && !is_fixed).then_some((name, colon + 1))
}

#[cfg(test)]
#[path = "known/tests.rs"]
mod tests;
