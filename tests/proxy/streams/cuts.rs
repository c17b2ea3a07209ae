//! Streams that do not end as they should, on either side.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::kit::{self, CHAT_PATH, CHAT_STREAM, sse};
use crate::support::SOON;
use crate::support::process::Proxy;
use crate::support::upstream::{Then, Upstream};

#[expect(clippy::disallowed_methods, reason = "a test is outside the house: it times the process")]
fn now() -> Instant {
    Instant::now()
}

/// A provider that streams the beginning of an answer, then tells when its peer has gone.
fn tells_when_left(
    head: &'static str,
    beginning: &'static str,
) -> (Upstream, mpsc::Receiver<Instant>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let upstream = Upstream::start(move |_, connection| {
        connection.send(head);
        connection.send(beginning);
        if connection.closed() {
            tell.lock().expect("not poisoned").send(now()).expect("the test listens");
        }
        Then::Close
    });
    (upstream, told)
}

fn assert_left_within_a_second(
    proxy: &Proxy,
    body: &str,
    first: &str,
    told: &mpsc::Receiver<Instant>,
) {
    let mut connection = proxy.connect();
    connection.post(CHAT_PATH, &[], body);
    if !first.is_empty() {
        assert_eq!(connection.head().status, 200);
        kit::read_until(&mut connection, first);
    }
    let left = now();
    drop(connection);
    let noticed = told.recv_timeout(SOON).expect("the upstream call must end");
    assert!(noticed - left < Duration::from_secs(1), "{:?}", noticed - left);
    kit::until_sum(proxy, "keyweir_requests_total", &[("outcome", "cancelled")], 1.0);
}

#[test]
fn a_client_that_leaves_a_stream_ends_the_upstream_call() {
    let (upstream, told) = tells_when_left(sse::HEAD, "d\r\ndata: first\n\n\r\n");
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    assert_left_within_a_second(&proxy, CHAT_STREAM, "first", &told);
}

#[test]
fn a_client_that_leaves_before_the_answer_begins_ends_the_upstream_call() {
    let (tell, told) = mpsc::channel();
    let (arrive, arrived) = mpsc::channel::<()>();
    let tell = Mutex::new((tell, arrive));
    let upstream = Upstream::start(move |_, connection| {
        let (tell, arrive) = &*tell.lock().expect("not poisoned");
        arrive.send(()).expect("the test listens");
        if connection.closed() {
            tell.send(now()).expect("the test listens");
        }
        Then::Close
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut connection = proxy.connect();
    connection.post(CHAT_PATH, &[], CHAT_STREAM);
    arrived.recv_timeout(SOON).expect("the request must arrive");
    let left = now();
    drop(connection);
    let noticed = told.recv_timeout(SOON).expect("the upstream call must end");
    assert!(noticed - left < Duration::from_secs(1), "{:?}", noticed - left);
    kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "cancelled")], 1.0);
}

#[test]
fn what_flowed_before_the_client_left_is_counted() {
    let started = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":20,\"output_tokens\":1}}}\n\n";
    let upstream = Upstream::start(move |_, connection| {
        connection.send(sse::HEAD);
        connection.send(sse::chunk(started));
        connection.closed();
        Then::Close
    });
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    let mut connection = proxy.connect();
    let body = kit::MESSAGE.replacen('{', "{\"stream\":true,", 1);
    connection.post(kit::MESSAGE_PATH, &[], &body);
    assert_eq!(connection.head().status, 200);
    kit::read_until(&mut connection, "message_start");
    drop(connection);
    let input = [("provider", "anthropic"), ("kind", "input")];
    kit::until_sum(&proxy, "keyweir_tokens_total", &input, 20.0);
}

/// A provider that streams the beginning of an answer and cuts.
fn cutting(beginning: String) -> Upstream {
    Upstream::start(move |_, connection| {
        connection.send(sse::HEAD);
        connection.send(sse::chunk(&beginning));
        Then::Close
    })
}

#[test]
fn a_stream_that_the_provider_cuts_looks_cut_to_openai_s_clients() {
    let upstream = cutting(sse::delta("a"));
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT_STREAM);
    assert!(reply.status == 200 && !reply.complete, "{reply:?}");
    let text = reply.text();
    let rest = text.strip_prefix(&sse::delta("a")).expect("what came, passed");
    let event = rest.strip_prefix("data: ").expect("an error event");
    let event: serde_json::Value = serde_json::from_str(event.trim()).expect("JSON");
    assert!(event["error"]["message"].is_string(), "{event}");
    assert!(!text.contains("[DONE]") && !text.contains("finish_reason\":\"stop"), "{text}");
    kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "upstream_error")], 1.0);
    assert_eq!(upstream.take().len(), 1, "nothing is replayed after the first byte");
}

#[test]
fn a_stream_cut_within_an_event_ends_that_event_before_the_error() {
    let upstream = cutting(sse::delta("a") + "data: {\"choices\":[{\"delta\":{\"content\":\"ha");
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT_STREAM);
    assert!(reply.status == 200 && !reply.complete, "{reply:?}");
    // What an SDK would make of it: events end at blank lines, the last one is the error.
    let text = reply.text();
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let data = last.strip_prefix("data: ").expect("an error event of its own");
    let event: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert!(event["error"].is_object(), "{text}");
}

#[test]
fn a_stream_that_the_provider_cuts_looks_cut_to_anthropic_s_clients() {
    let upstream = cutting("event: ping\ndata: {\"type\":\"ping\"}\n\n".to_owned());
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    let body = kit::MESSAGE.replacen('{', "{\"stream\":true,", 1);
    let reply = kit::post(&proxy, kit::MESSAGE_PATH, &body);
    assert!(reply.status == 200 && !reply.complete, "{reply:?}");
    let text = reply.text();
    let data = text.split_once("event: error\ndata: ").expect("an error event").1;
    let event: serde_json::Value = serde_json::from_str(data.trim()).expect("JSON");
    assert_eq!(event["type"], "error", "{text}");
    assert!(!text.contains("message_stop"), "{text}");
}

#[test]
fn a_stream_that_ends_properly_without_its_own_last_word_passes_as_it_came() {
    let upstream = super::passing::streaming("text/event-stream", &[&sse::delta("a")]);
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT_STREAM);
    assert_eq!((reply.text(), reply.complete), (sse::delta("a"), true));
}

#[test]
fn a_stalled_stream_is_given_up_after_the_idle_timeout() {
    let upstream = Upstream::start(|_, connection| {
        connection.send(sse::HEAD);
        connection.send(sse::chunk(&sse::delta("a")));
        connection.closed();
        Then::Close
    });
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    let began = now();
    let reply = kit::post(&proxy, CHAT_PATH, CHAT_STREAM);
    assert!(reply.status == 200 && !reply.complete, "{reply:?}");
    assert!(reply.text().contains("\"error\""), "{}", reply.text());
    assert!(now() - began < Duration::from_secs(6), "{:?}", now() - began);
}
