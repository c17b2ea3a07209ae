//! A chat completion as a stream (API reference, "The chat completion chunk object"): unnamed events,
//! the role first, the finish reason last, usage after it where asked for, then `[DONE]`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::chat::{call_id, finish_reason, usage};
use super::chat_request::{Chat, Streamed};
use super::error;
use crate::simulator::call::Call;
use crate::simulator::reply::{Event, Reply};
use crate::simulator::turn::{Turn, pieces, tokens_of};
use crate::simulator::world::Pass;

pub(super) fn stream(call: &Call, chat: &Chat, how: Streamed, turn: &Turn, pass: Pass) -> Reply {
    let head = Head { call, chat, how };
    let mut events = Vec::new();
    for choice in 0..chat.choices {
        let delta = json!({"role": "assistant", "content": "", "refusal": null});
        events.push(head.delta(choice, &delta, 0));
    }
    // Thinking is not shown, only charged: before the first word.
    let mut thought = turn.reasoning * chat.choices;
    for choice in 0..chat.choices {
        for (piece, output) in pieces(&turn.text, call.piece(), 0) {
            let output = output + std::mem::take(&mut thought);
            events.push(head.delta(choice, &json!({"content": piece}), output));
        }
        events.extend(head.calls(choice, turn));
    }
    for choice in 0..chat.choices {
        events.push(head.finish(choice, turn));
    }
    if how.include_usage {
        events.push(Event::data(&head.chunk(&json!([]), &usage(chat, turn)), thought));
    }
    events.push(Event { bytes: Bytes::from_static(b"data: [DONE]\n\n"), output: 0 });
    Reply::stream(events, failure()).metered(pass, turn.input, 0)
}

/// An error inside a stream: what both SDKs raise as an error of the API.
pub(super) fn failure() -> Bytes {
    let message = "The server had an error while processing your request. Sorry about that!";
    Bytes::from(format!("data: {}\n\n", error::body(message, "server_error", None, None)))
}

/// What all chunks of a stream share.
struct Head<'a> {
    call: &'a Call,
    chat: &'a Chat,
    how: Streamed,
}

impl Head<'_> {
    fn chunk(&self, choices: &Value, usage: &Value) -> Value {
        let mut chunk = json!({
            "id": self.call.id("chatcmpl-", 0),
            "object": "chat.completion.chunk",
            "created": self.call.created(),
            "model": self.chat.model_name,
            "service_tier": "default",
            "system_fingerprint": "fp_simulated",
            "choices": choices,
        });
        if let Some(fields) = chunk.as_object_mut() {
            if self.how.include_usage {
                fields.insert("usage".to_owned(), usage.clone());
            }
            if self.how.obfuscate {
                fields.insert("obfuscation".to_owned(), padding(choices));
            }
        }
        chunk
    }

    fn delta(&self, choice: u64, delta: &Value, output: u64) -> Event {
        let choices = json!([{
            "index": choice, "delta": delta, "logprobs": null, "finish_reason": null,
        }]);
        Event::data(&self.chunk(&choices, &Value::Null), output)
    }

    fn finish(&self, choice: u64, turn: &Turn) -> Event {
        let reason = finish_reason(&turn.finish);
        let choices = json!([{
            "index": choice, "delta": {}, "logprobs": null, "finish_reason": reason,
        }]);
        Event::data(&self.chunk(&choices, &Value::Null), 0)
    }

    /// Each call's name first, then its arguments in fragments.
    fn calls(&self, choice: u64, turn: &Turn) -> Vec<Event> {
        let mut events = Vec::new();
        for (nth, made) in (0..).zip(&turn.calls) {
            let named = json!({"tool_calls": [{
                "index": nth,
                "id": call_id(self.call, choice, nth),
                "type": "function",
                "function": {"name": made.name, "arguments": ""},
            }]});
            let name = made.name.len();
            events.push(self.delta(choice, &named, tokens_of(name)));
            for (piece, output) in pieces(&made.arguments.to_string(), self.call.piece(), name) {
                let delta = json!({"tool_calls": [{
                    "index": nth, "function": {"arguments": piece},
                }]});
                events.push(self.delta(choice, &delta, output));
            }
        }
        events
    }
}

/// Padding that hides how long a chunk's text is.
fn padding(choices: &Value) -> Value {
    let length = choices.to_string().len();
    json!("aX3kP9qLmZ".repeat(2).chars().take(4 + length % 13).collect::<String>())
}
