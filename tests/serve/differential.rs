//! Whatever hyper's server understands, ours understands in the same way, or refuses on purpose.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyweir::lifecycle::Tasks;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::kit::{Gate, echo};
use crate::support::SOON;

/// hyper's server, with the same function behind it.
fn start_hyper() -> SocketAddr {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener =
                tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind");
            let addr = listener.local_addr().expect("an address");
            tell.send(addr).expect("it is waited for");
            while let Ok((stream, _)) = listener.accept().await {
                let service =
                    service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                drop(Tasks::default().spawn(async { drop(serving.await) }));
            }
        });
    });
    told.recv_timeout(SOON).expect("it listens")
}

/// Everything that comes back for these bytes, without the date and what need not be said.
fn ask(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).expect("connect");
    stream.set_read_timeout(Some(SOON)).expect("set the timeout");
    // It may be closed while it is written to.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let text = String::from_utf8_lossy(&answer).into_owned();
    let said = |line: &&str| !line.starts_with("date: ") && !line.starts_with("connection: ");
    text.split_inclusive("\r\n").filter(said).collect()
}

/// A request out of parts that are well or badly made, and whether ours is to be stricter with it.
fn request() -> impl Strategy<Value = (String, bool)> {
    let start = prop_oneof![
        8 => Just(("POST /echo HTTP/1.1\r\n", false)),
        1 => Just(("GET /echo?a=%20 HTTP/1.0\r\n", false)),
        1 => Just(("HEAD http://there/echo HTTP/1.1\r\n", false)),
        1 => Just(("BREW /echo HTTP/1.1\n", false)),
        1 => Just(("\r\n\r\nPUT /echo HTTP/1.1\r\n", false)),
        1 => Just(("GET /echo\r\n", false)),
        1 => Just(("GET  /echo HTTP/1.1\r\n", false)),
        1 => Just(("GET /echo HTTP/1.2\r\n", true)),
    ];
    let host = prop_oneof![
        8 => Just(("host: x\r\n", false)),
        1 => Just(("", true)),
        1 => Just(("host: x\r\nHost: y\r\n", true)),
    ];
    let lines = prop_oneof![
        8 => Just(("", false)),
        2 => Just(("x-a: b\r\nX-A:\tc \r\n", false)),
        1 => Just(("connection: keep-alive\r\n", false)),
        1 => Just(("connection: close\r\n", false)),
        1 => Just(("x-folded: a\r\n b\r\n", false)),
        1 => Just(("bad name: x\r\n", false)),
        1 => Just(("x-nul: \0\r\n", false)),
        1 => Just(("no colon\r\n", false)),
        1 => Just((": nameless\r\n", false)),
        1 => Just(("x-bare: lf\n", false)),
    ];
    let body = prop_oneof![
        4 => Just(("\r\n", false)),
        4 => Just(("content-length: 5\r\n\r\nhello", false)),
        4 => Just(("transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n", false)),
        1 => Just(("Transfer-Encoding: Chunked\r\n\r\n0\r\na: b\r\n\r\n", false)),
        1 => Just(("transfer-encoding: chunked\r\n\r\n2\nhe\n0\n\n", false)),
        1 => Just(("transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhe", false)),
        1 => Just(("transfer-encoding: chunked\r\n\r\nxyz\r\n", false)),
        1 => Just(("transfer-encoding: gzip\r\n\r\nhello", false)),
        1 => Just(("transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", true)),
        1 => Just(("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", true)),
        1 => Just(("content-length: 5\r\ncontent-length: 5\r\n\r\nhello", true)),
        1 => Just(("content-length: 5\r\ncontent-length: 4\r\n\r\nhello", false)),
        1 => Just(("content-length: five\r\n\r\nhello", false)),
        1 => Just(("content-length: 50\r\n\r\nhello", false)),
    ];
    (start, host, lines, body).prop_map(|parts| {
        let (start, host, lines, body) = parts;
        let strict = start.1 || host.1 || body.1;
        ([start.0, host.0, lines.0, body.0].concat(), strict)
    })
}

#[test]
fn what_both_understand_they_answer_alike() {
    let (gate, hyper) = (Gate::start(), start_hyper());
    let requests = proptest::collection::vec(request(), 1..4);
    let mut runner =
        TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let ran = runner.run(&requests, |requests| {
        let text: String = requests.iter().map(|(text, _)| text.as_str()).collect();
        let (ours, theirs) = (ask(gate.addr, text.as_bytes()), ask(hyper, text.as_bytes()));
        let strict = requests.iter().any(|(_, strict)| *strict);
        let refused = ours.contains("400 Bad Request") || ours.contains("505 ");
        prop_assert!(
            ours == theirs || strict && refused,
            "{text:?}\nours: {ours:?}\nhyper: {theirs:?}"
        );
        Ok(())
    });
    ran.expect("the same");
}
