//! Generating content (API reference, "Generating content" and "Counting tokens").

use bytes::Bytes;
use serde_json::{Value, json};

use super::error::{body as error_body, mistake, not_yours};
use super::{Fields, field};
use crate::simulator::call::Call;
use crate::simulator::meter::Ask;
use crate::simulator::reply::{Answered, Content, Event, Reply};
use crate::simulator::turn::{
    Choice, Finish, Form, Tool, Turn, Wish, pieces, text_bytes, tokens_of,
};

/// The fields of a request (API reference).
const FIELDS: &[&str] = &[
    "cachedContent",
    "contents",
    "generationConfig",
    "labels",
    "model",
    "safetySettings",
    "serviceTier",
    "store",
    "systemInstruction",
    "toolConfig",
    "tools",
];
/// The fields of its `generationConfig`.
const CONFIG: &[&str] = &[
    "audioTimestamp",
    "candidateCount",
    "enableEnhancedCivicAnswers",
    "frequencyPenalty",
    "imageConfig",
    "logprobs",
    "maxOutputTokens",
    "mediaResolution",
    "presencePenalty",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "seed",
    "speechConfig",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
];
/// Implicit caching begins with prompts of this many tokens (caching page; it differs by model).
const CACHED_FROM: u64 = 1_024;

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    /// Server-sent events (`alt=sse`).
    Events,
    /// One JSON array, element by element.
    Array,
}

/// A request that was found right.
struct Asked<'a> {
    call: &'a Call,
    model: usize,
    model_name: &'a str,
    wish: Wish,
    cached: u64,
    show_thoughts: bool,
    candidates: u64,
}

pub(super) fn answer(call: &Call, model: &str, delivery: Delivery) -> Answered {
    let asked = Asked::read(call, model, &Fields::read(call, FIELDS)?)?;
    let ask = Ask {
        input: asked.wish.input,
        cached: asked.cached,
        max_output: asked.wish.max_output,
        choices: u32::try_from(asked.candidates).unwrap_or(u32::MAX),
    };
    let pass = call.admit(asked.model, ask)?;
    let turn = asked.wish.turn();
    let reply = match delivery {
        Delivery::Whole => {
            let body = asked.response(&parts_of(&asked, &turn), &turn, Some(&turn.finish));
            return Ok(Reply::json(&body).metered(pass, turn.input, turn.output));
        }
        Delivery::Events => {
            let events = asked.chunks(&turn).into_iter();
            let events = events.map(|(chunk, output)| Event {
                bytes: Bytes::from(format!("data: {chunk}\r\n\r\n")),
                output,
            });
            let mut reply = Reply::stream(events.collect(), Bytes::new());
            reply.content = with_failure(reply.content, &format!("data: {}\r\n\r\n", failure()));
            reply
        }
        Delivery::Array => array(asked.chunks(&turn)),
    };
    Ok(reply.metered(pass, turn.input, 0))
}

pub(super) fn count(call: &Call, model: &str) -> Answered {
    let fields =
        Fields::read(call, &["contents", "generateContentRequest", "systemInstruction", "tools"])?;
    let nested = fields.object(call, "generateContentRequest", FIELDS)?;
    let asked = Asked::read(call, model, nested.as_ref().unwrap_or(&fields))?;
    let total = asked.wish.input;
    Ok(Reply::json(&json!({
        "totalTokens": total,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}],
    })))
}

/// The elements of a JSON array, one piece each, as the API sends a stream without `alt=sse`.
fn array(chunks: Vec<(Value, u64)>) -> Reply {
    let last = chunks.len().saturating_sub(1);
    let events = chunks.into_iter().enumerate().map(|(nth, (chunk, output))| {
        let before = if nth == 0 { "[" } else { ",\r\n" };
        let after = if nth == last { "\n]\n" } else { "" };
        Event { bytes: Bytes::from(format!("{before}{chunk}{after}")), output }
    });
    let failure = Bytes::from(format!(",\r\n{}\n]\n", failure()));
    let content = Content::Stream { events: events.collect(), failure };
    Reply::new(200, "application/json; charset=UTF-8", content)
}

fn failure() -> Value {
    error_body(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", &[])
}

fn with_failure(content: Content, text: &str) -> Content {
    match content {
        Content::Stream { events, .. } => {
            Content::Stream { events, failure: Bytes::from(text.to_owned()) }
        }
        Content::Whole(bytes) => Content::Whole(bytes),
    }
}

/// The parts of the whole answer.
fn parts_of(asked: &Asked<'_>, turn: &Turn) -> Vec<Value> {
    let mut parts = Vec::new();
    if asked.show_thoughts && !turn.thinking.is_empty() {
        parts.push(json!({"text": turn.thinking, "thought": true}));
    }
    if !turn.text.is_empty() {
        parts.push(json!({"text": turn.text}));
    }
    for (nth, made) in (0..).zip(&turn.calls) {
        parts.push(json!({
            "functionCall": {
                "id": asked.call.id("", 10 + nth), "name": made.name, "args": made.arguments,
            },
            "thoughtSignature": "c2lnbmVk",
        }));
    }
    parts
}

impl<'a> Asked<'a> {
    fn read(call: &'a Call, model_name: &'a str, fields: &Fields) -> Result<Self, Box<Reply>> {
        let contents = contents(call, fields)?;
        let config = fields.object(call, "generationConfig", CONFIG)?;
        let model = call.find_model(model_name)?;
        let held = held(call, fields)?;
        let mut parts: Vec<&Value> =
            ["tools", "systemInstruction"].iter().filter_map(|name| fields.get(name)).collect();
        parts.extend(contents);
        let input = held + tokens_of(parts.iter().map(|part| text_bytes(part)).sum());
        let context = call.model(model).map_or(u64::MAX, |model| model.context);
        if input > context {
            let text = format!(
                "The input token count ({input}) exceeds the maximum number of tokens allowed \
                 ({context})."
            );
            return Err(mistake(&call.scene, &text));
        }
        let known = tokens_of(call.known_prefix(model, &parts));
        let implicit = if known < CACHED_FROM { 0 } else { known.min(input) };
        let thinking = config.as_ref().and_then(|config| config.get("thinkingConfig"));
        let (prompt, tool_result) = last_said(contents);
        let wish = Wish {
            prompt,
            tool_result,
            input,
            max_output: config.as_ref().and_then(|config| config.whole("maxOutputTokens")),
            tools: tools(fields),
            choice: choice(fields),
            form: form(config.as_ref()),
            think: thoughts(thinking),
            stop: stops(config.as_ref()),
        };
        let shown = thinking.and_then(|thinking| field(thinking, "includeThoughts"));
        Ok(Self {
            call,
            model,
            model_name,
            wish,
            cached: held.max(implicit),
            show_thoughts: shown.and_then(Value::as_bool).unwrap_or(false),
            candidates: config
                .as_ref()
                .and_then(|config| config.whole("candidateCount"))
                .map_or(1, |count| count.clamp(1, 8)),
        })
    }

    /// The answer in pieces: partial responses, the reason to stop in the last.
    fn chunks(&self, turn: &Turn) -> Vec<(Value, u64)> {
        let mut said: Vec<(Vec<Value>, u64)> = Vec::new();
        let size = self.call.piece();
        if self.show_thoughts {
            for (piece, output) in pieces(&turn.thinking, size, 0) {
                said.push((vec![json!({"text": piece, "thought": true})], output));
            }
        }
        let mut owed = if self.show_thoughts { 0 } else { turn.reasoning };
        for (piece, output) in pieces(&turn.text, size, 0) {
            said.push((vec![json!({"text": piece})], output + std::mem::take(&mut owed)));
        }
        let calls = Turn { text: String::new(), thinking: String::new(), ..turn.clone() };
        for (part, made) in parts_of(self, &calls).into_iter().zip(&turn.calls) {
            said.push((vec![part], made.tokens() + std::mem::take(&mut owed)));
        }
        if said.is_empty() {
            said.push((Vec::new(), owed));
        }
        let last = said.len() - 1;
        let mut spoken = 0;
        said.into_iter()
            .enumerate()
            .map(|(nth, (parts, output))| {
                spoken += output;
                let so_far = Turn { output: spoken.max(turn.reasoning), ..turn.clone() };
                let finish = (nth == last).then_some(&turn.finish);
                (self.response(&parts, &so_far, finish), output)
            })
            .collect()
    }

    fn response(&self, parts: &[Value], turn: &Turn, finish: Option<&Finish>) -> Value {
        let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
        if let (Some(finish), Some(fields)) = (finish, candidate.as_object_mut()) {
            fields.insert("finishReason".to_owned(), json!(finish_reason(finish)));
        }
        let candidates: Vec<Value> = (0..self.candidates)
            .map(|index| {
                let mut one = candidate.clone();
                if let Some(fields) = one.as_object_mut() {
                    fields.insert("index".to_owned(), json!(index));
                }
                one
            })
            .collect();
        json!({
            "candidates": candidates,
            "usageMetadata": self.usage(turn),
            "modelVersion": self.model_name,
            "responseId": self.call.id("", 1),
        })
    }

    /// Input includes what was cached; candidates exclude thoughts (API reference,
    /// `UsageMetadata`).
    fn usage(&self, turn: &Turn) -> Value {
        let mut usage = json!({
            "promptTokenCount": turn.input,
            "candidatesTokenCount": turn.output - turn.reasoning,
            "totalTokenCount": turn.input + turn.output,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": turn.input}],
        });
        if let Some(fields) = usage.as_object_mut() {
            if self.cached > 0 {
                fields.insert("cachedContentTokenCount".to_owned(), json!(self.cached));
            }
            if turn.reasoning > 0 {
                fields.insert("thoughtsTokenCount".to_owned(), json!(turn.reasoning));
            }
        }
        usage
    }
}

/// There is no reason of its own for tool calls.
const fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopText(_) | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
    }
}

fn contents<'a>(call: &Call, fields: &'a Fields) -> Result<&'a [Value], Box<Reply>> {
    let wrong = |text: &str| mistake(&call.scene, text);
    let contents = fields.get("contents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if contents.is_empty() {
        return Err(wrong("* GenerateContentRequest.contents: contents is not specified\n"));
    }
    for (nth, content) in contents.iter().enumerate() {
        let role = content.get("role").and_then(Value::as_str).unwrap_or("user");
        if !["user", "model", "function"].contains(&role) {
            return Err(wrong("Please use a valid role: user, model."));
        }
        let parts = content.get("parts").and_then(Value::as_array);
        if parts.is_none_or(Vec::is_empty) {
            return Err(wrong(&format!(
                "* GenerateContentRequest.contents[{nth}].parts: contents.parts must not be empty.\n"
            )));
        }
    }
    Ok(contents)
}

/// The tokens of the cached content that the request names.
fn held(call: &Call, fields: &Fields) -> Result<u64, Box<Reply>> {
    let Some(name) = fields.text("cachedContent") else { return Ok(0) };
    let Some(kept) = call.kept("cachedContent", name) else {
        return Err(not_yours(&call.scene, "CachedContent", name));
    };
    let count = field(&kept.object, "usageMetadata").and_then(|usage| usage.get("totalTokenCount"));
    Ok(count.and_then(Value::as_u64).unwrap_or(0))
}

fn tools(fields: &Fields) -> Vec<Tool> {
    let given = fields.get("tools").and_then(Value::as_array).into_iter().flatten();
    let declared = given.filter_map(|tool| field(tool, "functionDeclarations")?.as_array());
    declared
        .flatten()
        .filter_map(|function| {
            let name = function.get("name")?.as_str()?.to_owned();
            let schema = field(function, "parameters")
                .or_else(|| field(function, "parametersJsonSchema"))
                .cloned()
                .unwrap_or_else(|| json!({"type": "object"}));
            Some(Tool { name, schema })
        })
        .collect()
}

fn choice(fields: &Fields) -> Choice {
    let config = fields.get("toolConfig").and_then(|config| field(config, "functionCallingConfig"));
    let mode = config.and_then(|config| config.get("mode")?.as_str());
    let allowed = config.and_then(|config| field(config, "allowedFunctionNames")?.get(0)?.as_str());
    match (mode.map(str::to_ascii_uppercase).as_deref(), allowed) {
        (Some("NONE"), _) => Choice::None,
        (Some("ANY"), Some(name)) => Choice::Named(name.to_owned()),
        (Some("ANY"), None) => Choice::Any,
        _ => Choice::Auto,
    }
}

fn form(config: Option<&Fields>) -> Form {
    let Some(config) = config else { return Form::Text };
    let schema = config.get("responseJsonSchema").or_else(|| config.get("responseSchema"));
    match (schema, config.text("responseMimeType")) {
        (Some(schema), _) => Form::Schema(schema.clone()),
        (None, Some("application/json")) => Form::Json,
        (None, _) => Form::Text,
    }
}

/// It thinks 16 tokens where the request asks for thoughts or grants a budget.
fn thoughts(config: Option<&Value>) -> u64 {
    let Some(config) = config else { return 0 };
    let budget = field(config, "thinkingBudget").and_then(Value::as_i64);
    let shown = field(config, "includeThoughts").and_then(Value::as_bool) == Some(true);
    let level = field(config, "thinkingLevel").is_some();
    if budget == Some(0) || !(shown || level || budget.is_some()) { 0 } else { 16 }
}

fn stops(config: Option<&Fields>) -> Vec<String> {
    let given = config.and_then(|config| config.get("stopSequences")?.as_array());
    let texts = given.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn last_said(contents: &[Value]) -> (String, Option<String>) {
    let parts = |content: &Value| content.get("parts").and_then(Value::as_array).cloned();
    let text = |content: &Value| {
        let parts = parts(content).unwrap_or_default();
        let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
        texts.collect::<Vec<_>>().join(" ")
    };
    let from_user =
        |content: &&Value| content.get("role").and_then(Value::as_str).unwrap_or("user") == "user";
    let said = contents.iter().rev().filter(from_user).map(text).find(|text| !text.is_empty());
    let result = contents.last().and_then(|content| {
        let parts = parts(content)?;
        let answered = parts.iter().find_map(|part| field(part, "functionResponse"))?;
        Some(answered.get("response").map(Value::to_string).unwrap_or_default())
    });
    (said.unwrap_or_default(), result)
}
