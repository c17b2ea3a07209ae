//! Writes a chat completion request (OpenAI API reference, "Create chat completion").

use super::super::Target;
use crate::formats::{Dialect, takes_stream_options};
use crate::translate::json::{Json, Object, Text, array, object};
use crate::translate::losses::{Feature, Losses};
use crate::translate::request::{
    Effort, Kind, Media, MediaKind, Outcome, Output, Part, Request, Role, Source, Tier, Tool,
    ToolChoice, Turn,
};
use crate::translate::unfit::Unfit;
use crate::translate::versions;

/// Writes the body of a request.
pub(crate) fn write<'a>(
    request: &'a Request<'_>,
    target: &'a Target<'_>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    let mut messages = Vec::new();
    for part in &request.system {
        losses.leave(&part.extra)?;
    }
    if !request.system.is_empty() {
        messages.push(message("system", content(&request.system, losses)?));
    }
    for turn in &request.turns {
        self::turn(turn, &mut messages, losses)?;
    }
    let sampling = &request.sampling;
    losses.lose_some(sampling.top_k.as_ref().filter(|_| !takes_top_k(target)), Feature::TopK)?;
    let draws = draws(request, target, losses)?;
    // Mistral refuses any field that it does not know.
    let nameless = target.dialect == Dialect::Mistral;
    losses.lose_some(request.user.as_ref().filter(|_| nameless), Feature::User)?;
    let stream = request.stream.then_some(true);
    let usage = request.stream && takes_stream_options(target.dialect);
    let bound = if has_new_bound(target.dialect) {
        ("max_completion_tokens", "max_tokens")
    } else {
        ("max_tokens", "max_completion_tokens")
    };
    let mut body = object([
        ("model", target.model.into()),
        ("messages", messages.into()),
        ("tools", tools(request, losses)?),
        ("tool_choice", request.tool_choice.as_ref().map(tool_choice).into()),
        ("parallel_tool_calls", request.parallel_calls.into()),
        ("response_format", output(&request.output)),
        ("reasoning_effort", effort(request, target, losses)?.map(Effort::as_str).into()),
        (bound.0, request.max_output.into()),
        ("temperature", sampling.temperature.filter(|_| draws).into()),
        ("top_p", sampling.top_p.filter(|_| draws).into()),
        ("top_k", sampling.top_k.filter(|_| takes_top_k(target)).into()),
        ("presence_penalty", sampling.presence_penalty.filter(|_| draws).into()),
        ("frequency_penalty", sampling.frequency_penalty.filter(|_| draws).into()),
        ("stop", stop(request)),
        ("n", request.choices.into()),
        ("user", request.user.as_ref().filter(|_| !nameless).into()),
        ("service_tier", request.tier.map(tier).into()),
        ("stream", stream.into()),
        ("stream_options", usage.then(|| object([("include_usage", true.into())])).into()),
    ]);
    let seed = if target.dialect == Dialect::Mistral { "random_seed" } else { "seed" };
    if let Json::Object(fields) = &mut body {
        if let Some(value) = sampling.seed {
            fields.push((seed.into(), value.into()));
        }
        extend(fields, losses.leave(&request.extra)?);
    }
    Ok(body)
}

/// OpenAI's own models take the newer name only, its copyists know the older.
const fn has_new_bound(dialect: Dialect) -> bool {
    matches!(
        dialect,
        Dialect::OpenAi | Dialect::Azure | Dialect::Groq | Dialect::Cerebras | Dialect::OpenRouter
    )
}

/// Servers of open models, and those who gather them.
const fn takes_top_k(target: &Target<'_>) -> bool {
    matches!(
        target.dialect,
        Dialect::Vllm | Dialect::Together | Dialect::Fireworks | Dialect::OpenRouter
    )
}

/// Whether tokens can be drawn as the request says: OpenAI's reasoning models refuse anything but the
/// default (reasoning guide).
fn draws(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Result<bool, Unfit> {
    let sampling = &request.sampling;
    let other = |value: Option<f64>, default: f64| {
        value.is_some_and(|value| (value - default).abs() > f64::EPSILON)
    };
    let asked = other(sampling.temperature, 1.0)
        || other(sampling.top_p, 1.0)
        || other(sampling.presence_penalty, 0.0)
        || other(sampling.frequency_penalty, 0.0);
    if !versions::is_openai_s(target.dialect) || !versions::reasons(target.dialect, target.model) {
        return Ok(true);
    }
    if asked {
        losses.lose(Feature::Sampling)?;
    }
    Ok(false)
}

fn effort(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Option<Effort>, Unfit> {
    let Some(effort) = request.thinking.and_then(super::super::request::Thinking::effort) else {
        return Ok(None);
    };
    if versions::reasons(target.dialect, target.model) {
        let alone = versions::is_openai_s(target.dialect)
            && versions::reasons_without_tools(target.model)
            && !request.tools.is_empty();
        if alone && effort != Effort::None {
            losses.lose(Feature::Thinking)?;
            return Ok(Some(Effort::None));
        }
        return Ok(Some(effort));
    }
    if effort != Effort::None {
        losses.lose(Feature::Thinking)?;
    }
    Ok(None)
}

fn turn<'a>(
    turn: &'a Turn<'_>,
    messages: &mut Vec<Json<'a>>,
    losses: &mut Losses,
) -> Result<(), Unfit> {
    let before = messages.len();
    match turn.role {
        Role::System => messages.push(message("system", content(&turn.parts, losses)?)),
        Role::User => user(turn, messages, losses)?,
        Role::Assistant => messages.push(assistant(turn, losses)?),
    }
    let extra = losses.leave(&turn.extra)?;
    if let Some(Json::Object(first)) = messages.get_mut(before) {
        extend(first, extra);
    }
    Ok(())
}

/// Tools' results are messages of their own, before what the user says.
fn user<'a>(
    turn: &'a Turn<'_>,
    messages: &mut Vec<Json<'a>>,
    losses: &mut Losses,
) -> Result<(), Unfit> {
    let mut said = Vec::new();
    let mut shown = Vec::new();
    for part in &turn.parts {
        if let Kind::Outcome(outcome) = &part.kind {
            let mut message = self::outcome(outcome, &mut shown, losses)?;
            if let Json::Object(fields) = &mut message {
                extend(fields, losses.leave(&part.extra)?);
            }
            messages.push(message);
        } else {
            said.push(part);
        }
    }
    said.splice(0..0, shown);
    if !said.is_empty() {
        messages.push(message("user", content(said, losses)?));
    }
    Ok(())
}

/// A tool's result is text; what else it holds is shown to the model by the user.
fn outcome<'a, 'r>(
    outcome: &'a Outcome<'r>,
    shown: &mut Vec<&'a Part<'r>>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    let mut texts = Vec::new();
    for part in &outcome.content {
        if let Some(text) = part.as_text() {
            losses.leave(&part.extra)?;
            texts.push(text);
        } else {
            losses.lose(Feature::MediaInOutcome)?;
            shown.push(part);
        }
    }
    let text = match (&texts[..], outcome.failed) {
        ([one], false) => (*one).into(),
        (texts, false) => texts.join("\n").into(),
        (texts, true) => format!("Error: {}", texts.join("\n")).into(),
    };
    Ok(object([("role", "tool".into()), ("tool_call_id", (&outcome.id).into()), ("content", text)]))
}

fn assistant<'a>(turn: &'a Turn<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let (mut calls, mut said) = (Vec::new(), Vec::new());
    for part in &turn.parts {
        match &part.kind {
            Kind::Call(call) => {
                let function = object([
                    ("name", (&call.name).into()),
                    ("arguments", call.arguments.to_text().into()),
                ]);
                let mut written = object([
                    ("id", (&call.id).into()),
                    ("type", "function".into()),
                    ("function", function),
                ]);
                if let Json::Object(fields) = &mut written {
                    extend(fields, losses.leave(&part.extra)?);
                }
                calls.push(written);
            }
            Kind::Thinking { .. } => losses.lose(Feature::ForeignThought)?,
            Kind::Text(_) | Kind::Media(_) | Kind::Outcome(_) => said.push(part),
        }
    }
    let content = if said.is_empty() { Json::Null } else { content(said, losses)? };
    let has_calls = !calls.is_empty();
    let content = if content.is_null() && !has_calls { "".into() } else { content };
    Ok(object([
        ("role", "assistant".into()),
        ("content", content),
        ("tool_calls", has_calls.then_some(calls).into()),
    ]))
}

fn message<'a>(role: &'static str, content: Json<'a>) -> Json<'a> {
    object([("role", role.into()), ("content", content)])
}

/// One plain text is a string, which every copyist of OpenAI's understands; anything else is a list.
fn content<'a, 'r: 'a>(
    parts: impl IntoIterator<Item = &'a Part<'r>>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    let mut written = Vec::new();
    let mut plain = true;
    for part in parts {
        let extra = losses.leave(&part.extra)?;
        plain &= extra.is_empty() && matches!(part.kind, Kind::Text(_));
        let mut json = self::part(part, losses)?;
        if let Json::Object(fields) = &mut json {
            extend_part(fields, extra);
        }
        written.push(json);
    }
    match &mut written[..] {
        [only] if plain => Ok(only.take("text").unwrap_or_default()),
        _ => Ok(written.into()),
    }
}

fn part<'a>(part: &'a Part<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    match &part.kind {
        Kind::Text(text) => Ok(object([("type", "text".into()), ("text", text.into())])),
        Kind::Media(media) => self::media(media, losses),
        Kind::Thinking { .. } | Kind::Call(_) | Kind::Outcome(_) => {
            Err(Unfit::new("stands where OpenAI's chat takes text and media only"))
        }
    }
}

fn media<'a>(media: &'a Media<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let mime = media.mime.as_deref();
    match (media.kind, &media.source) {
        (_, Source::Plain(text)) => {
            losses.lose(Feature::PlainDocument)?;
            let title = media.name.as_ref().map(|name| format!("{name}\n\n"));
            let text = [&title.unwrap_or_default(), &**text].concat();
            Ok(object([("type", "text".into()), ("text", text.into())]))
        }
        (MediaKind::Image, source) => {
            let url: Json<'a> = match source {
                Source::Base64(data) => data_url(mime.unwrap_or("image/png"), data).into(),
                Source::Url(url) | Source::Plain(url) => url.into(),
            };
            Ok(object([("type", "image_url".into()), ("image_url", object([("url", url)]))]))
        }
        (MediaKind::Document, Source::Base64(data)) => {
            let name = media.name.as_deref().unwrap_or("document.pdf");
            let data = data_url(mime.unwrap_or("application/pdf"), data);
            let file = object([("filename", name.into()), ("file_data", data.into())]);
            Ok(object([("type", "file".into()), ("file", file)]))
        }
        (MediaKind::Document, Source::Url(_)) => {
            losses.lose(Feature::DocumentByUrl)?;
            Err(Unfit::new("a document cannot be sent by its URL"))
        }
        (MediaKind::Audio, Source::Base64(data)) => {
            let format = match mime.and_then(|mime| mime.strip_prefix("audio/")) {
                Some("mpeg" | "mp3") => "mp3",
                Some("wav" | "x-wav" | "wave") => "wav",
                other => other.unwrap_or("wav"),
            };
            let sound = object([("data", data.into()), ("format", format.into())]);
            Ok(object([("type", "input_audio".into()), ("input_audio", sound)]))
        }
        (MediaKind::Audio, Source::Url(_)) => Err(Unfit::new("audio cannot be sent by its URL")),
        (MediaKind::Video, _) => {
            losses.lose(Feature::Video)?;
            Err(Unfit::new("OpenAI's chat sees no video"))
        }
    }
}

fn data_url(mime: &str, data: &str) -> String {
    ["data:", mime, ";base64,", data].concat()
}

fn tools<'a>(request: &'a Request<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    if request.tools.is_empty() {
        return Ok(Json::Null);
    }
    let tools: Result<Vec<_>, _> = request.tools.iter().map(|it| tool(it, losses)).collect();
    Ok(tools?.into())
}

fn tool<'a>(tool: &'a Tool<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let mut function = object([
        ("name", (&tool.name).into()),
        ("description", tool.description.as_ref().into()),
        ("parameters", tool.parameters.clone().into()),
        ("strict", tool.strict.into()),
    ]);
    if let Json::Object(fields) = &mut function {
        extend(fields, losses.leave(&tool.extra)?);
    }
    Ok(object([("type", "function".into()), ("function", function)]))
}

fn tool_choice<'a>(choice: &'a ToolChoice<'_>) -> Json<'a> {
    let function = |name: &'a Text<'_>| {
        let named = object([("name", name.into())]);
        object([("type", "function".into()), ("function", named)])
    };
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Only { names, must } => match (&names[..], must) {
            ([name], true) => function(name),
            (names, must) => {
                let mode = if *must { "required" } else { "auto" };
                let tools = array(names.iter().map(function));
                let allowed = object([("mode", mode.into()), ("tools", tools)]);
                object([("type", "allowed_tools".into()), ("allowed_tools", allowed)])
            }
        },
    }
}

fn output<'a>(output: &'a Output<'_>) -> Json<'a> {
    match output {
        Output::Text => Json::Null,
        Output::Json => object([("type", "json_object".into())]),
        Output::Schema(schema) => {
            let named = object([
                ("name", schema.name.as_deref().unwrap_or("answer").into()),
                ("description", schema.description.as_ref().into()),
                ("schema", schema.schema.clone()),
                ("strict", schema.strict.into()),
            ]);
            object([("type", "json_schema".into()), ("json_schema", named)])
        }
    }
}

fn stop<'a>(request: &'a Request<'_>) -> Json<'a> {
    if request.stop.is_empty() { Json::Null } else { array(&request.stop) }
}

const fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Auto => "auto",
        Tier::Standard => "default",
        Tier::Flex => "flex",
        Tier::Priority => "priority",
    }
}

fn extend<'a>(fields: &mut Object<'a>, extra: &'a [crate::translate::json::Field<'_>]) {
    let borrowed = extra.iter().map(|(name, value)| (name.as_ref().into(), value.clone()));
    fields.extend(borrowed);
}

/// An image's own field stands one level deeper.
fn extend_part<'a>(fields: &mut Object<'a>, extra: &'a [crate::translate::json::Field<'_>]) {
    let place = fields.iter().position(|(name, _)| name == "image_url");
    match place.and_then(|place| fields.get_mut(place)) {
        Some((_, Json::Object(image))) => {
            let (inner, outer): (Vec<_>, Vec<_>) =
                extra.iter().partition(|(name, _)| name == "detail");
            image.extend(inner.into_iter().map(|(name, it)| (name.as_ref().into(), it.clone())));
            let outer = outer.into_iter().map(|(name, it)| (name.as_ref().into(), it.clone()));
            fields.extend(outer);
        }
        _ => extend(fields, extra),
    }
}
