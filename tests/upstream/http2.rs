//! HTTP/2: many streams on few connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::{HeaderValue, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use keyweir::upstream::{BodyFault, BoxError, Fault, OutBody, Outbound, Sent, Upstream};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::support::*;

/// A server that answers nobody before `count` are there at once, and how many there ever were.
async fn gathering(authority: &Authority, streams: u32, count: usize) -> Server {
    let (here, all_here) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let acceptor = authority.acceptor(&["h2", "http/1.1"]);
    Server::http(Speaks::Http2(acceptor, streams), move |_| {
        let (here, all_here) = (Arc::clone(&here), Arc::clone(&all_here));
        Box::pin(async move {
            let all = all_here.notified();
            if here.fetch_add(1, Ordering::Relaxed) + 1 >= count {
                all_here.notify_waiters();
            } else {
                all.await;
            }
            text("ok")
        })
    })
    .await
}

#[tokio::test]
async fn three_hundred_requests_are_served_at_once_against_a_limit_of_a_hundred_streams() {
    let authority = Authority::new();
    let server = gathering(&authority, 100, 300).await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    let all = join_all((0..300).map(|_| fetch(&upstream, &there)));
    let answers = timeout(Duration::from_secs(20), all).await.unwrap();
    assert!(answers.iter().all(|answer| answer == "ok"));
    assert!((3..=4).contains(&server.connections()), "{} connections", server.connections());
}

#[tokio::test]
async fn a_small_limit_of_streams_is_kept_from_the_first_connection_on() {
    let authority = Authority::new();
    let server = gathering(&authority, 4, 24).await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    let all = join_all((0..24).map(|_| fetch(&upstream, &there)));
    timeout(Duration::from_secs(20), all).await.unwrap();
}

#[tokio::test]
async fn a_further_connection_is_open_before_the_streams_run_out() {
    let authority = Authority::new();
    let server = gathering(&authority, 16, 15).await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    let first: Vec<_> = (0..14).map(|_| upstream.send(&there, get("/"))).collect();
    let all = async {
        settle().await;
        assert_eq!(server.connections(), 2, "with two streams left of sixteen");
        fetch(&upstream, &there).await
    };
    tokio::join!(join_all(first), all);
}

#[tokio::test]
async fn requests_at_once_share_the_first_handshake() {
    let authority = Authority::new();
    let server = gathering(&authority, 100, 32).await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    join_all((0..32).map(|_| fetch(&upstream, &there))).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_during_the_first_handshake_leaves_the_others_unharmed() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["h2"]);
    let mut first = true;
    let server = Server::raw(move |tcp| {
        let (acceptor, stalls) = (acceptor.clone(), std::mem::take(&mut first));
        async move {
            if stalls {
                return rest(tcp).await;
            }
            let tls = acceptor.accept(tcp).await.unwrap();
            let mut connection = h2::server::handshake(tls).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                answer(&mut respond);
            }
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    let leaves = timeout(Duration::from_millis(50), fetch(&upstream, &there));
    let others = join_all((0..10).map(|_| fetch(&upstream, &there)));
    let (left, others) = tokio::join!(leaves, others);
    assert!(left.is_err() && others.iter().all(|answer| answer == "ok"));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn bodies_and_trailers_go_both_ways() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["h2"]);
    let server = Server::http(Speaks::Http2(acceptor, 100), |request| {
        Box::pin(async move {
            let host = request.uri().authority().unwrap().to_string();
            assert!(!request.headers().contains_key("connection"));
            let length = request.headers().get("content-length").cloned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            text(format!("{host} {length:?} {}", body.len()))
        })
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    let connection = HeaderValue::from_static("keep-alive");
    let outbound = post("/", Bytes::from(vec![b'x'; 3_000_000]));
    let outbound = Outbound { headers: &[(&header::CONNECTION, &connection)], ..outbound };
    let answer = read(upstream.send(&there, outbound).await.unwrap()).await.unwrap();
    assert_eq!(answer, format!("localhost:{} Some(\"3000000\") 3000000", server.at.port()));

    let pieces = (0..50).map(|_| Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; 40_000]))));
    let body = StreamBody::new(futures_util::stream::iter(pieces));
    let outbound = post("/", OutBody::Stream(Box::pin(body)));
    let answer = read(upstream.send(&there, outbound).await.unwrap()).await.unwrap();
    assert_eq!(answer, format!("localhost:{} None 2000000", server.at.port()));
}

#[tokio::test]
async fn an_answer_larger_than_the_window_flows_and_waits_for_its_reader() {
    let authority = Authority::new();
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let server = Server::http(Speaks::Http2(authority.acceptor(&["h2"]), 100), move |_| {
        let taken = Arc::clone(&counter);
        Box::pin(async move {
            let pieces = futures_util::stream::iter(0..100).map(move |_| {
                taken.fetch_add(1, Ordering::Relaxed);
                Ok(Frame::data(Bytes::from(vec![b'x'; 100_000])))
            });
            http::Response::new(BodyExt::boxed_unsync(StreamBody::new(pieces)))
        })
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    let response = upstream.send(&there, get("/")).await.unwrap();
    settle().await;
    let ahead = taken.load(Ordering::Relaxed);
    assert!(ahead < 40, "{ahead} of 100 pieces were taken from a server that nobody reads");
    assert_eq!(read(response).await.unwrap().len(), 10_000_000);
}

#[tokio::test]
async fn an_answer_that_is_dropped_resets_its_stream_and_spares_the_others() {
    let authority = Authority::new();
    let (left, ended) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (tell, count) = (Arc::clone(&left), Arc::clone(&ended));
    let acceptor = authority.acceptor(&["h2"]);
    let server = Server::http(Speaks::Http2(acceptor, 100), move |_| {
        let guard = OnDrop(Arc::clone(&tell), Arc::clone(&count));
        Box::pin(async move {
            let endless = futures_util::stream::unfold(guard, async |guard| {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Some((Ok(Frame::data(Bytes::from_static(b"more"))), guard))
            });
            http::Response::new(BodyExt::boxed_unsync(StreamBody::new(endless)))
        })
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    let mut stays = upstream.send(&there, get("/")).await.unwrap().into_body();
    let mut leaves = upstream.send(&there, get("/")).await.unwrap().into_body();
    leaves.frame().await.unwrap().unwrap();
    drop(leaves);
    timeout(Duration::from_secs(5), left.notified()).await.unwrap();
    stays.frame().await.unwrap().unwrap();
    assert_eq!((ended.load(Ordering::Relaxed), server.connections()), (1, 1));
}

struct OnDrop(Arc<Notify>, Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.notify_one();
    }
}

/// A server that speaks HTTP/2 frame by frame, as `script` says for each connection.
async fn frames<F>(
    authority: &Authority,
    script: impl Fn(usize, h2::server::Connection<Tls, Bytes>) -> F + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let acceptor = authority.acceptor(&["h2"]);
    let (script, mut count) = (Arc::new(script), 0);
    Server::raw(move |tcp| {
        let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
        count += 1;
        async move {
            let tls = acceptor.accept(tcp).await.unwrap();
            script(count, h2::server::handshake(tls).await.unwrap()).await;
        }
    })
    .await
}

type Tls = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

fn answer(respond: &mut h2::server::SendResponse<Bytes>) {
    let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
    stream.send_data(Bytes::from_static(b"ok"), true).unwrap();
}

#[tokio::test]
async fn a_connection_that_goes_away_is_replaced_and_its_streams_end_in_peace() {
    let authority = Authority::new();
    let server = frames(&authority, |_, mut connection| async move {
        let (_, mut first) = connection.accept().await.unwrap().unwrap();
        connection.graceful_shutdown();
        let finish = async {
            settle().await;
            answer(&mut first);
        };
        let ((), rest) = tokio::join!(finish, connection.accept());
        assert!(rest.is_none());
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    let second = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        fetch(&upstream, &there).await
    };
    let answers = tokio::join!(fetch(&upstream, &there), second);
    assert_eq!((answers.0.as_str(), answers.1.as_str()), ("ok", "ok"));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_stream_that_the_server_refuses_was_not_sent_and_one_that_it_resets_may_have_been() {
    for (reason, sent) in
        [(h2::Reason::REFUSED_STREAM, Sent::No), (h2::Reason::INTERNAL_ERROR, Sent::Yes)]
    {
        let authority = Authority::new();
        let server = frames(&authority, move |_, mut connection| async move {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_reset(reason);
            }
        })
        .await;
        let error = refused(&Upstream::new(), &to(server.secure(&authority))).await;
        assert_eq!((error.fault(), error.sent()), (Fault::Broken, sent));
    }
}

#[tokio::test]
async fn a_wrong_length_and_a_cut_are_told_apart() {
    for (length, fault) in
        [("1", BodyFault::Protocol), ("9", BodyFault::Protocol), ("", BodyFault::Cut)]
    {
        let authority = Authority::new();
        let server = frames(&authority, move |_, mut connection| async move {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let mut head = http::Response::builder();
                if !length.is_empty() {
                    head = head.header("content-length", length);
                }
                let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
                stream.send_data(Bytes::from_static(b"two"), !length.is_empty()).unwrap();
                if length.is_empty() {
                    tokio::spawn(async move {
                        settle().await;
                        stream.send_reset(h2::Reason::INTERNAL_ERROR);
                    });
                }
            }
        })
        .await;
        let response =
            Upstream::new().send(&to(server.secure(&authority)), get("/")).await.unwrap();
        assert_eq!(read(response).await.unwrap_err().fault(), fault, "content-length: {length}");
    }
}

#[tokio::test]
async fn interim_answers_without_end_are_an_error() {
    let authority = Authority::new();
    let server = frames(&authority, |_, mut connection| async move {
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            for _ in 0..1000 {
                let interim = http::Response::builder().status(103).body(()).unwrap();
                if respond.send_informational(interim).is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let error = refused(&Upstream::new(), &to(server.secure(&authority))).await;
    assert_eq!(error.fault(), Fault::Protocol);
}
