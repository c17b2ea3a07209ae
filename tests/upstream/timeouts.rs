//! Waits, and their ends. Time is paused once everything that needs the network has happened; it
//! then jumps to the next timer whenever nothing else is left to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use keyweir::formats::Verdict;
use keyweir::upstream::{
    BodyFault, Destination, Fault, OutBody, Phase, Proxies, Sent, Settings, Timeouts, Upstream,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, pause, resume, sleep, timeout};

use crate::support::*;

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_mins(10),
    idle: Duration::from_mins(5),
};

fn hasty(settings: Settings) -> Arc<Destination> {
    to(Settings { timeouts: TIMEOUTS, ..settings })
}

/// A listener that takes no more connections: its backlog is full, and further handshakes are left
/// unanswered.
struct Full {
    at: SocketAddr,
    _listener: TcpListener,
    _connections: Vec<TcpStream>,
}

impl Full {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let at = listener.local_addr().unwrap();
        let mut connections = Vec::new();
        while let Ok(Ok(tcp)) = timeout(Duration::from_millis(100), TcpStream::connect(at)).await {
            connections.push(tcp);
        }
        Self { at, _listener: listener, _connections: connections }
    }
}

/// Takes a request's head, tells so, writes `answer` and falls silent.
async fn falling_silent(answer: &'static str) -> (Server, Arc<Notify>) {
    let arrived = Arc::new(Notify::new());
    let tell = Arc::clone(&arrived);
    let server = Server::raw(move |mut tcp| {
        let arrived = Arc::clone(&tell);
        async move {
            read_head(&mut tcp).await;
            tcp.write_all(answer.as_bytes()).await.unwrap();
            arrived.notify_one();
            rest(tcp).await;
        }
    })
    .await;
    (server, arrived)
}

#[tokio::test]
async fn a_server_that_never_shakes_hands_is_given_up_with_the_phase_told() {
    let server = Server::raw(rest).await;
    let authority = Authority::new();
    let there = hasty(server.secure(&authority));
    pause();
    let start = Instant::now();
    let error = refused(&Upstream::new(), &there).await;
    assert_eq!(error.fault(), Fault::Timeout(Phase::Tls));
    assert_eq!((error.sent(), start.elapsed().as_secs()), (Sent::No, 5));
    assert!(error.to_string().ends_with(": timed out in the TLS handshake"), "{error}");
}

#[tokio::test]
async fn a_host_that_takes_no_connection_is_given_up() {
    let full = Full::new().await;
    let there = to(Settings {
        port: full.at.port(),
        timeouts: Timeouts { connect: Duration::from_millis(300), ..PATIENT },
        ..Server::answering("").await.plain()
    });
    let error = refused(&Upstream::new(), &there).await;
    assert_eq!((error.fault(), error.sent()), (Fault::Timeout(Phase::Connect), Sent::No));
}

#[tokio::test]
async fn a_request_that_finds_every_connection_busy_is_given_up() {
    let server = Server::raw(rest).await;
    let there = to(Settings {
        timeouts: Timeouts { connect: Duration::from_millis(300), ..PATIENT },
        ..server.plain()
    });
    let upstream = Upstream::with_connections(1);
    let busy = upstream.send(&there, get("/"));
    let error = async {
        settle().await;
        refused(&upstream, &there).await
    };
    tokio::select! {
        _ = busy => panic!("nobody answered"),
        error = error => assert_eq!(error.fault(), Fault::Timeout(Phase::Place)),
    }
}

#[tokio::test]
async fn a_proxy_that_never_answers_is_given_up() {
    let (silent, server) = (Server::raw(rest).await, Server::answering("").await);
    let proxies = Proxies::from_values(None, None, Some(&silent.at.to_string()), None).unwrap();
    let proxy = proxies.choose(false, "api.example.com", 80).cloned();
    let there = hasty(Settings { proxy, ..server.plain() });
    pause();
    let error = refused(&Upstream::new(), &there).await;
    assert_eq!(error.fault(), Fault::Timeout(Phase::Proxy));
}

#[tokio::test]
async fn a_provider_that_never_begins_to_answer_is_given_up() {
    let (server, arrived) = falling_silent("").await;
    let (upstream, there) = (Upstream::new(), hasty(server.plain()));
    let freeze = async {
        arrived.notified().await;
        pause();
        Instant::now()
    };
    let (error, start) = tokio::join!(refused(&upstream, &there), freeze);
    assert_eq!((error.fault(), error.sent()), (Fault::Timeout(Phase::FirstByte), Sent::Yes));
    assert_eq!(error.verdict(), Verdict::Timeout);
    assert!((599..=601).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_provider_that_does_not_take_the_request_is_given_up() {
    let server = Server::raw(|tcp| async move {
        std::future::pending::<()>().await;
        drop(tcp);
    })
    .await;
    let there = to(Settings {
        timeouts: Timeouts { first_byte: Duration::from_millis(300), ..PATIENT },
        ..server.plain()
    });
    let pieces = std::iter::repeat_n(Bytes::from(vec![b'x'; 1 << 20]), 64).collect();
    let outbound = post("/", OutBody::Pieces(pieces));
    let error = Upstream::new().send(&there, outbound).await.unwrap_err();
    assert_eq!((error.fault(), error.sent()), (Fault::Timeout(Phase::Upload), Sent::Maybe));
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_given_up() {
    let (server, _) =
        falling_silent("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
    let (upstream, there) = (Upstream::new(), hasty(server.plain()));
    let mut body = upstream.send(&there, get("/")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    pause();
    let start = Instant::now();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.fault(), BodyFault::Idle);
    assert!((300..=376).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn over_http2_silence_ends_the_same_waits_while_the_connection_lives() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["h2"]);
    let server = Server::http(Speaks::Http2(acceptor, 100), |request| {
        Box::pin(async move {
            if request.uri().path() == "/never" {
                std::future::pending::<()>().await;
            }
            let silent = futures_util::stream::pending();
            http::Response::new(BodyExt::boxed_unsync(http_body_util::StreamBody::new(silent)))
        })
    })
    .await;
    let timeouts = Timeouts {
        first_byte: Duration::from_millis(400),
        idle: Duration::from_millis(400),
        ..PATIENT
    };
    let (upstream, there) =
        (Upstream::new(), to(Settings { timeouts, ..server.secure(&authority) }));
    let error = upstream.send(&there, get("/never")).await.unwrap_err();
    assert_eq!((error.fault(), error.sent()), (Fault::Timeout(Phase::FirstByte), Sent::Yes));
    let response = upstream.send(&there, get("/")).await.unwrap();
    assert_eq!(read(response).await.unwrap_err().fault(), BodyFault::Idle);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_dead_http2_peer_is_noticed_by_asking() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["h2"]);
    let arrived = Arc::new(Notify::new());
    let tell = Arc::clone(&arrived);
    let server = Server::raw(move |tcp| {
        let (acceptor, arrived) = (acceptor.clone(), Arc::clone(&tell));
        async move {
            let tls = acceptor.accept(tcp).await.unwrap();
            let mut connection = h2::server::handshake(tls).await.unwrap();
            let _request = connection.accept().await.unwrap().unwrap();
            arrived.notify_one();
            // Nobody drives the connection any more: no ping is answered.
            std::future::pending::<()>().await;
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), hasty(server.secure(&authority)));
    let freeze = async {
        arrived.notified().await;
        settle().await;
        pause();
        Instant::now()
    };
    let (error, start) = tokio::join!(refused(&upstream, &there), freeze);
    assert_eq!((error.fault(), error.sent()), (Fault::Broken, Sent::Yes));
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn idle_connections_are_let_go_before_their_servers_do() {
    let closed = Arc::new(Notify::new());
    let tell = Arc::clone(&closed);
    let server = Server::raw(move |mut tcp| {
        let closed = Arc::clone(&tell);
        async move {
            read_head(&mut tcp).await;
            let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            tcp.write_all(ok.as_bytes()).await.unwrap();
            rest(tcp).await;
            closed.notify_one();
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), hasty(server.plain()));
    fetch(&upstream, &there).await;
    pause();
    let start = Instant::now();
    closed.notified().await;
    assert!((54..=61).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn connections_to_a_forgotten_destination_are_let_go() {
    let closed = Arc::new(Notify::new());
    let tell = Arc::clone(&closed);
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["h2"]);
    let server = Server::raw(move |tcp| {
        let (acceptor, closed) = (acceptor.clone(), Arc::clone(&tell));
        async move {
            let tls = acceptor.accept(tcp).await.unwrap();
            let mut connection = h2::server::handshake(tls).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_response(http::Response::new(()), true).unwrap();
            }
            closed.notify_one();
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), hasty(server.secure(&authority)));
    fetch(&upstream, &there).await;
    drop(there);
    pause();
    let start = Instant::now();
    let farewell = async {
        sleep(Duration::from_secs(6)).await;
        resume();
        closed.notified().await;
    };
    farewell.await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}
