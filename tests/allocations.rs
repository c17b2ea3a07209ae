//! What a request costs in allocations, held to a recorded budget.
//!
//! The proxy runs in this process, so that its allocator can be counted; the client and the upstream
//! beside it touch the heap only before the counting begins.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test are outside of it for clippy"
)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use keyweir::lifecycle::DrainMode;
use keyweir::proxy::{Options, Proxy};
use keyweir::sources::Letter;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations and reallocations for one chat request over connections that are open: measured, with
/// a little room for the allocator's own moods. Lower it when you have earned it.
const BUDGET: f64 = 30.0;

/// Requests before the counting begins: connections, tables and metric handles are made by them.
const WARM_UP: usize = 200;
const COUNTED_REQUESTS: usize = 1_000;

#[test]
fn a_chat_request_stays_within_its_budget_of_allocations() {
    let upstream = start_upstream();
    let proxy = start_proxy(upstream);
    let mut client = Client::connect(proxy);
    for _ in 0..WARM_UP {
        client.ask();
    }
    let region = Region::new(COUNTED);
    for _ in 0..COUNTED_REQUESTS {
        client.ask();
    }
    let change = region.change();
    let all = change.allocations + change.reallocations;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let each = all as f64 / COUNTED_REQUESTS as f64;
    println!("{each:.1} allocations a request");
    assert!(each <= BUDGET, "{each:.1} allocations a request, the budget is {BUDGET}");
    assert!(each > 5.0, "{each:.1} allocations a request: is anything counted?");
}

struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(proxy: SocketAddr) -> Self {
        let stream = TcpStream::connect(proxy).unwrap();
        stream.set_nodelay(true).unwrap();
        let text = "a".repeat(900);
        let body = format!(
            r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{text}"}}],"max_tokens":64}}"#
        );
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: keyweir\r\nauthorization: Bearer none\r\n\
             content-type: application/json\r\naccept: application/json\r\n\
             user-agent: OpenAI/Python 3.51.0\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { stream, request: request.into_bytes(), buffer: vec![0; 16 * 1024] }
    }

    fn ask(&mut self) {
        self.stream.write_all(&self.request).unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the proxy closed the connection");
            filled += read;
            if self.buffer[..filled].ends_with(ANSWER_END) {
                assert!(self.buffer.starts_with(b"HTTP/1.1 200"));
                return;
            }
        }
    }
}

const ANSWER_END: &[u8] = br#""total_tokens":240}}"#;

/// Answers every request the same, from buffers that are made once.
fn start_upstream() -> SocketAddr {
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":230,"completion_tokens":10,"total_tokens":240}}}}"#,
        "b".repeat(700)
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\n\
         x-ratelimit-limit-requests: 100000\r\nx-ratelimit-remaining-requests: 99999\r\n\
         x-ratelimit-reset-requests: 1ms\r\nx-ratelimit-limit-tokens: 100000000\r\n\
         x-ratelimit-remaining-tokens: 99999000\r\nx-ratelimit-reset-tokens: 1ms\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let answer = answer.clone();
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut buffer = vec![0; 16 * 1024];
                let mut filled = 0;
                while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]) {
                    filled += read;
                    if buffer[..filled].ends_with(br#""max_tokens":64}"#) {
                        filled = 0;
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    address
}

fn start_proxy(upstream: SocketAddr) -> SocketAddr {
    let yaml = format!(
        "version: 1\nproviders:\n  openai:\n    baseUrl: http://{upstream}\n    keys:\n      \
         - secret: openai\n    limits:\n      - requestsPerMinute: 10M\n        tokensPerMinute: 9000M\n"
    );
    let (started, address) = mpsc::channel();
    thread::spawn(move || {
        let control = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        control.block_on(async {
            let keys = [("openai", "one", "sk-one"), ("openai", "two", "sk-two")];
            let letter = Letter::in_memory("keyweir.yaml", &yaml, &keys);
            let proxy = Proxy::start(&options(), &letter).unwrap();
            started.send(proxy.listen).unwrap();
            proxy.run(None, None).await.unwrap();
        });
    });
    address.recv().unwrap()
}

fn options() -> Options {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Options {
        listen: anywhere,
        admin: anywhere,
        token: None,
        workers: None,
        drain: Duration::from_secs(1),
        drain_mode: DrainMode::Gateway,
    }
}
