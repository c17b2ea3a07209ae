//! What reading costs: a request's facts, an answer, its headers, and the events of a stream.
//!
//! `cargo bench --bench read` prints the median in nanoseconds. With a name and a number it does that
//! so often and nothing else, for a tool that counts instructions.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use keyweir::clock::{Moment, Now};
use keyweir::formats::{Dialect, Endpoint, Facts, Meter, PathFacts, Plan, Wire, levels};
use keyweir::translate::{self, Format, Target, Translation};

const ROUNDS: usize = 301;
const TIMES: usize = 200;

/// Events in one frame.
const EVENTS: usize = 100;

/// A thing to measure, which it does so many times; and the parts of it that one figure is for.
type Work = (&'static str, usize, Box<dyn FnMut(usize)>);

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut all = [
        request(),
        answer(),
        headers(),
        events(Usage::Wanted),
        events(Usage::TakenOut),
        translated_request("translate", Wire::Anthropic),
        translated_request("translate-gem", Wire::Gemini),
        translated_events(),
    ];
    if let [name, times] = arguments.as_slice() {
        let (_, _, work) = all.iter_mut().find(|(known, ..)| known == name).unwrap();
        return work(times.parse().unwrap());
    }
    println!("{:<16} {:>9}", "ns", "median");
    for (name, parts, work) in &mut all {
        work(TIMES);
        let mut rounds: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                work(TIMES);
                start.elapsed()
            })
            .collect();
        rounds.sort_unstable();
        let median = rounds.get(ROUNDS / 2).unwrap();
        let times = u32::try_from(TIMES * *parts).unwrap();
        println!("{name:<16} {:>9.1}", median.as_secs_f64() * 1e9 / f64::from(times));
    }
}

/// The facts of a chat request of 1 KB.
fn request() -> Work {
    let text = "Please summarise the following paragraph. ".repeat(20);
    let body = format!(
        r#"{{"model":"gpt-4o","max_tokens":64,"user":"bench-chat","messages":[{{"role":"system","content":"You are a careful assistant."}},{{"role":"user","content":"{text}"}}],"temperature":0.2}}"#
    );
    let path = PathFacts::of(Endpoint::ChatCompletions, Wire::OpenAi);
    let read = move |times| {
        for _ in 0..times {
            black_box(Facts::read(&path, black_box(body.as_bytes())).unwrap());
        }
    };
    ("request", 1, Box::new(read))
}

/// The same request put into another format.
fn translated_request(name: &'static str, wire: Wire) -> Work {
    let text = "Please summarise the following paragraph. ".repeat(20);
    let body = format!(
        r#"{{"model":"gpt-4o","max_tokens":64,"user":"bench-chat","messages":[{{"role":"system","content":"You are a careful assistant."}},{{"role":"user","content":"{text}"}}],"temperature":0.2}}"#
    );
    let target = Target { wire, dialect: Dialect::Generic, model: "claude-sonnet-4-5" };
    let put = move |times| {
        for _ in 0..times {
            let body = black_box(body.as_bytes());
            black_box(translate::request(Format::Chat, false, body, &target).unwrap());
        }
    };
    (name, 1, Box::new(put))
}

/// A stream of Anthropic's become one of OpenAI's.
fn translated_events() -> Work {
    let event = concat!(
        "event: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" weir"}}"#,
        "\n\n"
    );
    let frame = Bytes::from(event.repeat(EVENTS));
    let plan = translate::Plan {
        from: Wire::Anthropic,
        to: Format::Chat,
        stream: true,
        array: false,
        include_usage: true,
        choices: 1,
        created: 1_764_000_000,
        fresh: 1,
        response_id: Box::default(),
        model: "claude-sonnet-4-5".into(),
    };
    let mut translation = Translation::new(plan, 200, "text/event-stream", "");
    let put = move |times| {
        for _ in 0..times {
            black_box(translation.read(black_box(&frame)));
        }
    };
    ("translate-event", EVENTS, Box::new(put))
}

/// The answer to it, in one piece.
fn answer() -> Work {
    let text = "A weir holds a river back just enough. ".repeat(11);
    let body = format!(
        r#"{{"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz01","object":"chat.completion","created":1764000000,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":182,"completion_tokens":64,"total_tokens":246,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_cbf1785567"}}"#
    );
    let body = Bytes::from(body);
    let read = move |times| {
        for _ in 0..times {
            let mut meter = Meter::new(&plan("application/json"));
            black_box(meter.read(black_box(body.clone())));
            black_box(meter.end());
            black_box(meter.reading().usage.unwrap());
        }
    };
    ("answer", 1, Box::new(read))
}

/// The levels in its headers.
fn headers() -> Work {
    let lines = [
        ("date", "Fri, 20 Nov 2026 12:00:00 GMT"),
        ("content-type", "application/json"),
        ("openai-organization", "org-bench"),
        ("openai-processing-ms", "312"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "100000000"),
        ("x-ratelimit-limit-tokens", "100000000000"),
        ("x-ratelimit-remaining-requests", "99999999"),
        ("x-ratelimit-remaining-tokens", "99999999000"),
        ("x-ratelimit-reset-requests", "1ms"),
        ("x-ratelimit-reset-tokens", "1ms"),
        ("x-request-id", "req_0123456789abcdef0123456789abcdef"),
        ("cf-cache-status", "DYNAMIC"),
    ];
    let lines = lines.into_iter();
    let headers: HeaderMap =
        lines.map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
    let now = Now { at: Moment::ZERO, wall: Timestamp::UNIX_EPOCH };
    let read = move |times| {
        for _ in 0..times {
            black_box(levels(Dialect::OpenAi, black_box(&headers), now));
        }
    };
    ("headers", 1, Box::new(read))
}

/// Whether the application has asked for usage.
#[derive(Clone, Copy, PartialEq)]
enum Usage {
    Wanted,
    TakenOut,
}

/// Events of a stream that come many at once.
fn events(usage: Usage) -> Work {
    let event = concat!(
        r#"data: {"id":"chatcmpl-AbCdEfGhIjKlMnOp","object":"chat.completion.chunk","created":1764000000,"#,
        r#""model":"gpt-4o","choices":[{"index":0,"delta":{"content":" weir"}}]}"#,
        "\n\n"
    );
    let frame = Bytes::from(event.repeat(EVENTS));
    let strip_usage = usage == Usage::TakenOut;
    let mut meter = Meter::new(&Plan { strip_usage, ..plan("text/event-stream") });
    let read = move |times| {
        for _ in 0..times {
            black_box(meter.read(black_box(frame.clone())));
        }
    };
    (if strip_usage { "event-stripped" } else { "event" }, EVENTS, Box::new(read))
}

fn plan(content_type: &str) -> Plan<'_> {
    Plan {
        wire: Wire::OpenAi,
        endpoint: Endpoint::ChatCompletions,
        dialect: Dialect::OpenAi,
        content_type: Some(content_type),
        content_encoding: None,
        strip_usage: false,
    }
}
