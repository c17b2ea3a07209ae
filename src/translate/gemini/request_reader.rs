//! Reads a content request (Gemini API reference, "Generating content").

use std::borrow::Cow;

use super::{camel, camels, schema};
use crate::formats::Wire;
use crate::translate::json::{Json, Object, Text, take};
use crate::translate::request::{
    Call, Effort, Kind, Media, MediaKind, Outcome, Output, Part, Request, Role, Schema, Source,
    Thinking, Tier, Tool, ToolChoice, Turn,
};
use crate::translate::seal::Seal;
use crate::translate::unfit::{At, Expect, Unfit, required, required_text};

/// Reads the body of a request; whether it streams stands in its path.
pub(crate) fn read(body: Json<'_>, stream: bool) -> Result<Request<'_>, Unfit> {
    let mut request = Request::new(Wire::Gemini);
    request.stream = stream;
    let mut calls = Calls::default();
    for (name, value) in body.fields()? {
        let name = camel(&name);
        if value.is_null() {
            continue;
        }
        let named = &*name;
        match named {
            "model" => {}
            "contents" => request.turns = contents(value, &mut calls).at(named)?,
            "systemInstruction" => {
                request.system = instruction(value, &mut calls).at(named)?;
            }
            "tools" => request.tools = tools(value).at(named)?,
            "toolConfig" => request.tool_choice = tool_choice(value).at(named)?,
            "generationConfig" => config(value, &mut request).at(named)?,
            "serviceTier" => match value.as_text() {
                Some("standard") => request.tier = Some(Tier::Standard),
                Some("flex") => request.tier = Some(Tier::Flex),
                Some("priority") => request.tier = Some(Tier::Priority),
                _ => request.extra.push((name, value)),
            },
            "safetySettings" if matches!(&value, Json::Array(items) if items.is_empty()) => {}
            _ => request.extra.push((name, value)),
        }
    }
    Ok(request)
}

/// Function calls so far: Gemini's own need no ids, and results find them by name.
#[derive(Debug, Default)]
struct Calls<'a> {
    made: u64,
    open: Vec<(Text<'a>, Text<'a>)>,
}

impl<'a> Calls<'a> {
    fn call(&mut self, id: Option<Text<'a>>, name: &Text<'a>) -> Text<'a> {
        self.made += 1;
        let id = id.unwrap_or_else(|| Cow::Owned(format!("call_{}", self.made)));
        self.open.push((name.clone(), id.clone()));
        id
    }

    fn answer(&mut self, id: Option<Text<'a>>, name: &str) -> Result<Text<'a>, Unfit> {
        let place = self
            .open
            .iter()
            .position(|(called, own)| id.as_ref().map_or(called == name, |id| id == own));
        match (place, id) {
            (Some(place), _) => Ok(self.open.remove(place).1),
            (None, Some(id)) => Ok(id),
            (None, None) => Err(Unfit::new("answers no call of an earlier content")),
        }
    }
}

fn instruction<'a>(value: Json<'a>, calls: &mut Calls<'a>) -> Result<Vec<Part<'a>>, Unfit> {
    match value {
        Json::Text(text) => Ok(vec![Part::text(text)]),
        other => {
            let mut content = camels(other.fields()?);
            parts(take(&mut content, "parts").unwrap_or_default(), calls).at("parts")
        }
    }
}

fn contents<'a>(value: Json<'a>, calls: &mut Calls<'a>) -> Result<Vec<Turn<'a>>, Unfit> {
    let content = |value: Json<'a>, calls: &mut Calls<'a>| {
        let mut content = value.fields()?;
        let role = match take(&mut content, "role").as_ref().and_then(Json::as_text) {
            Some("user" | "function") | None => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return Err(Unfit::of("role", "is neither user nor model")),
        };
        let parts = parts(required(&mut content, "parts")?, calls).at("parts")?;
        content.retain(|(_, value)| !value.is_null());
        Ok(Turn { role, parts, extra: content })
    };
    // One content without a list around it is taken too.
    let items = if matches!(value, Json::Object(_)) { vec![value] } else { value.items()? };
    items.into_iter().enumerate().map(|(place, it)| content(it, calls).nth(place)).collect()
}

fn parts<'a>(value: Json<'a>, calls: &mut Calls<'a>) -> Result<Vec<Part<'a>>, Unfit> {
    let items = if matches!(value, Json::Object(_)) { vec![value] } else { value.items()? };
    let mut parts: Vec<Part<'a>> = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        let part = part(item, calls).nth(place)?;
        match (&part.kind, parts.last_mut()) {
            // A stream's thoughts come back in the pieces in which they came.
            (
                Kind::Thinking { text, seal },
                Some(Part { kind: Kind::Thinking { text: before, seal: open @ None }, .. }),
            ) => {
                before.to_mut().push_str(text);
                open.clone_from(seal);
            }
            _ => parts.push(part),
        }
    }
    Ok(parts)
}

fn part<'a>(value: Json<'a>, calls: &mut Calls<'a>) -> Result<Part<'a>, Unfit> {
    let mut part = camels(value.fields()?);
    let thought = take(&mut part, "thought").and_then(|it| it.as_bool()).unwrap_or(false);
    let signature = take(&mut part, "thoughtSignature").map(Expect::text).transpose();
    let seal = signature.at("thoughtSignature")?.map(Seal::of_base64);
    let kind = if let Some(text) = take(&mut part, "text") {
        let text = text.text().at("text")?;
        if thought { Kind::Thinking { text, seal } } else { Kind::Text(text) }
    } else if let Some(inline) = take(&mut part, "inlineData") {
        Kind::Media(inline_data(inline).at("inlineData")?)
    } else if let Some(file) = take(&mut part, "fileData") {
        Kind::Media(file_data(file).at("fileData")?)
    } else if let Some(call) = take(&mut part, "functionCall") {
        let mut call = camels(call.fields().at("functionCall")?);
        let name = required_text(&mut call, "name").at("functionCall")?;
        let id = take(&mut call, "id").map(Expect::text).transpose()?;
        let id = calls.call(id, &name);
        let arguments = take(&mut call, "args").unwrap_or_else(|| Json::Object(Object::new()));
        Kind::Call(Call { id, name, arguments, seal })
    } else if let Some(response) = take(&mut part, "functionResponse") {
        Kind::Outcome(outcome(response, calls).at("functionResponse")?)
    } else {
        return Err(Unfit::new("is not one of those that can be translated"));
    };
    part.retain(|(_, value)| !value.is_null());
    Ok(Part { kind, extra: part })
}

fn outcome<'a>(value: Json<'a>, calls: &mut Calls<'a>) -> Result<Outcome<'a>, Unfit> {
    let mut response = camels(value.fields()?);
    let name = required_text(&mut response, "name")?;
    let id = take(&mut response, "id").map(Expect::text).transpose()?;
    let id = calls.answer(id, &name)?;
    let mut told = required(&mut response, "response")?;
    // The words that Google's guide gives to a result and a failure.
    let only = matches!(&told, Json::Object(fields) if fields.len() == 1);
    let error = if only { told.take("error") } else { None };
    let failed = error.is_some();
    let result = error
        .or_else(|| if only { told.take("result").or_else(|| told.take("output")) } else { None });
    let text = match result.unwrap_or(told) {
        Json::Text(text) => text,
        other => other.to_text().into(),
    };
    let mut content = vec![Part::text(text)];
    if let Some(Json::Array(more)) = take(&mut response, "parts") {
        content.extend(parts(Json::Array(more), calls).at("parts")?);
    }
    Ok(Outcome { id, name, content, failed })
}

fn inline_data(value: Json<'_>) -> Result<Media<'_>, Unfit> {
    let mut data = camels(value.fields()?);
    let mime = required_text(&mut data, "mimeType")?;
    let name = take(&mut data, "displayName").map(Expect::text).transpose()?;
    let source = Source::Base64(required_text(&mut data, "data")?);
    Ok(Media { kind: kind_of(&mime), mime: Some(mime), source, name })
}

fn file_data(value: Json<'_>) -> Result<Media<'_>, Unfit> {
    let mut data = camels(value.fields()?);
    let url = required_text(&mut data, "fileUri")?;
    let mime = take(&mut data, "mimeType").map(Expect::text).transpose()?;
    let name = take(&mut data, "displayName").map(Expect::text).transpose()?;
    let own = url.contains("generativelanguage.googleapis.com") || !url.starts_with("http");
    if own || url.contains("youtube.com/") || url.contains("youtu.be/") {
        return Err(Unfit::of("fileUri", "is known to Google alone; send the file itself"));
    }
    let kind = mime.as_deref().map_or(MediaKind::Image, kind_of);
    Ok(Media { kind, mime, source: Source::Url(url), name })
}

fn kind_of(mime: &str) -> MediaKind {
    match mime.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

fn tools(value: Json<'_>) -> Result<Vec<Tool<'_>>, Unfit> {
    let mut tools = Vec::new();
    let items = if matches!(value, Json::Object(_)) { vec![value] } else { value.items()? };
    for (place, item) in items.into_iter().enumerate() {
        for (name, value) in camels(item.fields().nth(place)?) {
            if value.is_null() {
                continue;
            }
            if name != "functionDeclarations" {
                let why = "tools that Google runs cannot be translated";
                return Err(Unfit::of(&name, why)).nth(place);
            }
            for declaration in value.items().at("functionDeclarations").nth(place)? {
                tools.push(tool(declaration).at("functionDeclarations").nth(place)?);
            }
        }
    }
    Ok(tools)
}

fn tool(value: Json<'_>) -> Result<Tool<'_>, Unfit> {
    let mut tool = camels(value.fields()?);
    let name = required_text(&mut tool, "name")?;
    let description = take(&mut tool, "description").map(Expect::text).transpose()?;
    let parameters = take(&mut tool, "parameters").map(schema::plain);
    let parameters = take(&mut tool, "parametersJsonSchema").or(parameters);
    tool.retain(|(_, value)| !value.is_null());
    Ok(Tool { name, description, parameters, strict: None, extra: tool })
}

fn tool_choice(value: Json<'_>) -> Result<Option<ToolChoice<'_>>, Unfit> {
    let mut config = camels(value.fields()?);
    let Some(calling) = take(&mut config, "functionCallingConfig") else { return Ok(None) };
    let mut calling = camels(calling.fields().at("functionCallingConfig")?);
    let mode = take(&mut calling, "mode").and_then(|mode| Some(mode.as_text()?.to_uppercase()));
    let names = match take(&mut calling, "allowedFunctionNames") {
        Some(names) => {
            names.items()?.into_iter().map(Expect::text).collect::<Result<Vec<_>, _>>()?
        }
        None => Vec::new(),
    };
    Ok(match (mode.as_deref(), names.is_empty()) {
        (Some("NONE"), _) => Some(ToolChoice::None),
        (Some("ANY"), true) => Some(ToolChoice::Required),
        (Some("ANY"), false) => Some(ToolChoice::Only { names, must: true }),
        (Some("VALIDATED"), false) => Some(ToolChoice::Only { names, must: false }),
        (Some("AUTO" | "VALIDATED"), _) => Some(ToolChoice::Auto),
        _ => None,
    })
}

fn config<'a>(value: Json<'a>, request: &mut Request<'a>) -> Result<(), Unfit> {
    let mut wanted = None;
    let mut shape = None;
    for (name, value) in value.fields()? {
        let name = camel(&name);
        if value.is_null() {
            continue;
        }
        let sampling = &mut request.sampling;
        let named = &*name;
        match named {
            "temperature" => sampling.temperature = Some(value.number().at(named)?),
            "topP" => sampling.top_p = Some(value.number().at(named)?),
            "topK" => sampling.top_k = value.as_count(),
            "seed" => {
                sampling.seed = if let Json::Number(seed) = &value { seed.as_i64() } else { None };
            }
            "presencePenalty" => sampling.presence_penalty = Some(value.number().at(named)?),
            "frequencyPenalty" => sampling.frequency_penalty = Some(value.number().at(named)?),
            "maxOutputTokens" => request.max_output = Some(value.count().at(named)?),
            "candidateCount" => request.choices = Some(value.count().at(named)?),
            "stopSequences" => {
                let texts = value.items().at(named)?.into_iter();
                request.stop = texts.map(Expect::text).collect::<Result<_, _>>().at(named)?;
            }
            "responseMimeType" => wanted = Some(value.text().at(named)?),
            "responseSchema" => shape = Some(schema::plain(value)),
            "responseJsonSchema" => shape = Some(value),
            "thinkingConfig" => request.thinking = thinking(value).at(named)?,
            "responseModalities" if is_text_only(&value) => {}
            "responseLogprobs" if value.as_bool() == Some(false) => {}
            _ => request.extra.push((name, value)),
        }
    }
    request.output = match (wanted.as_deref(), shape) {
        (_, Some(schema)) => {
            let (name, description, strict) = (None, None, None);
            Output::Schema(Schema { name, description, schema, strict })
        }
        (Some("application/json"), None) => Output::Json,
        (Some("text/plain") | None, None) => Output::Text,
        (Some(_), None) => {
            let why = "only text/plain and application/json can be translated";
            return Err(Unfit::of("responseMimeType", why));
        }
    };
    Ok(())
}

fn is_text_only(value: &Json<'_>) -> bool {
    matches!(value, Json::Array(kinds) if kinds.iter().all(|kind| {
        kind.as_text().is_some_and(|kind| kind.eq_ignore_ascii_case("text"))
    }))
}

fn thinking(value: Json<'_>) -> Result<Option<Thinking>, Unfit> {
    let mut config = camels(value.fields()?);
    if let Some(level) = take(&mut config, "thinkingLevel") {
        let level = level.text().at("thinkingLevel")?.to_lowercase();
        let effort = Effort::named(&level).map(Thinking::Effort);
        return effort
            .map(Some)
            .ok_or_else(|| Unfit::of("thinkingLevel", "is no level that is known"));
    }
    match take(&mut config, "thinkingBudget").as_ref().and_then(Json::as_number) {
        // As the model sees fit.
        Some(budget) if budget < 0.0 => Ok(Some(Thinking::Adaptive)),
        #[expect(clippy::cast_possible_truncation, reason = "a budget is a whole number")]
        #[expect(clippy::cast_sign_loss, reason = "not negative, as just seen")]
        Some(budget) => Ok(Some(Thinking::Budget(budget as u64))),
        None => Ok(None),
    }
}
