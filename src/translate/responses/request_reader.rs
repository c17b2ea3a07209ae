//! Reads a response request (OpenAI API reference, "Create a model response").

use std::borrow::Cow;

use crate::formats::Wire;
use crate::translate::json::{Json, Object, Text, take};
use crate::translate::openai::request_reader::{self as chat, data_url, split};
use crate::translate::request::{
    Call, Kind, Media, MediaKind, Outcome, Output, Part, Request, Role, Schema, Source, Tool,
    ToolChoice, Turn,
};
use crate::translate::seal::{Maker, Seal};
use crate::translate::unfit::{At, Expect, Unfit, required, required_text};

/// Reads the body of a request.
pub(crate) fn read(body: Json<'_>) -> Result<Request<'_>, Unfit> {
    let mut request = Request::new(Wire::OpenAi);
    for (name, value) in body.fields()? {
        if value.is_null() {
            continue;
        }
        let named = &*name;
        match named {
            "model" | "stream_options" => {}
            "input" => input(value, &mut request).at(named)?,
            "instructions" => request.system = vec![Part::text(value.text().at(named)?)],
            "stream" => request.stream = value.flag().at(named)?,
            "max_output_tokens" => request.max_output = Some(value.count().at(named)?),
            "tools" => request.tools = tools(value).at(named)?,
            "tool_choice" => request.tool_choice = Some(tool_choice(value).at(named)?),
            "parallel_tool_calls" => request.parallel_calls = Some(value.flag().at(named)?),
            "reasoning" => {
                let mut reasoning = value.fields().at(named)?;
                let effort = take(&mut reasoning, "effort").map(chat::effort).transpose();
                request.thinking = effort.at("effort").at(named)?;
            }
            "text" => request.output = output(value).at(named)?,
            "temperature" => request.sampling.temperature = Some(value.number().at(named)?),
            "top_p" => request.sampling.top_p = Some(value.number().at(named)?),
            "user" | "safety_identifier" => request.user = Some(value.text().at(named)?),
            "service_tier" => match chat::tier(&value) {
                Some(tier) => request.tier = Some(tier),
                None => request.extra.push((name, value)),
            },
            // What the default is, and what asks for what is there anyway.
            "background" if value.as_bool() == Some(false) => {}
            "truncation" if value.as_text() == Some("disabled") => {}
            _ => request.extra.push((name, value)),
        }
    }
    Ok(request)
}

fn input<'a>(value: Json<'a>, request: &mut Request<'a>) -> Result<(), Unfit> {
    let items = match value {
        Json::Text(text) => {
            let (role, parts, extra) = (Role::User, vec![Part::text(text)], Object::new());
            request.turns.push(Turn { role, parts, extra });
            return Ok(());
        }
        other => other.items()?,
    };
    let mut waiting = None;
    for (place, it) in items.into_iter().enumerate() {
        item(it, request, &mut waiting).nth(place)?;
    }
    Ok(())
}

/// One item. `waiting` is the seal of a thought that leads to the next call.
fn item<'a>(
    value: Json<'a>,
    request: &mut Request<'a>,
    waiting: &mut Option<Seal<'a>>,
) -> Result<(), Unfit> {
    let mut item = value.fields()?;
    let kind = take(&mut item, "type").map(Expect::text).transpose()?;
    match kind.as_deref() {
        None | Some("message") => message(item, request),
        Some("function_call") => {
            let arguments = take(&mut item, "arguments").unwrap_or_default();
            let call = Call {
                id: required_text(&mut item, "call_id")?,
                name: required_text(&mut item, "name")?,
                arguments: chat::arguments_of(arguments).at("arguments")?,
                seal: waiting.take(),
            };
            push(request, Role::Assistant, Part::of(Kind::Call(call)));
            Ok(())
        }
        Some("function_call_output") => {
            let id = required_text(&mut item, "call_id")?;
            let name = request.called(&id).cloned().unwrap_or_default();
            let content = parts(required(&mut item, "output")?).at("output")?;
            let outcome = Outcome { id, name, content, failed: false };
            push(request, Role::User, Part::of(Kind::Outcome(outcome)));
            Ok(())
        }
        Some("reasoning") => {
            let told = take(&mut item, "summary").unwrap_or_default();
            let texts: Vec<Text<'a>> = match told {
                Json::Array(parts) => {
                    parts.into_iter().filter_map(|mut it| it.take("text")?.text().ok()).collect()
                }
                _ => Vec::new(),
            };
            let seal = take(&mut item, "encrypted_content").and_then(|it| it.text().ok());
            let seal = seal.and_then(Seal::foreign);
            match seal {
                Some(seal) if seal.maker == Maker::Gemini => *waiting = Some(seal),
                seal => {
                    let text = Cow::Owned(texts.concat());
                    push(request, Role::Assistant, Part::of(Kind::Thinking { text, seal }));
                }
            }
            Ok(())
        }
        Some(_) => Err(Unfit::of("type", "is not one of those that can be translated")),
    }
}

/// What one side says in several items is one turn: other formats want it in one message.
fn push<'a>(request: &mut Request<'a>, role: Role, part: Part<'a>) {
    let outcome = |part: &Part<'_>| matches!(part.kind, Kind::Outcome(_));
    let joins = |last: &Turn<'_>| {
        last.role == role && (role == Role::Assistant || last.parts.iter().all(outcome))
    };
    match request.turns.last_mut().filter(|last| joins(last)) {
        Some(last) => last.parts.push(part),
        None => request.turns.push(Turn { role, parts: vec![part], extra: Object::new() }),
    }
}

fn message<'a>(mut item: Object<'a>, request: &mut Request<'a>) -> Result<(), Unfit> {
    let role = required_text(&mut item, "role")?;
    let said = parts(required(&mut item, "content")?).at("content")?;
    match &*role {
        "assistant" => {
            for part in said {
                push(request, Role::Assistant, part);
            }
        }
        "user" => {
            let (role, extra) = (Role::User, Object::new());
            request.turns.push(Turn { role, parts: said, extra });
        }
        "system" | "developer" if request.turns.is_empty() => request.system.extend(said),
        "system" | "developer" => {
            let (role, extra) = (Role::System, Object::new());
            request.turns.push(Turn { role, parts: said, extra });
        }
        _ => return Err(Unfit::of("role", "is not one of those that can be translated")),
    }
    Ok(())
}

fn parts(content: Json<'_>) -> Result<Vec<Part<'_>>, Unfit> {
    match content {
        Json::Text(text) => Ok(vec![Part::text(text)]),
        other => {
            let items = other.items()?.into_iter().enumerate();
            items.map(|(place, item)| part(item).nth(place)).collect()
        }
    }
}

fn part(value: Json<'_>) -> Result<Part<'_>, Unfit> {
    let mut part = value.fields()?;
    let kind = required_text(&mut part, "type")?;
    let kind = match &*kind {
        "input_text" | "output_text" | "text" | "summary_text" => {
            Kind::Text(required_text(&mut part, "text")?)
        }
        "refusal" => Kind::Text(required_text(&mut part, "refusal")?),
        "input_image" => {
            let media = media(&mut part, MediaKind::Image, ["image_url", "image_url"])?;
            Kind::Media(media)
        }
        "input_file" => {
            Kind::Media(media(&mut part, MediaKind::Document, ["file_data", "file_url"])?)
        }
        _ => return Err(Unfit::of("type", "is not one of those that can be translated")),
    };
    // What answers carry and requests have no use for.
    part.retain(|(name, value)| !value.is_null() && !matches!(&**name, "annotations" | "logprobs"));
    Ok(Part { kind, extra: part })
}

fn media<'a>(
    part: &mut Object<'a>,
    kind: MediaKind,
    [here, there]: [&str; 2],
) -> Result<Media<'a>, Unfit> {
    if take(part, "file_id").is_some() {
        return Err(Unfit::of("file_id", "is known to OpenAI alone; send the file itself"));
    }
    let name = take(part, "filename").map(Expect::text).transpose().at("filename")?;
    let url = match take(part, here) {
        Some(url) => url.text().at(here)?,
        None => required_text(part, there)?,
    };
    let (mime, source) = match data_url(&url) {
        Some(place) => split(url.clone(), place),
        None if url.starts_with("http") => (None, Source::Url(url)),
        None => return Err(Unfit::of(here, "is neither a URL nor base64 (`data:…;base64,…`)")),
    };
    Ok(Media { kind, mime, source, name })
}

fn tools(value: Json<'_>) -> Result<Vec<Tool<'_>>, Unfit> {
    value.items()?.into_iter().enumerate().map(|(place, it)| tool(it).nth(place)).collect()
}

fn tool(value: Json<'_>) -> Result<Tool<'_>, Unfit> {
    let mut tool = value.fields()?;
    if required_text(&mut tool, "type")? != "function" {
        return Err(Unfit::of("type", "only functions can be translated"));
    }
    let name = required_text(&mut tool, "name")?;
    let description = take(&mut tool, "description").map(Expect::text).transpose()?;
    let strict = take(&mut tool, "strict").and_then(|strict| strict.as_bool());
    let parameters = take(&mut tool, "parameters");
    tool.retain(|(_, value)| !value.is_null());
    Ok(Tool { name, description, parameters, strict, extra: tool })
}

fn tool_choice(value: Json<'_>) -> Result<ToolChoice<'_>, Unfit> {
    let mut choice = match value {
        Json::Object(fields) => fields,
        word => return chat::tool_choice(word),
    };
    match &*required_text(&mut choice, "type")? {
        "function" => {
            let names = vec![required_text(&mut choice, "name")?];
            Ok(ToolChoice::Only { names, must: true })
        }
        "allowed_tools" => {
            let must = required_text(&mut choice, "mode")? == "required";
            let tools = required(&mut choice, "tools")?.items().at("tools")?;
            let name = |tool: Json<'_>| {
                let mut tool = tool.fields()?;
                required_text(&mut tool, "name").map(|name| Cow::Owned(name.into_owned()))
            };
            let names: Result<_, _> = tools.into_iter().map(name).collect();
            Ok(ToolChoice::Only { names: names.at("tools")?, must })
        }
        _ => Err(Unfit::of("type", "only functions can be translated")),
    }
}

/// The form of the answer; its verbosity is a hint.
fn output(value: Json<'_>) -> Result<Output<'_>, Unfit> {
    let mut text = value.fields()?;
    let Some(format) = take(&mut text, "format") else { return Ok(Output::Text) };
    let mut format = format.fields().at("format")?;
    match &*required_text(&mut format, "type").at("format")? {
        "text" => Ok(Output::Text),
        "json_object" => Ok(Output::Json),
        "json_schema" => Ok(Output::Schema(Schema {
            name: take(&mut format, "name").and_then(|name| name.text().ok()),
            description: take(&mut format, "description").and_then(|it| it.text().ok()),
            strict: take(&mut format, "strict").and_then(|strict| strict.as_bool()),
            schema: required(&mut format, "schema").at("format")?,
        })),
        _ => Err(Unfit::of("format.type", "is none of text, json_object and json_schema")),
    }
}
