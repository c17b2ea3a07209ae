//! What the tests share: providers in miniature, configurations for them, and what a refusal has to
//! look like in each wire format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread;

use crate::support::http::{Raw, Reply};
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::{Then, Upstream, json};

/// A wire format with its own error shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    OpenAi,
    Anthropic,
    Gemini,
}

/// What a chat asks for, in OpenAI's format.
pub(crate) const CHAT: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
/// The same, streamed.
pub(crate) const CHAT_STREAM: &str =
    r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
/// The same in Anthropic's format.
pub(crate) const MESSAGE: &str =
    r#"{"model":"claude-sonnet-4-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
/// The same in Gemini's format.
pub(crate) const CONTENT: &str = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;

/// The unified door's path of each.
pub(crate) const CHAT_PATH: &str = "/v1/chat/completions";
pub(crate) const MESSAGE_PATH: &str = "/v1/messages";
pub(crate) const CONTENT_PATH: &str = "/v1beta/models/gemini-2.5-flash:generateContent";

/// Whole answers, with what they used.
pub(crate) const CHAT_ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}"#;
pub(crate) const MESSAGE_ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}}"#;
pub(crate) const CONTENT_ANSWER: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hello"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":7,"totalTokenCount":18},"modelVersion":"gemini-2.5-flash"}"#;

impl Format {
    pub(crate) const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Gemini];

    /// The provider of that name speaks it.
    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// Where a chat is asked for at the unified door.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::OpenAi => CHAT_PATH,
            Self::Anthropic => MESSAGE_PATH,
            Self::Gemini => CONTENT_PATH,
        }
    }

    /// A chat.
    pub(crate) const fn ask(self) -> &'static str {
        match self {
            Self::OpenAi => CHAT,
            Self::Anthropic => MESSAGE,
            Self::Gemini => CONTENT,
        }
    }

    /// A chat's answer.
    pub(crate) const fn answer(self) -> &'static str {
        match self {
            Self::OpenAi => CHAT_ANSWER,
            Self::Anthropic => MESSAGE_ANSWER,
            Self::Gemini => CONTENT_ANSWER,
        }
    }

    /// Fails unless this is a refusal of Keyweir's own in this format.
    #[track_caller]
    pub(crate) fn assert_refusal(self, reply: &Reply, status: u16, code: &str) {
        let seen = (reply.status, reply.header("x-keyweir-error"));
        assert_eq!(seen, (status, Some(code)), "{self:?}: {reply:?} {}", reply.text());
        assert!(reply.complete, "{self:?}: {reply:?}");
        let json = reply.json();
        let error = &json["error"];
        let message = error["message"].as_str().unwrap_or_default();
        assert_eq!(reply.header("content-type"), Some("application/json"), "{json}");
        assert!(reply.header("x-request-id").is_some_and(|id| !id.is_empty()), "{reply:?}");
        assert!(message.len() > 10, "{self:?} has no message for people: {json}");
        match self {
            Self::OpenAi => {
                assert_eq!(error["code"], code, "{json}");
                assert!(error["type"].is_string() && error["param"].is_null(), "{json}");
            }
            Self::Anthropic => {
                assert_eq!(json["type"], "error", "{json}");
                assert!(error["type"].is_string() && json["request_id"].is_string(), "{json}");
                assert!(message.starts_with(code), "{json}");
            }
            Self::Gemini => {
                assert_eq!(error["code"], status, "{json}");
                assert!(error["status"].is_string() && message.starts_with(code), "{json}");
                let details = error["details"].as_array().expect("details");
                assert!(details.iter().any(|detail| detail["reason"] == code), "{json}");
            }
        }
    }
}

/// A key that a test recognises wherever it turns up.
pub(crate) fn value_of(key: &str) -> String {
    format!("sk-{key}-SECRETMARKER-0123456789abcdef")
}

/// The name of the key that a request upstream carries, in whatever header; empty without one.
pub(crate) fn key_of(request: &Reply) -> String {
    let bearer = request.header("authorization").map(|value| value.trim_start_matches("Bearer "));
    let value = bearer
        .or_else(|| request.header("x-api-key"))
        .or_else(|| request.header("x-goog-api-key"))
        .or_else(|| request.header("api-key"));
    let value = value.unwrap_or_default();
    let named = value.strip_prefix("sk-").and_then(|rest| rest.split_once("-SECRETMARKER"));
    named.map_or(value, |(name, _)| name).to_owned()
}

/// The path that a request upstream asks for.
pub(crate) fn path_of(request: &Reply) -> &str {
    request.start.split(' ').nth(1).unwrap_or_default()
}

/// The wire format that a request upstream speaks.
pub(crate) fn format_of(request: &Reply) -> Format {
    let path = path_of(request);
    if path.contains("/messages") {
        Format::Anthropic
    } else if path.contains("models/") {
        Format::Gemini
    } else {
        Format::OpenAi
    }
}

/// What a healthy provider answers, in the format that was spoken.
pub(crate) fn healthy(request: &Reply) -> String {
    json(200, format_of(request).answer())
}

/// A provider of all three formats to which nothing happens.
pub(crate) fn healthy_provider() -> Upstream {
    Upstream::start(|request, connection| {
        connection.send(healthy(request));
        Then::Next
    })
}

/// A provider that fails in some way under key `bad`, and serves under any other.
pub(crate) fn failing_on_bad(fail: impl Fn(&mut Raw) -> Then + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |request, connection| {
        if key_of(request) == "bad" {
            return fail(connection);
        }
        connection.send(healthy(request));
        Then::Next
    })
}

/// An answer with any headers.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text + "\r\n" + body
}

/// The provider `openai` at that address with the keys of Secret `pool`; `more` is added to it, in
/// lines of four spaces.
pub(crate) fn openai_at(url: &str, more: &str) -> String {
    format!(
        "version: 1\nproviders:\n  openai:\n    baseUrl: {url}\n    keys: [{{secret: pool}}]\n{more}"
    )
}

/// Providers of all three formats at one address with the keys of Secret `pool`; `more` is added at
/// the top level.
pub(crate) fn all_at(url: &str, more: &str) -> String {
    let mut text = "version: 1\nproviders:\n".to_owned();
    for format in Format::ALL {
        let name = format.provider();
        writeln!(text, "  {name}:\n    baseUrl: {url}\n    keys: [{{secret: pool}}]")
            .expect("text");
        text.push_str("    timeouts: {connect: 1s, firstByte: 700ms, idle: 700ms}\n");
    }
    text + more
}

/// The Secret `pool` with keys of these names.
pub(crate) fn with_keys(setup: Setup, names: &[&str]) -> Setup {
    let values: Vec<_> = names.iter().map(|name| (*name, value_of(name))).collect();
    let entries: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    setup.secret("pool", &entries)
}

/// A proxy in front of `openai` with keys of these names.
pub(crate) fn openai_proxy(upstream: &Upstream, keys: &[&str]) -> Proxy {
    with_keys(Setup::default().config(&openai_at(&upstream.url(), "")), keys).start()
}

/// A proxy in front of all three formats with keys of these names.
pub(crate) fn proxy_of_all(upstream: &Upstream, keys: &[&str]) -> Proxy {
    with_keys(Setup::default().config(&all_at(&upstream.url(), "")), keys).start()
}

/// Posts JSON on a connection of its own.
pub(crate) fn post(proxy: &Proxy, path: &str, body: &str) -> Reply {
    post_with(proxy, path, &[], body)
}

/// The same with further headers.
pub(crate) fn post_with(proxy: &Proxy, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut connection = proxy.connect();
    connection.post(path, headers, body);
    connection.reply()
}

/// Posts JSON that is not to wait for capacity.
pub(crate) fn post_at_once(proxy: &Proxy, path: &str, body: &str) -> Reply {
    post_with(proxy, path, &[("x-keyweir-max-wait", "0s")], body)
}

/// Asks without a body, on a connection of its own.
pub(crate) fn get(proxy: &Proxy, path: &str) -> Reply {
    let mut connection = proxy.connect();
    connection.get(path, &[]);
    connection.reply()
}

/// Does the same on several threads, each told its number, and returns what each found.
pub(crate) fn in_parallel<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let spawn = |number| scope.spawn(move || work(number));
        let running: Vec<_> = (0..threads).map(spawn).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, T>| thread.join().expect("no panic");
        running.into_iter().map(join).collect()
    })
}

/// The sum of all series of a metric that carry these labels.
pub(crate) fn sum(proxy: &Proxy, name: &str, labels: &[(&str, &str)]) -> f64 {
    let page = proxy.ask_admin("/metrics").text();
    let series = page.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    let named = series.filter(|(rest, _)| rest.is_empty() || rest.starts_with('{'));
    let chosen = named.filter(|(rest, _)| {
        labels.iter().all(|(label, value)| {
            let pair = format!("{label}=\"{value}\"");
            rest.trim_start_matches('{').trim_end_matches('}').split(',').any(|it| it == pair)
        })
    });
    chosen.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}

/// Waits until that sum is what it should be.
pub(crate) fn until_sum(proxy: &Proxy, name: &str, labels: &[(&str, &str)], wanted: f64) {
    let what = format!("{name}{labels:?} reached {wanted}");
    proxy.until(&what, || (sum(proxy, name, labels) >= wanted).then_some(()));
}

/// What `/status` says.
pub(crate) fn status(proxy: &Proxy) -> serde_json::Value {
    proxy.ask_admin("/status").json()
}

/// The state of a key of the first provider, as `/status` tells it.
pub(crate) fn key_state(proxy: &Proxy, key: &str) -> Option<String> {
    let status = status(proxy);
    let keys = status["providers"][0]["keys"].as_array()?;
    let found = keys.iter().find(|it| it["name"] == key)?;
    found["state"].as_str().map(Into::into)
}

/// How often each key was used in these requests.
pub(crate) fn uses(requests: &[std::sync::Arc<Reply>]) -> BTreeMap<String, usize> {
    let mut uses = BTreeMap::new();
    for request in requests {
        *uses.entry(key_of(request)).or_default() += 1;
    }
    uses
}

/// Server-sent events, chunk by chunk.
pub(crate) mod sse {
    /// The head of a stream.
    pub(crate) const HEAD: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    /// The last chunk.
    pub(crate) const LAST: &str = "0\r\n\r\n";
    /// The end of OpenAI's streams.
    pub(crate) const DONE: &str = "data: [DONE]\n\n";

    /// One chunk.
    pub(crate) fn chunk(data: &str) -> String {
        format!("{:x}\r\n{data}\r\n", data.len())
    }

    /// A delta of OpenAI's.
    pub(crate) fn delta(text: &str) -> String {
        format!(
            r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#
        ) + "\n\n"
    }

    /// The chunk in which OpenAI tells the usage.
    pub(crate) fn usage(input: u64, output: u64) -> String {
        let total = input + output;
        format!(
            r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total}}}}}"#
        ) + "\n\n"
    }
}

/// Reads chunks until `text` has come; everything read so far. Panics where the body ends before.
pub(crate) fn read_until(connection: &mut Raw, text: &str) -> String {
    let mut read = Vec::new();
    loop {
        let chunk = connection.chunk().unwrap_or_default();
        let ended = chunk.is_empty();
        read.extend(chunk);
        let so_far = String::from_utf8_lossy(&read);
        if so_far.contains(text) {
            return so_far.into_owned();
        }
        assert!(!ended, "The body ended before {text:?}: {so_far}");
    }
}

/// Reads a chunked body to its end: its text, and whether it ended properly.
pub(crate) fn read_rest(connection: &mut Raw) -> (String, bool) {
    let mut read = Vec::new();
    loop {
        match connection.chunk() {
            Some(chunk) if chunk.is_empty() => return (text(&read), true),
            Some(chunk) => read.extend(chunk),
            None => return (text(&read), false),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the kernel says the process holds in memory.
pub(crate) fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
