//! How the events of a stream are framed on the way out.

use bytes::{Bytes, BytesMut};

use super::json::Json;

/// Bytes of a stream, event by event.
#[derive(Debug)]
pub(super) struct Framing {
    out: BytesMut,
    style: Style,
    /// Whether anything has been written.
    begun: bool,
}

/// How events are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Server-sent events.
    Events,
    /// The elements of one JSON array (Gemini without `alt=sse`).
    Array,
}

impl Framing {
    /// A stream that is about to begin.
    pub(super) fn new(style: Style) -> Self {
        Self { out: BytesMut::new(), style, begun: false }
    }

    /// Its media type.
    pub(super) const fn content_type(&self) -> &'static str {
        match self.style {
            Style::Events => "text/event-stream",
            Style::Array => "application/json",
        }
    }

    /// An event without a name.
    pub(super) fn data(&mut self, json: &Json<'_>) {
        match self.style {
            Style::Events => self.out.extend_from_slice(b"data: "),
            Style::Array => {
                self.out.extend_from_slice(if self.begun { b",\n" } else { b"[" });
            }
        }
        self.begun = true;
        self.json(json);
        if self.style == Style::Events {
            self.out.extend_from_slice(b"\n\n");
        }
    }

    /// An event with a name.
    pub(super) fn event(&mut self, name: &str, json: &Json<'_>) {
        self.begun = true;
        for text in ["event: ", name, "\ndata: "] {
            self.out.extend_from_slice(text.as_bytes());
        }
        self.json(json);
        self.out.extend_from_slice(b"\n\n");
    }

    /// An event whose data is no JSON.
    pub(super) fn text(&mut self, text: &str) {
        for text in ["data: ", text, "\n\n"] {
            self.out.extend_from_slice(text.as_bytes());
        }
    }

    /// Nothing, to keep the connection open; an event of its own, for a comment glued before data
    /// would hide it from google-genai's Node SDK.
    pub(super) fn comment(&mut self) {
        if self.style == Style::Events {
            self.out.extend_from_slice(b": ping\n\n");
        }
    }

    /// The end of the stream.
    pub(super) fn end(&mut self) {
        if self.style == Style::Array {
            self.out.extend_from_slice(if self.begun { b"\n]\n" } else { b"[]\n" });
        }
    }

    /// What has been written since the last time.
    pub(super) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// A tree of texts and numbers cannot fail to be written.
    fn json(&mut self, json: &Json<'_>) {
        let mut text = Vec::with_capacity(256);
        if serde_json::to_writer(&mut text, json).is_ok() {
            self.out.extend_from_slice(&text);
        }
    }
}
