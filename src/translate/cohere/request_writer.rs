//! Writes a chat request (Cohere API reference, "Chat", version 2).

use super::super::Target;
use crate::translate::json::{Json, Object, array, object};
use crate::translate::losses::{Feature, Losses};
use crate::translate::request::{
    Effort, Kind, Media, MediaKind, Outcome, Output, Part, Request, Role, Source, Thinking, Tool,
    ToolChoice, Turn,
};
use crate::translate::unfit::Unfit;

/// Writes the body of a request.
pub(crate) fn write<'a>(
    request: &'a Request<'_>,
    target: &'a Target<'_>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    let sampling = &request.sampling;
    losses.lose_some(request.choices.filter(|n| *n != 1).as_ref(), Feature::Choices)?;
    losses.lose_some(request.user.as_ref(), Feature::User)?;
    losses.lose_some(request.tier.as_ref(), Feature::Tier)?;
    let alone = request.parallel_calls.filter(|parallel| !parallel);
    losses.lose_some(alone.as_ref(), Feature::ParallelCalls)?;
    losses.leave(&request.extra)?;
    let (offered, choice) = tools(request, losses)?;
    let stop = (!request.stop.is_empty()).then(|| array(&request.stop));
    let strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    Ok(object([
        ("model", target.model.into()),
        ("messages", messages(request, losses)?),
        ("tools", offered),
        ("tool_choice", choice.into()),
        ("strict_tools", strict.then_some(true).into()),
        ("response_format", output(&request.output)),
        ("thinking", request.thinking.map(thinking).into()),
        ("max_tokens", request.max_output.into()),
        ("stop_sequences", stop.into()),
        ("temperature", sampling.temperature.into()),
        ("p", sampling.top_p.into()),
        ("k", sampling.top_k.into()),
        ("seed", sampling.seed.into()),
        ("presence_penalty", sampling.presence_penalty.into()),
        ("frequency_penalty", sampling.frequency_penalty.into()),
        ("stream", Some(request.stream).into()),
    ]))
}

fn thinking<'a>(asked: Thinking) -> Json<'a> {
    if asked.effort() == Some(Effort::None) {
        return object([("type", "disabled".into())]);
    }
    let budget = if let Thinking::Budget(tokens) = asked { Some(tokens) } else { None };
    object([("type", "enabled".into()), ("token_budget", budget.into())])
}

fn messages<'a>(request: &'a Request<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let mut messages = Vec::new();
    if !request.system.is_empty() {
        messages.push(message("system", content(&request.system, losses)?));
    }
    for turn in &request.turns {
        losses.leave(&turn.extra)?;
        match turn.role {
            Role::System => messages.push(message("system", content(&turn.parts, losses)?)),
            Role::User => user(turn, &mut messages, losses)?,
            Role::Assistant => messages.extend(assistant(turn, losses)?),
        }
    }
    Ok(messages.into())
}

fn message<'a>(role: &'static str, content: Json<'a>) -> Json<'a> {
    object([("role", role.into()), ("content", content)])
}

/// Tools' results are messages of their own, before what the user says.
fn user<'a>(
    turn: &'a Turn<'_>,
    messages: &mut Vec<Json<'a>>,
    losses: &mut Losses,
) -> Result<(), Unfit> {
    let (mut said, mut shown) = (Vec::new(), Vec::new());
    for part in &turn.parts {
        if let Kind::Outcome(outcome) = &part.kind {
            losses.leave(&part.extra)?;
            messages.push(self::outcome(outcome, &mut shown, losses)?);
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

fn outcome<'a, 'r>(
    outcome: &'a Outcome<'r>,
    shown: &mut Vec<&'a Part<'r>>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    let texts: Vec<_> = outcome.content.iter().filter_map(Part::as_text).collect();
    for media in outcome.content.iter().filter(|part| part.as_text().is_none()) {
        losses.lose(Feature::MediaInOutcome)?;
        shown.push(media);
    }
    let text = texts.join("\n");
    let text = if outcome.failed { format!("Error: {text}") } else { text };
    Ok(object([
        ("role", "tool".into()),
        ("tool_call_id", (&outcome.id).into()),
        ("content", text.into()),
    ]))
}

/// `None` where nothing was said: an empty message is refused there.
fn assistant<'a>(turn: &'a Turn<'_>, losses: &mut Losses) -> Result<Option<Json<'a>>, Unfit> {
    let (mut calls, mut said) = (Vec::new(), Vec::new());
    for part in &turn.parts {
        match &part.kind {
            Kind::Call(call) => {
                losses.leave(&part.extra)?;
                let arguments = call.arguments.to_text();
                let function =
                    object([("name", (&call.name).into()), ("arguments", arguments.into())]);
                calls.push(object([
                    ("id", (&call.id).into()),
                    ("type", "function".into()),
                    ("function", function),
                ]));
            }
            Kind::Thinking { .. } => losses.lose(Feature::ForeignThought)?,
            Kind::Text(_) | Kind::Media(_) | Kind::Outcome(_) => said.push(part),
        }
    }
    if calls.is_empty() && said.is_empty() {
        return Ok(None);
    }
    // What is said beside calls is the plan for them.
    let content = if said.is_empty() { Json::Null } else { content(said, losses)? };
    let plan = matches!(content, Json::Text(_)) && !calls.is_empty();
    let (plan, content) = if plan { (content, Json::Null) } else { (Json::Null, content) };
    Ok(Some(object([
        ("role", "assistant".into()),
        ("content", content),
        ("tool_plan", plan),
        ("tool_calls", (!calls.is_empty()).then_some(calls).into()),
    ])))
}

fn content<'a, 'r: 'a>(
    parts: impl IntoIterator<Item = &'a Part<'r>>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    let mut written = Vec::new();
    let mut plain = true;
    for part in parts {
        losses.leave(&part.extra)?;
        plain &= part.as_text().is_some();
        written.push(match &part.kind {
            Kind::Text(text) => object([("type", "text".into()), ("text", text.into())]),
            Kind::Media(media) => self::media(media, losses)?,
            Kind::Thinking { .. } | Kind::Call(_) | Kind::Outcome(_) => {
                return Err(Unfit::new("stands where Cohere takes text and images only"));
            }
        });
    }
    match &mut written[..] {
        [only] if plain => Ok(only.take("text").unwrap_or_default()),
        _ => Ok(written.into()),
    }
}

fn media<'a>(media: &'a Media<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let refused = match (media.kind, &media.source) {
        (_, Source::Plain(text)) => {
            losses.lose(Feature::PlainDocument)?;
            let title = media.name.as_ref().map(|name| format!("{name}\n\n"));
            let text = [&title.unwrap_or_default(), &**text].concat();
            return Ok(object([("type", "text".into()), ("text", text.into())]));
        }
        (MediaKind::Image, source) => {
            let url: Json<'a> = match source {
                Source::Base64(data) => {
                    let mime = media.mime.as_deref().unwrap_or("image/png");
                    ["data:", mime, ";base64,", data].concat().into()
                }
                Source::Url(url) | Source::Plain(url) => url.into(),
            };
            return Ok(object([
                ("type", "image_url".into()),
                ("image_url", object([("url", url)])),
            ]));
        }
        (MediaKind::Document, _) => Feature::DocumentByUrl,
        (MediaKind::Audio, _) => Feature::Audio,
        (MediaKind::Video, _) => Feature::Video,
    };
    losses.lose(refused)?;
    Err(Unfit::new("cannot be said to Cohere"))
}

/// What may be called, and whether it shall be: one function alone is chosen by offering no other.
fn tools<'a>(
    request: &'a Request<'_>,
    losses: &mut Losses,
) -> Result<(Json<'a>, Option<&'static str>), Unfit> {
    let only = match &request.tool_choice {
        Some(ToolChoice::Only { names, .. }) => Some(names),
        _ => None,
    };
    let mut offered = Vec::new();
    for tool in &request.tools {
        if only.is_none_or(|names| names.contains(&tool.name)) {
            offered.push(self::tool(tool, losses)?);
        }
    }
    if offered.is_empty() {
        return Ok((Json::Null, None));
    }
    let choice = match &request.tool_choice {
        Some(ToolChoice::None) => Some("NONE"),
        Some(ToolChoice::Required | ToolChoice::Only { must: true, .. }) => Some("REQUIRED"),
        Some(ToolChoice::Auto | ToolChoice::Only { must: false, .. }) | None => None,
    };
    Ok((offered.into(), choice))
}

fn tool<'a>(tool: &'a Tool<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    losses.leave(&tool.extra)?;
    let none = || object([("type", "object".into()), ("properties", Json::Object(Object::new()))]);
    let function = object([
        ("name", (&tool.name).into()),
        ("description", tool.description.as_ref().into()),
        ("parameters", tool.parameters.clone().unwrap_or_else(none)),
    ]);
    Ok(object([("type", "function".into()), ("function", function)]))
}

fn output<'a>(output: &'a Output<'_>) -> Json<'a> {
    match output {
        Output::Text => Json::Null,
        Output::Json => object([("type", "json_object".into())]),
        Output::Schema(schema) => {
            object([("type", "json_object".into()), ("json_schema", schema.schema.clone())])
        }
    }
}
