//! How connections end, from either side.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Full};

use crate::kit::Gate;
use crate::support::http::{Client, Raw};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..4_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never {what}");
}

#[test]
fn a_client_that_leaves_ends_what_is_done_for_it_at_once() {
    let gate = Gate::start();
    let mut client = gate.connect();
    client.send(get("/hang"));
    gate.hear("asked");
    drop(client);
    gate.hear("dropped");
    let mut client = gate.connect();
    client.send(get("/steps/a,b"));
    gate.go();
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk().as_deref(), Some(&b"a"[..]));
    drop(client);
    gate.hear("dropped");
    // It leaves while it takes nothing.
    let mut client = gate.connect();
    client.send(get("/flood"));
    assert_eq!(client.head().status, 200);
    drop(client);
    gate.hear("dropped");
    until("closed", || gate.connections.count() == 0);
}

#[test]
fn a_client_that_closes_its_side_has_left() {
    let gate = Gate::start();
    let mut client = gate.connect();
    client.send(get("/hang"));
    gate.hear("asked");
    client.half_close();
    gate.hear("dropped");
    assert!(client.closed());
    let mut client = gate.connect();
    client.send(get("/echo"));
    assert_eq!(client.reply().status, 200);
    client.half_close();
    assert!(client.closed());
}

#[test]
fn a_flood_is_made_no_faster_than_it_is_taken() {
    let gate = Gate::start();
    let mut client = gate.connect();
    client.send(get("/flood"));
    assert_eq!(client.head().status, 200);
    // Others are served beside it.
    let mut other = gate.connect();
    for _ in 0..20 {
        other.send(get("/echo"));
        assert_eq!(other.reply().status, 200);
    }
    for _ in 0..200 {
        assert_eq!(client.chunk().map(|chunk| chunk.len()), Some(30_000));
    }
    assert!(gate.is_silent());
}

#[test]
fn a_drain_closes_what_rests_and_lets_what_runs_finish() {
    let gate = Gate::start();
    let (mut fresh, mut idle, mut asked, mut streams) =
        (gate.connect(), gate.connect(), gate.connect(), gate.connect());
    idle.send(get("/echo"));
    assert_eq!(idle.reply().status, 200);
    asked.send(get("/late"));
    gate.hear("asked");
    streams.send(get("/steps/a"));
    assert_eq!(streams.head().status, 200);
    let mut half: Raw = gate.connect();
    half.send("GET /echo HTTP/1.1\r\nho");
    until("open", || gate.connections.count() == 5);
    // Its bytes have been read: what is sent after them on another connection is answered.
    let mut other = gate.connect();
    other.send(get("/echo"));
    assert_eq!(other.reply().status, 200);
    gate.drain.signal();
    assert!(fresh.closed() && idle.closed() && other.closed());
    half.send("st: x\r\n\r\n");
    let reply = half.reply();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(half.closed());
    gate.go();
    let reply = asked.reply();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(asked.closed());
    gate.hear("dropped");
    for expected in ["a", ""] {
        gate.go();
        assert_eq!(streams.chunk().as_deref(), Some(expected.as_bytes()));
    }
    assert!(streams.closed(), "its answer had promised more, but nothing was under way");
}

#[test]
fn a_connection_that_changes_its_protocol_is_handed_over_with_every_byte() {
    let gate = Gate::start();
    let mut client = gate.connect();
    let head = "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    client.send([head, "early"].concat());
    let reply = client.head();
    assert_eq!((reply.status, reply.header("upgrade")), (101, Some("echo")));
    assert_eq!(reply.header("connection"), Some("upgrade"));
    assert_eq!(client.bytes(5), b"early");
    client.send(head);
    assert_eq!(client.bytes(head.len()), head.as_bytes());
    gate.hear("dropped");
    drop(client);
    gate.hear("closed");
}

#[test]
fn http2_is_spoken_on_the_same_port() {
    let gate = Gate::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut client = Client::http2(gate.addr).await;
        for body in ["", "abc"] {
            let request = Request::post("http://x/echo").body(Full::from(body));
            let answer = client.send(request.expect("a request")).await.expect("an answer");
            let text = answer.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(text, format!("POST http://x/echo {body}"));
        }
    });
}
