use std::pin::Pin;
use std::task::{Poll, Waker};

use http_body::Body;
use proptest::prelude::*;

use super::*;
use crate::serve::BodyError;

/// What came of a connection's bytes: each request's target and body, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Story {
    requests: Vec<(String, Vec<u8>)>,
    end: String,
}

/// A reader of everything, as a connection and its handler are.
#[derive(Default)]
struct Reader {
    inbox: Inbox,
    story: Story,
    body: Option<(Incoming, Option<Feed>)>,
}

impl Reader {
    fn read(pieces: &[&[u8]]) -> Story {
        let mut reader = Self::default();
        for piece in pieces {
            if !piece.is_empty() && reader.story.end.is_empty() {
                reader.push(piece);
            }
        }
        if reader.story.end.is_empty() {
            let held = without_empty_lines(reader.inbox.held());
            reader.story.end = format!("holding {}", held.len());
        }
        reader.story
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut step = match &mut self.body {
            Some((_, Some(feed))) => {
                let used = feed.take(bytes, Waker::noop());
                self.inbox.hold(&bytes[used..]);
                Step::More
            }
            _ => self.inbox.push(bytes),
        };
        loop {
            match step {
                Step::Request(received) => {
                    let Received { head, body, feed } = *received;
                    self.story.requests.push((head.parts.uri.to_string(), Vec::new()));
                    self.body = Some((body, feed));
                }
                Step::Bad(bad) => self.story.end = format!("{bad:?}"),
                Step::Http2 => self.story.end = "HTTP/2".to_owned(),
                Step::More | Step::Over => {}
            }
            if !self.take() || !self.story.end.is_empty() {
                return;
            }
            step = self.inbox.next();
            if matches!(step, Step::More) {
                return;
            }
        }
    }

    /// Takes what there is of the body; whether a next request may follow.
    fn take(&mut self) -> bool {
        let Some((body, feed)) = &mut self.body else { return true };
        let mut cx = std::task::Context::from_waker(Waker::noop());
        loop {
            match Pin::new(&mut *body).poll_frame(&mut cx) {
                Poll::Pending => return false,
                Poll::Ready(None) => break,
                Poll::Ready(Some(Ok(frame))) => {
                    let piece = frame.into_data().unwrap();
                    self.story.requests.last_mut().unwrap().1.extend(piece);
                }
                Poll::Ready(Some(Err(error))) => {
                    assert!(matches!(error, BodyError::Malformed));
                    self.story.end = "malformed body".to_owned();
                    return false;
                }
            }
        }
        assert!(body.is_end_stream() && feed.as_ref().is_none_or(Feed::is_complete));
        self.body = None;
        true
    }
}

/// A connection's bytes, and the story that they are.
fn requests() -> impl Strategy<Value = (Vec<u8>, Vec<(String, Vec<u8>)>)> {
    let body = proptest::collection::vec(any::<u8>(), 0..50);
    let request = ("[a-z]{1,9}", body, 0..3_u8, "(x-[a-z]{1,5}: [a-z ]{0,9}\r\n){0,3}");
    proptest::collection::vec(request, 1..5).prop_map(|requests| {
        let (mut bytes, mut story) = (Vec::new(), Vec::new());
        for (path, mut body, kind, lines) in requests {
            bytes.extend(format!("POST /{path} HTTP/1.1\r\nhost: x\r\n{lines}").bytes());
            match kind {
                0 => {
                    body.clear();
                    bytes.extend(b"\r\n");
                }
                1 => {
                    bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
                    bytes.extend(&body);
                }
                _ => {
                    bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
                    for chunk in body.chunks(7) {
                        bytes.extend(format!("{:x};a=b\r\n", chunk.len()).bytes());
                        bytes.extend(chunk);
                        bytes.extend(b"\r\n");
                    }
                    bytes.extend(b"0\r\nx-trailer: y\r\n\r\n");
                }
            }
            story.push((format!("/{path}"), body));
        }
        (bytes, story)
    })
}

fn cut<'b>(bytes: &'b [u8], places: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len())).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn places() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    proptest::collection::vec(any::<prop::sample::Index>(), 0..12)
}

proptest! {
    #[test]
    fn requests_in_a_row_are_read_whole_however_they_are_cut(
        (bytes, requests) in requests(), places in places(),
    ) {
        let story = Reader::read(&cut(&bytes, &places));
        prop_assert_eq!(story, Story { requests, end: "holding 0".to_owned() });
    }

    #[test]
    fn what_is_broken_is_broken_however_it_is_cut(
        (mut bytes, _) in requests(),
        places in places(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        // A head that comes in pieces is looked at when it is whole, so it is brought to an end.
        bytes.extend(b"\r\n\r\n");
        let whole = Reader::read(&[&bytes]);
        prop_assert_eq!(Reader::read(&cut(&bytes, &places)), whole);
    }
}

#[test]
fn an_http2_connection_is_known_by_its_first_bytes_however_they_are_cut() {
    let bytes = [PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat();
    for end in 1..bytes.len() {
        let mut inbox = Inbox::default();
        let first = inbox.push(&bytes[..end]);
        let known = if end < PREFACE.len() { inbox.push(&bytes[end..]) } else { first };
        assert!(matches!(known, Step::Http2), "cut at {end}");
        let held = inbox.into_bytes();
        assert!(bytes.starts_with(&held) && held.len() >= PREFACE.len());
    }
    let near = b"PRI * HTTP/2.0\r\n\r\nSMILE\r\n\r\n";
    assert!(matches!(Inbox::default().push(near), Step::Bad(BadHead::Version)));
    let later = [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], PREFACE].concat();
    assert_eq!(Reader::read(&[&later]).end, "Version", "only the first bytes");
}

#[test]
fn empty_lines_before_a_request_are_passed_over_and_not_kept() {
    let mut inbox = Inbox::default();
    for _ in 0..100 {
        assert!(matches!(inbox.push(b"\r\n\n\r\n"), Step::More));
        assert!(inbox.held().is_empty());
    }
    assert!(matches!(inbox.push(b"\r\nGET / HTTP/1.0\r\n\r\n"), Step::Request(_)));
}

#[test]
fn nothing_is_kept_behind_a_request() {
    let mut inbox = Inbox::default();
    assert!(matches!(inbox.push(b"GET / HTTP/1.0\r\n"), Step::More));
    assert!(matches!(inbox.push(b"\r\n"), Step::Request(_)));
    assert_eq!(inbox.held.capacity(), 0);
}
