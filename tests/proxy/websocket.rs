//! Realtime APIs: an upgrade is tunnelled, with the key set.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use crate::kit;
use crate::support::SOON;
use crate::support::http::Raw;
use crate::support::upstream::{Then, Upstream};

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const UPGRADE: [(&str, &str); 6] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", "realtime"),
    ("authorization", "Bearer CLIENTSOWN"),
];

/// Switches protocols and gives back whatever comes, until the peer closes; then tells.
fn echoing() -> (Upstream, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let upstream = Upstream::start(move |_, connection| {
        // What follows the head in the same write belongs to the tunnel already.
        connection.send([SWITCHED, "hello"].concat());
        loop {
            let byte = connection.bytes(1);
            if byte.is_empty() {
                tell.lock().expect("not poisoned").send(()).expect("the test listens");
                return Then::Close;
            }
            if byte == b"!" {
                connection.send("bye");
                return Then::Close;
            }
            connection.send(byte);
        }
    });
    (upstream, told)
}

fn open(proxy: &crate::support::process::Proxy) -> Raw {
    let mut client = proxy.connect();
    client.get("/openai/v1/realtime?model=gpt-realtime", &UPGRADE);
    let head = client.head();
    assert_eq!(head.status, 101, "{head:?}");
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(client.bytes(5), b"hello");
    client
}

#[test]
fn an_upgrade_is_tunnelled_both_ways_with_the_key_set() {
    let (upstream, told) = echoing();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut client = open(&proxy);
    let sent = &upstream.take()[0];
    assert_eq!(sent.start, "GET /v1/realtime?model=gpt-realtime HTTP/1.1");
    assert_eq!(kit::key_of(sent), "one");
    assert_eq!(sent.header("upgrade"), Some("websocket"));
    assert!(sent.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("upgrade")));
    assert_eq!(sent.header("sec-websocket-protocol"), Some("realtime"));
    assert!(!format!("{sent:?}").contains("CLIENTSOWN"));
    for message in ["a", "frames are opaque \0\u{7f}", &"large ".repeat(2_000)] {
        client.send(message);
        assert_eq!(client.bytes(message.len()), message.as_bytes());
    }
    drop(client);
    told.recv_timeout(SOON).expect("the provider must learn that the client closed");
}

#[test]
fn a_tunnel_that_the_provider_closes_is_closed_for_the_client() {
    let (upstream, _told) = echoing();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut client = open(&proxy);
    client.send("!");
    assert_eq!(client.bytes(3), b"bye");
    assert!(client.closed());
}

#[test]
fn a_refused_upgrade_is_an_answer_like_any_other_and_leads_to_another_key() {
    let upstream = Upstream::start(|request, connection| {
        if kit::key_of(request) == "bad" {
            connection.send(crate::support::upstream::json(401, "{}"));
            return Then::Next;
        }
        connection.send([SWITCHED, "hello"].concat());
        connection.closed();
        Then::Close
    });
    let proxy = kit::openai_proxy(&upstream, &["bad", "good"]);
    for _ in 0..30 {
        drop(open(&proxy));
    }
    let uses = kit::uses(&upstream.take());
    assert!(uses.get("bad").is_some_and(|met| *met <= 2), "{uses:?}");
    let upstream = Upstream::answering(426, r#"{"error":{"message":"no"}}"#);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut client = proxy.connect();
    client.get("/openai/v1/realtime", &UPGRADE);
    let reply = client.reply();
    assert_eq!((reply.status, reply.text().as_str()), (426, r#"{"error":{"message":"no"}}"#));
}

#[test]
fn a_drain_waits_for_a_tunnel_as_for_any_connection() {
    let (upstream, _told) = echoing();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut client = open(&proxy);
    proxy.terminate();
    proxy.until("unready", || (proxy.ask_admin("/ready").status == 503).then_some(()));
    // Longer than the silence after which a sidecar believes that its application has gone.
    assert!(client.silent_for(Duration::from_millis(1_800)), "it was cut");
    client.send("still here");
    assert_eq!(client.bytes(10), b"still here");
    drop(client);
    assert!(proxy.wait().status.success());
}

#[test]
fn a_hundred_tunnels_stand_side_by_side() {
    let (upstream, _told) = echoing();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut tunnels: Vec<_> = (0..100).map(|_| open(&proxy)).collect();
    for (number, tunnel) in tunnels.iter_mut().enumerate() {
        tunnel.send(format!("{number:04}"));
    }
    for (number, tunnel) in tunnels.iter_mut().enumerate() {
        assert_eq!(tunnel.bytes(4), format!("{number:04}").as_bytes());
    }
}
