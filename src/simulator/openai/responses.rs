//! Responses (API reference, "Responses"): like chat completions, but kept by the account, so that a
//! follow-up names what it follows.

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};

use super::chat_request::{named_tool, within_context};
use super::error::{missing, mistake};
use super::fields::{Checked, Fields, wrong_type, wrong_value};
use super::response_events;
use crate::simulator::call::Call;
use crate::simulator::meter::Ask;
use crate::simulator::plan::ModelKind;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::turn::{Choice, Finish, Form, Tool, Turn, Wish, text_bytes, tokens_of};

/// The fields of a request (API reference).
const FIELDS: &[&str] = &[
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
/// Prompts are cached from this many tokens on, in steps of 128 (prompt-caching guide).
const CACHED_FROM: u64 = 1_024;

/// A request that was found right.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) model_name: String,
    pub(super) request: Map<String, Value>,
    pub(super) cached: u64,
    model: usize,
    wish: Wish,
    items: Vec<Value>,
    store: bool,
    stream: bool,
    background: bool,
}

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    match (&call.scene.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::POST, ["input_tokens"]) => {
            let asked = Asked::read(call)?;
            let body = json!({
                "object": "response.input_tokens", "input_tokens": asked.wish.input,
            });
            Ok(Reply::json(&body))
        }
        (&Method::GET, [id]) => Ok(Reply::json(&find(call, id)?)),
        (&Method::DELETE, [id]) => {
            find(call, id)?;
            call.forget("response", id);
            Ok(Reply::json(&json!({"id": id, "object": "response", "deleted": true})))
        }
        (&Method::POST, [id, "cancel"]) => {
            find(call, id)?;
            let text = "Cannot cancel a synchronous response.";
            Err(mistake(text, None, None))
        }
        (&Method::GET, [id, "input_items"]) => {
            let said = find(call, id)?.get("output").and_then(Value::as_array).map_or(0, Vec::len);
            let mut items = conversation(call, id);
            items.truncate(items.len().saturating_sub(said));
            let body = json!({"object": "list", "data": items, "has_more": false});
            Ok(Reply::json(&body))
        }
        (_, [] | [_] | [_, "cancel" | "input_items"]) => {
            Err(call.scene.refuse(&Problem::WrongMethod))
        }
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

fn create(call: &Call) -> Answered {
    let asked = Asked::read(call)?;
    let ask = Ask {
        input: asked.wish.input,
        cached: asked.cached,
        max_output: asked.wish.max_output,
        choices: 1,
    };
    let pass = call.admit(asked.model, ask)?;
    let turn = asked.wish.turn();
    let id = call.id("resp_", 0);
    let whole = response(call, &asked, &turn);
    if asked.store {
        let output = whole.get("output").and_then(Value::as_array).cloned().unwrap_or_default();
        let items: Vec<Value> = asked.items.iter().cloned().chain(output).collect();
        let content = Bytes::from(Value::Array(items).to_string());
        call.keep(&id, "response", whole.clone(), content);
    }
    if asked.stream {
        let events = response_events::events(call, &turn, &whole);
        let failure = response_events::failure();
        return Ok(Reply::stream(events, failure).metered(pass, turn.input, 0));
    }
    let shown = if asked.background { queued(&whole) } else { whole };
    Ok(Reply::json(&shown).metered(pass, turn.input, turn.output))
}

/// The whole response, done.
fn response(call: &Call, asked: &Asked, turn: &Turn) -> Value {
    let fields = Fields(&asked.request);
    let cut = turn.finish == Finish::Length;
    let reason = if cut { json!({"reason": "max_output_tokens"}) } else { Value::Null };
    let given = |name: &str, default: Value| fields.get(name).cloned().unwrap_or(default);
    json!({
        "id": call.id("resp_", 0),
        "object": "response",
        "created_at": call.created(),
        "status": if cut { "incomplete" } else { "completed" },
        "background": asked.background,
        "error": null,
        "incomplete_details": reason,
        "instructions": given("instructions", Value::Null),
        "max_output_tokens": given("max_output_tokens", Value::Null),
        "max_tool_calls": null,
        "model": asked.model_name,
        "output": output(call, turn),
        "parallel_tool_calls": given("parallel_tool_calls", json!(true)),
        "previous_response_id": given("previous_response_id", Value::Null),
        "reasoning": given("reasoning", json!({"effort": null, "summary": null})),
        "service_tier": "default",
        "store": asked.store,
        "temperature": given("temperature", json!(1.0)),
        "text": given("text", json!({"format": {"type": "text"}})),
        "tool_choice": given("tool_choice", json!("auto")),
        "tools": given("tools", json!([])),
        "top_p": given("top_p", json!(1.0)),
        "truncation": given("truncation", json!("disabled")),
        "usage": usage(asked, turn),
        "user": null,
        "metadata": given("metadata", json!({})),
    })
}

/// What was said, item by item.
fn output(call: &Call, turn: &Turn) -> Value {
    let mut items = Vec::new();
    if turn.reasoning > 0 {
        items.push(json!({"id": call.id("rs_", 1), "type": "reasoning", "summary": []}));
    }
    if turn.calls.is_empty() {
        let part = if turn.finish == Finish::ContentFilter {
            json!({"type": "refusal", "refusal": "I can't help with that."})
        } else {
            json!({"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []})
        };
        items.push(json!({
            "id": call.id("msg_", 2), "type": "message", "status": "completed",
            "role": "assistant", "content": [part],
        }));
    }
    for (nth, made) in (0..).zip(&turn.calls) {
        items.push(json!({
            "id": call.id("fc_", 10 + nth), "type": "function_call", "status": "completed",
            "call_id": call.id("call_", 30 + nth), "name": made.name,
            "arguments": made.arguments.to_string(),
        }));
    }
    Value::Array(items)
}

fn usage(asked: &Asked, turn: &Turn) -> Value {
    json!({
        "input_tokens": turn.input,
        "input_tokens_details": {"cached_tokens": asked.cached, "cache_write_tokens": 0},
        "output_tokens": turn.output,
        "output_tokens_details": {"reasoning_tokens": turn.reasoning},
        "total_tokens": turn.input + turn.output,
    })
}

/// As a response looks that is made in the background and not begun.
pub(super) fn queued(whole: &Value) -> Value {
    unfinished(whole, "queued")
}

/// A response before its output is there.
pub(super) fn unfinished(whole: &Value, status: &str) -> Value {
    let mut response = whole.clone();
    if let Some(fields) = response.as_object_mut() {
        fields.insert("status".to_owned(), json!(status));
        fields.insert("output".to_owned(), json!([]));
        fields.insert("usage".to_owned(), Value::Null);
        fields.insert("incomplete_details".to_owned(), Value::Null);
    }
    response
}

impl Asked {
    fn read(call: &Call) -> Checked<Self> {
        let request = call.json()?;
        let fields = Fields(&request);
        let model_name = fields.model()?.to_owned();
        fields.only(&[FIELDS])?;
        let items = items(call, fields)?;
        fields.between("temperature", 0.0, 2.0)?;
        fields.between("top_p", 0.0, 1.0)?;
        let max_output = fields.whole("max_output_tokens", 16)?;
        let model = call.find_model(&model_name)?;
        let mut parts: Vec<&Value> = vec![];
        parts.extend(fields.get("instructions"));
        parts.extend(fields.get("tools"));
        parts.extend(&items);
        let input = tokens_of(parts.iter().map(|part| text_bytes(part)).sum());
        within_context(call.model(model), input)?;
        let tools = tools(fields)?;
        let (prompt, tool_result) = last_said(&items);
        let wish = Wish {
            prompt,
            tool_result,
            input,
            max_output,
            choice: tool_choice(fields, &tools)?,
            tools,
            form: form(fields)?,
            think: thinking(call, model, fields),
            stop: Vec::new(),
        };
        let known = tokens_of(call.known_prefix(model, &parts));
        let cached = if known < CACHED_FROM { 0 } else { known.min(input) / 128 * 128 };
        let store = fields.get("store").and_then(Value::as_bool).unwrap_or(true);
        let (stream, background) = (fields.flag("stream")?, fields.flag("background")?);
        Ok(Self { model_name, request, cached, model, wish, items, store, stream, background })
    }
}

/// What the request follows, and what it adds.
fn items(call: &Call, fields: Fields<'_>) -> Checked<Vec<Value>> {
    let mut items = Vec::new();
    if let Some(previous) = fields.text("previous_response_id")? {
        if call.kept("response", previous).is_none() {
            let text = format!("Previous response with id '{previous}' not found.");
            let param = Some("previous_response_id");
            return Err(mistake(&text, param, Some("previous_response_not_found")));
        }
        items = conversation(call, previous);
    }
    let Some(input) = fields.get("input") else {
        let text = "Missing required parameter: 'input'.";
        return Err(mistake(text, Some("input"), Some("missing_required_parameter")));
    };
    if let Some(text) = input.as_str() {
        let content = json!([{"type": "input_text", "text": text}]);
        items.push(json!({
            "id": call.id("msg_", 90), "type": "message", "role": "user", "content": content,
        }));
        return Ok(items);
    }
    let wanted = "one of a string or array of objects";
    let given = input.as_array().ok_or_else(|| wrong_type("input", wanted, input))?;
    if let Some(odd) = given.iter().position(|item| !item.is_object()) {
        let path = format!("input[{odd}]");
        return Err(wrong_type(&path, "an object", given.get(odd).unwrap_or(&Value::Null)));
    }
    items.extend(given.iter().cloned());
    Ok(items)
}

fn tools(fields: Fields<'_>) -> Checked<Vec<Tool>> {
    let given = fields.list("tools")?.map_or(&[][..], Vec::as_slice);
    let functions = given
        .iter()
        .enumerate()
        .filter(|(_, tool)| tool.get("type").and_then(Value::as_str) == Some("function"));
    functions.map(|(nth, tool)| named_tool(tool, &format!("tools[{nth}]"))).collect()
}

fn tool_choice(fields: Fields<'_>, tools: &[Tool]) -> Checked<Choice> {
    let Some(choice) = fields.get("tool_choice") else { return Ok(Choice::Auto) };
    match (choice.as_str(), choice.get("name").and_then(Value::as_str)) {
        (Some("none"), _) => Ok(Choice::None),
        (Some("required"), _) => Ok(Choice::Any),
        (Some("auto"), _) | (None, None) => Ok(Choice::Auto),
        (Some(other), _) => Err(wrong_value("tool_choice", other, &["none", "auto", "required"])),
        (None, Some(name)) if tools.iter().any(|tool| tool.name == name) => {
            Ok(Choice::Named(name.to_owned()))
        }
        (None, Some(_)) => {
            let text = "Tool choice 'function' not found in 'tools' parameter.";
            Err(mistake(text, Some("tool_choice"), None))
        }
    }
}

fn form(fields: Fields<'_>) -> Checked<Form> {
    let format = fields.object("text")?.and_then(|text| text.get("format"));
    let Some(format) = format else { return Ok(Form::Text) };
    match format.get("type").and_then(Value::as_str) {
        Some("json_object") => Ok(Form::Json),
        Some("json_schema") => {
            let text = "Missing required parameter: 'text.format.schema'.";
            let code = Some("missing_required_parameter");
            let schema = format.get("schema").cloned().map(Form::Schema);
            schema.ok_or_else(|| mistake(text, Some("text.format.schema"), code))
        }
        Some("text") | None => Ok(Form::Text),
        Some(other) => {
            Err(wrong_value("text.format.type", other, &["json_object", "json_schema", "text"]))
        }
    }
}

fn thinking(call: &Call, model: usize, fields: Fields<'_>) -> u64 {
    let reasons = call.model(model).is_some_and(|model| model.kind == ModelKind::Reasoning);
    let effort = fields.get("reasoning").and_then(|reasoning| reasoning.get("effort"));
    if reasons && effort.and_then(Value::as_str) != Some("none") { 16 } else { 0 }
}

fn last_said(items: &[Value]) -> (String, Option<String>) {
    let is = |item: &Value, name: &str, value: &str| {
        item.get(name).and_then(Value::as_str) == Some(value)
    };
    let user = items.iter().rev().find(|item| is(item, "role", "user"));
    let tool = items.last().filter(|item| is(item, "type", "function_call_output"));
    let said = tool.and_then(|item| item.get("output")).map(plain);
    (user.and_then(|item| item.get("content")).map(plain).unwrap_or_default(), said)
}

/// A string, or the texts of its parts.
fn plain(content: &Value) -> String {
    let parts = content.as_array().into_iter().flatten();
    let texts = parts.filter_map(|part| part.get("text")?.as_str());
    content.as_str().map_or_else(|| texts.collect::<Vec<_>>().join(" "), str::to_owned)
}

/// A kept response with all that led to it.
fn conversation(call: &Call, id: &str) -> Vec<Value> {
    let kept = call.kept("response", id);
    kept.and_then(|kept| serde_json::from_slice(&kept.content).ok()).unwrap_or_default()
}

fn find(call: &Call, id: &str) -> Checked<Value> {
    let text = format!("Response with id '{id}' not found.");
    call.kept("response", id).map(|kept| kept.object).ok_or_else(|| missing(&text, None))
}
