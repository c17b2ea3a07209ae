//! HTTP/2 without TLS on the way in: many streams on one connection.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};

use crate::kit::{self, CHAT, CHAT_ANSWER, CHAT_PATH, CHAT_STREAM, sse};
use crate::support::SOON;
use crate::support::http::Client;
use crate::support::upstream::{Then, Upstream};

fn request(path: &str, body: &str) -> ::http::Request<Full<Bytes>> {
    ::http::Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/json")
        .body(Full::from(Bytes::copy_from_slice(body.as_bytes())))
        .expect("a request")
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_on_one_port() {
    let upstream = kit::healthy_provider();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    for mut client in [Client::http1(proxy.data).await, Client::http2(proxy.data).await] {
        for _ in 0..3 {
            let (status, headers, body) = client.post(CHAT_PATH, CHAT).await;
            assert_eq!((status.as_u16(), &*body), (200, CHAT_ANSWER.as_bytes()));
            assert_eq!(headers["x-keyweir-key"], "one");
        }
    }
    assert!(upstream.take().iter().all(|sent| sent.text() == CHAT));
}

/// Answers only once `together` requests are there at the same time.
fn gathering(together: usize) -> Upstream {
    let (count, all_there) = (Mutex::new(0), Condvar::new());
    Upstream::start(move |_, connection| {
        connection.send(sse::HEAD);
        connection.send(sse::chunk(&sse::delta("begun")));
        let mut here = count.lock().expect("not poisoned");
        *here += 1;
        all_there.notify_all();
        let waited = all_there.wait_timeout_while(here, SOON, |here| *here < together);
        drop(waited.expect("not poisoned"));
        connection.send(sse::chunk(sse::DONE));
        connection.send(sse::LAST);
        Then::Next
    })
}

#[tokio::test]
async fn two_hundred_streams_run_at_once_on_one_connection() {
    let upstream = gathering(200);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let Client::Http2(sender) = Client::http2(proxy.data).await else { panic!("it is HTTP/2") };
    let streams = (0..200).map(|_| {
        let mut sender = sender.clone();
        async move {
            sender.ready().await.expect("open");
            let answer = sender.send_request(request(CHAT_PATH, CHAT_STREAM)).await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.expect("a whole body").to_bytes()
        }
    });
    let all = futures_util::future::join_all(streams);
    let bodies = tokio::time::timeout(SOON * 2, all).await.expect("in time");
    let expected = sse::delta("begun") + sse::DONE;
    assert!(bodies.iter().all(|body| &**body == expected.as_bytes()));
}

#[tokio::test]
async fn a_stream_that_the_provider_cuts_is_reset() {
    let upstream = Upstream::start(|_, connection| {
        connection.send(sse::HEAD);
        connection.send(sse::chunk(&sse::delta("begun")));
        Then::Close
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut client = Client::http2(proxy.data).await;
    let answer = client.send(request(CHAT_PATH, CHAT_STREAM)).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.is_err(), "it looks whole");
}

#[tokio::test]
async fn a_stream_that_the_client_resets_ends_the_upstream_call_and_no_other() {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::start(move |request, connection| {
        if !request.text().contains("\"stream\":true") {
            connection.send(kit::healthy(request));
            return Then::Next;
        }
        connection.send(sse::HEAD);
        connection.send(sse::chunk(&sse::delta("begun")));
        if connection.closed() {
            tell.send(()).expect("the test listens");
        }
        Then::Close
    });
    let mut told = told;
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut client = Client::http2(proxy.data).await;
    let answer = client.send(request(CHAT_PATH, CHAT_STREAM)).await.expect("an answer");
    let mut body = answer.into_body();
    body.frame().await.expect("a frame").expect("of data");
    drop(body);
    tokio::time::timeout(Duration::from_secs(2), told.recv()).await.expect("in time").expect("it");
    let (status, _, _) = client.post(CHAT_PATH, CHAT).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn refusals_and_bounds_hold_for_http2_as_well() {
    let upstream = kit::healthy_provider();
    let config = kit::openai_at(&upstream.url(), "") + "server: {maxBody: 65536}\n";
    let setup = crate::support::process::Setup::default().config(&config);
    let proxy = kit::with_keys(setup, &["one"]).start();
    let mut client = Client::http2(proxy.data).await;
    for (path, body, status, code) in [
        ("/v1/nothing", CHAT.to_owned(), 404, "unknown_path"),
        ("/nobody/x", CHAT.to_owned(), 404, "unknown_provider"),
        (CHAT_PATH, "{".to_owned(), 400, "invalid_request"),
        (CHAT_PATH, format!("{{\"x\":\"{}\"}}", "x".repeat(100_000)), 413, "body_too_large"),
    ] {
        let (got, headers, _) = client.post(path, &body).await;
        assert_eq!(
            (got.as_u16(), &headers["x-keyweir-error"]),
            (status, &::http::HeaderValue::from_static(code)),
            "{path}"
        );
    }
    assert!(upstream.take().is_empty());
    let (status, _, _) = client.post(CHAT_PATH, CHAT).await;
    assert_eq!(status, 200);
}
