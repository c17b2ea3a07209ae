//! Every fault at once, under load: while one key works, no client sees any of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::keys::{BROKE, DEAD, NO_MODEL};
use crate::kit::{self, CHAT, CHAT_ANSWER, CHAT_PATH, sse};
use crate::support::process::Setup;
use crate::support::upstream::{Then, Upstream, json};

const KEYS: [&str; 12] = [
    "works",
    "dead",
    "broke",
    "limited",
    "daily",
    "forbidden",
    "overloaded",
    "failing",
    "nonsense",
    "cut",
    "silent",
    "sometimes",
];

/// A provider under whose keys everything goes wrong, except under `works`.
fn storm() -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |request, connection| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let answer = match kit::key_of(request).as_str() {
            "dead" => json(401, DEAD),
            "broke" => json(429, BROKE),
            "limited" => kit::answer(429, &[("retry-after", "1")], "{}"),
            "daily" => kit::answer(
                429,
                &[],
                r#"{"error":{"message":"Limit reached: 200 requests per day","type":"requests","code":"rate_limit_exceeded"}}"#,
            ),
            "forbidden" => json(403, NO_MODEL),
            "overloaded" => json(503, "{}"),
            "failing" => json(500, "{}"),
            "nonsense" => "hello?\r\n\r\n".to_owned(),
            "cut" => "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
            "silent" => String::new(),
            "sometimes" if number.is_multiple_of(2) => json(500, "{}"),
            _ if request.text().contains("\"stream\":true") => {
                [sse::HEAD, &sse::chunk(&sse::delta("a")), &sse::chunk(sse::DONE), sse::LAST]
                    .concat()
            }
            _ => json(200, CHAT_ANSWER),
        };
        connection.send(&answer);
        if answer.starts_with("HTTP/1.1") && answer.contains("\r\n\r\n") {
            Then::Next
        } else {
            Then::Close
        }
    })
}

#[test]
fn no_client_sees_a_failure_while_one_key_works() {
    weather("1");
}

#[test]
fn nor_with_two_workers_that_share_the_keys() {
    weather("2");
}

fn weather(workers: &str) {
    let upstream = storm();
    let config = kit::openai_at(&upstream.url(), "");
    let setup = Setup::default().config(&config).arg("--workers").arg(workers);
    let proxy = kit::with_keys(setup, &KEYS).start();
    kit::in_parallel(16, |thread| {
        let mut connection = proxy.connect();
        for number in 0..40 {
            let streams = (thread + number) % 2 == 0;
            connection.post(CHAT_PATH, &[], if streams { kit::CHAT_STREAM } else { CHAT });
            let reply = connection.reply();
            assert_eq!(reply.status, 200, "{reply:?} {}", reply.text());
            assert!(reply.complete, "{reply:?}");
            if streams {
                assert_eq!(reply.text(), sse::delta("a") + sse::DONE);
            } else {
                assert_eq!(reply.text(), CHAT_ANSWER);
            }
        }
    });
    let uses = kit::uses(&upstream.take());
    assert!(uses["dead"] <= 2, "{uses:?}");
    assert!(uses["broke"] <= 1, "{uses:?}");
    assert!(uses["works"] > 300, "{uses:?}");
    assert!(kit::sum(&proxy, "keyweir_refusals_total", &[]) < 1.0);
    let served = kit::sum(&proxy, "keyweir_requests_total", &[("outcome", "ok")]);
    assert!((served - 640.0).abs() < 0.5, "{served}");
    let all = kit::sum(&proxy, "keyweir_requests_total", &[]);
    assert!((all - 640.0).abs() < 0.5, "{all}");
}
