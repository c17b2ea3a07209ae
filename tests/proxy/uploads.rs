//! Bodies that are not read: kept as far as they may be sent again, and passed on no faster than the
//! provider takes them.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::kit::{self, CHAT, CHAT_PATH, Format};
use crate::support::SOON;
use crate::support::http::Reply;
use crate::support::process::Proxy;
use crate::support::upstream::{Then, Upstream, json};

/// More than is kept for another try.
const LARGE: usize = 1024 * 1024;
/// Less.
const SMALL: usize = 100 * 1024;

fn upload(proxy: &Proxy, body: &[u8]) -> Reply {
    let mut connection = proxy.connect();
    connection.send(format!(
        "POST /openai/v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    connection.send(body);
    connection.reply()
}

/// Bytes in which a loss, a repetition or a swap would show.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 + at % 251).to_le_bytes()[0]).collect()
}

fn dead_and_good() -> (Upstream, Proxy) {
    let upstream = kit::failing_on_bad(|connection| {
        connection.send(json(401, r#"{"error":{"code":"invalid_api_key"}}"#));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["bad", "good"]);
    (upstream, proxy)
}

#[test]
fn a_small_upload_that_meets_a_dead_key_is_sent_again_whole() {
    let (upstream, proxy) = dead_and_good();
    let body = bytes(SMALL);
    for _ in 0..30 {
        assert_eq!(upload(&proxy, &body).status, 200);
    }
    let sent = upstream.take();
    assert!(sent.iter().all(|request| request.body == body), "an upload was changed");
    let uses = kit::uses(&sent);
    assert_eq!(uses.get("good"), Some(&30), "{uses:?}");
    assert!(uses.get("bad").is_some_and(|met| *met <= 2), "{uses:?}");
}

#[test]
fn a_large_upload_is_sent_once_on_a_key_known_to_be_good() {
    let (upstream, proxy) = dead_and_good();
    let body = bytes(LARGE);
    // Which key is good is learned from what can be sent again.
    let known = || {
        kit::post(&proxy, CHAT_PATH, CHAT);
        kit::uses(&upstream.take()).contains_key("good").then_some(())
    };
    proxy.until("a good key known", known);
    for _ in 0..12 {
        let reply = upload(&proxy, &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sent = upstream.take();
        assert_eq!((sent.len(), kit::key_of(&sent[0]).as_str()), (1, "good"));
        assert!(sent[0].body == body, "the upload was changed");
    }
}

#[test]
fn a_large_upload_is_served_even_where_no_key_is_known_yet() {
    let upstream = kit::healthy_provider();
    let proxy = kit::openai_proxy(&upstream, &["one", "two"]);
    let body = bytes(LARGE);
    let reply = upload(&proxy, &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(upstream.take()[0].body == body);
}

#[test]
fn a_large_upload_that_fails_is_not_sent_twice_and_the_client_is_told() {
    let upstream = Upstream::start(|_, connection| {
        connection.send("HTTP/1.1 2");
        Then::Close
    });
    let proxy = kit::openai_proxy(&upstream, &["one", "two"]);
    let reply = upload(&proxy, &bytes(LARGE));
    Format::OpenAi.assert_refusal(&reply, 503, "providers_unavailable");
    assert_eq!(upstream.take().len(), 1);
}

#[test]
fn an_upload_that_its_client_abandons_is_abandoned_upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let config = kit::openai_at(&url, "");
    let setup = crate::support::process::Setup::default().config(&config);
    let proxy = kit::with_keys(setup, &["one"]).start();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        let mut everything = Vec::new();
        // Ends or is reset; either way no last chunk comes.
        drop(stream.read_to_end(&mut everything));
        tell.send(everything).expect("the test listens");
    });
    let mut connection = proxy.connect();
    connection.send("POST /openai/v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: audio/wav\r\ntransfer-encoding: chunked\r\n\r\n5\r\nBEGUN\r\n");
    thread::sleep(Duration::from_millis(50));
    drop(connection);
    let received = told.recv_timeout(SOON).expect("the upstream call must end");
    let received = String::from_utf8_lossy(&received);
    assert!(!received.ends_with("0\r\n\r\n"), "it looks whole: {received}");
}

#[test]
fn an_upload_flows_no_faster_than_the_provider_takes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let config = kit::openai_at(&url, "");
    let setup = crate::support::process::Setup::default().config(&config);
    let proxy = kit::with_keys(setup, &["one"]).start();
    // The provider accepts and reads nothing.
    let accepting = thread::spawn(move || listener.accept().expect("accept"));
    let mut client = TcpStream::connect(proxy.data).expect("connect");
    client.set_write_timeout(Some(Duration::from_secs(1))).expect("set the timeout");
    client
        .write_all(b"POST /openai/v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: audio/wav\r\ncontent-length: 200000000\r\n\r\n")
        .expect("send");
    let piece = vec![7; 256 * 1024];
    let mut taken = 0;
    let stopped = loop {
        match client.write(&piece) {
            Ok(more) => taken += more,
            Err(error) => break error.kind(),
        }
        assert!(taken < 100_000_000, "nothing holds the client back");
    };
    assert!(matches!(stopped, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stopped:?}");
    assert!(kit::resident_kib(proxy.id()) < 40 * 1024, "{} KiB", kit::resident_kib(proxy.id()));
    drop(accepting.join().expect("accepted"));
}
