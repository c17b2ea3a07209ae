//! Reads a chat completion request (OpenAI API reference, "Create chat completion").
//!
//! Beside what the reference has, it takes back what our own answers put beside it for other
//! providers' sake, in the words that others use for it: `reasoning_content` (DeepSeek's),
//! `thinking_blocks` (`LiteLLM`'s) and `extra_content.google.thought_signature` (Google's).

use std::borrow::Cow;

use crate::formats::Wire;
use crate::translate::json::{Json, Object, Text, take};
use crate::translate::request::{
    Call, Effort, Kind, Media, MediaKind, Outcome, Output, Part, Request, Role, Schema, Source,
    Thinking, Tier, Tool, ToolChoice, Turn,
};
use crate::translate::seal::{Maker, Seal};
use crate::translate::unfit::{At, Expect, Unfit, required, required_text};

/// Reads the body of a request.
pub(crate) fn read(body: Json<'_>) -> Result<Request<'_>, Unfit> {
    let mut request = Request::new(Wire::OpenAi);
    let mut later = None;
    for (name, value) in body.fields()? {
        if value.is_null() {
            continue;
        }
        let named = &*name;
        match named {
            "model" | "stream_options" => {}
            "messages" => messages(value, &mut request).at(named)?,
            "stream" => request.stream = value.flag().at(named)?,
            "max_completion_tokens" => request.max_output = Some(value.count().at(named)?),
            // The older name of the same; where both stand, the newer one holds.
            "max_tokens" => later = Some(value.count().at(named)?),
            "n" => request.choices = Some(value.count().at(named)?),
            "stop" => request.stop = stop(value).at(named)?,
            "tools" => request.tools = tools(value).at(named)?,
            "tool_choice" => request.tool_choice = Some(tool_choice(value).at(named)?),
            "parallel_tool_calls" => request.parallel_calls = Some(value.flag().at(named)?),
            "response_format" => request.output = output(value).at(named)?,
            "reasoning_effort" => request.thinking = Some(effort(value).at(named)?),
            "user" | "safety_identifier" => request.user = Some(value.text().at(named)?),
            "service_tier" => match tier(&value) {
                Some(tier) => request.tier = Some(tier),
                None => request.extra.push((name, value)),
            },
            "modalities" if is_text_only(&value) => {}
            "logprobs" if value.as_bool() == Some(false) => {}
            _ => match sampling(named, &value, &mut request) {
                Some(read) => read.at(named)?,
                None => request.extra.push((name, value)),
            },
        }
    }
    request.max_output = request.max_output.or(later);
    Ok(request)
}

/// How tokens are drawn; `None` if the field is of something else.
fn sampling(name: &str, value: &Json<'_>, request: &mut Request<'_>) -> Option<Result<(), Unfit>> {
    let sampling = &mut request.sampling;
    let place = match name {
        "temperature" => &mut sampling.temperature,
        "top_p" => &mut sampling.top_p,
        "presence_penalty" => &mut sampling.presence_penalty,
        "frequency_penalty" => &mut sampling.frequency_penalty,
        // Not OpenAI's, but of several that copy it.
        "top_k" => {
            sampling.top_k = value.as_count();
            return Some(Ok(()));
        }
        "seed" => {
            let seed = if let Json::Number(number) = value { number.as_i64() } else { None };
            sampling.seed = seed;
            let wrong = || Unfit::new("a whole number is expected");
            return Some(seed.map(|_| ()).ok_or_else(wrong));
        }
        _ => return None,
    };
    *place = value.as_number();
    let wrong = || Unfit::new("a number is expected");
    Some(place.map(|_| ()).ok_or_else(wrong))
}

fn is_text_only(value: &Json<'_>) -> bool {
    matches!(value, Json::Array(kinds) if kinds.iter().all(|kind| kind.as_text() == Some("text")))
}

fn messages<'a>(value: Json<'a>, request: &mut Request<'a>) -> Result<(), Unfit> {
    for (place, message) in value.items()?.into_iter().enumerate() {
        self::message(message, request).nth(place)?;
    }
    Ok(())
}

fn message<'a>(value: Json<'a>, request: &mut Request<'a>) -> Result<(), Unfit> {
    let mut message = value.fields()?;
    let role = required_text(&mut message, "role")?;
    let content = take(&mut message, "content").unwrap_or_default();
    match &*role {
        "system" | "developer" => {
            let parts = parts(content).at("content")?;
            if request.turns.is_empty() && message.is_empty() {
                request.system.extend(parts);
            } else {
                request.turns.push(Turn { role: Role::System, parts, extra: message });
            }
        }
        "user" => {
            let parts = parts(content).at("content")?;
            request.turns.push(Turn { role: Role::User, parts, extra: message });
        }
        "assistant" => {
            let mut said = thoughts(&mut message)?;
            said.extend(parts(content).at("content")?);
            if let Some(refusal) = take(&mut message, "refusal") {
                said.push(Part::text(refusal.text().at("refusal")?));
            }
            if let Some(calls) = take(&mut message, "tool_calls") {
                for (place, call) in calls.items().at("tool_calls")?.into_iter().enumerate() {
                    said.push(self::call(call).nth(place).at("tool_calls")?);
                }
            }
            // What answers carry and requests have no use for.
            message.retain(|(name, value)| !value.is_null() && name != "annotations");
            request.turns.push(Turn { role: Role::Assistant, parts: said, extra: message });
        }
        "tool" => {
            let id = required_text(&mut message, "tool_call_id")?;
            let name = request.called(&id).cloned().unwrap_or_default();
            let content = parts(content).at("content")?;
            let outcome = Outcome { id, name, content, failed: false };
            let part = Part { kind: Kind::Outcome(outcome), extra: message };
            push_outcome(part, request);
        }
        _ => return Err(Unfit::of("role", "is not one of those that can be translated")),
    }
    Ok(())
}

/// Results that stand together are one turn: other formats want them in one message.
fn push_outcome<'a>(part: Part<'a>, request: &mut Request<'a>) {
    let is_outcome = |part: &Part<'_>| matches!(part.kind, Kind::Outcome(_));
    match request.turns.last_mut() {
        Some(last) if last.role == Role::User && last.parts.iter().all(is_outcome) => {
            last.parts.push(part);
        }
        _ => {
            let (role, extra) = (Role::User, Object::new());
            request.turns.push(Turn { role, parts: vec![part], extra });
        }
    }
}

/// What the model thought before it said this, as far as the application gives it back.
fn thoughts<'a>(message: &mut Object<'a>) -> Result<Vec<Part<'a>>, Unfit> {
    let told = take(message, "reasoning_content");
    let told = told.or_else(|| take(message, "reasoning"));
    let Some(blocks) = take(message, "thinking_blocks") else {
        let text = told.map(|told| told.text().at("reasoning_content")).transpose()?;
        let thought = |text| Part::of(Kind::Thinking { text, seal: None });
        return Ok(text.map(thought).into_iter().collect());
    };
    let block = |block: Json<'a>| {
        let mut block = block.fields()?;
        let field = |block: &mut Object<'a>, name: &str| {
            take(block, name).map(|value| value.text().at(name)).transpose()
        };
        let text = field(&mut block, "thinking")?.unwrap_or_default();
        let signature = field(&mut block, "signature")?.filter(|signature| !signature.is_empty());
        let signed = signature.map(|signature| Seal::unstamped(Maker::Anthropic, signature));
        let redacted = field(&mut block, "data")?;
        let redacted = redacted.map(|data| Seal::unstamped(Maker::AnthropicRedacted, data));
        Ok(Part::of(Kind::Thinking { text, seal: signed.or(redacted) }))
    };
    let blocks = blocks.items().at("thinking_blocks")?.into_iter().enumerate();
    blocks.map(|(place, it)| block(it).nth(place).at("thinking_blocks")).collect()
}

fn call(value: Json<'_>) -> Result<Part<'_>, Unfit> {
    let mut call = value.fields()?;
    let id = required_text(&mut call, "id")?;
    if let Some(kind) = take(&mut call, "type")
        && kind.as_text() != Some("function")
    {
        return Err(Unfit::of("type", "only functions can be translated"));
    }
    let mut function = required(&mut call, "function")?.fields().at("function")?;
    let name = required_text(&mut function, "name").at("function")?;
    let arguments = take(&mut function, "arguments").unwrap_or_default();
    let arguments = arguments_of(arguments).at("arguments").at("function")?;
    let google = take(&mut call, "extra_content").and_then(|mut extra| extra.take("google"));
    let signature = google.and_then(|mut google| google.take("thought_signature"));
    let signature = signature.map(Expect::text).transpose()?;
    let seal = signature.map(|text| Seal::unstamped(Maker::Gemini, text));
    Ok(Part { kind: Kind::Call(Call { id, name, arguments, seal }), extra: call })
}

/// The JSON text that holds a call's arguments; none is an empty object.
pub(crate) fn arguments_of(value: Json<'_>) -> Result<Json<'_>, Unfit> {
    let text = match value {
        Json::Null => return Ok(Json::Object(Object::new())),
        Json::Text(text) => text,
        Json::Object(_) => return Ok(value),
        _ => return Err(Unfit::new("JSON text is expected")),
    };
    if text.trim().is_empty() {
        return Ok(Json::Object(Object::new()));
    }
    let read = match &text {
        Cow::Borrowed(text) => Json::read(text.as_bytes()),
        Cow::Owned(text) => Json::read(text.as_bytes()).map(Json::into_owned),
    };
    let object = read.ok().filter(|read| matches!(read, Json::Object(_)));
    object.ok_or_else(|| Unfit::new("is no JSON object"))
}

/// A message's content: a string, or a list of parts.
fn parts(content: Json<'_>) -> Result<Vec<Part<'_>>, Unfit> {
    match content {
        Json::Null => Ok(Vec::new()),
        Json::Text(text) => Ok(vec![Part::text(text)]),
        Json::Array(items) => {
            items.into_iter().enumerate().map(|(place, item)| part(item).nth(place)).collect()
        }
        _ => Err(Unfit::new("a string or an array is expected")),
    }
}

fn part(value: Json<'_>) -> Result<Part<'_>, Unfit> {
    let mut part = value.fields()?;
    let kind = required_text(&mut part, "type")?;
    let kind = match &*kind {
        "text" => Kind::Text(required_text(&mut part, "text")?),
        "refusal" => Kind::Text(required_text(&mut part, "refusal")?),
        "image_url" => {
            let image = required(&mut part, "image_url")?;
            Kind::Media(self::image(image, &mut part).at("image_url")?)
        }
        "input_audio" => {
            let sound = required(&mut part, "input_audio")?;
            Kind::Media(audio(sound).at("input_audio")?)
        }
        "file" => Kind::Media(file(required(&mut part, "file")?).at("file")?),
        _ => return Err(Unfit::of("type", "is not one of those that can be translated")),
    };
    Ok(Part { kind, extra: part })
}

fn image<'a>(value: Json<'a>, beside: &mut Object<'a>) -> Result<Media<'a>, Unfit> {
    let mut image = value.fields()?;
    let url = required_text(&mut image, "url")?;
    // How closely to look: OpenAI's alone.
    beside.extend(image.into_iter().filter(|(_, value)| !value.is_null()));
    let (mime, source) = match data_url(&url) {
        None if url.starts_with("data:") => {
            return Err(Unfit::of("url", "is no image in base64 (`data:image/…;base64,…`)"));
        }
        None => (None, Source::Url(url)),
        Some((mime, _)) if !mime.starts_with("image/") => {
            return Err(Unfit::of("url", "is no image"));
        }
        Some(place) => split(url.clone(), place),
    };
    Ok(Media { kind: MediaKind::Image, mime, source, name: None })
}

fn audio(value: Json<'_>) -> Result<Media<'_>, Unfit> {
    let mut sound = value.fields()?;
    let data = required_text(&mut sound, "data")?;
    let mime = match &*required_text(&mut sound, "format")? {
        "mp3" => "audio/mpeg".to_owned(),
        format => format!("audio/{format}"),
    };
    let (mime, source) = (Some(Cow::Owned(mime)), Source::Base64(data));
    Ok(Media { kind: MediaKind::Audio, mime, source, name: None })
}

fn file(value: Json<'_>) -> Result<Media<'_>, Unfit> {
    let mut file = value.fields()?;
    if take(&mut file, "file_id").is_some() {
        return Err(Unfit::of("file_id", "is known to OpenAI alone; send the file itself"));
    }
    let name = take(&mut file, "filename").map(|name| name.text().at("filename")).transpose()?;
    let data = required_text(&mut file, "file_data")?;
    let Some(place) = data_url(&data) else {
        return Err(Unfit::of("file_data", "is no `data:…;base64,…`"));
    };
    let (mime, source) = split(data.clone(), place);
    Ok(Media { kind: MediaKind::Document, mime, source, name })
}

/// The type in a `data:` URL, and where its base64 begins.
pub(crate) fn data_url(url: &str) -> Option<(&str, usize)> {
    let (head, _) = url.strip_prefix("data:")?.split_once(',')?;
    let mime = head.strip_suffix(";base64")?;
    let mime = mime.split(';').next().filter(|mime| mime.contains('/'))?;
    Some((mime, "data:".len() + head.len() + 1))
}

pub(crate) fn split<'a>(
    url: Text<'a>,
    (mime, start): (&str, usize),
) -> (Option<Text<'a>>, Source<'a>) {
    let mime = Some(Cow::Owned(mime.to_owned()));
    let data = match url {
        Cow::Borrowed(url) => Cow::Borrowed(url.get(start..).unwrap_or_default()),
        Cow::Owned(mut url) => Cow::Owned(url.split_off(start)),
    };
    (mime, Source::Base64(data))
}

fn stop(value: Json<'_>) -> Result<Vec<Text<'_>>, Unfit> {
    match value {
        Json::Text(text) => Ok(vec![text]),
        other => {
            let texts = other.items()?.into_iter().enumerate();
            texts.map(|(place, text)| text.text().nth(place)).collect()
        }
    }
}

fn tools(value: Json<'_>) -> Result<Vec<Tool<'_>>, Unfit> {
    value.items()?.into_iter().enumerate().map(|(place, it)| tool(it).nth(place)).collect()
}

fn tool(value: Json<'_>) -> Result<Tool<'_>, Unfit> {
    let mut tool = value.fields()?;
    if required_text(&mut tool, "type")? != "function" {
        return Err(Unfit::of("type", "only functions can be translated"));
    }
    let mut function = required(&mut tool, "function")?.fields().at("function")?;
    let name = required_text(&mut function, "name").at("function")?;
    let description = take(&mut function, "description").map(Expect::text).transpose()?;
    let strict = take(&mut function, "strict").and_then(|strict| strict.as_bool());
    let parameters = take(&mut function, "parameters");
    function.retain(|(_, value)| !value.is_null());
    Ok(Tool { name, description, parameters, strict, extra: function })
}

pub(crate) fn tool_choice(value: Json<'_>) -> Result<ToolChoice<'_>, Unfit> {
    let mut choice = match value {
        Json::Text(word) => {
            return match &*word {
                "auto" => Ok(ToolChoice::Auto),
                "none" => Ok(ToolChoice::None),
                "required" => Ok(ToolChoice::Required),
                _ => Err(Unfit::new("is none of auto, none and required")),
            };
        }
        other => other.fields()?,
    };
    match &*required_text(&mut choice, "type")? {
        "function" => {
            let mut function = required(&mut choice, "function")?.fields().at("function")?;
            let names = vec![required_text(&mut function, "name").at("function")?];
            Ok(ToolChoice::Only { names, must: true })
        }
        "allowed_tools" => {
            let mut allowed =
                required(&mut choice, "allowed_tools")?.fields().at("allowed_tools")?;
            let must = required_text(&mut allowed, "mode").at("allowed_tools")? == "required";
            let tools = required(&mut allowed, "tools")?.items().at("tools")?;
            let name = |tool: Json<'_>| {
                let mut function = required(&mut tool.fields()?, "function")?.fields()?;
                required_text(&mut function, "name").map(|name| Cow::Owned(name.into_owned()))
            };
            let names: Result<_, _> = tools.into_iter().map(name).collect();
            Ok(ToolChoice::Only { names: names.at("allowed_tools")?, must })
        }
        _ => Err(Unfit::of("type", "only functions can be translated")),
    }
}

fn output(value: Json<'_>) -> Result<Output<'_>, Unfit> {
    let mut format = value.fields()?;
    match &*required_text(&mut format, "type")? {
        "text" => Ok(Output::Text),
        "json_object" => Ok(Output::Json),
        "json_schema" => {
            let mut named = required(&mut format, "json_schema")?.fields().at("json_schema")?;
            let text = |named: &mut Object<'_>, name: &str| {
                take(named, name).and_then(|text| Some(text.as_text()?.to_owned().into()))
            };
            Ok(Output::Schema(Schema {
                name: text(&mut named, "name"),
                description: text(&mut named, "description"),
                strict: take(&mut named, "strict").and_then(|strict| strict.as_bool()),
                schema: required(&mut named, "schema").at("json_schema")?,
            }))
        }
        _ => Err(Unfit::of("type", "is none of text, json_object and json_schema")),
    }
}

pub(crate) fn effort(value: Json<'_>) -> Result<Thinking, Unfit> {
    let effort = Effort::named(&value.text()?);
    effort.map(Thinking::Effort).ok_or_else(|| Unfit::new("is no effort that is known"))
}

/// `None` for tiers that only OpenAI has.
pub(crate) fn tier(value: &Json<'_>) -> Option<Tier> {
    match value.as_text()? {
        "auto" => Some(Tier::Auto),
        "default" => Some(Tier::Standard),
        "flex" => Some(Tier::Flex),
        "priority" | "fast" => Some(Tier::Priority),
        _ => None,
    }
}
