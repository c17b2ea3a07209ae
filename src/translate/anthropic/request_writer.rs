//! Writes a message request (Anthropic API reference, "Create a message"), for version 2023-06-01.

use super::super::Target;
use crate::translate::json::{Json, Object, array, object};
use crate::translate::losses::{Feature, Losses};
use crate::translate::request::{
    Call, Effort, Kind, Media, MediaKind, Outcome, Output, Part, Request, Role, Source, Thinking,
    Tier, Tool, ToolChoice, Turn,
};
use crate::translate::seal::Maker;
use crate::translate::unfit::Unfit;
use crate::translate::versions::Claude;

/// The bound on output where a request has none, for one is required: what every model since
/// Claude 3.7 may write wherever it runs, and what Claude 3 may (models overview).
const MAX_TOKENS: u64 = 16_384;
const MAX_TOKENS_OF_CLAUDE_3: u64 = 4_096;

/// The smallest budget for thinking (extended thinking guide).
const LEAST_BUDGET: u64 = 1_024;

/// The instruction that stands for OpenAI's `json_object`.
const JSON_OUTPUT: &str =
    "Answer with a single valid JSON object and nothing else: no explanation, no code fence.";

/// Image types that Claude sees (vision guide).
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Writes the body of a request.
pub(crate) fn write<'a>(
    request: &'a Request<'_>,
    target: &'a Target<'_>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    let claude = Claude::named(target.model);
    let sampling = &request.sampling;
    losses.lose_some(request.choices.filter(|n| *n != 1).as_ref(), Feature::Choices)?;
    losses.lose_some(sampling.seed.as_ref(), Feature::Seed)?;
    losses.lose_some(sampling.presence_penalty.as_ref(), Feature::PresencePenalty)?;
    losses.lose_some(sampling.frequency_penalty.as_ref(), Feature::FrequencyPenalty)?;
    let bound = request.max_output.unwrap_or_else(|| default_bound(claude));
    let (thinking, effort) = thinking(request, claude, bound, losses)?;
    let draws = draws(request, claude, !thinking.is_null(), losses)?;
    let format = match &request.output {
        Output::Schema(schema) if claude.has_structured_output() => {
            object([("type", "json_schema".into()), ("schema", schema.schema.clone())])
        }
        Output::Schema(_) => {
            losses.lose(Feature::Schema)?;
            Json::Null
        }
        Output::Text | Output::Json => Json::Null,
    };
    let config = object([("effort", effort.map(Effort::as_str).into()), ("format", format)]);
    let (offered, choice) = tools(request, losses)?;
    let mut body = object([
        ("model", target.model.into()),
        ("max_tokens", bound.into()),
        ("system", system(request, losses)?),
        ("messages", messages(request, losses)?),
        ("tools", offered),
        ("tool_choice", choice),
        ("stop_sequences", stop(request)),
        ("temperature", sampling.temperature.filter(|_| draws).map(|it| it.min(1.0)).into()),
        ("top_p", sampling.top_p.filter(|_| draws).into()),
        ("top_k", sampling.top_k.filter(|_| draws).into()),
        ("thinking", thinking),
        ("output_config", some(config)),
        ("metadata", some(object([("user_id", request.user.as_ref().into())]))),
        ("service_tier", tier(request, losses)?.into()),
        ("stream", request.stream.then_some(true).into()),
    ]);
    if let Json::Object(fields) = &mut body {
        extend(fields, losses.leave(&request.extra)?);
    }
    Ok(body)
}

/// `null` for an empty object.
fn some(json: Json<'_>) -> Json<'_> {
    if matches!(&json, Json::Object(fields) if fields.is_empty()) { Json::Null } else { json }
}

const fn default_bound(claude: Claude) -> u64 {
    if claude.thinks() { MAX_TOKENS } else { MAX_TOKENS_OF_CLAUDE_3 }
}

/// Whether tokens can be drawn as the request says.
fn draws(
    request: &Request<'_>,
    claude: Claude,
    thinks: bool,
    losses: &mut Losses,
) -> Result<bool, Unfit> {
    let sampling = &request.sampling;
    let asked =
        sampling.temperature.is_some() || sampling.top_p.is_some() || sampling.top_k.is_some();
    if asked && (thinks || !claude.takes_sampling()) {
        losses.lose(Feature::Sampling)?;
        return Ok(false);
    }
    Ok(true)
}

/// `thinking`, and the effort.
fn thinking<'a>(
    request: &Request<'_>,
    claude: Claude,
    bound: u64,
    losses: &mut Losses,
) -> Result<(Json<'a>, Option<Effort>), Unfit> {
    let Some(asked) = request.thinking else { return Ok((Json::Null, None)) };
    let off = asked.effort() == Some(Effort::None);
    if off {
        let said = claude.is_adaptive() && claude.thinks_unless_told();
        let disabled = said.then(|| object([("type", "disabled".into())]));
        return Ok((disabled.into(), None));
    }
    if claude.is_adaptive() {
        let effort = asked.effort().map(|effort| effort.within(Effort::Low, Effort::Max));
        return Ok((object([("type", "adaptive".into())]), effort));
    }
    let forced = matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Only { must: true, .. })
    );
    let budget = match asked {
        Thinking::Budget(tokens) => tokens,
        Thinking::Effort(effort) => effort.budget(),
        Thinking::Adaptive => Effort::Medium.budget(),
    };
    let budget = budget.max(LEAST_BUDGET).min(bound.saturating_sub(1));
    if !claude.thinks() || forced || budget < LEAST_BUDGET || is_amid_foreign_calls(request) {
        losses.lose(Feature::Thinking)?;
        return Ok((Json::Null, None));
    }
    Ok((object([("type", "enabled".into()), ("budget_tokens", budget.into())]), None))
}

/// Whether the last that was said are results of calls whose thoughts are not at hand: a Claude that
/// thinks by budget asks for them back (extended thinking guide, "preserving thinking blocks").
fn is_amid_foreign_calls(request: &Request<'_>) -> bool {
    let outcome = |part: &Part<'_>| matches!(part.kind, Kind::Outcome(_));
    let answered = request.turns.last().is_some_and(|turn| turn.parts.iter().any(outcome));
    let own = |part: &Part<'_>| match &part.kind {
        Kind::Thinking { seal: Some(seal), .. } => seal.maker != Maker::Gemini,
        _ => false,
    };
    let said = request.turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    answered && !said.is_some_and(|turn| turn.parts.iter().any(own))
}

fn system<'a>(request: &'a Request<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let mid = request.turns.iter().filter(|turn| turn.role == Role::System);
    let mut blocks = Vec::new();
    let mut plain = true;
    for part in &request.system {
        plain &= part.extra.is_empty() || request.wire != crate::formats::Wire::Anthropic;
        blocks.extend(block(part, losses)?);
    }
    for turn in mid {
        losses.lose(Feature::MidSystem)?;
        losses.leave(&turn.extra)?;
        for part in &turn.parts {
            blocks.extend(block(part, losses)?);
        }
    }
    if request.output == Output::Json {
        losses.lose(Feature::JsonOutput)?;
        blocks.push(object([("type", "text".into()), ("text", JSON_OUTPUT.into())]));
    }
    Ok(match &mut blocks[..] {
        [] => Json::Null,
        [only] if plain => only.take("text").unwrap_or_default(),
        _ => blocks.into(),
    })
}

fn messages<'a>(request: &'a Request<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let mut messages = Vec::new();
    for turn in request.turns.iter().filter(|turn| turn.role != Role::System) {
        let mut content = blocks(turn, losses)?;
        let role = if turn.role == Role::Assistant { "assistant" } else { "user" };
        let extra = losses.leave(&turn.extra)?;
        if content.is_empty() {
            // Nothing was said: an empty message is refused there.
            continue;
        }
        let content = match &mut content[..] {
            [only] if is_plain_text(only) => only.take("text").unwrap_or_default(),
            _ => content.into(),
        };
        let mut message = object([("role", role.into()), ("content", content)]);
        if let Json::Object(fields) = &mut message {
            extend(fields, extra);
        }
        messages.push(message);
    }
    Ok(messages.into())
}

fn is_plain_text(block: &Json<'_>) -> bool {
    matches!(block, Json::Object(fields) if fields.len() == 2)
        && block.get("type").and_then(Json::as_text) == Some("text")
}

/// The blocks of a turn: results first, for they must answer the message before.
fn blocks<'a>(turn: &'a Turn<'_>, losses: &mut Losses) -> Result<Vec<Json<'a>>, Unfit> {
    let is_outcome = |part: &&Part<'_>| matches!(part.kind, Kind::Outcome(_));
    let (first, then): (Vec<_>, Vec<_>) = turn.parts.iter().partition(is_outcome);
    let mut blocks = Vec::with_capacity(turn.parts.len());
    for part in first.into_iter().chain(then) {
        blocks.extend(block(part, losses)?);
    }
    Ok(blocks)
}

/// A part's block; none for what is empty, or cannot be taken back.
fn block<'a>(part: &'a Part<'_>, losses: &mut Losses) -> Result<Option<Json<'a>>, Unfit> {
    let extra = losses.leave(&part.extra)?;
    let mut block = match &part.kind {
        Kind::Text(text) if text.is_empty() => return Ok(None),
        Kind::Text(text) => object([("type", "text".into()), ("text", text.into())]),
        Kind::Media(media) => self::media(media, losses)?,
        Kind::Thinking { text, seal: Some(seal) } if seal.maker == Maker::Anthropic => object([
            ("type", "thinking".into()),
            ("thinking", text.into()),
            ("signature", (&seal.value).into()),
        ]),
        Kind::Thinking { seal: Some(seal), .. } if seal.maker == Maker::AnthropicRedacted => {
            object([("type", "redacted_thinking".into()), ("data", (&seal.value).into())])
        }
        Kind::Thinking { .. } => {
            losses.lose(Feature::ForeignThought)?;
            return Ok(None);
        }
        Kind::Call(call) => self::call(call),
        Kind::Outcome(outcome) => self::outcome(outcome, losses)?,
    };
    if let Json::Object(fields) = &mut block {
        extend(fields, extra);
    }
    Ok(Some(block))
}

fn call<'a>(call: &'a Call<'_>) -> Json<'a> {
    object([
        ("type", "tool_use".into()),
        ("id", (&call.id).into()),
        ("name", (&call.name).into()),
        ("input", call.arguments.clone()),
    ])
}

fn outcome<'a>(outcome: &'a Outcome<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let mut content = Vec::new();
    for part in &outcome.content {
        content.extend(block(part, losses)?);
    }
    let content = match &mut content[..] {
        [] => Json::Null,
        [only] if is_plain_text(only) => only.take("text").unwrap_or_default(),
        _ => content.into(),
    };
    Ok(object([
        ("type", "tool_result".into()),
        ("tool_use_id", (&outcome.id).into()),
        ("content", content),
        ("is_error", outcome.failed.then_some(true).into()),
    ]))
}

fn media<'a>(media: &'a Media<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let mime = media.mime.as_deref();
    let (kind, default) = match media.kind {
        MediaKind::Image => ("image", "image/png"),
        MediaKind::Document => ("document", "application/pdf"),
        MediaKind::Audio => return refuse(losses, Feature::Audio),
        MediaKind::Video => return refuse(losses, Feature::Video),
    };
    let mime = mime.unwrap_or(default);
    let inlined = matches!(media.source, Source::Base64(_));
    if media.kind == MediaKind::Image && inlined && !IMAGES.contains(&mime) {
        return refuse(losses, Feature::ImageType);
    }
    let source = match &media.source {
        Source::Base64(data) => {
            object([("type", "base64".into()), ("media_type", mime.into()), ("data", data.into())])
        }
        Source::Plain(text) => object([
            ("type", "text".into()),
            ("media_type", "text/plain".into()),
            ("data", text.into()),
        ]),
        Source::Url(url) => object([("type", "url".into()), ("url", url.into())]),
    };
    let title = media.name.as_ref().filter(|_| media.kind == MediaKind::Document);
    Ok(object([("type", kind.into()), ("source", source), ("title", title.into())]))
}

fn refuse<'a>(losses: &mut Losses, feature: Feature) -> Result<Json<'a>, Unfit> {
    losses.lose(feature)?;
    Err(Unfit::of(feature.named(crate::formats::Wire::OpenAi), "cannot be said to Claude"))
}

/// What may be called, and whether it shall be.
fn tools<'a>(request: &'a Request<'_>, losses: &mut Losses) -> Result<(Json<'a>, Json<'a>), Unfit> {
    let only = match &request.tool_choice {
        Some(ToolChoice::Only { names, .. }) if names.len() != 1 => Some(names),
        _ => None,
    };
    let mut offered = Vec::new();
    for tool in &request.tools {
        if only.is_none_or(|names| names.contains(&tool.name)) {
            offered.push(self::tool(tool, losses)?);
        }
    }
    if offered.is_empty() {
        return Ok((Json::Null, Json::Null));
    }
    let (kind, name) = match &request.tool_choice {
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Only { names, must: true }) => match &names[..] {
            [name] => ("tool", Some(name)),
            _ => ("any", None),
        },
        Some(ToolChoice::Auto | ToolChoice::Only { must: false, .. }) | None => ("auto", None),
    };
    let alone = (request.parallel_calls == Some(false) && kind != "none").then_some(true);
    let said = request.tool_choice.is_some() || alone.is_some();
    let choice = said.then(|| {
        object([
            ("type", kind.into()),
            ("name", name.into()),
            ("disable_parallel_tool_use", alone.into()),
        ])
    });
    Ok((offered.into(), choice.into()))
}

fn tool<'a>(tool: &'a Tool<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let schema = tool.parameters.as_ref().filter(|it| matches!(it, Json::Object(_)));
    let schema = schema.map_or_else(|| Json::Object(Object::new()), Clone::clone);
    let mut written = object([
        ("name", (&tool.name).into()),
        ("description", tool.description.as_ref().into()),
        ("input_schema", typed(schema)),
        ("strict", tool.strict.filter(|strict| *strict).into()),
    ]);
    if let Json::Object(fields) = &mut written {
        extend(fields, losses.leave(&tool.extra)?);
    }
    Ok(written)
}

/// A schema of arguments must say that it is of an object.
fn typed(mut schema: Json<'_>) -> Json<'_> {
    if schema.get("type").is_none()
        && let Json::Object(fields) = &mut schema
    {
        fields.insert(0, ("type".into(), "object".into()));
    }
    schema
}

fn stop<'a>(request: &'a Request<'_>) -> Json<'a> {
    // Blank ones are refused there, and stop nothing that is worth stopping.
    let texts: Vec<_> = request.stop.iter().filter(|text| !text.trim().is_empty()).collect();
    if texts.is_empty() { Json::Null } else { array(texts) }
}

fn tier(request: &Request<'_>, losses: &mut Losses) -> Result<Option<&'static str>, Unfit> {
    match request.tier {
        None => Ok(None),
        Some(Tier::Auto) => Ok(Some("auto")),
        Some(Tier::Standard) => Ok(Some("standard_only")),
        Some(Tier::Flex | Tier::Priority) => losses.lose(Feature::Tier).map(|()| None),
    }
}

fn extend<'a>(fields: &mut Object<'a>, extra: &'a [crate::translate::json::Field<'_>]) {
    fields.extend(extra.iter().map(|(name, value)| (name.as_ref().into(), value.clone())));
}
