//! An answer before it is put on the wire.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::world::Pass;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    /// The limits under which it was let through.
    pub(crate) pass: Option<Pass>,
    /// Input tokens that it used.
    pub(crate) input: u64,
    /// Output tokens that it used, where it is not a stream, which counts them itself.
    pub(crate) output: u64,
    /// The word for the refusal in tallies.
    pub(crate) refused: Option<&'static str>,
}

/// What an answer consists of.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Whole(Bytes),
    Stream {
        events: Vec<Event>,
        /// What is sent instead of the rest where the stream fails.
        failure: Bytes,
    },
}

/// A piece of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) bytes: Bytes,
    /// Output tokens that it carries; one without any comes at once.
    pub(crate) output: u64,
}

/// An answer, or the provider's refusal.
pub(crate) type Answered = Result<Reply, Box<Reply>>;

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, content: Content) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(content_type) {
            headers.insert(CONTENT_TYPE, value);
        }
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers,
            content,
            pass: None,
            input: 0,
            output: 0,
            refused: None,
        }
    }

    /// 200 with that JSON.
    pub(crate) fn json(value: &Value) -> Self {
        Self::of(200, value)
    }

    /// That status with that JSON.
    pub(crate) fn of(status: u16, value: &Value) -> Self {
        Self::bytes(status, "application/json", Bytes::from(value.to_string()))
    }

    pub(crate) fn bytes(status: u16, content_type: &str, bytes: Bytes) -> Self {
        Self::new(status, content_type, Content::Whole(bytes))
    }

    /// An event stream.
    pub(crate) fn stream(events: Vec<Event>, failure: Bytes) -> Self {
        Self::new(200, "text/event-stream; charset=utf-8", Content::Stream { events, failure })
    }

    /// Let through under these limits, with so many tokens in and out.
    #[must_use]
    pub(crate) fn metered(mut self, pass: Pass, input: u64, output: u64) -> Self {
        self.pass = Some(pass);
        (self.input, self.output) = (input, output);
        self
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    #[must_use]
    pub(crate) fn refused(mut self, word: &'static str) -> Self {
        self.refused = Some(word);
        self
    }
}

impl Event {
    /// `data: {...}`, as OpenAI's chat completions and Gemini send it.
    pub(crate) fn data(value: &Value, output: u64) -> Self {
        Self { bytes: Bytes::from(format!("data: {value}\n\n")), output }
    }

    /// `event: name` and `data: {...}`, as Anthropic and OpenAI's responses send it.
    pub(crate) fn named(name: &str, value: &Value, output: u64) -> Self {
        Self { bytes: Bytes::from(format!("event: {name}\ndata: {value}\n\n")), output }
    }
}
