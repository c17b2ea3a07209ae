//! Reads a message request (Anthropic API reference, "Create a message").

use std::borrow::Cow;

use crate::formats::Wire;
use crate::translate::json::{Json, Object, take};
use crate::translate::request::{
    Call, Effort, Kind, Media, MediaKind, Outcome, Output, Part, Request, Role, Schema, Source,
    Thinking, Tier, Tool, ToolChoice, Turn,
};
use crate::translate::seal::{Maker, Seal};
use crate::translate::unfit::{At, Expect, Unfit, required, required_text};

/// Reads the body of a request.
pub(crate) fn read(body: Json<'_>) -> Result<Request<'_>, Unfit> {
    let mut request = Request::new(Wire::Anthropic);
    let mut effort = None;
    for (name, value) in body.fields()? {
        if value.is_null() {
            continue;
        }
        let named = &*name;
        let number = |value: &Json<'_>| value.as_number();
        match named {
            "model" => {}
            "messages" => messages(value, &mut request).at(named)?,
            "system" => request.system = parts(value, &request).at(named)?,
            "stream" => request.stream = value.flag().at(named)?,
            "max_tokens" => request.max_output = Some(value.count().at(named)?),
            "temperature" => request.sampling.temperature = number(&value),
            "top_p" => request.sampling.top_p = number(&value),
            "top_k" => request.sampling.top_k = value.as_count(),
            "stop_sequences" => {
                let texts = value.items().at(named)?.into_iter().enumerate();
                let texts = texts.map(|(place, text)| text.text().nth(place).at(named));
                request.stop = texts.collect::<Result<_, _>>()?;
            }
            "tools" => request.tools = tools(value).at(named)?,
            "tool_choice" => tool_choice(value, &mut request).at(named)?,
            "thinking" => request.thinking = thinking(value).at(named)?,
            "output_config" => effort = output_config(value, &mut request).at(named)?,
            "metadata" => {
                let mut metadata = value.fields().at(named)?;
                let user = take(&mut metadata, "user_id").map(Expect::text).transpose();
                request.user = user.at("user_id").at(named)?;
            }
            "service_tier" => match value.as_text() {
                Some("auto") => request.tier = Some(Tier::Auto),
                Some("standard_only") => request.tier = Some(Tier::Standard),
                _ => request.extra.push((name, value)),
            },
            _ => request.extra.push((name, value)),
        }
    }
    // How hard outweighs how long, where thinking was not switched off.
    if let Some(effort) = effort
        && request.thinking != Some(Thinking::Effort(Effort::None))
    {
        request.thinking = Some(Thinking::Effort(effort));
    }
    Ok(request)
}

fn messages<'a>(value: Json<'a>, request: &mut Request<'a>) -> Result<(), Unfit> {
    for (place, message) in value.items()?.into_iter().enumerate() {
        let turn = turn(message, request).nth(place)?;
        request.turns.push(turn);
    }
    Ok(())
}

fn turn<'a>(value: Json<'a>, request: &Request<'a>) -> Result<Turn<'a>, Unfit> {
    let mut message = value.fields()?;
    let role = match &*required_text(&mut message, "role")? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(Unfit::of("role", "is none of user, assistant and system")),
    };
    let parts = parts(required(&mut message, "content")?, request).at("content")?;
    Ok(Turn { role, parts, extra: message })
}

/// A string, or a list of blocks. A thought of Gemini's that went before a call comes back as a
/// redacted one, and belongs to the call.
fn parts<'a>(content: Json<'a>, request: &Request<'a>) -> Result<Vec<Part<'a>>, Unfit> {
    let blocks = match content {
        Json::Text(text) => return Ok(vec![Part::text(text)]),
        other => other.items()?,
    };
    let mut parts = Vec::with_capacity(blocks.len());
    let mut waiting = None;
    for (place, block) in blocks.into_iter().enumerate() {
        let mut part = block_of(block, request).nth(place)?;
        match &mut part.kind {
            Kind::Thinking { text, seal: Some(seal) }
                if seal.maker == Maker::Gemini && text.is_empty() =>
            {
                waiting = Some(seal.clone());
                continue;
            }
            Kind::Call(call) => call.seal = waiting.take(),
            _ => {}
        }
        parts.push(part);
    }
    Ok(parts)
}

fn block_of<'a>(value: Json<'a>, request: &Request<'a>) -> Result<Part<'a>, Unfit> {
    let mut block = value.fields()?;
    let kind = required_text(&mut block, "type")?;
    let kind = match &*kind {
        "text" => {
            // An empty list asks for nothing.
            block.retain(|(name, value)| name != "citations" || !is_nothing(value));
            Kind::Text(required_text(&mut block, "text")?)
        }
        "image" => Kind::Media(media(&mut block, MediaKind::Image)?),
        "document" => {
            block.retain(|(name, value)| name != "citations" || !is_nothing(value));
            Kind::Media(media(&mut block, MediaKind::Document)?)
        }
        "thinking" => {
            let text = required_text(&mut block, "thinking")?;
            let signature = take(&mut block, "signature").map(Expect::text).transpose()?;
            let signature = signature.filter(|signature| !signature.is_empty());
            let seal = signature.map(|text| Seal::unstamped(Maker::Anthropic, text));
            Kind::Thinking { text, seal }
        }
        "redacted_thinking" => {
            let data = required_text(&mut block, "data")?;
            let seal = Seal::unstamped(Maker::AnthropicRedacted, data);
            Kind::Thinking { text: Cow::Borrowed(""), seal: Some(seal) }
        }
        "tool_use" => Kind::Call(Call {
            id: required_text(&mut block, "id")?,
            name: required_text(&mut block, "name")?,
            arguments: Json::Object(required(&mut block, "input")?.fields().at("input")?),
            seal: None,
        }),
        "tool_result" => {
            let id = required_text(&mut block, "tool_use_id")?;
            let content = take(&mut block, "content");
            let content = content.map(|content| parts(content, request)).transpose();
            Kind::Outcome(Outcome {
                name: request.called(&id).cloned().unwrap_or_default(),
                id,
                content: content.at("content")?.unwrap_or_default(),
                failed: take(&mut block, "is_error").and_then(|it| it.as_bool()).unwrap_or(false),
            })
        }
        _ => return Err(Unfit::of("type", "is not one of those that can be translated")),
    };
    // Who called: a model does, and nobody else where there are no server tools.
    block.retain(|(name, value)| !value.is_null() && name != "caller");
    Ok(Part { kind, extra: block })
}

fn is_nothing(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        other => other.get("enabled").and_then(Json::as_bool) == Some(false),
    }
}

fn media<'a>(block: &mut Object<'a>, kind: MediaKind) -> Result<Media<'a>, Unfit> {
    let mut source = required(block, "source")?.fields().at("source")?;
    let name = take(block, "title").map(Expect::text).transpose()?;
    let mime = take(&mut source, "media_type").map(Expect::text).transpose()?;
    let source_kind = required_text(&mut source, "type").at("source")?;
    let (mime, source) = match &*source_kind {
        "base64" => (mime, Source::Base64(required_text(&mut source, "data").at("source")?)),
        "text" => (mime, Source::Plain(required_text(&mut source, "data").at("source")?)),
        "url" => (mime, Source::Url(required_text(&mut source, "url").at("source")?)),
        _ => {
            let why = "only base64, text and url can be translated: files are kept at Anthropic";
            return Err(Unfit::of("type", why)).at("source");
        }
    };
    Ok(Media { kind, mime, source, name })
}

fn tools(value: Json<'_>) -> Result<Vec<Tool<'_>>, Unfit> {
    value.items()?.into_iter().enumerate().map(|(place, it)| tool(it).nth(place)).collect()
}

fn tool(value: Json<'_>) -> Result<Tool<'_>, Unfit> {
    let mut tool = value.fields()?;
    let kind = take(&mut tool, "type");
    if kind.is_some_and(|kind| kind.as_text() != Some("custom")) {
        return Err(Unfit::of("type", "tools that Anthropic runs cannot be translated"));
    }
    let name = required_text(&mut tool, "name")?;
    let description = take(&mut tool, "description").map(Expect::text).transpose()?;
    let strict = take(&mut tool, "strict").and_then(|strict| strict.as_bool());
    let parameters = Some(required(&mut tool, "input_schema")?);
    tool.retain(|(_, value)| !value.is_null());
    Ok(Tool { name, description, parameters, strict, extra: tool })
}

fn tool_choice<'a>(value: Json<'a>, request: &mut Request<'a>) -> Result<(), Unfit> {
    let mut choice = value.fields()?;
    request.tool_choice = Some(match &*required_text(&mut choice, "type")? {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" => ToolChoice::Required,
        "tool" => {
            let names = vec![required_text(&mut choice, "name")?];
            ToolChoice::Only { names, must: true }
        }
        _ => return Err(Unfit::of("type", "is none of auto, any, tool and none")),
    });
    let alone = take(&mut choice, "disable_parallel_tool_use").and_then(|it| it.as_bool());
    request.parallel_calls = alone.map(|alone| !alone);
    Ok(())
}

fn thinking(value: Json<'_>) -> Result<Option<Thinking>, Unfit> {
    let mut thinking = value.fields()?;
    match &*required_text(&mut thinking, "type")? {
        "enabled" => {
            let budget = required(&mut thinking, "budget_tokens")?.count().at("budget_tokens")?;
            Ok(Some(Thinking::Budget(budget)))
        }
        "disabled" => Ok(Some(Thinking::Effort(Effort::None))),
        "adaptive" | "between_tools" => Ok(Some(Thinking::Adaptive)),
        _ => Err(Unfit::of("type", "is none of enabled, adaptive and disabled")),
    }
}

/// The form of the answer, and how hard to think of it.
fn output_config<'a>(value: Json<'a>, request: &mut Request<'a>) -> Result<Option<Effort>, Unfit> {
    let mut config = value.fields()?;
    if let Some(format) = take(&mut config, "format") {
        let mut format = format.fields().at("format")?;
        if required_text(&mut format, "type").at("format")? != "json_schema" {
            return Err(Unfit::of("format.type", "is not json_schema"));
        }
        let schema = required(&mut format, "schema").at("format")?;
        let (name, description, strict) = (None, None, None);
        request.output = Output::Schema(Schema { name, description, schema, strict });
    }
    let Some(effort) = take(&mut config, "effort") else { return Ok(None) };
    let effort = Effort::named(&effort.text().at("effort")?);
    effort.map(Some).ok_or_else(|| Unfit::of("effort", "is no effort that is known"))
}
