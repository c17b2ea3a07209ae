//! The bytes: what an OpenAI SDK sends and what OpenAI answers, in size and headers.

use std::fmt::Write as _;

/// Every key begins with this; the upstream refuses requests without it.
pub(crate) const KEY: &str = "sk-bench-";

/// What the application's SDK sends in place of a key.
pub(crate) const PLACEHOLDER: &str = "placeholder";

/// A kind of traffic. The upstream recognises it by the request's `user`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// About 1 KB each way, not streamed.
    Chat,
    /// A stream with an event every 20 ms.
    Paced,
    /// A stream with an event every second.
    Held,
    /// A stream as fast as it can be written.
    Bulk,
}

impl Traffic {
    pub(crate) const ALL: [Self; 4] = [Self::Chat, Self::Paced, Self::Held, Self::Bulk];

    pub(crate) const fn user(self) -> &'static str {
        match self {
            Self::Chat => "bench-chat",
            Self::Paced => "bench-paced",
            Self::Held => "bench-held",
            Self::Bulk => "bench-bulk",
        }
    }

    /// A whole request, as `openai-python` writes it. A stream is asked for by the number of its
    /// events, in `max_tokens`.
    pub(crate) fn request(self, events: u32) -> Vec<u8> {
        let stream = if self == Self::Chat { "" } else { r#""stream":true,"# };
        let mut body = format!(
            r#"{{"model":"gpt-4o","max_tokens":{events},{stream}"user":"{}","messages":[{{"role":"system","content":"You are a careful assistant."}},{{"role":"user","content":""#,
            self.user()
        );
        while body.len() < 1000 {
            body.push_str("Please summarise the following paragraph. ");
        }
        body.push_str(r#""}],"temperature":0.2}"#);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:4470\r\nAccept-Encoding: identity\r\n\
             Connection: keep-alive\r\nAccept: application/json\r\nContent-Type: application/json\r\n\
             User-Agent: OpenAI/Python 1.109.1\r\nX-Stainless-Lang: python\r\n\
             X-Stainless-Package-Version: 1.109.1\r\nX-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\n\
             X-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.12.3\r\n\
             Authorization: Bearer {PLACEHOLDER}\r\nX-Stainless-Async: false\r\n\
             x-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head, body].concat().into_bytes()
    }
}

/// The answer to [`Traffic::Chat`].
pub(crate) fn chat_answer() -> Vec<u8> {
    let mut body = String::from(
        r#"{"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz01","object":"chat.completion","created":1764000000,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":""#,
    );
    while body.len() < 600 {
        body.push_str("A weir holds a river back just enough. ");
    }
    body.push_str(
        r#"","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":182,"completion_tokens":64,"total_tokens":246,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_cbf1785567"}"#,
    );
    let mut answer = head("application/json");
    let _infallible = write!(answer, "content-length: {}\r\n\r\n{body}", body.len());
    answer.into_bytes()
}

/// The head of a streamed answer.
pub(crate) fn stream_head() -> Vec<u8> {
    format!("{}transfer-encoding: chunked\r\n\r\n", head("text/event-stream; charset=utf-8"))
        .into_bytes()
}

/// One event of a stream, and what the client must see of it.
pub(crate) const EVENT: &str = concat!(
    r#"data: {"id":"chatcmpl-AbCdEfGhIjKlMnOp","object":"chat.completion.chunk","created":1764000000,"#,
    r#""model":"gpt-4o","choices":[{"index":0,"delta":{"content":" weir"}}]}"#,
    "\n\n"
);

/// The event that a client sees only if it asked for usage.
const USAGE: &str = concat!(
    r#"data: {"id":"chatcmpl-AbCdEfGhIjKlMnOp","object":"chat.completion.chunk","created":1764000000,"#,
    r#""model":"gpt-4o","choices":[],"usage":{"prompt_tokens":182,"completion_tokens":64,"total_tokens":246}}"#,
    "\n\n"
);

/// The last event.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// `data` as one chunk of a chunked body.
pub(crate) fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

/// What ends a stream.
pub(crate) fn stream_end(usage: Usage) -> Vec<u8> {
    let usage = if usage == Usage::Asked { chunk(USAGE) } else { Vec::new() };
    [usage, chunk(DONE), b"0\r\n\r\n".to_vec()].concat()
}

/// Whether a stream's request asked for usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Asked,
    NotAsked,
}

fn head(content_type: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ndate: Fri, 20 Nov 2026 12:00:00 GMT\r\ncontent-type: {content_type}\r\n\
         openai-organization: org-bench\r\nopenai-processing-ms: 312\r\nopenai-version: 2020-10-01\r\n\
         x-ratelimit-limit-requests: 100000000\r\nx-ratelimit-limit-tokens: 100000000000\r\n\
         x-ratelimit-remaining-requests: 99999999\r\nx-ratelimit-remaining-tokens: 99999999000\r\n\
         x-ratelimit-reset-requests: 1ms\r\nx-ratelimit-reset-tokens: 1ms\r\n\
         x-request-id: req_0123456789abcdef0123456789abcdef\r\ncf-cache-status: DYNAMIC\r\n"
    )
}
