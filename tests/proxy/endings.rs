//! How answers end, and what is written down of it.

use crate::kit::{self, CHAT, CHAT_PATH, CHAT_STREAM, Format, sse};
use crate::support::process::Proxy;
use crate::support::upstream::{Then, Upstream};

/// More than is kept for another try.
const LARGE: usize = 1024 * 1024;

fn outcome(proxy: &Proxy, outcome: &str) -> f64 {
    kit::sum(proxy, "keyweir_requests_total", &[("outcome", outcome)])
}

#[test]
fn an_error_whose_body_was_cut_does_not_swallow_the_next_answer() {
    let upstream = Upstream::start(|request, connection| {
        if request.text().contains("FAULT") {
            connection.send("HTTP/1.1 400 X\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"error\":");
            return Then::Close;
        }
        connection.send(kit::healthy(request));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    // It is tried again for as long as the client has patience.
    let patience = [("x-keyweir-max-wait", "1s")];
    let reply = kit::post_with(&proxy, CHAT_PATH, &patience, &CHAT.replace("hi", "FAULT"));
    assert!(reply.status == 400 && !reply.complete, "{reply:?}");
    assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
}

#[test]
fn an_answer_without_a_body_keeps_its_head_and_is_no_failure() {
    let upstream = Upstream::start(|request, connection| {
        let head = request.start.starts_with("HEAD");
        connection.send(if head {
            "HTTP/1.1 200 X\r\ncontent-type: text/plain\r\ncontent-length: 1234\r\n\r\n"
        } else if request.start.starts_with("DELETE") {
            "HTTP/1.1 204 X\r\n\r\n"
        } else {
            "HTTP/1.1 304 X\r\netag: \"a\"\r\ncontent-length: 99\r\n\r\n"
        });
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut connection = proxy.connect();
    // On one connection: a wrong length would show in the next answer.
    for _ in 0..3 {
        connection.send("HEAD /openai/v1/files/f HTTP/1.1\r\nhost: x\r\n\r\n");
        let head = connection.head();
        assert_eq!((head.status, head.header("content-length")), (200, Some("1234")));
        connection.send("DELETE /openai/v1/files/f HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(connection.head().status, 204);
        connection.send("GET /openai/v1/files/f HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(connection.head().status, 304);
    }
    kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "ok")], 9.0);
    assert!(outcome(&proxy, "cancelled") < 1.0);
}

#[test]
fn a_stream_that_ends_in_an_error_event_is_no_success_and_nothing_was_absorbed() {
    const OVERLOADED: &str = "data: {\"error\":{\"message\":\"Overloaded\",\"type\":\"server_error\",\"code\":\"503\"}}\n\n";
    let upstream = Upstream::start(|_, connection| {
        connection.send([sse::HEAD, &sse::chunk(&sse::delta("a"))].concat());
        connection.send([&sse::chunk(OVERLOADED), sse::LAST].concat());
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT_STREAM);
    assert_eq!((reply.status, reply.text()), (200, sse::delta("a") + OVERLOADED));
    kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "upstream_error")], 1.0);
    assert!(outcome(&proxy, "ok") < 1.0);
    assert!(kit::sum(&proxy, "keyweir_absorbed_total", &[]) < 1.0);
}

#[test]
fn what_is_refused_of_an_upload_too_large_to_send_again_is_told_in_our_own_words() {
    let cases = [
        (
            kit::answer(
                401,
                &[],
                r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided: sk-o***"}}"#,
            ),
            503,
        ),
        (
            kit::answer(
                429,
                &[("retry-after", "20")],
                r#"{"error":{"code":"rate_limit_exceeded"}}"#,
            ),
            429,
        ),
    ];
    for (answer, status) in cases {
        let upstream = Upstream::start(move |_, connection| {
            connection.send(&answer);
            Then::Next
        });
        let proxy = kit::openai_proxy(&upstream, &["one", "two"]);
        let mut connection = proxy.connect();
        connection.send(format!(
            "POST /openai/v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: audio/wav\r\ncontent-length: {LARGE}\r\n\r\n"
        ));
        connection.send(vec![7; LARGE]);
        let reply = connection.reply();
        let code =
            if status == 429 { "keys_temporarily_exhausted" } else { "providers_unavailable" };
        Format::OpenAi.assert_refusal(&reply, status, code);
        assert!(reply.header("retry-after").is_some(), "another key would serve it: {reply:?}");
        assert!(!reply.text().contains("sk-o"), "{}", reply.text());
        assert_eq!(upstream.take().len(), 1);
    }
}
