//! What a message may ask, and how it is refused where it asks otherwise (API reference, "Create a
//! message"; versioning, extended-thinking and prompt-caching pages).

use serde_json::{Map, Value};

use super::OLD_VERSION;
use super::error::mistake;
use crate::simulator::call::Call;
use crate::simulator::plan::Model;
use crate::simulator::reply::Reply;
use crate::simulator::turn::{Choice, Form, Tool, Wish, text_bytes, tokens_of};

/// The fields of a request under every version (API reference).
const FIELDS: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];
/// Those that the newer version no longer has (versioning page).
const SAMPLING: &[&str] = &["temperature", "top_k", "top_p"];
/// The shortest prefix that is cached (prompt-caching page).
const CACHED_FROM: u64 = 1_024;

/// What of the input the prompt cache had, and what it took in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cached {
    pub(super) read: u64,
    pub(super) written: u64,
}

/// What messages and token counts have in common.
pub(super) struct Message<'a> {
    call: &'a Call,
    pub(super) model: usize,
    pub(super) model_name: String,
    pub(super) input: u64,
}

impl<'a> Message<'a> {
    pub(super) fn read(call: &'a Call, request: &Map<String, Value>) -> Result<Self, Box<Reply>> {
        let wrong = |text: &str| mistake(&call.scene, text);
        let old = call.scene.header("anthropic-version") == Some(OLD_VERSION);
        let known = |name: &str| FIELDS.contains(&name) || old && SAMPLING.contains(&name);
        if let Some(name) = request.keys().find(|name| !known(name)) {
            return Err(wrong(&format!("{name}: Extra inputs are not permitted")));
        }
        let Some(model) = request.get("model") else {
            return Err(wrong("model: Field required"));
        };
        let Some(model_name) = model.as_str() else {
            return Err(wrong("model: Input should be a valid string"));
        };
        check_messages(call, request)?;
        let temperature = request.get("temperature").and_then(Value::as_f64);
        if temperature.is_some_and(|warmth| !(0.0..=1.0).contains(&warmth)) {
            return Err(wrong("temperature: range: 0..1"));
        }
        let model = call.find_model(model_name)?;
        let parts = ["tools", "system", "messages"];
        let bytes = parts.iter().filter_map(|name| request.get(*name)).map(text_bytes).sum();
        let input = tokens_of(bytes);
        let context = call.model(model).map_or(u64::MAX, |model: &Model| model.context);
        if input > context {
            let text = format!("prompt is too long: {input} tokens > {context} maximum");
            return Err(wrong(&text));
        }
        Ok(Self { call, model, model_name: model_name.to_owned(), input })
    }

    pub(super) fn max_tokens(&self, request: &Map<String, Value>) -> Result<u64, Box<Reply>> {
        let wrong = |text: &str| mistake(&self.call.scene, text);
        let Some(value) = request.get("max_tokens") else {
            return Err(wrong("max_tokens: Field required"));
        };
        let Some(asked) = value.as_u64() else {
            return Err(wrong(
                "max_tokens: Input should be a valid integer greater than or equal to 0",
            ));
        };
        let most = self.call.model(self.model).map_or(u64::MAX, |model| model.max_output);
        if asked > most {
            return Err(wrong(&format!(
                "max_tokens: {asked} > {most}, which is the maximum allowed number of output tokens \
                 for {}",
                self.model_name
            )));
        }
        Ok(asked)
    }

    pub(super) fn wish(
        &self,
        request: &Map<String, Value>,
        max_tokens: u64,
    ) -> Result<Wish, Box<Reply>> {
        let messages = request.get("messages").and_then(Value::as_array);
        let (prompt, tool_result) = last_said(messages.map_or(&[][..], Vec::as_slice));
        let schema = request
            .get("output_config")
            .and_then(|config| config.get("format"))
            .and_then(|format| format.get("schema"));
        let stops = request.get("stop_sequences").and_then(Value::as_array);
        Ok(Wish {
            prompt,
            tool_result,
            input: self.input,
            max_output: Some(max_tokens),
            tools: self.tools(request)?,
            choice: choice(request),
            form: schema.cloned().map_or(Form::Text, Form::Schema),
            think: self.thinking(request, max_tokens)?,
            stop: stops
                .into_iter()
                .flatten()
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect(),
        })
    }

    /// Tools need a name of the allowed letters and an object as schema.
    fn tools(&self, request: &Map<String, Value>) -> Result<Vec<Tool>, Box<Reply>> {
        let given = request.get("tools").and_then(Value::as_array);
        let mut tools = Vec::new();
        for (nth, tool) in given.into_iter().flatten().enumerate() {
            let server_side = tool.get("type").is_some_and(|kind| kind != "custom");
            if server_side {
                continue;
            }
            let wrong = |text: String| mistake(&self.call.scene, &text);
            let Some(name) = tool.get("name").and_then(Value::as_str) else {
                return Err(wrong(format!("tools.{nth}.custom.name: Field required")));
            };
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !(1..=128).contains(&name.len()) || !name.chars().all(letter) {
                return Err(wrong(format!(
                    "tools.{nth}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
                )));
            }
            let Some(schema) = tool.get("input_schema") else {
                return Err(wrong(format!("tools.{nth}.custom.input_schema: Field required")));
            };
            if schema.get("type").and_then(Value::as_str) != Some("object") {
                return Err(wrong(format!(
                    "tools.{nth}.custom.input_schema.type: Input should be 'object'"
                )));
            }
            tools.push(Tool { name: name.to_owned(), schema: schema.clone() });
        }
        Ok(tools)
    }

    /// Thinking by budget: at least 1,024 tokens and less than `max_tokens`. It thinks 16.
    fn thinking(&self, request: &Map<String, Value>, max_tokens: u64) -> Result<u64, Box<Reply>> {
        let Some(thinking) = request.get("thinking") else { return Ok(0) };
        let wrong = |text: &str| mistake(&self.call.scene, text);
        match thinking.get("type").and_then(Value::as_str) {
            Some("adaptive" | "between_tools") => Ok(16),
            Some("disabled") => Ok(0),
            Some("enabled") => match thinking.get("budget_tokens").and_then(Value::as_u64) {
                None => Err(wrong("thinking.enabled.budget_tokens: Field required")),
                Some(budget) if budget < 1_024 => Err(wrong(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                )),
                Some(budget) if budget >= max_tokens => {
                    Err(wrong("`max_tokens` must be greater than `thinking.budget_tokens`."))
                }
                Some(_) => Ok(16),
            },
            Some(_) | None => Err(wrong(
                "thinking: Input tag does not match any of the expected tags: 'adaptive', \
                 'disabled', 'enabled'",
            )),
        }
    }

    /// What is cached is marked: everything up to the last `cache_control`.
    pub(super) fn cached(&self, call: &Call, request: &Map<String, Value>) -> Cached {
        let part = |name: &str| request.get(name);
        let mut parts: Vec<&Value> = part("tools").into_iter().chain(part("system")).collect();
        parts.extend(part("messages").and_then(Value::as_array).into_iter().flatten());
        let marked = |value: &&Value| value.to_string().contains("\"cache_control\"");
        let end = if part("cache_control").is_some() {
            parts.len()
        } else {
            parts.iter().rposition(marked).map_or(0, |last| last + 1)
        };
        let prefix = parts.get(..end).unwrap_or_default();
        let bytes: usize = prefix.iter().map(|part| text_bytes(part)).sum();
        let whole = tokens_of(bytes).min(self.input);
        if whole < CACHED_FROM {
            return Cached::default();
        }
        let read = tokens_of(call.known_prefix(self.model, prefix)).min(whole);
        let read = if read < CACHED_FROM { 0 } else { read };
        Cached { read, written: whole - read }
    }
}

fn check_messages(call: &Call, request: &Map<String, Value>) -> Result<(), Box<Reply>> {
    let wrong = |text: &str| mistake(&call.scene, text);
    let Some(messages) = request.get("messages") else {
        return Err(wrong("messages: Field required"));
    };
    let Some(messages) = messages.as_array() else {
        return Err(wrong("messages: Input should be a valid array"));
    };
    if messages.is_empty() {
        return Err(wrong("messages: at least one message is required"));
    }
    let mut asked: Vec<&str> = Vec::new();
    for (nth, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str);
        match (role, message.get("role")) {
            (Some("user" | "assistant" | "system"), _) => {}
            (_, None) => return Err(wrong(&format!("messages.{nth}.role: Field required"))),
            _ => {
                let text = format!("messages.{nth}.role: Input should be 'user' or 'assistant'");
                return Err(wrong(&text));
            }
        }
        let Some(content) = message.get("content") else {
            return Err(wrong(&format!("messages.{nth}.content: Field required")));
        };
        check_content(call, nth, content, &asked)?;
        asked = blocks(content).filter_map(|block| block.get("id")?.as_str()).collect();
    }
    Ok(())
}

/// Text is never empty, and a tool's result answers a call of the message before.
fn check_content(
    call: &Call,
    nth: usize,
    content: &Value,
    asked: &[&str],
) -> Result<(), Box<Reply>> {
    let wrong = |text: &str| mistake(&call.scene, text);
    if content.as_str() == Some("") {
        return Err(wrong(&format!("messages.{nth}: user messages must have non-empty content")));
    }
    if !content.is_string() && !content.is_array() {
        return Err(wrong(&format!("messages.{nth}.content: Input should be a valid array")));
    }
    for (place, block) in blocks(content).enumerate() {
        let field = |name: &str| block.get(name).and_then(Value::as_str);
        match field("type") {
            None => {
                let text = format!("messages.{nth}.content.{place}.type: Field required");
                return Err(wrong(&text));
            }
            Some("text") if field("text") == Some("") => {
                return Err(wrong("messages: text content blocks must be non-empty"));
            }
            Some("tool_result") => {
                let id = field("tool_use_id").unwrap_or_default();
                if !asked.contains(&id) {
                    return Err(wrong(&format!(
                        "messages.{nth}.content.{place}: unexpected `tool_use_id` found in \
                         `tool_result` blocks: {id}. Each `tool_result` block must have a \
                         corresponding `tool_use` block in the previous message."
                    )));
                }
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn blocks(content: &Value) -> impl Iterator<Item = &Value> {
    content.as_array().into_iter().flatten()
}

fn choice(request: &Map<String, Value>) -> Choice {
    let choice = request.get("tool_choice");
    let field = |name: &str| choice.and_then(|choice| choice.get(name)).and_then(Value::as_str);
    match field("type") {
        Some("any") => Choice::Any,
        Some("none") => Choice::None,
        Some("tool") => Choice::Named(field("name").unwrap_or_default().to_owned()),
        Some(_) | None => Choice::Auto,
    }
}

fn last_said(messages: &[Value]) -> (String, Option<String>) {
    let users = messages
        .iter()
        .rev()
        .filter(|message| message.get("role").and_then(Value::as_str) == Some("user"))
        .filter_map(|message| message.get("content"));
    let text = |content: &Value| {
        let texts = blocks(content).filter_map(|block| block.get("text")?.as_str());
        content.as_str().map_or_else(|| texts.collect::<Vec<_>>().join(" "), str::to_owned)
    };
    let result = |content: &Value| {
        let result = blocks(content)
            .find(|block| block.get("type").and_then(Value::as_str) == Some("tool_result"))?;
        Some(result.get("content").map(text).unwrap_or_default())
    };
    let last = messages.last().and_then(|message| message.get("content"));
    let prompt = users.map(text).find(|text| !text.is_empty());
    (prompt.unwrap_or_default(), last.and_then(result))
}
