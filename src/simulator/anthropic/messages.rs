//! Messages (API reference, "Create a message" and "Count tokens").

use serde_json::{Map, Value, json};

use super::message_request::{Cached, Message};
use super::stream;
use crate::simulator::call::Call;
use crate::simulator::meter::Ask;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::turn::{Finish, Turn};

pub(super) fn answer(call: &Call) -> Answered {
    let request = call.json()?;
    let message = Message::read(call, &request)?;
    let max_tokens = message.max_tokens(&request)?;
    let cached = message.cached(call, &request);
    let ask =
        Ask { input: message.input, cached: cached.read, max_output: Some(max_tokens), choices: 1 };
    let pass = call.admit(message.model, ask)?;
    let wish = message.wish(&request, max_tokens)?;
    let turn = wish.turn();
    let whole = message_of(call, &message.model_name, &turn, cached);
    if request.get("stream").and_then(Value::as_bool) == Some(true) {
        let events = stream::events(call, &turn, &whole);
        let failure = stream::failure();
        return Ok(Reply::stream(events, failure).metered(pass, turn.input, 0));
    }
    Ok(Reply::json(&whole).metered(pass, turn.input, turn.output))
}

pub(super) fn count(call: &Call) -> Answered {
    let message = Message::read(call, &call.json()?)?;
    Ok(Reply::json(&json!({"input_tokens": message.input})))
}

/// The answer's body to one request of a batch.
pub(super) fn batch_item(call: &Call, request: &Map<String, Value>) -> Result<Value, Box<Reply>> {
    let message = Message::read(call, request)?;
    let max_tokens = message.max_tokens(request)?;
    let turn = message.wish(request, max_tokens)?.turn();
    Ok(message_of(call, &message.model_name, &turn, Cached::default()))
}

/// The whole message.
fn message_of(call: &Call, model: &str, turn: &Turn, cached: Cached) -> Value {
    let stop_text = match &turn.finish {
        Finish::StopText(text) => Some(text.clone()),
        Finish::Stop | Finish::Length | Finish::ToolCalls | Finish::ContentFilter => None,
    };
    json!({
        "id": call.id("msg_", 0),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content(call, turn),
        "stop_reason": stop_reason(&turn.finish),
        "stop_sequence": stop_text,
        "usage": usage(turn, cached),
    })
}

fn content(call: &Call, turn: &Turn) -> Value {
    let mut blocks = Vec::new();
    if !turn.thinking.is_empty() {
        blocks.push(json!({
            "type": "thinking", "thinking": turn.thinking, "signature": call.id("Eq", 1),
        }));
    }
    if !turn.text.is_empty() {
        blocks.push(json!({"type": "text", "text": turn.text}));
    }
    for (nth, made) in (0..).zip(&turn.calls) {
        blocks.push(json!({
            "type": "tool_use", "id": call.id("toolu_", 10 + nth),
            "name": made.name, "input": made.arguments,
        }));
    }
    Value::Array(blocks)
}

/// Input is what the cache neither had nor took in (prompt-caching page).
fn usage(turn: &Turn, cached: Cached) -> Value {
    json!({
        "input_tokens": turn.input.saturating_sub(cached.read + cached.written),
        "cache_creation_input_tokens": cached.written,
        "cache_read_input_tokens": cached.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cached.written, "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": turn.output,
        "output_tokens_details": {"thinking_tokens": turn.reasoning},
        "service_tier": "standard",
    })
}

const fn stop_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopText(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
    }
}
