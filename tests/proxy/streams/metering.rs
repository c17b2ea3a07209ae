//! Usage is read along the way, and asked for where the application did not ask.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::passing::{ASKS_USAGE, streaming};
use crate::kit::{self, CHAT, CHAT_ANSWER, CHAT_PATH, CHAT_STREAM, sse};
use crate::support::http::Raw;
use crate::support::process::Proxy;
use crate::support::upstream::{Then, Upstream};

#[track_caller]
fn assert_tokens(proxy: &Proxy, key: &str, kinds: &[(&str, f64)]) {
    for (kind, count) in kinds {
        let labels = [("key", key), ("kind", *kind), ("caller", "default")];
        kit::until_sum(proxy, "keyweir_tokens_total", &labels, *count);
        let sum = kit::sum(proxy, "keyweir_tokens_total", &labels);
        assert!((sum - count).abs() < 0.5, "{kind}: {sum}, not {count}");
    }
}

#[test]
fn usage_is_asked_for_and_the_chunk_nobody_asked_for_is_taken_out_again() {
    let pieces = [&*sse::delta("a"), &sse::delta("b"), &sse::usage(12, 34), sse::DONE];
    let upstream = streaming("text/event-stream", &pieces);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT_STREAM);
    assert!(reply.complete);
    assert_eq!(reply.text(), sse::delta("a") + &sse::delta("b") + sse::DONE);
    let sent = upstream.take()[0].json();
    assert_eq!(sent["stream_options"]["include_usage"], true, "{sent}");
    let mut without = sent;
    without.as_object_mut().expect("an object").remove("stream_options");
    let asked: serde_json::Value = serde_json::from_str(CHAT_STREAM).expect("JSON");
    assert_eq!(without, asked, "nothing else is changed");
    assert_tokens(&proxy, "one", &[("input", 12.0), ("output", 34.0)]);
}

#[test]
fn who_asks_for_usage_gets_it_and_its_body_is_not_touched() {
    let pieces = [&*sse::delta("a"), &sse::usage(12, 34), sse::DONE];
    let upstream = streaming("text/event-stream", &pieces);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, ASKS_USAGE);
    assert_eq!(reply.text(), pieces.concat());
    assert_eq!(upstream.take()[0].text(), ASKS_USAGE);
    assert_tokens(&proxy, "one", &[("input", 12.0), ("output", 34.0)]);
}

#[test]
fn other_stream_options_are_kept_where_usage_is_added_to_them() {
    let body = r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_obfuscation":false},"messages":[]}"#;
    let pieces = [&*sse::delta("a"), &sse::usage(1, 2), sse::DONE];
    let upstream = streaming("text/event-stream", &pieces);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    assert_eq!(kit::post(&proxy, CHAT_PATH, body).text(), sse::delta("a") + sse::DONE);
    let sent = upstream.take()[0].json();
    let expected = serde_json::json!({"include_obfuscation": false, "include_usage": true});
    assert_eq!(sent["stream_options"], expected);
}

#[test]
fn anthropic_s_running_totals_are_counted_once() {
    let pieces = [
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":20,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ];
    let upstream = streaming("text/event-stream", &pieces);
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    let body = kit::MESSAGE.replacen('{', "{\"stream\":true,", 1);
    let reply = kit::post(&proxy, kit::MESSAGE_PATH, &body);
    assert_eq!(reply.text(), pieces.concat());
    assert_eq!(upstream.take()[0].text(), body, "Anthropic tells usage without being asked");
    assert_tokens(&proxy, "one", &[("output", 15.0), ("cached_input", 5.0)]);
}

#[test]
fn the_responses_api_tells_usage_in_its_last_event() {
    let pieces = [
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"usage\":null}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"a\"}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"resp_1\",\"usage\":{\"input_tokens\":8,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":6,\"output_tokens_details\":{\"reasoning_tokens\":4},\"total_tokens\":14}}}\n\n",
    ];
    let upstream = streaming("text/event-stream", &pieces);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let body = r#"{"model":"gpt-4o","input":"hi","stream":true}"#;
    let reply = kit::post(&proxy, "/v1/responses", body);
    assert_eq!(reply.text(), pieces.concat());
    assert_eq!(upstream.take()[0].text(), body);
    assert_tokens(&proxy, "one", &[("input", 8.0), ("output", 6.0), ("reasoning", 4.0)]);
}

#[test]
fn whole_answers_of_every_format_are_metered() {
    let upstream = kit::healthy_provider();
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    for format in kit::Format::ALL {
        let reply = kit::post(&proxy, format.path(), format.ask());
        assert_eq!(reply.text(), format.answer());
        for (kind, count) in [("input", 11.0), ("output", 7.0)] {
            let labels = [("provider", format.provider()), ("kind", kind)];
            kit::until_sum(&proxy, "keyweir_tokens_total", &labels, count);
        }
    }
    assert!(kit::sum(&proxy, "keyweir_cost_usd_total", &[("provider", "openai")]) > 0.0);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("compress");
    encoder.finish().expect("compress")
}

fn send_gzipped(connection: &mut Raw, content_type: &str, body: &[u8]) {
    connection.send(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    connection.send(body);
}

#[test]
fn compressed_answers_pass_as_they_are_and_are_metered_all_the_same() {
    let stream = sse::delta("a") + &sse::usage(21, 22) + sse::DONE;
    let (whole, streamed) = (gzip(CHAT_ANSWER), gzip(&stream));
    let (expected_whole, expected_stream) = (whole.clone(), streamed.clone());
    let upstream = Upstream::start(move |request, connection| {
        if request.text().contains("\"stream\":true") {
            send_gzipped(connection, "text/event-stream", &streamed);
        } else {
            send_gzipped(connection, "application/json", &whole);
        }
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let takes = [("accept-encoding", "gzip, deflate, br, zstd")];
    let reply = kit::post_with(&proxy, CHAT_PATH, &takes, CHAT);
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(reply.body, expected_whole);
    assert_tokens(&proxy, "one", &[("input", 11.0), ("output", 7.0)]);
    let reply = kit::post_with(&proxy, CHAT_PATH, &takes, ASKS_USAGE);
    assert_eq!(reply.body, expected_stream);
    assert_tokens(&proxy, "one", &[("input", 32.0), ("output", 29.0)]);
    let asked = upstream.take();
    assert!(asked.iter().all(|request| request.header("accept-encoding") == Some("gzip")));
}

#[test]
fn where_a_chunk_has_to_be_taken_out_no_compression_is_asked_for() {
    let pieces = [&*sse::delta("a"), &sse::usage(1, 2), sse::DONE];
    let upstream = streaming("text/event-stream", &pieces);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let takes = [("accept-encoding", "gzip, deflate")];
    let reply = kit::post_with(&proxy, CHAT_PATH, &takes, CHAT_STREAM);
    assert_eq!(reply.text(), sse::delta("a") + sse::DONE);
    assert_eq!(upstream.take()[0].header("accept-encoding"), Some("identity"));
}

#[test]
fn who_asks_for_no_compression_is_sent_none() {
    let upstream = kit::healthy_provider();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    kit::post(&proxy, CHAT_PATH, CHAT);
    kit::post_with(&proxy, CHAT_PATH, &[("accept-encoding", "br")], CHAT);
    let sent = upstream.take();
    assert_eq!(sent[0].header("accept-encoding"), None);
    assert_eq!(sent[1].header("accept-encoding"), Some("identity"));
}
