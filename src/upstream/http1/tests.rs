//! Answers as they come, whatever they are cut into; and what leaves, read again.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::body::OutBody;
use super::super::error::BoxError;
use super::head::LARGEST;
use super::source::Source;
use super::*;

/// What an answer came to.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    status: u16,
    headers: HeaderMap,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole { reusable: bool },
    Cut,
    Malformed(Malformed),
}

/// Reads an answer in pieces; an error where there is none.
fn read<'p>(
    asked: Asked,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Result<Told, Option<Malformed>> {
    let mut inbox = Inbox::new(asked);
    let mut told = None;
    for piece in pieces {
        let mut piece = piece.to_vec();
        let Some(told) = &mut told else {
            told = inbox.head(&mut piece).map_err(Some)?.map(begun);
            if let Some(told) = &mut told {
                drain(&mut inbox, told);
            }
            continue;
        };
        if told.end == End::Cut {
            inbox.body(&mut piece);
            drain(&mut inbox, told);
        }
    }
    let mut told = told.ok_or(None)?;
    if told.end == End::Cut && (inbox.is_done() || inbox.close()) {
        told.end = End::Whole { reusable: inbox.is_reusable() };
    }
    Ok(told)
}

fn begun(response: Response<()>) -> Told {
    let (head, ()) = response.into_parts();
    let (status, headers) = (head.status.as_u16(), head.headers);
    Told { status, headers, data: Vec::new(), trailers: None, end: End::Cut }
}

fn drain(inbox: &mut Inbox, told: &mut Told) {
    loop {
        match inbox.frame() {
            Err(malformed) => told.end = End::Malformed(malformed),
            Ok(None) => {}
            Ok(Some(frame)) => {
                match frame.into_data() {
                    Ok(data) => told.data.extend_from_slice(&data),
                    Err(frame) => told.trailers = frame.into_trailers().ok(),
                }
                continue;
            }
        }
        return;
    }
}

fn whole(answer: &[u8]) -> Result<Told, Option<Malformed>> {
    read(Asked::Content, [answer])
}

/// Pieces of these lengths, in turns.
fn cut<'b>(bytes: &'b [u8], lengths: &[usize]) -> Vec<&'b [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for length in lengths.iter().cycle() {
        if rest.is_empty() || lengths.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*length).clamp(1, rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// How a body is framed.
#[derive(Clone, Copy, Debug)]
enum Framed {
    Length,
    Chunked { trailers: bool },
    Closed,
}

/// An answer as it stands on the wire.
fn written(framed: Framed, chunks: &[Vec<u8>], extras: (usize, &str)) -> Vec<u8> {
    let (interim, surplus) = extras;
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(interim);
    bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nX-Request-Id: req_1\r\nvary: a\r\nvary:\t b \r\n");
    let body = chunks.concat();
    match framed {
        Framed::Closed => bytes.extend([&b"\r\n"[..], &body].concat()),
        Framed::Length => {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend(body);
        }
        Framed::Chunked { trailers } => {
            bytes.extend_from_slice(b"Transfer-Encoding: Chunked\r\n\r\n");
            for (number, chunk) in chunks.iter().filter(|chunk| !chunk.is_empty()).enumerate() {
                let extension = ["", ";a=b", " \t; x=\"y\"", "  "][number % 4];
                bytes.extend(format!("{:0>3X}{extension}\r\n", chunk.len()).bytes());
                bytes.extend([chunk, &b"\r\n"[..]].concat());
            }
            let last = if trailers { "00\r\nX-End: yes\r\nx-more: 1\r\n\r\n" } else { "0\r\n\r\n" };
            bytes.extend_from_slice(last.as_bytes());
        }
    }
    bytes.extend_from_slice(surplus.as_bytes());
    bytes
}

fn framings() -> impl Strategy<Value = Framed> {
    prop_oneof![
        Just(Framed::Length),
        any::<bool>().prop_map(|trailers| Framed::Chunked { trailers }),
        Just(Framed::Closed),
    ]
}

fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..40), 0..12)
}

proptest! {
    #[test]
    fn however_an_answer_is_cut_it_is_the_same(
        framed in framings(),
        chunks in bodies(),
        extras in (0..3_usize, prop_oneof![Just(""), Just("HTTP/1.1 200")]),
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        lengths in vec(1..50_usize, 1..8),
        kept in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut answer = written(framed, &chunks, extras);
        for (at, byte) in edits {
            let at = at.index(answer.len());
            answer[at] = byte;
        }
        if is_cut {
            answer.truncate(kept.index(answer.len()));
        }
        for asked in [Asked::Content, Asked::Head] {
            let at_once = read(asked, [&answer[..]]);
            let in_pieces = read(asked, cut(&answer, &lengths));
            // Why there is no answer may depend on the pieces: an error shows before the rest has come.
            prop_assert_eq!(at_once.ok(), in_pieces.ok());
        }
    }

    #[test]
    fn what_was_written_is_read(
        framed in framings(),
        chunks in bodies(),
        interim in 0..3_usize,
        lengths in vec(1..200_usize, 1..4),
    ) {
        let answer = written(framed, &chunks, (interim, ""));
        let told = read(Asked::Content, cut(&answer, &lengths)).unwrap();
        prop_assert_eq!(told.data, chunks.concat());
        prop_assert_eq!(told.end, End::Whole { reusable: !matches!(framed, Framed::Closed) });
        prop_assert_eq!(told.status, 200);
        prop_assert_eq!(&told.headers["x-request-id"], "req_1");
        prop_assert_eq!(told.headers.get_all("vary").iter().collect::<Vec<_>>(), ["a", "b"]);
        let announced = matches!(framed, Framed::Chunked { trailers: true });
        prop_assert_eq!(told.trailers.map(|trailers| trailers.len()), announced.then_some(2));
    }

    #[test]
    fn a_body_in_chunks_of_ours_is_read_as_it_was(
        chunks in bodies(),
        trailers in any::<bool>(),
        lengths in vec(1..200_usize, 1..4),
    ) {
        let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        answer.extend(sent(None, &chunks, trailers).unwrap());
        let told = read(Asked::Content, cut(&answer, &lengths)).unwrap();
        prop_assert_eq!((told.data, told.end), (chunks.concat(), End::Whole { reusable: true }));
        let expected = HeaderMap::from_iter([("x-end".parse().unwrap(), HeaderValue::from(1))]);
        prop_assert_eq!(told.trailers, trailers.then_some(expected));
    }
}

/// A streamed body as it is written: of that length, or in chunks.
fn sent(length: Option<u64>, chunks: &[Vec<u8>], trailers: bool) -> Result<Vec<u8>, BoxError> {
    let mut frames: Vec<_> = chunks.iter().map(|chunk| Frame::data(chunk.clone().into())).collect();
    if trailers {
        let ends = [("x-end", 1), ("x-secret", 2), ("content-length", 3)];
        let ends = ends.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from(value)));
        frames.push(Frame::trailers(HeaderMap::from_iter(ends)));
    }
    let frames = futures_util::stream::iter(frames.into_iter().map(Ok));
    let mut body = OutBody::Stream(Box::pin(StreamBody::new(frames)));
    let announced = HeaderValue::from_static("X-End, content-length");
    let fields = [(&http::header::TRAILER, &announced)];
    let mut source = Source::take(&mut body, length, &fields).unwrap();
    let mut queue = VecDeque::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match source.poll_fill(&mut cx, &mut queue) {
            Poll::Ready(Ok(true)) => {}
            Poll::Ready(Ok(false)) => break,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => panic!("all of it is there"),
        }
    }
    Ok(queue.into_iter().flatten().collect())
}

#[test]
fn a_body_of_known_length_is_as_long_as_announced_or_an_error() {
    let chunks = [b"abc".to_vec(), b"de".to_vec()];
    assert_eq!(sent(Some(5), &chunks, false).unwrap(), b"abcde");
    assert_eq!(
        sent(Some(4), &chunks, false).unwrap_err().to_string(),
        "the body is longer than announced"
    );
    assert_eq!(
        sent(Some(6), &chunks, false).unwrap_err().to_string(),
        "the body is shorter than announced"
    );
}

#[test]
fn lengths_and_codings_that_leave_a_doubt_are_refused() {
    for (headers, malformed) in [
        ("content-length: 1\r\ncontent-length: 1\r\n", Malformed::Length),
        ("content-length: 1, 1\r\n", Malformed::Length),
        ("content-length: +1\r\n", Malformed::Length),
        ("content-length: \r\n", Malformed::Length),
        ("content-length: 0x1\r\n", Malformed::Length),
        ("content-length: 18446744073709551616\r\n", Malformed::Length),
        ("transfer-encoding: gzip, chunked\r\n", Malformed::Coding),
        ("transfer-encoding: chunked, chunked\r\n", Malformed::Coding),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Malformed::Coding),
        ("transfer-encoding: identity\r\n", Malformed::Coding),
        ("transfer-encoding:\x0bchunked\r\n", Malformed::Head),
        ("content-length : 1\r\n", Malformed::Head),
        ("x: 1\r\n folded\r\n", Malformed::Head),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\nx");
        assert_eq!(whole(answer.as_bytes()), Err(Some(malformed)), "{headers:?}");
    }
    let old = b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(whole(old), Err(Some(Malformed::Coding)));
}

#[test]
fn of_a_length_and_a_coding_the_coding_counts_and_the_connection_ends() {
    let told = whole(
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .unwrap();
    assert_eq!((told.data, told.end), (b"ok".to_vec(), End::Whole { reusable: false }));
    assert!(!told.headers.contains_key("content-length"));
}

#[test]
fn chunks_that_leave_a_doubt_are_refused() {
    for chunk in [
        "\r\n",
        "g\r\n",
        " 2\r\n",
        "-2\r\n",
        "0x2\r\n",
        "2 2\r\n",
        "2\n",
        "2\rok",
        "2;a\nok",
        "2\r\nokay\r\n",
        "2\r\nok\n",
        "10000000000000000\r\n",
        "0\r\n\n",
        "0\r\n\rx",
    ] {
        let answer =
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n.\r\n{chunk}");
        let told = whole(answer.as_bytes()).unwrap();
        assert_eq!(told.end, End::Malformed(Malformed::Chunk), "{chunk:?}");
        assert_eq!(told.data[0], b'.', "what came before it is there");
    }
    for (trailers, malformed) in [
        ("no colon\r\n", Malformed::Trailers),
        ("x: 1\r\n y\r\n", Malformed::Trailers),
        (&"x: 1\r\n".repeat(101), Malformed::Endless),
        (&format!("x: {}", "y".repeat(LARGEST)), Malformed::Endless),
    ] {
        let answer =
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{trailers}\r\n");
        assert_eq!(whole(answer.as_bytes()).unwrap().end, End::Malformed(malformed));
    }
}

#[test]
fn what_means_nothing_to_us_has_a_bound() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let filler = "x".repeat(1_000);
    for line in [format!("2;{filler}{filler}"), "0".repeat(1_100), format!("2{:1100}", "")] {
        let answer = format!("{head}{line}");
        assert_eq!(whole(answer.as_bytes()).unwrap().end, End::Malformed(Malformed::Chunk));
    }
    let long = format!("{head}0002;{filler}\r\nok\r\n0\r\n\r\n");
    assert_eq!(whole(long.as_bytes()).unwrap().data, b"ok");
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let answer = |times| format!("{}HTTP/1.1 204 No Content\r\n\r\n", interim.repeat(times));
    assert_eq!(whole(answer(64).as_bytes()).unwrap().status, 204);
    assert_eq!(whole(answer(65).as_bytes()), Err(Some(Malformed::Interim)));
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LARGEST));
    assert_eq!(
        read(Asked::Content, cut(endless.as_bytes(), &[1_000])),
        Err(Some(Malformed::Endless))
    );
    assert_eq!(whole(b"\r\nHTTP/1.1 200 OK\r\n\r\n"), Err(Some(Malformed::Head)));
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    for (asked, answer) in [
        (Asked::Head, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
        (Asked::Head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        (Asked::Head, "HTTP/1.1 200 OK\r\n\r\n"),
        (Asked::Content, "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
        (Asked::Content, "HTTP/1.1 204 No Content\r\n\r\n"),
    ] {
        let told = read(asked, [answer.as_bytes()]).unwrap();
        assert_eq!(told.end, End::Whole { reusable: true }, "{answer}");
        let with_more = read(asked, [answer.as_bytes(), b"more"]).unwrap();
        assert_eq!((with_more.data, with_more.end), (Vec::new(), End::Whole { reusable: false }));
    }
    assert_eq!((Asked::by(&Method::HEAD), Asked::by(&Method::POST)), (Asked::Head, Asked::Content));
}

#[test]
fn a_connection_serves_again_if_both_versions_and_headers_say_so() {
    for (head, reusable) in [
        ("HTTP/1.1 200 OK\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n", true),
        ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n", false),
        ("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nconnection: close\r\n", false),
        ("HTTP/1.0 200 OK\r\n", false),
        ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n", true),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive, close\r\n", false),
    ] {
        let told = whole(format!("{head}content-length: 2\r\n\r\nok").as_bytes()).unwrap();
        assert_eq!(told.end, End::Whole { reusable }, "{head}");
    }
}

#[test]
fn an_upgrade_is_for_those_who_asked_and_hands_over_what_follows() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nearly";
    assert_eq!(whole(answer), Err(Some(Malformed::Upgrade)));
    let mut inbox = Inbox::new(Asked::Upgrade);
    let response = inbox.head(&mut answer.to_vec()).unwrap().unwrap();
    assert_eq!(response.status(), 101);
    assert!(!inbox.is_reusable());
    assert_eq!(inbox.into_early(), "early");
}

#[test]
fn all_chunks_of_a_read_make_one_frame() {
    let mut inbox = Inbox::new(Asked::Content);
    inbox.head(&mut b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()).unwrap();
    inbox.body(&mut b"2\r\nab\r\n1\r\nc\r\n3\r\nde".to_vec());
    assert_eq!(inbox.frame().unwrap().unwrap().into_data().unwrap(), "abcde");
    assert!(inbox.frame().unwrap().is_none() && !inbox.is_done());
    inbox.body(&mut b"f\r\n0\r\n\r\n".to_vec());
    assert_eq!(inbox.frame().unwrap().unwrap().into_data().unwrap(), Bytes::from_static(b"f"));
    assert!(inbox.is_done() && inbox.is_reusable());
}

#[test]
fn how_much_is_to_come_is_told_where_the_head_told() {
    let mut inbox = Inbox::new(Asked::Content);
    inbox.head(&mut b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec()).unwrap();
    assert_eq!(inbox.size_hint().exact(), Some(5));
    inbox.frame().unwrap();
    assert_eq!(inbox.size_hint().exact(), Some(3));
    let mut inbox = Inbox::new(Asked::Content);
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    inbox.head(&mut chunked.to_vec()).unwrap();
    assert_eq!(inbox.size_hint().exact(), None, "though all of it has come");
}

#[test]
fn a_silent_connection_holds_little() {
    assert!(size_of::<Http1>() <= 512, "{} bytes", size_of::<Http1>());
}
