//! Chunks pass at once and byte for byte.

use std::sync::Mutex;
use std::sync::mpsc;

use crate::kit::{self, CHAT, CHAT_PATH, CHAT_STREAM, sse};
use crate::support::SOON;
use crate::support::upstream::{Then, Upstream};

/// A provider that sends a head, then each of `pieces` as a chunk of its own, then the end.
pub(super) fn streaming(content_type: &str, pieces: &[&str]) -> Upstream {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let chunks: Vec<_> = pieces.iter().map(|piece| sse::chunk(piece)).collect();
    Upstream::start(move |_, connection| {
        connection.send(&head);
        for chunk in &chunks {
            connection.send(chunk);
        }
        connection.send(sse::LAST);
        Then::Next
    })
}

/// Asks for usage itself, so that nothing of the stream is the proxy's to take out.
pub(super) const ASKS_USAGE: &str =
    r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;

#[test]
fn each_chunk_is_with_the_client_before_the_next_is_sent() {
    let (tell, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let upstream = Upstream::start(move |_, connection| {
        connection.send(sse::HEAD);
        for number in 0..20 {
            connection.send(sse::chunk(&sse::delta(&format!("<{number}>"))));
            // Not one byte more until the client has it.
            told.lock().expect("not poisoned").recv_timeout(SOON).expect("the client has it");
        }
        connection.send(sse::chunk(sse::DONE));
        connection.send(sse::LAST);
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut connection = proxy.connect();
    connection.post(CHAT_PATH, &[], CHAT_STREAM);
    assert_eq!(connection.head().status, 200);
    let mut all = String::new();
    for number in 0..20 {
        all += &kit::read_until(&mut connection, &format!("<{number}>"));
        tell.send(()).expect("the provider listens");
    }
    let (rest, complete) = kit::read_rest(&mut connection);
    assert!(complete);
    let expected: String = (0..20).map(|number| sse::delta(&format!("<{number}>"))).collect();
    assert_eq!(all + &rest, expected + sse::DONE);
}

#[test]
fn the_head_is_with_the_client_before_the_first_chunk_is_sent() {
    let (tell, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let upstream = Upstream::start(move |_, connection| {
        connection.send(sse::HEAD);
        told.lock().expect("not poisoned").recv_timeout(SOON).expect("the client has it");
        connection.send(sse::chunk(sse::DONE));
        connection.send(sse::LAST);
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut connection = proxy.connect();
    connection.post(CHAT_PATH, &[], CHAT_STREAM);
    assert_eq!(connection.head().header("content-type"), Some("text/event-stream"));
    tell.send(()).expect("the provider listens");
    assert_eq!(kit::read_rest(&mut connection), (sse::DONE.to_owned(), true));
}

#[test]
fn odd_but_lawful_streams_pass_byte_for_byte() {
    let pieces = [
        ": a comment\r\n",
        "\r\n",
        "event: delta\r\nid: 7\r\nretry: 10\r\n",
        "data: {\"choices\":[{\"index\":0,\r\n",
        "data:  \"delta\":{\"content\":\"\\u00e4\"}}]}\r\n\r\n",
        "data",
        ": {\"cho",
        "ices\":[]}\n\ndata: not JSON at all\n\n",
        "data\n\nunknown: x\n\n\n\n\n",
        "data: \u{1f600}\n\n",
        "data: [DONE]\n\n",
        "data: {\"after\":\"the end\"}\n\n",
    ];
    let upstream = streaming("text/event-stream; charset=utf-8", &pieces);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    for body in [ASKS_USAGE, CHAT_STREAM] {
        let reply = kit::post(&proxy, CHAT_PATH, body);
        assert!(reply.complete);
        assert_eq!(reply.text(), pieces.concat());
        assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    }
}

#[test]
fn an_event_of_two_mebibytes_passes_whole_and_the_stream_goes_on() {
    let huge = sse::delta(&"x".repeat(2 * 1024 * 1024));
    let pieces = [&*sse::delta("a"), &huge, &sse::delta("b"), sse::DONE];
    let upstream = streaming("text/event-stream", &pieces);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    for body in [ASKS_USAGE, CHAT_STREAM] {
        let reply = kit::post(&proxy, CHAT_PATH, body);
        assert!(reply.complete);
        assert!(reply.text() == pieces.concat(), "the huge event was changed");
    }
}

#[test]
fn one_event_a_byte_at_a_time_passes_byte_for_byte() {
    let text = sse::delta("a") + &sse::usage(3, 4) + sse::DONE;
    let pieces: Vec<String> = text.chars().map(String::from).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let upstream = streaming("text/event-stream", &pieces);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    assert_eq!(kit::post(&proxy, CHAT_PATH, ASKS_USAGE).text(), text);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT_STREAM);
    assert_eq!(reply.text(), sse::delta("a") + sse::DONE);
}

#[test]
fn gemini_s_arrays_pass_byte_for_byte() {
    let pieces = [
        "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a],[{\"}]}}],\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":1,\"totalTokenCount\":6}}\r\n",
        ",\r\n{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"finishReason\":\"STOP\"}],",
        "\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":9,\"totalTokenCount\":14}}\r\n",
        "]",
    ];
    let upstream = streaming("application/json; charset=UTF-8", &pieces);
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    let path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";
    let reply = kit::post(&proxy, path, kit::CONTENT);
    assert!(reply.complete);
    assert_eq!(reply.text(), pieces.concat());
    let output = [("provider", "gemini"), ("kind", "output"), ("model", "gemini-2.5-flash")];
    kit::until_sum(&proxy, "keyweir_tokens_total", &output, 9.0);
    let input = [("provider", "gemini"), ("kind", "input")];
    kit::until_sum(&proxy, "keyweir_tokens_total", &input, 5.0);
}

#[test]
fn an_answer_of_unknown_length_and_one_of_known_length_keep_their_measure() {
    let upstream = Upstream::start(|request, connection| {
        if request.text().contains("CHUNKS") {
            connection.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
            connection.send(sse::chunk(kit::CHAT_ANSWER));
            connection.send(sse::LAST);
            Then::Next
        } else if request.text().contains("CLOSE") {
            connection.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
            connection.send(kit::CHAT_ANSWER);
            Then::Close
        } else {
            connection.send(kit::healthy(request));
            Then::Next
        }
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    for (word, known) in [("plain", true), ("CHUNKS", false), ("CLOSE", false)] {
        let reply = kit::post(&proxy, CHAT_PATH, &CHAT.replace("hi", word));
        assert!(reply.complete, "{word}");
        assert_eq!(reply.text(), kit::CHAT_ANSWER, "{word}");
        assert_eq!(reply.headers.contains_key("content-length"), known, "{word}");
    }
}

#[test]
fn a_slow_reader_holds_up_its_own_provider_and_nobody_else() {
    let upstream = Upstream::start(|request, connection| {
        if !request.text().contains("FLOOD") {
            connection.send(kit::healthy(request));
            return Then::Next;
        }
        connection.send(sse::HEAD);
        let piece = sse::chunk(&sse::delta(&"x".repeat(60_000)));
        for _ in 0..2_000 {
            if !connection.try_send(&piece) {
                return Then::Close;
            }
        }
        connection.send(sse::chunk(sse::DONE));
        connection.send(sse::LAST);
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut slow = proxy.connect();
    slow.post(CHAT_PATH, &[], &CHAT_STREAM.replace("hi", "FLOOD"));
    assert_eq!(slow.head().status, 200);
    for _ in 0..20 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    let resident = kit::resident_kib(proxy.id());
    assert!(resident < 60 * 1024, "120 MB are not held for one slow reader: {resident} KiB");
    drop(slow);
}
