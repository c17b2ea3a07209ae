//! Bytes as they come in, made into requests.

use bytes::Bytes;
use memchr::memchr_iter;

use super::body::{self, Feed};
use super::head::{BadHead, Head, MOST_BYTES};
use super::known;
use crate::serve::incoming::Incoming;

/// With what an HTTP/2 connection begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What was read of a connection and not used yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    held: Vec<u8>,
    /// A first request has been read.
    begun: bool,
    /// What is held has not been looked at as a request.
    unread: bool,
}

/// What has come in.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing whole yet.
    More,
    /// A request.
    Request(Box<Received>),
    /// A connection of HTTP/2.
    Http2,
    /// What cannot be answered but by a refusal.
    Bad(BadHead),
    /// Nothing more: the client has left, or was waited for in vain.
    Over,
}

/// A request's head, and what has come of its body.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: Head,
    pub(super) body: Incoming,
    /// The rest of the body, if there is one.
    pub(super) feed: Option<Feed>,
}

impl Inbox {
    /// Takes what has just been read: nothing, if the client has closed its side.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Step {
        if bytes.is_empty() {
            return Step::Over;
        }
        if self.held.is_empty() {
            return self.read(bytes);
        }
        let known = self.held.len();
        self.held.extend_from_slice(bytes);
        if self.held.len() < MOST_BYTES && !ends_within(&self.held, known) {
            return Step::More;
        }
        let held = std::mem::take(&mut self.held);
        self.read(&held)
    }

    /// The next request among what is held already.
    pub(super) fn next(&mut self) -> Step {
        if !std::mem::take(&mut self.unread) {
            return Step::More;
        }
        let held = std::mem::take(&mut self.held);
        self.read(&held)
    }

    /// Puts by what belongs to the next request.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.unread = !self.held.is_empty();
    }

    /// What is held of the next request.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// Everything that was read and not used.
    pub(super) fn into_bytes(self) -> Bytes {
        self.held.into()
    }

    fn read(&mut self, bytes: &[u8]) -> Step {
        let bytes = without_empty_lines(bytes);
        if !self.begun && PREFACE.starts_with(bytes.get(..PREFACE.len()).unwrap_or(bytes)) {
            self.held = bytes.to_vec();
            return if bytes.len() < PREFACE.len() { Step::More } else { Step::Http2 };
        }
        match known::read(bytes) {
            Ok(Some((head, length))) => {
                let rest = bytes.get(length..).unwrap_or_default();
                let (body, feed, used) = body::begin(head.length, rest);
                self.held = rest.get(used..).unwrap_or_default().to_vec();
                (self.begun, self.unread) = (true, !self.held.is_empty());
                Step::Request(Box::new(Received { head, body, feed }))
            }
            Ok(None) => {
                // Until it is whole, its bytes are all that is kept of it.
                self.held = bytes.to_vec();
                Step::More
            }
            Err(bad) => Step::Bad(bad),
        }
    }
}

/// Empty lines before a request are passed over (RFC 9112, section 2.2).
fn without_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n").or_else(|| bytes.strip_prefix(b"\n")) {
        bytes = rest;
    }
    bytes
}

/// Whether a head may end in `bytes`, of which the first `known` are known not to end one: a look
/// that costs less than reading it all again with each byte of a slow client.
fn ends_within(bytes: &[u8], known: usize) -> bool {
    let from = known.saturating_sub(2);
    let rest = bytes.get(from..).unwrap_or_default();
    memchr_iter(b'\n', rest).any(|at| {
        let before = bytes.get(..from + at).unwrap_or_default();
        before.ends_with(b"\n") || before.ends_with(b"\n\r")
    })
}

#[cfg(test)]
#[path = "inbox/tests.rs"]
mod tests;
