//! What a chat completion may ask, and how it is refused where it asks otherwise (API reference,
//! "Create chat completion"; reasoning and prompt-caching guides).

use serde_json::{Map, Value, json};

use super::error::{missing, mistake};
use super::fields::{Checked, Fields, empty_list, wrong_type, wrong_value};
use crate::simulator::call::Call;
use crate::simulator::plan::{Model, ModelKind};
use crate::simulator::turn::{Choice, Form, Tool, Wish, text_bytes, tokens_of};

/// The fields of a request (API reference).
const FIELDS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];
const ROLES: &[&str] = &["system", "assistant", "user", "function", "tool", "developer"];
const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];
const TIERS: &[&str] = &["auto", "default", "flex", "scale", "priority", "fast"];
/// Prompts are cached from this many tokens on, in steps of 128 (prompt-caching guide).
const CACHED_FROM: u64 = 1_024;

/// A chat request that was found right.
#[derive(Clone, Debug)]
pub(super) struct Chat {
    pub(super) model: usize,
    pub(super) model_name: String,
    pub(super) wish: Wish,
    pub(super) cached: u64,
    pub(super) choices: u64,
    pub(super) streamed: Option<Streamed>,
}

/// How a stream was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streamed {
    pub(super) include_usage: bool,
    pub(super) obfuscate: bool,
}

impl Chat {
    pub(super) fn read(
        call: &Call,
        request: &Map<String, Value>,
        deployment: Option<&str>,
    ) -> Checked<Self> {
        let fields = Fields(request);
        let model_name = deployment.map_or_else(|| fields.model(), Ok)?.to_owned();
        fields.only(&[FIELDS])?;
        let messages = messages(fields)?;
        sampling(fields)?;
        let streamed = streaming(fields)?;
        let model = call.find_model(&model_name)?;
        let max_output = max_output(fields, call.model(model))?;
        let parts: Vec<&Value> = fields.get("tools").into_iter().chain(messages).collect();
        let input = tokens_of(parts.iter().map(|part| text_bytes(part)).sum());
        within_context(call.model(model), input)?;
        let tools = tools(fields)?;
        let (prompt, tool_result) = last_said(messages);
        let wish = Wish {
            prompt,
            tool_result,
            input,
            max_output,
            choice: tool_choice(fields, &tools)?,
            tools,
            form: form(fields)?,
            think: thinking(fields, call.model(model)),
            stop: stops(fields)?,
        };
        let known = tokens_of(call.known_prefix(model, &parts));
        let cached = if known < CACHED_FROM { 0 } else { known.min(input) / 128 * 128 };
        let choices = fields.whole("n", 1)?.unwrap_or(1).min(128);
        Ok(Self { model, model_name, wish, cached, choices, streamed })
    }
}

fn messages(fields: Fields<'_>) -> Checked<&Vec<Value>> {
    fields.required("messages")?;
    let messages = fields.list("messages")?.map_or_else(|| Err(empty_list("messages")), Ok)?;
    if messages.is_empty() {
        return Err(empty_list("messages"));
    }
    let mut callable = Vec::new();
    for (nth, message) in messages.iter().enumerate() {
        let path = format!("messages[{nth}]");
        let Some(message) = message.as_object() else {
            return Err(wrong_type(&path, "an object", message));
        };
        check_message(Fields(message), &path, &mut callable)?;
    }
    Ok(messages)
}

/// Each message has a role that there is, the content its role needs, and a tool's answer follows
/// the call that asked for it.
fn check_message<'a>(message: Fields<'a>, path: &str, callable: &mut Vec<&'a str>) -> Checked<()> {
    let role_path = format!("{path}.role");
    let Some(role) = message.get("role") else {
        let text = format!("Missing required parameter: '{role_path}'.");
        return Err(mistake(&text, Some(&role_path), Some("missing_required_parameter")));
    };
    let role = role.as_str().ok_or_else(|| wrong_type(&role_path, "a string", role))?;
    if !ROLES.contains(&role) {
        return Err(wrong_value(&role_path, role, ROLES));
    }
    let calls = message.get("tool_calls").and_then(Value::as_array);
    callable.extend(calls.into_iter().flatten().filter_map(|made| made.get("id")?.as_str()));
    if role == "tool" {
        let id = message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
        if !callable.contains(&id) {
            let text = "Invalid parameter: messages with role 'tool' must be a response to a \
                        preceeding message with 'tool_calls'.";
            return Err(mistake(text, Some(&role_path), None));
        }
    }
    let content_path = format!("{path}.content");
    match message.get("content") {
        None if role == "assistant" && calls.is_some() => Ok(()),
        None => Err(wrong_type(&content_path, "one of a string or array of objects", &Value::Null)),
        Some(content) if content.is_string() || content.is_array() => Ok(()),
        Some(other) => Err(wrong_type(&content_path, "one of a string or array of objects", other)),
    }
}

fn sampling(fields: Fields<'_>) -> Checked<()> {
    fields.between("temperature", 0.0, 2.0)?;
    fields.between("top_p", 0.0, 1.0)?;
    fields.between("presence_penalty", -2.0, 2.0)?;
    fields.between("frequency_penalty", -2.0, 2.0)?;
    fields.one_of("service_tier", TIERS)?;
    fields.one_of("reasoning_effort", EFFORTS)?;
    fields.one_of("verbosity", &["low", "medium", "high"])?;
    fields.text("user")?;
    fields.flag("store")?;
    Ok(())
}

/// Whether to stream, and how.
fn streaming(fields: Fields<'_>) -> Checked<Option<Streamed>> {
    let stream = fields.flag("stream")?;
    let options = fields.object("stream_options")?;
    if options.is_some() && !stream {
        let text = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(mistake(text, Some("stream_options"), None));
    }
    let option = |name: &str| options.and_then(|options| options.get(name)?.as_bool());
    let include_usage = option("include_usage").unwrap_or(false);
    let obfuscate = option("include_obfuscation").unwrap_or(true);
    Ok(stream.then_some(Streamed { include_usage, obfuscate }))
}

/// Reasoning models refuse what they do not use (reasoning guide).
fn max_output(fields: Fields<'_>, model: Option<&Model>) -> Checked<Option<u64>> {
    let old = fields.whole("max_tokens", 1)?;
    let new = fields.whole("max_completion_tokens", 1)?;
    let reasoning = model.is_some_and(|model| model.kind == ModelKind::Reasoning);
    if reasoning && old.is_some() {
        let text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                    'max_completion_tokens' instead.";
        return Err(mistake(text, Some("max_tokens"), Some("unsupported_parameter")));
    }
    for name in ["temperature", "top_p"] {
        let given = fields.get(name).and_then(Value::as_f64);
        if reasoning && given.is_some_and(|value| (value - 1.0).abs() > f64::EPSILON) {
            let text = format!(
                "Unsupported value: '{name}' does not support {} with this model. Only the default \
                 (1) value is supported.",
                given.unwrap_or_default()
            );
            return Err(mistake(&text, Some(name), Some("unsupported_value")));
        }
    }
    if model.is_some_and(|model| !matches!(model.kind, ModelKind::Chat | ModelKind::Reasoning)) {
        let text = "This is not a chat model and thus not supported in the v1/chat/completions \
                    endpoint. Did you mean to use v1/completions?";
        return Err(missing(text, Some("model")));
    }
    let asked = new.or(old);
    let most = model.map_or(u64::MAX, |model| model.max_output);
    if asked.is_some_and(|asked| asked > most) {
        let asked = asked.unwrap_or_default();
        let text = format!(
            "max_tokens is too large: {asked}. This model supports at most {most} completion \
             tokens, whereas you provided {asked}."
        );
        return Err(mistake(&text, Some("max_tokens"), Some("invalid_value")));
    }
    Ok(asked)
}

pub(super) fn within_context(model: Option<&Model>, input: u64) -> Checked<()> {
    let context = model.map_or(u64::MAX, |model| model.context);
    if input <= context {
        return Ok(());
    }
    let text = format!(
        "This model's maximum context length is {context} tokens. However, your messages resulted \
         in {input} tokens. Please reduce the length of the messages."
    );
    Err(mistake(&text, Some("messages"), Some("context_length_exceeded")))
}

fn tools(fields: Fields<'_>) -> Checked<Vec<Tool>> {
    let Some(tools) = fields.list("tools")? else { return Ok(Vec::new()) };
    if tools.is_empty() {
        return Err(empty_list("tools"));
    }
    let mut functions = Vec::new();
    for (nth, tool) in tools.iter().enumerate() {
        if tool.get("type").and_then(Value::as_str) == Some("custom") {
            continue;
        }
        let function = tool.get("function").unwrap_or(&Value::Null);
        functions.push(named_tool(function, &format!("tools[{nth}].function"))?);
    }
    Ok(functions)
}

/// A function's name and parameters; names are as OpenAI allows them.
pub(super) fn named_tool(function: &Value, path: &str) -> Checked<Tool> {
    let path = format!("{path}.name");
    let Some(name) = function.get("name").and_then(Value::as_str) else {
        let text = format!("Missing required parameter: '{path}'.");
        return Err(mistake(&text, Some(&path), Some("missing_required_parameter")));
    };
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if name.is_empty() || !name.chars().all(allowed) {
        let text = format!(
            "Invalid '{path}': string does not match pattern. Expected a string that matches the \
             pattern '^[a-zA-Z0-9_-]+$'."
        );
        return Err(mistake(&text, Some(&path), Some("invalid_value")));
    }
    let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
    Ok(Tool { name: name.to_owned(), schema })
}

fn tool_choice(fields: Fields<'_>, tools: &[Tool]) -> Checked<Choice> {
    let Some(choice) = fields.get("tool_choice") else { return Ok(Choice::Auto) };
    if fields.get("tools").is_none() {
        let text = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are \
                    specified.";
        return Err(mistake(text, Some("tool_choice"), None));
    }
    let function = choice.get("function").and_then(|function| function.get("name"));
    match (choice.as_str(), function.and_then(Value::as_str)) {
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
    let Some(format) = fields.object("response_format")? else { return Ok(Form::Text) };
    let path = "response_format.type";
    match Fields(format).text("type")? {
        Some("text") => Ok(Form::Text),
        Some("json_object") => Ok(Form::Json),
        Some("json_schema") => {
            let schema = format.get("json_schema").and_then(|named| named.get("schema"));
            let missing = "Missing required parameter: 'response_format.json_schema'.";
            schema.cloned().map(Form::Schema).ok_or_else(|| {
                let param = Some("response_format.json_schema");
                mistake(missing, param, Some("missing_required_parameter"))
            })
        }
        Some(other) => Err(wrong_value(path, other, &["json_object", "json_schema", "text"])),
        None => {
            let text = format!("Missing required parameter: '{path}'.");
            Err(mistake(&text, Some(path), Some("missing_required_parameter")))
        }
    }
}

/// A reasoning model thinks 16 tokens unless told not to.
fn thinking(fields: Fields<'_>, model: Option<&Model>) -> u64 {
    let reasons = model.is_some_and(|model| model.kind == ModelKind::Reasoning);
    let effort = fields.get("reasoning_effort").and_then(Value::as_str);
    if reasons && effort != Some("none") { 16 } else { 0 }
}

pub(super) fn stops(fields: Fields<'_>) -> Checked<Vec<String>> {
    let Some(stop) = fields.get("stop") else { return Ok(Vec::new()) };
    if let Some(one) = stop.as_str() {
        return Ok(vec![one.to_owned()]);
    }
    let many = stop.as_array().ok_or_else(|| wrong_type("stop", "a string", stop))?;
    if many.len() > 4 {
        let text = "Invalid 'stop': array too long. Expected an array with maximum length 4.";
        return Err(mistake(text, Some("stop"), Some("array_above_max_length")));
    }
    Ok(many.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect())
}

/// The user's last words, and a tool's if they were the very last.
fn last_said(messages: &[Value]) -> (String, Option<String>) {
    let role =
        |message: &Value, role: &str| message.get("role").and_then(Value::as_str) == Some(role);
    let user = messages.iter().rev().find(|message| role(message, "user"));
    let tool = messages.last().filter(|message| role(message, "tool"));
    (user.map(text_of).unwrap_or_default(), tool.map(text_of))
}

/// A message's text: its content, or the text parts of it.
fn text_of(message: &Value) -> String {
    let content = message.get("content");
    let parts = content.and_then(Value::as_array).into_iter().flatten();
    let texts = parts.filter_map(|part| part.get("text")?.as_str());
    content
        .and_then(Value::as_str)
        .map_or_else(|| texts.collect::<Vec<_>>().join(" "), str::to_owned)
}
