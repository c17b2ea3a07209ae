//! Chat completions (API reference, "Create chat completion").

use serde_json::{Map, Value, json};

use super::chat_request::Chat;
use super::chunks;
use super::fields::Checked;
use crate::simulator::call::Call;
use crate::simulator::meter::Ask;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::turn::{Finish, Turn};
use crate::simulator::world::Pass;

pub(super) fn answer(call: &Call, deployment: Option<&str>) -> Answered {
    let chat = Chat::read(call, &call.json()?, deployment)?;
    let ask = Ask {
        input: chat.wish.input,
        cached: chat.cached,
        max_output: chat.wish.max_output,
        choices: u32::try_from(chat.choices).unwrap_or(u32::MAX),
    };
    let pass = call.admit(chat.model, ask)?;
    let turn = chat.wish.turn();
    Ok(match chat.streamed {
        Some(how) => chunks::stream(call, &chat, how, &turn, pass),
        None => whole(call, &chat, &turn, pass),
    })
}

/// The answer's body to a line of a batch, which no rate limit holds back.
pub(super) fn batch_line(call: &Call, fields: &Map<String, Value>) -> Checked<Value> {
    let chat = Chat::read(call, fields, None)?;
    Ok(completion(call, &chat, &chat.wish.turn()))
}

fn whole(call: &Call, chat: &Chat, turn: &Turn, pass: Pass) -> Reply {
    let output = turn.output * chat.choices;
    Reply::json(&completion(call, chat, turn)).metered(pass, turn.input, output)
}

fn completion(call: &Call, chat: &Chat, turn: &Turn) -> Value {
    let choices: Vec<Value> = (0..chat.choices)
        .map(|index| {
            json!({
                "index": index,
                "message": message(call, turn, index),
                "logprobs": null,
                "finish_reason": finish_reason(&turn.finish),
            })
        })
        .collect();
    json!({
        "id": call.id("chatcmpl-", 0),
        "object": "chat.completion",
        "created": call.created(),
        "model": chat.model_name,
        "choices": choices,
        "usage": usage(chat, turn),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    })
}

fn message(call: &Call, turn: &Turn, choice: u64) -> Value {
    let calls: Vec<Value> = (0..)
        .zip(&turn.calls)
        .map(|(nth, tool_call)| {
            json!({
                "id": call_id(call, choice, nth),
                "type": "function",
                "function": {"name": tool_call.name, "arguments": tool_call.arguments.to_string()},
            })
        })
        .collect();
    let content = if calls.is_empty() { json!(turn.text) } else { Value::Null };
    let mut message = json!({
        "role": "assistant", "content": content, "refusal": null, "annotations": [],
    });
    if !calls.is_empty()
        && let Some(fields) = message.as_object_mut()
    {
        fields.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    message
}

pub(super) fn call_id(call: &Call, choice: u64, nth: u64) -> String {
    call.id("call_", 1 + choice * 100 + nth)
}

/// API reference, "The usage object": input includes what was cached, output what was reasoned.
pub(super) fn usage(chat: &Chat, turn: &Turn) -> Value {
    let (output, reasoning) = (turn.output * chat.choices, turn.reasoning * chat.choices);
    json!({
        "prompt_tokens": turn.input,
        "completion_tokens": output,
        "total_tokens": turn.input + output,
        "prompt_tokens_details": {"cached_tokens": chat.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

pub(super) const fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopText(_) => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}
