//! HTTP/1.1 on the wire: what is written, what a read brings, and when a connection serves again.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use keyweir::upstream::{BodyFault, BoxError, Fault, OutBody, Outbound, Sent, Upstream};
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::support::*;

/// A server that answers each request head with the next of these, and closes after the last.
async fn scripted(answers: &'static [&'static str]) -> Server {
    Server::raw(move |mut tcp| async move {
        for answer in answers {
            if read_head(&mut tcp).await.is_empty() {
                return;
            }
            tcp.write_all(answer.as_bytes()).await.unwrap();
        }
        rest(tcp).await;
    })
    .await
}

#[tokio::test]
async fn what_one_read_brings_is_one_frame_and_its_end_shows_with_it() {
    let server = scripted(&[
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde",
    ])
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    for exact in [None, Some(5)] {
        let mut body = upstream.send(&there, get("/")).await.unwrap().into_body();
        assert_eq!((body.is_end_stream(), body.size_hint().exact()), (false, exact));
        let frame = pin!(body.frame()).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Some(Ok(frame))) = frame else { panic!("it came with the head") };
        assert_eq!(frame.into_data().unwrap(), "abcde");
        assert!(body.is_end_stream());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_head_alone_and_other_answers_without_a_body_leave_the_connection_to_the_next() {
    let server = scripted(&[
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ])
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    for (method, status) in
        [(Method::HEAD, 200), (Method::GET, 304), (Method::GET, 204), (Method::GET, 200)]
    {
        let outbound = Outbound { method, ..get("/") };
        let response = upstream.send(&there, outbound).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.body().is_end_stream());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_is_to_close_or_has_said_too_much_serves_no_other_request() {
    let asked_to_close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let too_much = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok more";
    let old = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let doubtful = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for answer in [asked_to_close, too_much, old, doubtful] {
        let server = Server::answering(answer).await;
        let (upstream, there) = (Upstream::new(), to(server.plain()));
        for expected in 1..4 {
            assert_eq!(fetch(&upstream, &there).await, "ok", "{answer}");
            assert_eq!(server.connections(), expected, "{answer}");
        }
    }
}

#[tokio::test]
async fn what_a_server_says_unasked_is_nobodys_answer() {
    let spoken = Arc::new(Notify::new());
    let told = Arc::clone(&spoken);
    let server = Server::raw(move |mut tcp| {
        let spoken = Arc::clone(&told);
        async move {
            read_head(&mut tcp).await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            settle().await;
            let late = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n";
            tcp.write_all(late).await.unwrap();
            spoken.notify_one();
            rest(tcp).await;
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    for _ in 0..3 {
        assert_eq!(fetch(&upstream, &there).await, "ok");
        spoken.notified().await;
        settle().await;
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_server_that_speaks_first_and_always_is_an_error_of_its_own() {
    let server = Server::raw(|mut tcp| async move {
        tcp.write_all(b"220 smtp.example.com ready\r\n").await.unwrap();
        rest(tcp).await;
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    let error = refused(&upstream, &there).await;
    assert_eq!(error.fault(), Fault::Protocol);
}

#[tokio::test]
async fn an_agreement_to_an_upgrade_that_nobody_asked_for_is_an_error() {
    let server = Server::answering("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").await;
    let error = refused(&Upstream::new(), &to(server.plain())).await;
    assert_eq!((error.fault(), error.sent()), (Fault::Protocol, Sent::Yes));
}

/// What a server read of a request: its head, and as much of its body as it says.
async fn read_request(tcp: &mut TcpStream) -> (String, Vec<u8>) {
    let head = read_head(tcp).await;
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    tcp.read_exact(&mut body).await.unwrap();
    (head, body)
}

/// A server that tells what it read, and answers with nothing.
async fn listening() -> (Server, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let (tell, told) = mpsc::unbounded_channel();
    let server = Server::raw(move |mut tcp| {
        let tell = tell.clone();
        async move {
            loop {
                let request = read_request(&mut tcp).await;
                if request.0.is_empty() || tell.send(request).is_err() {
                    return;
                }
                tcp.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    (server, told)
}

#[tokio::test]
async fn bodies_of_any_size_leave_whole_behind_their_length() {
    let (server, mut told) = listening().await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    for size in [0, 1, 1_000, 16 * 1024, 16 * 1024 + 1, 5 << 20] {
        let body: Vec<u8> = (0..size).map(|at: usize| at.to_le_bytes()[0]).collect();
        let third = Bytes::from(body.clone()).split_to(size / 3);
        let rest = Bytes::copy_from_slice(&body[size / 3..]);
        let pieces = SmallVec::from_iter([third, Bytes::new(), rest]);
        upstream.send(&there, post("/a?b", OutBody::Pieces(pieces))).await.unwrap();
        let (head, came) = told.recv().await.unwrap();
        assert!(head.starts_with("POST /a?b HTTP/1.1\r\nhost: 127.0.0.1"), "{head}");
        assert_eq!(head.matches("content-length: ").count(), 1, "{head}");
        assert!(came == body, "{size} bytes came otherwise");
    }
    upstream.send(&there, get("/")).await.unwrap();
    assert!(
        !told.recv().await.unwrap().0.contains("content-length"),
        "a GET has no body to measure"
    );
    assert_eq!(server.connections(), 1);
}

/// A body that is not known before it comes.
fn streamed(pieces: Vec<Result<&'static str, &'static str>>) -> OutBody {
    let frames = pieces.into_iter().map(|piece| match piece {
        Ok(data) => Ok(Frame::data(Bytes::from_static(data.as_bytes()))),
        Err(error) => Err(BoxError::from(error)),
    });
    OutBody::Stream(Box::pin(StreamBody::new(futures_util::stream::iter(frames))))
}

#[tokio::test]
async fn a_streamed_body_is_whole_when_its_first_connection_proves_dead() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let server = Server::raw(move |mut tcp| {
        let requests = Arc::clone(&count);
        async move {
            read_head(&mut tcp).await;
            if requests.fetch_add(1, Ordering::Relaxed) == 0 {
                tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                return;
            }
            let mut body = [0; 16];
            tcp.read_exact(&mut body).await.unwrap();
            assert_eq!(&body, b"2\r\nab\r\n1\r\nc\r\n0\r\n");
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            rest(tcp).await;
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    fetch(&upstream, &there).await;
    settle().await;
    let outbound = post("/", streamed(vec![Ok("ab"), Ok(""), Ok("c")]));
    let response = upstream.send(&there, outbound).await.unwrap();
    assert_eq!((read(response).await.unwrap(), server.connections()), ("ok".into(), 2));
}

#[tokio::test]
async fn an_answer_flows_while_its_request_still_does() {
    let server = Server::raw(|mut tcp| async move {
        while !read_head(&mut tcp).await.is_empty() {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            tcp.write_all(head.as_bytes()).await.unwrap();
            // Three chunks of a letter each, and the last one.
            for length in [6, 6, 6, 5] {
                let mut chunk = vec![0; length];
                tcp.read_exact(&mut chunk).await.unwrap();
                tcp.write_all(&chunk).await.unwrap();
            }
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    for _ in 0..2 {
        let (pieces, body) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
        let body = futures_util::stream::unfold(body, async |mut body| {
            body.recv().await.map(|frame| (frame, body))
        });
        let outbound = post("/", OutBody::Stream(Box::pin(StreamBody::new(body))));
        let mut echo = upstream.send(&there, outbound).await.unwrap().into_body();
        for letter in ["a", "b", "c"] {
            pieces.send(Ok(Frame::data(Bytes::from(letter)))).await.unwrap();
            assert_eq!(echo.frame().await.unwrap().unwrap().into_data().unwrap(), letter);
        }
        drop(pieces);
        assert!(echo.frame().await.is_none());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn who_closes_under_an_upload_may_have_said_why() {
    let server = Server::raw(|mut tcp| async move {
        read_head(&mut tcp).await;
        let answer = "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\n\r\nbig";
        tcp.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let endless = futures_util::stream::repeat_with(|| {
        Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; 65_536])))
    });
    let outbound = post("/", OutBody::Stream(Box::pin(StreamBody::new(endless))));
    let response = Upstream::new().send(&to(server.plain()), outbound).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_the_clients_fault_and_ends_the_connection() {
    let server = Server::raw(rest).await;
    let outbound = post("/", streamed(vec![Ok("ab"), Err("left")]));
    let error = Upstream::new().send(&to(server.plain()), outbound).await.unwrap_err();
    assert_eq!((error.fault(), error.sent()), (Fault::RequestBody, Sent::Maybe));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "left");
}

#[tokio::test]
async fn over_tls_an_answer_that_ends_with_the_connection_must_end_with_a_farewell() {
    let authority = Authority::new();
    for farewell in [true, false] {
        let acceptor = authority.acceptor(&["http/1.1"]);
        let server = Server::raw(move |tcp| {
            let acceptor = acceptor.clone();
            async move {
                let mut tls = acceptor.accept(tcp).await.unwrap();
                read_head(&mut tls).await;
                tls.write_all(b"HTTP/1.1 200 OK\r\n\r\nall of it").await.unwrap();
                tls.flush().await.unwrap();
                if farewell {
                    tls.shutdown().await.unwrap();
                } else {
                    tls.get_mut().0.shutdown().await.unwrap();
                }
                rest(tls).await;
            }
        })
        .await;
        let there = to(server.secure(&authority));
        let response = Upstream::new().send(&there, get("/")).await.unwrap();
        let body = read(response).await.map_err(|error| error.fault());
        assert_eq!(body, if farewell { Ok("all of it".into()) } else { Err(BodyFault::Cut) });
    }
}

#[tokio::test]
async fn over_tls_large_bodies_pass_both_ways() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["http/1.1"]);
    let server = Server::http(Speaks::Http1(acceptor), |request| {
        Box::pin(async move { text(request.into_body().collect().await.unwrap().to_bytes()) })
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    for size in [100, 30_000, 3_000_000] {
        let sent = "x".repeat(size);
        let response = upstream.send(&there, post("/", Bytes::from(sent.clone()))).await.unwrap();
        assert!(read(response).await.unwrap() == sent, "{size} bytes came back otherwise");
    }
    assert_eq!(server.connections(), 1);
}
