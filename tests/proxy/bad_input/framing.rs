//! Heads and bodies that are no proper HTTP, too much of it, or too slow.

use std::time::Duration;

use crate::kit::{self, CHAT, CHAT_PATH, Format};
use crate::support::http::{Raw, Reply};
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::Upstream;

fn rig() -> (Upstream, Proxy) {
    let upstream = kit::healthy_provider();
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    (upstream, proxy)
}

/// Sends a chat with these header lines, as they are, and reads the answer.
fn chat_with(proxy: &Proxy, lines: &str) -> Reply {
    let mut connection = proxy.connect();
    connection.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{lines}content-length: {}\r\n\r\n{CHAT}",
        CHAT.len()
    ));
    connection.reply()
}

fn assert_served(proxy: &Proxy) {
    for format in Format::ALL {
        assert_eq!(kit::post(proxy, format.path(), format.ask()).status, 200, "{format:?}");
    }
}

#[test]
fn many_headers_pass_and_too_many_are_refused() {
    let (upstream, proxy) = rig();
    let many = |count: usize| (0..count).fold(String::new(), |s, n| s + &format!("x-{n}: {n}\r\n"));
    assert_eq!(chat_with(&proxy, &many(90)).status, 200);
    let seen = upstream.take();
    assert!((0..90).all(|n| seen[0].header(&format!("x-{n}")) == Some(&n.to_string())));
    let reply = chat_with(&proxy, &many(5_000));
    assert!(matches!(reply.status, 400 | 431), "{reply:?}");
    assert!(upstream.take().is_empty());
    assert_served(&proxy);
}

#[test]
fn a_header_of_absurd_size_is_passed_whole_or_refused_and_never_cut() {
    let (upstream, proxy) = rig();
    let value = "v".repeat(64 * 1024);
    let reply = chat_with(&proxy, &format!("x-large: {value}\r\n"));
    assert!(matches!(reply.status, 200 | 400 | 431), "{}", reply.start);
    let seen = upstream.take();
    assert!(seen.iter().all(|request| request.header("x-large") == Some(&value)));
    assert_served(&proxy);
}

#[test]
fn a_head_that_never_ends_is_refused_within_bounds() {
    let (upstream, proxy) = rig();
    let mut connection = proxy.connect();
    connection.send(format!("POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nx-endless: "));
    let piece = "v".repeat(64 * 1024);
    let taken = (0..256).take_while(|_| connection.try_send(&piece)).count();
    assert!(taken < 256, "16 MiB of one header were taken");
    assert!(upstream.take().is_empty());
    assert_served(&proxy);
}

#[test]
fn headers_that_are_repeated_or_make_no_sense_do_no_harm() {
    let (upstream, proxy) = rig();
    for lines in [
        "authorization: Bearer a\r\nauthorization: Bearer b\r\nx-api-key: c\r\nx-api-key: d\r\n",
        "x-keyweir-max-wait: soon\r\nx-keyweir-max-wait: 1s\r\nx-keyweir-priority: emperor\r\n",
        "x-keyweir-max-wait: 99999999999999999999h\r\nx-stainless-timeout: -1\r\n",
        "x-stainless-timeout: NaN\r\nx-server-timeout: 1e400\r\nx-server-timeout: inf\r\n",
        "accept-encoding: ,;q=,\r\naccept-encoding: \r\nte: x\r\nconnection: ,,\r\n",
        "x-request-id: \x01\x7f\r\n",
        "traceparent: 00-zz\r\ntraceparent: \r\nx-request-id: \r\n",
        "x-binary: \u{fc}\u{df}\r\ncookie: a\r\ncookie: b\r\n",
    ] {
        let reply = chat_with(&proxy, lines);
        assert!(matches!(reply.status, 200 | 400), "{lines:?}: {reply:?}");
        if reply.status == 400 && reply.header("x-keyweir-error").is_some() {
            Format::OpenAi.assert_refusal(&reply, 400, "invalid_request");
        }
    }
    let leaked = upstream.take().iter().any(|request| {
        request.headers.get_all("authorization").iter().count() > 1
            || request.headers.contains_key("x-api-key")
    });
    assert!(!leaked, "a client's credential went upstream");
    assert_served(&proxy);
}

#[test]
fn what_is_no_http_is_refused_and_reaches_no_provider() {
    let (upstream, proxy) = rig();
    let line = format!("POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\n");
    let body = format!("content-length: {}\r\n\r\n{CHAT}", CHAT.len());
    let heads = [
        format!("{line}bad name: x\r\n{body}"),
        format!("{line}b\u{e4}d: x\r\n{body}"),
        format!("{line}no colon\r\n{body}"),
        format!("{line}: nameless\r\n{body}"),
        format!("{line}x-folded: a\r\n b\r\n{body}"),
        format!("{line}x-nul: a\0b\r\n{body}"),
        format!("{line}content-length: 5\r\n{body}"),
        format!("{line}content-length: -1\r\n\r\n{CHAT}"),
        format!("{line}content-length: 1e3\r\n\r\n{CHAT}"),
        format!("{line}content-length: 99999999999999999999999\r\n\r\n{CHAT}"),
        format!("{line}transfer-encoding: gzip\r\n\r\n{CHAT}"),
        format!("{line}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("POST {CHAT_PATH} HTTP/9.9\r\nhost: x\r\n{body}"),
        format!("POST {CHAT_PATH}\r\nhost: x\r\n{body}"),
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03 a TLS hello\r\n\r\n".to_owned(),
        "GET http://[::1/v1/models HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
    ];
    for head in &heads {
        let mut connection = proxy.connect();
        connection.send(head);
        if connection.closed() {
            continue;
        }
        let reply = connection.reply();
        assert!(matches!(reply.status, 400..500 | 505), "{head:?}: {reply:?}");
    }
    assert!(upstream.take().is_empty());
    assert_served(&proxy);
}

#[test]
fn two_ways_to_measure_a_body_smuggle_no_second_request() {
    let (upstream, proxy) = rig();
    let smuggled = "POST /openai/v1/smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let mut connection = proxy.connect();
    // By its length, the body is the chat alone and the rest another request; by its coding, all
    // of it is one body.
    let inner = format!("{CHAT}\r\n0\r\n\r\n{smuggled}");
    connection.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        kit::sse::chunk(&inner)
    ));
    let reply = connection.reply();
    assert!((400..500).contains(&reply.status), "{reply:?}");
    let mut connection = proxy.connect();
    connection.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        kit::sse::chunk(CHAT)
    ));
    let status = connection.reply().status;
    let seen = upstream.take();
    assert!(seen.iter().all(|request| !request.start.contains("smuggled")), "{seen:?}");
    match status {
        200 => {
            assert_eq!((seen.len(), seen[0].text().as_str()), (1, CHAT));
            let measures = ["content-length", "transfer-encoding"];
            let count = measures.iter().filter(|name| seen[0].headers.contains_key(**name)).count();
            assert_eq!(count, 1, "{:?}", seen[0]);
        }
        400 => assert!(seen.is_empty()),
        other => panic!("{other}"),
    }
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_told() {
    let (upstream, proxy) = rig();
    let mut connection = proxy.connect();
    connection.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        CHAT.len()
    ));
    assert_eq!(connection.head().status, 100);
    connection.send(CHAT);
    assert_eq!(connection.reply().status, 200);
    assert!(!upstream.take()[0].headers.contains_key("expect"));
}

#[test]
fn slow_heads_and_slow_bodies_hold_up_nobody_else_and_are_served_when_they_are_whole() {
    let upstream = kit::healthy_provider();
    let config = kit::openai_at(&upstream.url(), "");
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let head = format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        CHAT.len()
    );
    let whole = [head.as_bytes(), CHAT.as_bytes()].concat();
    let cuts = [1, 20, head.len() - 3, head.len(), head.len() + 1, whole.len() - 1];
    let mut slow: Vec<(Raw, usize)> = Vec::new();
    for cut in cuts.into_iter().cycle().take(60) {
        let mut connection = proxy.connect();
        connection.send(&whole[..cut]);
        slow.push((connection, cut));
    }
    for _ in 0..20 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    assert_eq!(upstream.take().len(), 20, "half a request reaches no provider");
    for (connection, cut) in &mut slow {
        connection.send(&whole[*cut..]);
        assert_eq!(connection.reply().status, 200, "cut at {cut}");
    }
    assert_eq!(upstream.take().len(), slow.len());
}

#[test]
fn a_slow_upload_flows_on_as_it_comes() {
    let upstream = kit::healthy_provider();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut connection = proxy.connect();
    connection.send("POST /openai/v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: audio/wav\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in ["a", "bc", "def"] {
        connection.send(kit::sse::chunk(piece));
        assert!(connection.silent_for(Duration::from_millis(30)));
    }
    connection.send(kit::sse::LAST);
    assert_eq!(connection.reply().status, 200);
    assert_eq!(upstream.take()[0].text(), "abcdef");
}
