//! A response as a stream (API reference, "Streaming events"): named events, numbered in sequence.

use bytes::Bytes;
use serde_json::{Value, json};

use super::responses::unfinished;
use crate::simulator::call::Call;
use crate::simulator::reply::Event;
use crate::simulator::turn::{Turn, pieces};

/// The events of a response that is `whole` in the end.
pub(super) fn events(call: &Call, turn: &Turn, whole: &Value) -> Vec<Event> {
    let mut stream = Stream::default();
    let started = unfinished(whole, "in_progress");
    stream.push("response.created", json!({"response": started}), 0);
    stream.push("response.in_progress", json!({"response": started}), 0);
    let items = whole.get("output").and_then(Value::as_array);
    // What was thought is charged with the first item.
    stream.owed = turn.reasoning;
    for (index, item) in items.into_iter().flatten().enumerate() {
        stream.item(index, item, call.piece());
    }
    let cut = whole.get("status").and_then(Value::as_str) == Some("incomplete");
    let last = if cut { "response.incomplete" } else { "response.completed" };
    let owed = std::mem::take(&mut stream.owed);
    stream.push(last, json!({"response": whole}), owed);
    stream.events
}

/// An error inside a stream.
pub(super) fn failure() -> Bytes {
    let body = json!({
        "type": "error",
        "code": "server_error",
        "message": "The server had an error while processing your request. Sorry about that!",
        "param": null,
        "sequence_number": 99,
    });
    Bytes::from(format!("event: error\ndata: {body}\n\n"))
}

#[derive(Default)]
struct Stream {
    events: Vec<Event>,
    owed: u64,
}

impl Stream {
    fn push(&mut self, kind: &str, mut fields: Value, output: u64) {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("type".to_owned(), json!(kind));
            fields.insert("sequence_number".to_owned(), json!(self.events.len()));
        }
        self.events.push(Event::named(kind, &fields, output));
    }

    fn item(&mut self, index: usize, item: &Value, piece: u64) {
        let id = item.get("id").cloned().unwrap_or_default();
        let place = json!({"item_id": id, "output_index": index, "content_index": 0});
        self.push(
            "response.output_item.added",
            json!({
                "output_index": index, "item": empty(item),
            }),
            0,
        );
        if let Some(part) = item.get("content").and_then(|content| content.get(0)) {
            self.part(&place, part, piece);
        }
        if let Some(arguments) = item.get("arguments").and_then(Value::as_str) {
            let name = item.get("name").and_then(Value::as_str).map_or(0, str::len);
            self.arguments(&place, (name, arguments), piece);
        }
        self.push("response.output_item.done", json!({"output_index": index, "item": item}), 0);
    }

    fn part(&mut self, place: &Value, part: &Value, piece: u64) {
        let (kind, field) = match part.get("type").and_then(Value::as_str) {
            Some("refusal") => ("refusal", "refusal"),
            _ => ("output_text", "text"),
        };
        let text = part.get(field).and_then(Value::as_str).unwrap_or_default();
        let blank = with(part, field, json!(""));
        self.push("response.content_part.added", with(place, "part", blank), 0);
        for (delta, output) in pieces(text, piece, 0) {
            let output = output + std::mem::take(&mut self.owed);
            let event = with(&with(place, "delta", json!(delta)), "logprobs", json!([]));
            self.push(&format!("response.{kind}.delta"), event, output);
        }
        let done = with(&with(place, field, json!(text)), "logprobs", json!([]));
        self.push(&format!("response.{kind}.done"), done, 0);
        self.push("response.content_part.done", with(place, "part", part.clone()), 0);
    }

    fn arguments(&mut self, place: &Value, (name, arguments): (usize, &str), piece: u64) {
        self.owed += crate::simulator::turn::tokens_of(name);
        for (delta, output) in pieces(arguments, piece, name) {
            let output = output + std::mem::take(&mut self.owed);
            let event = with(place, "delta", json!(delta));
            self.push("response.function_call_arguments.delta", event, output);
        }
        let done = with(place, "arguments", json!(arguments));
        self.push("response.function_call_arguments.done", done, 0);
    }
}

/// An item before its content is there.
fn empty(item: &Value) -> Value {
    let mut item = with(item, "status", json!("in_progress"));
    if let Some(fields) = item.as_object_mut() {
        for (name, nothing) in [("content", json!([])), ("arguments", json!(""))] {
            if fields.contains_key(name) {
                fields.insert(name.to_owned(), nothing);
            }
        }
    }
    item
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    object
}
