//! What a client gets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::kit::{Gate, pattern};
use crate::support::SOON;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

#[test]
fn an_answer_tells_its_length_if_it_knows_it_and_chunks_if_not() {
    let gate = Gate::start();
    let mut client = gate.connect();
    for _ in 0..2 {
        client.send(get("/echo"));
        let reply = client.reply();
        assert_eq!(
            (reply.header("content-length"), reply.text().as_str()),
            (Some("10"), "GET /echo ")
        );
        client.send(get("/pieces/a,bc,def"));
        let reply = client.reply();
        assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
        assert!(reply.complete && reply.header("content-length").is_none());
        assert_eq!(reply.text(), "abcdef");
        let dates: Vec<_> = reply.headers.get_all("date").iter().collect();
        assert_eq!(dates.len(), 1);
        let date = dates[0].to_str().expect("text");
        assert!(jiff::fmt::rfc2822::parse(date).is_ok() && date.ends_with(" GMT"), "{date}");
    }
}

#[test]
fn each_piece_is_a_chunk_and_an_empty_one_does_not_end_the_answer() {
    let gate = Gate::start();
    let mut client = gate.connect();
    client.send(get("/pieces/a,,bc"));
    assert_eq!(client.head().status, 200);
    for expected in ["a", "bc", ""] {
        assert_eq!(client.chunk().as_deref(), Some(expected.as_bytes()));
    }
}

#[test]
fn the_head_and_each_piece_are_there_as_soon_as_they_are_ready() {
    let gate = Gate::start();
    let mut client = gate.connect();
    client.send(get("/steps/a,b"));
    assert_eq!(client.head().status, 200);
    for expected in ["a", "b", ""] {
        assert!(client.silent_for(Duration::from_millis(20)));
        gate.go();
        assert_eq!(client.chunk().as_deref(), Some(expected.as_bytes()));
    }
    gate.hear("dropped");
}

#[test]
fn pieces_that_are_ready_together_come_together() {
    let gate = Gate::start();
    let mut client = TcpStream::connect(gate.addr).expect("connect");
    client.set_read_timeout(Some(SOON)).expect("set the timeout");
    client.write_all(get("/pieces/a,b,c").as_bytes()).expect("send");
    let mut buffer = [0; 4096];
    let read = client.read(&mut buffer).expect("an answer");
    let text = String::from_utf8_lossy(&buffer[..read]);
    assert!(text.ends_with("\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"), "{text}");
}

#[test]
fn answers_without_a_body_have_none_and_the_next_is_not_taken_for_it() {
    let gate = Gate::start();
    let mut client = gate.connect();
    for _ in 0..2 {
        client.send("HEAD /echo HTTP/1.1\r\nhost: x\r\n\r\n");
        let head = client.head();
        assert_eq!((head.status, head.header("content-length")), (200, Some("11")));
        client.send("HEAD /pieces/a HTTP/1.1\r\nhost: x\r\n\r\n");
        let head = client.head();
        assert!(!head.headers.contains_key("content-length"));
        gate.hear("dropped");
        for status in [204, 304] {
            client.send(get(&format!("/status/{status}")));
            let head = client.head();
            assert_eq!((head.status, head.header("content-length")), (status, None));
            assert_eq!(head.header("transfer-encoding"), None);
        }
        client.send(get("/status/404"));
        assert_eq!(client.reply().text(), "not to be sent");
    }
    client.send(get("/status/103"));
    assert_eq!(client.reply().status, 500, "not a last word");
}

#[test]
fn an_answer_that_breaks_off_looks_broken() {
    let gate = Gate::start();
    for (path, came) in [("/broken/a,b", "ab"), ("/short/abc", "abc"), ("/long/abc", "")] {
        let mut client = gate.connect();
        client.send(get(path) + &get("/late"));
        let reply = client.reply();
        assert!(!reply.complete, "{path}: {reply:?}");
        assert_eq!(reply.text(), came, "{path}");
        assert!(client.closed());
        gate.hear("dropped");
    }
    // Where the end is told by closing, it must not close as if all were well.
    let mut client = TcpStream::connect(gate.addr).expect("connect");
    client.write_all(b"GET /broken/a HTTP/1.0\r\n\r\n").expect("send");
    let error = client.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_slow_reader_gets_every_byte_of_a_large_answer() {
    let gate = Gate::start();
    let length = 12_000_000;
    let mut client = gate.connect();
    for _ in 0..2 {
        client.send(get(&format!("/large/{length}")));
        assert_eq!(client.head().status, 200);
        // By now the client's system has no room left.
        std::thread::sleep(Duration::from_millis(20));
        let body = client.bytes(length);
        assert!(body == pattern(length), "the answer was changed");
    }
    // Large and small pieces in turns, each in its frame.
    let large = "x".repeat(9_000);
    let pieces = vec![["a", &large].join(","); 6].join(",");
    let mut client = gate.connect();
    client.send(get(&format!("/pieces/{pieces}")));
    let reply = client.reply();
    assert_eq!((reply.text(), reply.complete), (format!("a{large}").repeat(6), true));
}
