//! Providers that answer nonsense, stall, cut, or answer for ever.

use std::time::Duration;

use crate::kit::{self, CHAT, CHAT_ANSWER, CHAT_PATH, Format};
use crate::support::http::{Raw, Reply};
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::{Then, Upstream};

/// The config's idle and first-byte timeouts are 700 ms; this is well above.
const STALLED: Duration = Duration::from_secs(3);

/// What a provider does instead of answering: (its name, what it does).
type Fault = (&'static str, fn(&mut Raw) -> Then);

/// Faults before there is an answer's head, after which the request goes elsewhere.
const BEFORE_THE_HEAD: [Fault; 9] = [
    ("nonsense", |connection| {
        connection.send("\x15\x03\x01 this is not HTTP\r\n\r\n");
        Then::Close
    }),
    ("an SSH banner", |connection| {
        connection.send("SSH-2.0-OpenSSH_9.7\r\n");
        Then::Close
    }),
    ("closes without a word", |_| Then::Close),
    ("cuts its status line", |connection| {
        connection.send("HTTP/1.1 20");
        Then::Close
    }),
    ("cuts its head", |connection| {
        connection.send("HTTP/1.1 200 OK\r\ncontent-type: application/js");
        Then::Close
    }),
    ("a header for ever", |connection| {
        connection.send("HTTP/1.1 200 OK\r\nx-endless: ");
        while connection.try_send([b'x'; 16_384]) {}
        Then::Close
    }),
    ("headers for ever", |connection| {
        connection.send("HTTP/1.1 200 OK\r\n");
        while connection.try_send("x-another: header\r\n".repeat(500)) {}
        Then::Close
    }),
    ("lengths that contradict each other", |connection| {
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nhello");
        Then::Close
    }),
    ("stalls", |connection| {
        connection.silent_for(STALLED);
        Then::Close
    }),
];

fn setup(upstream: &Upstream) -> Setup {
    Setup::default().config(&kit::all_at(&upstream.url(), "breaker: {failures: 1000}\n"))
}

#[test]
fn what_one_key_meets_before_the_head_is_absorbed_while_another_works() {
    kit::in_parallel(BEFORE_THE_HEAD.len(), |number| {
        let (name, fault) = BEFORE_THE_HEAD[number];
        let upstream = kit::failing_on_bad(fault);
        let proxy = kit::with_keys(setup(&upstream), &["bad", "good"]).start();
        let mut met = false;
        for format in Format::ALL.into_iter().cycle().take(30) {
            let reply = kit::post(&proxy, format.path(), format.ask());
            assert_eq!((reply.status, reply.text().as_str()), (200, format.answer()), "{name}");
            met |= upstream.take().iter().any(|request| kit::key_of(request) == "bad");
            if met {
                break;
            }
        }
        assert!(met, "{name}: the bad key was never tried");
    });
}

#[test]
fn what_the_only_key_meets_before_the_head_is_a_provider_unavailable() {
    kit::in_parallel(BEFORE_THE_HEAD.len(), |number| {
        let (name, fault) = BEFORE_THE_HEAD[number];
        let upstream = kit::failing_on_bad(fault);
        let proxy = kit::with_keys(setup(&upstream), &["bad"]).start();
        for format in Format::ALL {
            let patience = [("x-keyweir-max-wait", "100ms")];
            let reply = kit::post_with(&proxy, format.path(), &patience, format.ask());
            assert_eq!(reply.status, 503, "{name}: {reply:?}");
            format.assert_refusal(&reply, 503, "providers_unavailable");
        }
    });
}

#[test]
fn a_provider_that_is_not_there_at_all_is_unavailable() {
    let gone = kit::healthy_provider();
    let url = gone.url();
    drop(gone);
    let proxy = kit::with_keys(Setup::default().config(&kit::all_at(&url, "")), &["one"]).start();
    for format in Format::ALL {
        let patience = [("x-keyweir-max-wait", "100ms")];
        let reply = kit::post_with(&proxy, format.path(), &patience, format.ask());
        format.assert_refusal(&reply, 503, "providers_unavailable");
    }
    kit::until_sum(
        &proxy,
        "keyweir_upstream_responses_total",
        &[("verdict", "connectFailed")],
        1.0,
    );
}

#[test]
fn a_host_that_no_name_server_knows_is_unavailable() {
    let config = kit::openai_at("http://no-such-host.invalid", "");
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let reply = kit::post_at_once(&proxy, CHAT_PATH, CHAT);
    Format::OpenAi.assert_refusal(&reply, 503, "providers_unavailable");
}

fn ask_faulty(fault: fn(&mut Raw) -> Then) -> (Upstream, Proxy, Reply) {
    let upstream = kit::failing_on_bad(fault);
    let proxy = kit::with_keys(setup(&upstream), &["bad"]).start();
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    (upstream, proxy, reply)
}

#[test]
fn an_answer_shorter_than_announced_looks_cut_to_the_client() {
    let (upstream, proxy, reply) = ask_faulty(|connection| {
        let length = CHAT_ANSWER.len() + 10;
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{CHAT_ANSWER}"));
        Then::Close
    });
    assert!(reply.status == 200 && !reply.complete, "{reply:?}");
    assert_eq!(upstream.take().len(), 1, "nothing is replayed after the first byte");
    kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "upstream_error")], 1.0);
}

#[test]
fn an_answer_longer_than_announced_does_not_spill_into_the_next() {
    let upstream = Upstream::start(|_, connection| {
        let length = CHAT_ANSWER.len();
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{CHAT_ANSWER}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nSTOLEN"));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    for _ in 0..10 {
        let reply = kit::post(&proxy, CHAT_PATH, CHAT);
        assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER));
    }
}

#[test]
fn an_answer_whose_chunks_are_nonsense_looks_cut_to_the_client() {
    let (_upstream, _proxy, reply) = ask_faulty(|connection| {
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{}xyz\r\n", kit::sse::chunk("{\"id\":")));
        connection.silent_for(STALLED);
        Then::Close
    });
    assert!(reply.status == 200 && !reply.complete, "{reply:?}");
}

#[test]
fn an_answer_that_stalls_is_given_up_and_looks_cut_to_the_client() {
    let (_upstream, _proxy, reply) = ask_faulty(|connection| {
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{}", kit::sse::chunk("{\"id\":")));
        connection.silent_for(STALLED * 3);
        Then::Close
    });
    assert!(reply.status == 200 && !reply.complete, "{reply:?}");
}

#[test]
fn an_error_s_body_that_is_cut_or_stalls_still_leads_to_another_key() {
    let faults: [fn(&mut Raw) -> Then; 4] = [
        // Gemini says so of a dead key: the status alone does not tell whose fault it is.
        |connection| {
            connection.send("HTTP/1.1 400 X\r\ncontent-length: 100\r\n\r\n{\"error\":");
            Then::Close
        },
        |connection| {
            connection.send("HTTP/1.1 429 X\r\ncontent-length: 100\r\n\r\n{\"error\":");
            Then::Close
        },
        |connection| {
            connection.send("HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\n{\"error\":");
            connection.silent_for(STALLED);
            Then::Close
        },
        |connection| {
            connection.send("HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\n");
            while connection.try_send(kit::sse::chunk(&"x".repeat(10_000))) {}
            Then::Close
        },
    ];
    kit::in_parallel(faults.len(), |number| {
        let upstream = kit::failing_on_bad(faults[number]);
        let proxy = kit::with_keys(setup(&upstream), &["bad", "good"]).start();
        for _ in 0..20 {
            let reply = kit::post(&proxy, CHAT_PATH, CHAT);
            assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER), "{number}");
        }
        assert!(kit::uses(&upstream.take()).contains_key("bad"));
    });
}

#[test]
fn a_redirect_is_never_followed_and_no_other_host_is_given_the_key() {
    let thief = kit::healthy_provider();
    for status in [301, 302, 303, 307, 308] {
        let target = thief.url();
        let upstream = Upstream::start(move |_, connection| {
            let location = format!("{target}/v1/chat/completions");
            connection.send(kit::answer(status, &[("location", &location)], ""));
            Then::Next
        });
        let proxy = kit::openai_proxy(&upstream, &["one"]);
        let reply = kit::post_at_once(&proxy, CHAT_PATH, CHAT);
        if reply.header("x-keyweir-error").is_some() {
            Format::OpenAi.assert_refusal(&reply, 503, "providers_unavailable");
        } else {
            assert_eq!(reply.status, status, "{reply:?}");
        }
        assert!(thief.take().is_empty(), "{status} was followed");
    }
}

#[test]
fn informational_answers_are_no_answers() {
    let upstream = Upstream::start(|_, connection| {
        connection
            .send("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
        connection.send(crate::support::upstream::json(200, CHAT_ANSWER));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let mut connection = proxy.connect();
    connection.post(CHAT_PATH, &[], CHAT);
    let mut reply = connection.reply();
    if reply.status < 200 {
        reply = connection.reply();
    }
    assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER));
}

#[test]
fn an_error_page_that_is_no_json_passes_as_it_came() {
    const PAGE: &str = "<html><body>413 Request Entity Too Large</body></html>";
    let upstream = Upstream::start(|_, connection| {
        connection.send(kit::answer(413, &[("content-type", "text/html")], PAGE));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    assert_eq!((reply.status, reply.text().as_str()), (413, PAGE));
    assert_eq!(reply.header("content-type"), Some("text/html"));
}
