//! A message as a stream (API reference, "Streaming messages"): named events, block by block.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::simulator::call::Call;
use crate::simulator::reply::Event;
use crate::simulator::turn::{Turn, pieces, tokens_of};

/// The events of a message that is `whole` in the end.
pub(super) fn events(call: &Call, turn: &Turn, whole: &Value) -> Vec<Event> {
    let mut events = vec![event("message_start", json!({"message": started(whole)}), 0)];
    let blocks = whole.get("content").and_then(Value::as_array);
    for (index, block) in blocks.into_iter().flatten().enumerate() {
        let start = json!({"index": index, "content_block": empty(block)});
        events.push(event("content_block_start", start, 0));
        if index == 0 {
            events.push(event("ping", json!({}), 0));
        }
        for (delta, output) in deltas(call, block) {
            let delta = json!({"index": index, "delta": delta});
            events.push(event("content_block_delta", delta, output));
        }
        events.push(event("content_block_stop", json!({"index": index}), 0));
    }
    let field = |name: &str| whole.get(name).cloned().unwrap_or_default();
    let delta = json!({
        "delta": {"stop_reason": field("stop_reason"), "stop_sequence": field("stop_sequence")},
        "usage": {
            "output_tokens": turn.output,
            "output_tokens_details": {"thinking_tokens": turn.reasoning},
        },
    });
    events.push(event("message_delta", delta, 0));
    events.push(event("message_stop", json!({}), 0));
    events
}

/// An error inside a stream.
pub(super) fn failure() -> Bytes {
    let error = json!({"error": {"type": "overloaded_error", "message": "Overloaded"}});
    event("error", error, 0).bytes
}

/// The message as it begins: no content, no reason to stop, one token said.
fn started(whole: &Value) -> Value {
    let mut message = whole.clone();
    if let Some(fields) = message.as_object_mut() {
        fields.insert("content".to_owned(), json!([]));
        fields.insert("stop_reason".to_owned(), Value::Null);
        fields.insert("stop_sequence".to_owned(), Value::Null);
        if let Some(usage) = fields.get_mut("usage").and_then(Value::as_object_mut) {
            usage.insert("output_tokens".to_owned(), json!(1));
            usage.remove("output_tokens_details");
        }
    }
    message
}

fn empty(block: &Value) -> Value {
    let mut block = block.clone();
    if let Some(fields) = block.as_object_mut() {
        let blanks = [
            ("text", json!("")),
            ("thinking", json!("")),
            ("signature", json!("")),
            ("input", json!({})),
        ];
        for (name, blank) in blanks {
            if fields.contains_key(name) {
                fields.insert(name.to_owned(), blank);
            }
        }
    }
    block
}

/// The deltas of a block, with the output tokens that each carries.
fn deltas(call: &Call, block: &Value) -> Vec<(Value, u64)> {
    let field = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
    let split = |kind: &str, name: &str, text: &str, before: usize| -> Vec<(Value, u64)> {
        pieces(text, call.piece(), before)
            .map(|(piece, output)| (json!({"type": kind, name: piece}), output))
            .collect()
    };
    match field("type") {
        "thinking" => {
            let mut deltas = split("thinking_delta", "thinking", field("thinking"), 0);
            let signature = json!({"type": "signature_delta", "signature": field("signature")});
            deltas.push((signature, 0));
            deltas
        }
        "tool_use" => {
            let name = field("name").len();
            let input = block.get("input").map(Value::to_string).unwrap_or_default();
            // The first fragment is often empty; here always.
            let first = json!({"type": "input_json_delta", "partial_json": ""});
            let mut deltas = vec![(first, tokens_of(name))];
            deltas.extend(split("input_json_delta", "partial_json", &input, name));
            deltas
        }
        _ => split("text_delta", "text", field("text"), 0),
    }
}

fn event(kind: &str, mut fields: Value, output: u64) -> Event {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("type".to_owned(), json!(kind));
    }
    Event::named(kind, &fields, output)
}
