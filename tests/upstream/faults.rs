//! Servers that answer nonsense, or cut.

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use keyweir::formats::Verdict;
use keyweir::upstream::{BodyFault, BoxError, Fault, OutBody, Sent, Upstream};
use tokio::io::AsyncWriteExt;

use crate::support::*;

async fn head_fault(answer: impl Into<Bytes>) -> Fault {
    let server = Server::answering(answer).await;
    let error = refused(&Upstream::new(), &to(server.plain())).await;
    assert_eq!((error.sent(), error.verdict()), (Sent::Yes, Verdict::ConnectFailed));
    error.fault()
}

#[tokio::test]
async fn what_is_not_http_is_an_error() {
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 two hundred OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    ] {
        assert_eq!(head_fault(answer).await, Fault::Protocol, "{answer}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_an_error() {
    let line = "x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    let lines = format!("HTTP/1.1 200 OK\r\n{}", line.repeat(5_000));
    assert_eq!(head_fault(lines).await, Fault::Protocol, "many headers");
    let one = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(200_000));
    assert_eq!(head_fault(one).await, Fault::Protocol, "one header");
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000);
    assert_eq!(head_fault(interim).await, Fault::Protocol, "interim answers");
}

#[tokio::test]
async fn a_hundred_headers_of_sixty_kilobytes_are_fine() {
    let lines = format!("x: {}\r\n", "a".repeat(600)).repeat(95);
    let answer = format!("HTTP/1.1 200 OK\r\n{lines}content-length: 2\r\n\r\nok");
    let server = Server::answering(answer).await;
    assert_eq!(fetch(&Upstream::new(), &to(server.plain())).await, "ok");
}

async fn body_fault(answer: impl Into<Bytes>) -> BodyFault {
    let answer = answer.into();
    let server = Server::raw(move |mut tcp| {
        let answer = answer.clone();
        async move {
            read_head(&mut tcp).await;
            drop(tcp.write_all(&answer).await);
        }
    })
    .await;
    let response = Upstream::new().send(&to(server.plain()), get("/")).await.unwrap();
    let error = read(response).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("127.0.0.1:{}: ", server.at.port())), "{error}");
    error.fault()
}

#[tokio::test]
async fn an_answer_that_is_cut_is_told_from_one_that_is_nonsense() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfour";
    assert_eq!(body_fault(short).await, BodyFault::Cut);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(body_fault(format!("{chunked}4\r\nfour\r\n")).await, BodyFault::Cut);
    assert_eq!(body_fault(format!("{chunked}4\r\nfo")).await, BodyFault::Cut);
    assert_eq!(body_fault(format!("{chunked}four\r\nfour\r\n")).await, BodyFault::Protocol);
    let trailers = format!("{chunked}0\r\n{}", "x-t: aaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(9_000));
    assert_eq!(body_fault(trailers).await, BodyFault::Protocol);
}

#[tokio::test]
async fn more_than_the_announced_length_is_nobodys_answer() {
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen";
    let server = Server::answering(long).await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    for _ in 0..3 {
        assert_eq!(fetch(&upstream, &there).await, "ok");
        settle().await;
    }
    assert_eq!(
        server.connections(),
        3,
        "a connection with bytes nobody asked for is not used again"
    );
}

#[tokio::test]
async fn nobody_listens_or_the_name_is_unknown() {
    let server = Server::raw(|_| async {}).await;
    let mut settings = server.plain();
    settings.port = 1;
    let error = refused(&Upstream::new(), &to(settings.clone())).await;
    assert_eq!((error.fault(), error.sent()), (Fault::Connect, Sent::No));
    settings.host = "no-such-host.invalid".into();
    let error = refused(&Upstream::new(), &to(settings)).await;
    assert_eq!((error.fault(), error.sent()), (Fault::Lookup, Sent::No));
    assert_eq!(error.to_string(), "no-such-host.invalid:1: the name has no address");
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_is_not_the_providers_fault() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["h2"]);
    let http2 = Server::http(Speaks::Http2(acceptor, 100), |request| {
        Box::pin(async move {
            drop(http_body_util::BodyExt::collect(request.into_body()).await);
            text("late")
        })
    })
    .await;
    let http1 = Server::answering("").await;
    for settings in [http1.plain(), http2.secure(&authority)] {
        let pieces = [Ok(Frame::data(Bytes::from_static(b"x"))), Err(BoxError::from("left"))];
        let body = StreamBody::new(futures_util::stream::iter(pieces));
        let outbound = post("/", OutBody::Stream(Box::pin(body)));
        let error = Upstream::new().send(&to(settings), outbound).await.unwrap_err();
        assert_eq!((error.fault(), error.sent()), (Fault::RequestBody, Sent::Maybe));
        assert_eq!(error.verdict(), Verdict::RequestInvalid);
    }
}
