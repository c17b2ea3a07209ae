//! What a client may send, and what comes of what it may not.

use crate::kit::{Gate, pattern};

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

const CLOSE: &str = "GET /echo/last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let gate = Gate::start();
    let mut client = gate.connect();
    let chunked = "POST /echo/2 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(format!(
        "GET /echo/1 HTTP/1.1\r\nhost: x\r\n\r\n{chunked}{}{}0\r\n\r\nPUT /echo/3 HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc{CLOSE}",
        chunk("a"),
        chunk("bc")
    ));
    for expected in ["GET /echo/1 ", "POST /echo/2 abc", "PUT /echo/3 abc", "GET /echo/last "] {
        let reply = client.reply();
        assert_eq!((reply.status, reply.text().as_str()), (200, expected));
        let closes = reply.header("connection") == Some("close");
        assert_eq!(closes, expected.contains("last"), "{reply:?}");
    }
    assert!(client.closed());
}

#[test]
fn a_request_that_comes_while_another_is_answered_waits_for_its_turn() {
    let gate = Gate::start();
    let mut client = gate.connect();
    client.send("GET /late/1 HTTP/1.1\r\nhost: x\r\n\r\n");
    gate.hear("asked");
    client.send(CLOSE);
    client.send("GET /echo/never HTTP/1.1\r\nhost: x\r\n\r\n");
    gate.go();
    assert_eq!(client.reply().text(), "GET /late/1 ");
    assert_eq!(client.reply().text(), "GET /echo/last ");
    assert!(client.closed());
}

#[test]
fn a_body_is_read_whole_however_it_is_sent() {
    let gate = Gate::start();
    let mut client = gate.connect();
    let body = pattern(700_000);
    for _ in 0..2 {
        let length = body.len();
        client.send(format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n"));
        client.send([b"\r\n", &body[..10]].concat());
        client.send(&body[10..]);
        let reply = client.reply();
        assert!(reply.body == [b"POST /echo ", &*body].concat(), "the body was changed");
        client.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
        for piece in body.chunks(100_000) {
            client.send(format!("{:x}; ext=\"a\"\r\n", piece.len()));
            client.send(piece);
            client.send("\r\n");
        }
        client.send("0\r\nx-checksum: 1\r\n\r\n");
        assert!(client.reply().body == [b"POST /echo ", &*body].concat(), "the body was changed");
    }
}

#[test]
fn a_body_may_come_while_its_answer_goes() {
    let gate = Gate::start();
    let mut client = gate.connect();
    client.send("POST /duplex HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(client.head().header("transfer-encoding"), Some("chunked"));
    for piece in ["one", "two", "three"] {
        client.send(chunk(piece));
        assert_eq!(client.chunk().as_deref(), Some(piece.as_bytes()));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk().as_deref(), Some(&b""[..]));
    client.send(CLOSE);
    assert_eq!(client.reply().text(), "GET /echo/last ");
}

#[test]
fn a_client_is_told_to_go_on_when_its_body_is_wanted_and_not_before() {
    let gate = Gate::start();
    let mut client = gate.connect();
    let head = "HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    client.send(format!("POST /late {head}"));
    gate.hear("asked");
    assert!(client.silent_for(std::time::Duration::from_millis(30)));
    gate.go();
    assert_eq!(client.head().status, 100);
    client.send("abc");
    assert_eq!(client.reply().text(), "POST /late abc");
    // What came without having been told needs no telling.
    client.send(format!("POST /echo {head}abc"));
    assert_eq!(client.reply().text(), "POST /echo abc");
    // What is not wanted is not asked for, and whether it still comes is anybody's guess.
    client.send(format!("POST /ignore {head}"));
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(client.closed());
}

#[test]
fn a_body_that_nobody_wants_is_passed_over_where_it_is_small_and_ends_the_connection_elsewhere() {
    let gate = Gate::start();
    let mut client = gate.connect();
    for _ in 0..3 {
        client.send("POST /ignore HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nGET / HTT");
        assert_eq!(client.reply().text(), "ignored");
        client.send(format!(
            "POST /ignore HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk("GET /echo HTTP/1.1\r\nhost: x\r\n\r\n")
        ));
        assert_eq!(client.reply().text(), "ignored");
    }
    // The answer is not lost though the client has not finished sending.
    let body = pattern(3_000_000);
    client.send(format!(
        "POST /ignore HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    client.send(&body);
    let reply = client.reply();
    assert_eq!((reply.text().as_str(), reply.header("connection")), ("ignored", Some("close")));
    client.half_close();
    assert!(client.closed());
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_behind_it_is_served() {
    let gate = Gate::start();
    let smuggled = "GET /late/smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    for (head, status) in [
        ("GET /late HTTP/1.1\r\n\r\n", 400),
        ("GET /late HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400),
        ("POST /late HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na", 400),
        (
            "POST /late HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST /late HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET /late HTTP/3.0\r\nhost: x\r\n\r\n", 505),
        ("CONNECT late:1 HTTP/1.1\r\nhost: late\r\n\r\n", 501),
    ] {
        let mut client = gate.connect();
        client.send([head, smuggled].concat());
        let reply = client.reply();
        assert_eq!((reply.status, reply.header("connection")), (status, Some("close")), "{head:?}");
        client.half_close();
        assert!(client.closed(), "{head:?}");
    }
    for body in ["5\nhello\n0\n\n", "5\r\nhello0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n"] {
        let mut client = gate.connect();
        let head = "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        client.send([head, body, smuggled].concat());
        let reply = client.reply();
        assert_eq!((reply.status, reply.header("connection")), (400, Some("close")), "{body:?}");
        client.half_close();
        assert!(client.closed(), "{body:?}");
    }
    assert!(gate.is_silent());
}

#[test]
fn a_body_that_is_cut_is_told_to_the_function_and_its_answer_still_goes_out() {
    let gate = Gate::start();
    for head in ["content-length: 9\r\n", "transfer-encoding: chunked\r\n"] {
        let mut client = gate.connect();
        client.send(format!("POST /echo HTTP/1.1\r\nhost: x\r\n{head}\r\n5\r\nhe"));
        client.half_close();
        assert_eq!(client.reply().status, 400, "{head}");
        assert!(client.closed());
    }
}

#[test]
fn http_1_0_is_spoken_as_it_is_spoken() {
    let gate = Gate::start();
    let mut client = gate.connect();
    for kept in ["keep-alive", "Keep-Alive"] {
        client.send(format!("GET /echo HTTP/1.0\r\nconnection: {kept}\r\n\r\n"));
        let reply = client.reply();
        assert_eq!(reply.start, "HTTP/1.0 200 OK");
        assert_eq!(reply.header("connection"), Some("keep-alive"));
        assert_eq!(reply.text(), "GET /echo ");
    }
    client.send("GET /pieces/a,b HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.header("connection"), Some("close"), "its end is the body's");
    assert_eq!((reply.header("transfer-encoding"), reply.text().as_str()), (None, "ab"));
    let mut client = gate.connect();
    client.send("POST /echo HTTP/1.0\r\ncontent-length: 1\r\n\r\na");
    let reply = client.reply();
    assert_eq!(
        (reply.text().as_str(), reply.header("connection")),
        ("POST /echo a", Some("close"))
    );
    assert!(client.closed());
}
