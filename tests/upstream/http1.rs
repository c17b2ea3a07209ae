//! HTTP/1.1: reuse, stale connections, bodies both ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use keyweir::formats::Auth;
use keyweir::keys::Secret;
use keyweir::upstream::{BoxError, Credential, OutBody, Outbound, Sent, Upstream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::support::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn one_connection_serves_one_request_after_the_other() {
    let server = Server::http(Speaks::Plain, |_| Box::pin(async { text("ok") })).await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    for _ in 0..20 {
        assert_eq!(fetch(&upstream, &there).await, "ok");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn requests_at_once_have_a_connection_each_and_leave_them_to_the_next() {
    let arrived = Arc::new(AtomicUsize::new(0));
    let (all_here, waiting) = (Arc::new(Notify::new()), Arc::clone(&arrived));
    let server = Server::http(Speaks::Plain, move |_| {
        let (all_here, waiting) = (Arc::clone(&all_here), Arc::clone(&waiting));
        Box::pin(async move {
            let here = all_here.notified();
            if waiting.fetch_add(1, Ordering::Relaxed) % 32 == 31 {
                all_here.notify_waiters();
            } else {
                here.await;
            }
            text("ok")
        })
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    for _ in 0..2 {
        join_all((0..32).map(|_| fetch(&upstream, &there))).await;
    }
    assert_eq!((arrived.load(Ordering::Relaxed), server.connections()), (64, 32));
}

/// A server that closes each connection some time after its first answer, and a count of those that
/// it has closed.
async fn closing(acceptor: Option<TlsAcceptor>) -> (Server, Arc<Semaphore>) {
    let closed = Arc::new(Semaphore::new(0));
    let count = Arc::clone(&closed);
    let server = Server::raw(move |mut tcp| {
        let (acceptor, closed) = (acceptor.clone(), Arc::clone(&count));
        async move {
            if let Some(acceptor) = acceptor {
                answer_and_close(acceptor.accept(tcp).await.unwrap()).await;
            } else {
                answer_and_close(&mut tcp).await;
            }
            closed.add_permits(1);
        }
    })
    .await;
    (server, closed)
}

async fn answer_and_close(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    read_head(&mut io).await;
    settle().await;
    io.write_all(OK.as_bytes()).await.unwrap();
    settle().await;
    io.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_its_server_closed_at_rest_is_replaced_in_silence() {
    let authority = Authority::new();
    for acceptor in [None, Some(authority.acceptor(&["http/1.1"]))] {
        let (server, closed) = closing(acceptor.clone()).await;
        let secure = acceptor.is_some();
        let there = to(if secure { server.secure(&authority) } else { server.plain() });
        let upstream = Upstream::new();
        for _ in 0..3 {
            assert_eq!(fetch(&upstream, &there).await, "ok");
            closed.acquire().await.unwrap().forget();
            settle().await;
        }
        assert_eq!(server.connections(), 3);
    }
}

#[tokio::test]
async fn that_all_connections_at_rest_are_dead_costs_one_new_one() {
    let (server, closed) = closing(None).await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    join_all((0..8).map(|_| fetch(&upstream, &there))).await;
    closed.acquire_many(8).await.unwrap().forget();
    settle().await;
    assert_eq!(fetch(&upstream, &there).await, "ok");
    assert_eq!(server.connections(), 9);
}

#[tokio::test]
async fn no_more_connections_are_open_than_may_be_and_the_others_wait_for_one() {
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&open), Arc::clone(&most));
    let server = Server::http(Speaks::Plain, move |_| {
        let (open, most) = (Arc::clone(&now), Arc::clone(&peak));
        Box::pin(async move {
            most.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            settle().await;
            open.fetch_sub(1, Ordering::Relaxed);
            text("ok")
        })
    })
    .await;
    let (upstream, there) = (Upstream::with_connections(4), to(server.plain()));
    let answers = join_all((0..24).map(|_| fetch(&upstream, &there))).await;
    assert!(answers.iter().all(|answer| answer == "ok"));
    assert_eq!((most.load(Ordering::Relaxed), server.connections()), (4, 4));
}

/// Polls `future`, counting how often it was woken.
async fn counting<F: Future>(future: F, polls: &AtomicUsize) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
    .await
}

#[tokio::test]
async fn an_exchange_wakes_its_task_once_for_each_thing_that_comes() {
    let server = Server::raw(|mut tcp| async move {
        while !read_head(&mut tcp).await.is_empty() {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            for piece in [head, "2\r\nhi\r\n", "2\r\nho\r\n", "0\r\n\r\n"] {
                settle().await;
                tcp.write_all(piece.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    fetch(&upstream, &there).await;
    let polls = AtomicUsize::new(0);
    let response = counting(upstream.send(&there, get("/")), &polls).await.unwrap();
    let mut body = response.into_body();
    while counting(body.frame(), &polls).await.is_some() {}
    // Head, two chunks, end: each is asked for, and has come when the task is woken.
    assert_eq!((polls.load(Ordering::Relaxed), server.connections()), (8, 1));
}

#[tokio::test]
async fn a_request_that_may_have_been_read_is_not_sent_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let server = Server::raw(move |mut tcp| {
        let requests = Arc::clone(&counter);
        async move {
            while !read_head(&mut tcp).await.is_empty() {
                if requests.fetch_add(1, Ordering::Relaxed) > 0 {
                    return;
                }
                tcp.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    fetch(&upstream, &there).await;
    let error = refused(&upstream, &there).await;
    assert_eq!((error.sent(), requests.load(Ordering::Relaxed)), (Sent::Yes, 2));
    let told = format!("127.0.0.1:{}: the connection broke before the answer", server.at.port());
    assert_eq!(error.to_string(), told);
}

#[tokio::test]
async fn the_credential_and_the_host_are_put_on_and_lengths_are_ours() {
    let server = Server::http(Speaks::Plain, |request| {
        Box::pin(async move {
            let head = format!("{:?}", request.headers().iter().collect::<Vec<_>>());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            text(format!("{head} {}", String::from_utf8_lossy(&body)))
        })
    })
    .await;
    let key = Credential::new(&Auth::Bearer, &Secret::new("sk-1")).unwrap();
    let headers = HeaderMap::from_iter(
        [
            ("content-length", "999"),
            ("transfer-encoding", "chunked"),
            ("x-mine", "1"),
            ("host", "h"),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
    );
    let headers = fields(&headers);
    let outbound = post("/v1/x?y=z", Bytes::from_static(b"hello"));
    let outbound = Outbound { headers: &headers, credential: Some(&key), ..outbound };
    let response = Upstream::new().send(&to(server.plain()), outbound).await.unwrap();
    let seen = read(response).await.unwrap();
    let host = format!("(\"host\", \"127.0.0.1:{}\")", server.at.port());
    for part in ["Bearer sk-1", "\"x-mine\"", "(\"content-length\", \"5\")", &host, "hello"] {
        assert!(seen.contains(part), "{part} is not in {seen}");
    }
    assert!(!seen.contains("999") && !seen.contains("chunked"), "{seen}");
}

#[tokio::test]
async fn a_streamed_body_flows_through_with_its_trailers() {
    let server = Server::http(Speaks::Plain, |request| {
        Box::pin(async move {
            let chunked = request.headers().contains_key("transfer-encoding");
            let body = request.into_body().collect().await.unwrap();
            let trailers = body.trailers().map(|trailers| trailers["x-end"].clone());
            text(format!("{chunked} {trailers:?} {}", body.to_bytes().len()))
        })
    })
    .await;
    let (pieces, body) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
    tokio::spawn(async move {
        for _ in 0..100 {
            pieces.send(Ok(Frame::data(Bytes::from(vec![b'x'; 10_000])))).await.unwrap();
        }
        let end = (HeaderName::from_static("x-end"), HeaderValue::from_static("yes"));
        pieces.send(Ok(Frame::trailers(HeaderMap::from_iter([end])))).await.unwrap();
    });
    let body = futures_util::stream::unfold(body, async |mut body| {
        body.recv().await.map(|frame| (frame, body))
    });
    let trailer = HeaderValue::from_static("x-end");
    let outbound = post("/", OutBody::Stream(Box::pin(StreamBody::new(body))));
    let outbound = Outbound { headers: &[(&header::TRAILER, &trailer)], ..outbound };
    let response = Upstream::new().send(&to(server.plain()), outbound).await.unwrap();
    assert_eq!(read(response).await.unwrap(), "true Some(\"yes\") 1000000");
}

#[tokio::test]
async fn a_chunk_is_handed_on_before_the_next_one_comes() {
    let told = Arc::new(Notify::new());
    let wait = Arc::clone(&told);
    let server = Server::raw(move |mut tcp| {
        let told = Arc::clone(&wait);
        async move {
            read_head(&mut tcp).await;
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            tcp.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..10 {
                tcp.write_all(b"2\r\nhi\r\n").await.unwrap();
                told.notified().await;
            }
            tcp.write_all(b"0\r\nx-end: yes\r\n\r\n").await.unwrap();
            rest(tcp).await;
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    let mut body = upstream.send(&there, get("/")).await.unwrap().into_body();
    for _ in 0..10 {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hi");
        told.notify_one();
    }
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap()["x-end"], "yes");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn an_answer_that_is_dropped_ends_the_call_at_once() {
    let closed = Arc::new(Notify::new());
    let told = Arc::clone(&closed);
    let server = Server::raw(move |mut tcp| {
        let closed = Arc::clone(&told);
        async move {
            read_head(&mut tcp).await;
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n";
            tcp.write_all(head.as_bytes()).await.unwrap();
            rest(tcp).await;
            closed.notify_one();
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    let mut body = upstream.send(&there, get("/")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    timeout(Duration::from_secs(5), closed.notified()).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_dropped_ends_the_call_at_once() {
    let (closed, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let tell = (Arc::clone(&closed), Arc::clone(&arrived));
    let server = Server::raw(move |mut tcp| {
        let (closed, arrived) = tell.clone();
        async move {
            read_head(&mut tcp).await;
            arrived.notify_one();
            rest(tcp).await;
            closed.notify_one();
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    tokio::select! {
        _ = upstream.send(&there, get("/")) => panic!("nobody answered"),
        () = arrived.notified() => {}
    }
    timeout(Duration::from_secs(5), closed.notified()).await.unwrap();
}

#[tokio::test]
async fn a_small_rest_is_read_so_that_the_connection_lives() {
    let server = Server::http(Speaks::Plain, |_| Box::pin(async { text("a little more") })).await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    for _ in 0..3 {
        drop(upstream.send(&there, get("/")).await.unwrap());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn answers_without_a_body_and_answers_that_end_with_the_connection_are_whole() {
    let (upstream, empty) = (Upstream::new(), "HTTP/1.1 204 No Content\r\n\r\n");
    let server = Server::answering(empty).await;
    let response = upstream.send(&to(server.plain()), get("/")).await.unwrap();
    assert_eq!(
        (response.status(), read(response).await.unwrap()),
        (StatusCode::NO_CONTENT, String::new())
    );

    let server = Server::raw(|mut tcp| async move {
        read_head(&mut tcp).await;
        tcp.write_all(b"HTTP/1.0 200 OK\r\n\r\nall of it").await.unwrap();
    })
    .await;
    let there = to(server.plain());
    assert_eq!(fetch(&upstream, &there).await, "all of it");
    assert_eq!(fetch(&upstream, &there).await, "all of it");
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let server = Server::answering(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let response = Upstream::new().send(&to(server.plain()), get("/")).await.unwrap();
    assert_eq!((response.status(), server.connections()), (StatusCode::FOUND, 1));
}

#[tokio::test]
async fn an_early_answer_to_an_unfinished_upload_is_handed_on() {
    let answer = "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\n\r\nbig";
    let server = Server::answering(answer).await;
    let endless = futures_util::stream::repeat_with(|| {
        Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; 65_536])))
    });
    let outbound = post("/", OutBody::Stream(Box::pin(StreamBody::new(endless))));
    let response = Upstream::new().send(&to(server.plain()), outbound).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(read(response).await.unwrap(), "big");
}

#[tokio::test]
async fn over_tls_a_server_without_http2_is_spoken_to_in_http1() {
    let authority = Authority::new();
    for alpn in [&["http/1.1"][..], &[]] {
        let acceptor: TlsAcceptor = authority.acceptor(alpn);
        let server = Server::http(Speaks::Http1(acceptor), |request| {
            Box::pin(async move { text(format!("{:?}", request.version())) })
        })
        .await;
        let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
        for _ in 0..3 {
            assert_eq!(fetch(&upstream, &there).await, "HTTP/1.1");
        }
        assert_eq!(server.connections(), 1);
        join_all((0..8).map(|_| fetch(&upstream, &there))).await;
        assert!(server.connections() > 1, "HTTP/1.1 scales out");
    }
}
