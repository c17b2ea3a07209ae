//! Writes a content request (Gemini API reference, "Generating content").

use super::super::Target;
use crate::translate::json::{Json, Object, array, object};
use crate::translate::losses::{Feature, Losses};
use crate::translate::request::{
    Call, Effort, Kind, Media, MediaKind, Outcome, Output, Part, Request, Role, Source, Tier, Tool,
    ToolChoice, Turn,
};
use crate::translate::seal::{Maker, Seal};
use crate::translate::unfit::Unfit;
use crate::translate::versions;

/// What Gemini 3 takes for the signature of a call that it did not make (thought signatures guide,
/// "migrating from other models").
const FOREIGN_CALL: &str = "skip_thought_signature_validator";

/// Fields of `generationConfig` that no other format has.
const CONFIG: [&str; 8] = [
    "audioTimestamp",
    "enableEnhancedCivicAnswers",
    "imageConfig",
    "logprobs",
    "mediaResolution",
    "responseLogprobs",
    "responseModalities",
    "speechConfig",
];

/// Writes the body of a request.
pub(crate) fn write<'a>(
    request: &'a Request<'_>,
    target: &'a Target<'_>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    losses.lose_some(request.user.as_ref(), Feature::User)?;
    let alone = request.parallel_calls.filter(|parallel| !parallel);
    losses.lose_some(alone.as_ref(), Feature::ParallelCalls)?;
    let extra = losses.leave(&request.extra)?;
    let (of_config, of_body): (Vec<_>, Vec<_>) =
        extra.iter().partition(|(name, _)| CONFIG.contains(&&**name));
    let mut config = config(request, target);
    if let Json::Object(fields) = &mut config {
        fields.extend(of_config.into_iter().map(|(n, it)| (n.as_ref().into(), it.clone())));
    }
    let has_config = matches!(&config, Json::Object(fields) if !fields.is_empty());
    let mut body = object([
        ("systemInstruction", system(request, losses)?),
        ("contents", contents(request, target, losses)?),
        ("tools", tools(request, losses)?),
        ("toolConfig", request.tool_choice.as_ref().map(tool_config).into()),
        ("generationConfig", has_config.then_some(config).into()),
        ("serviceTier", request.tier.and_then(tier).into()),
    ]);
    if let Json::Object(fields) = &mut body {
        fields.extend(of_body.into_iter().map(|(n, it)| (n.as_ref().into(), it.clone())));
    }
    Ok(body)
}

fn config<'a>(request: &'a Request<'_>, target: &Target<'_>) -> Json<'a> {
    let sampling = &request.sampling;
    let (mime, schema) = match &request.output {
        Output::Text => (None, Json::Null),
        Output::Json => (Some("application/json"), Json::Null),
        Output::Schema(schema) => (Some("application/json"), schema.schema.clone()),
    };
    let stop = (!request.stop.is_empty()).then(|| array(&request.stop));
    object([
        ("temperature", sampling.temperature.into()),
        ("topP", sampling.top_p.into()),
        ("topK", sampling.top_k.into()),
        ("seed", sampling.seed.into()),
        ("presencePenalty", sampling.presence_penalty.into()),
        ("frequencyPenalty", sampling.frequency_penalty.into()),
        ("maxOutputTokens", request.max_output.into()),
        ("candidateCount", request.choices.into()),
        ("stopSequences", stop.into()),
        ("responseMimeType", mime.into()),
        ("responseJsonSchema", schema),
        ("thinkingConfig", thinking(request, target).into()),
    ])
}

fn thinking<'a>(request: &Request<'_>, target: &Target<'_>) -> Option<Json<'a>> {
    let asked = request.thinking?;
    let off = asked.effort() == Some(Effort::None);
    let (level, budget): (Json<'_>, Json<'_>) = if versions::is_gemini_3(target.model) {
        let level = asked.effort().map(|effort| match effort {
            // It cannot be told not to think at all.
            Effort::None => Effort::Minimal,
            effort => effort.within(Effort::Minimal, Effort::High),
        });
        (level.map(Effort::as_str).into(), Json::Null)
    } else {
        let budget = asked.budget().map_or(-1, |tokens| i64::try_from(tokens).unwrap_or(-1));
        (Json::Null, budget.into())
    };
    Some(object([
        ("includeThoughts", (!off).then_some(true).into()),
        ("thinkingLevel", level),
        ("thinkingBudget", budget),
    ]))
}

fn system<'a>(request: &'a Request<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    let mut parts = Vec::new();
    for part in &request.system {
        parts.extend(text_part(part, losses)?);
    }
    for turn in request.turns.iter().filter(|turn| turn.role == Role::System) {
        losses.lose(Feature::MidSystem)?;
        losses.leave(&turn.extra)?;
        for part in &turn.parts {
            parts.extend(text_part(part, losses)?);
        }
    }
    Ok(if parts.is_empty() { Json::Null } else { object([("parts", parts.into())]) })
}

/// Instructions are text.
fn text_part<'a>(part: &'a Part<'_>, losses: &mut Losses) -> Result<Option<Json<'a>>, Unfit> {
    losses.leave(&part.extra)?;
    Ok(part.as_text().filter(|text| !text.is_empty()).map(|text| object([("text", text.into())])))
}

fn contents<'a>(
    request: &'a Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    let mut contents = Vec::new();
    for turn in request.turns.iter().filter(|turn| turn.role != Role::System) {
        let mut parts = Vec::new();
        for part in &turn.parts {
            self::part(part, turn, target, (&mut parts, losses))?;
        }
        let extra = losses.leave(&turn.extra)?;
        if parts.is_empty() {
            // Nothing was said: empty contents are refused there.
            continue;
        }
        let role = if turn.role == Role::Assistant { "model" } else { "user" };
        let mut content = object([("role", role.into()), ("parts", parts.into())]);
        if let Json::Object(fields) = &mut content {
            extend(fields, extra);
        }
        contents.push(content);
    }
    Ok(contents.into())
}

fn part<'a>(
    part: &'a Part<'_>,
    turn: &Turn<'_>,
    target: &Target<'_>,
    (parts, losses): (&mut Vec<Json<'a>>, &mut Losses),
) -> Result<(), Unfit> {
    let extra = losses.leave(&part.extra)?;
    let mut written = match &part.kind {
        Kind::Text(text) if text.is_empty() && extra.is_empty() => return Ok(()),
        Kind::Text(text) => object([("text", text.into())]),
        Kind::Media(media) => self::media(media, losses)?,
        Kind::Thinking { text, seal: Some(seal) } if seal.maker == Maker::Gemini => object([
            ("text", text.into()),
            ("thought", true.into()),
            ("thoughtSignature", (&seal.value).into()),
        ]),
        Kind::Thinking { .. } => return losses.lose(Feature::ForeignThought),
        Kind::Call(call) => {
            let first = turn.parts.iter().find_map(Part::as_call).is_some_and(|it| it == call);
            self::call(call, first && versions::is_gemini_3(target.model))
        }
        Kind::Outcome(outcome) => {
            parts.push(self::outcome(outcome));
            for media in outcome.content.iter().filter(|part| part.as_text().is_none()) {
                losses.lose(Feature::MediaInOutcome)?;
                self::part(media, turn, target, (parts, losses))?;
            }
            return Ok(());
        }
    };
    if let Json::Object(fields) = &mut written {
        extend(fields, extra);
    }
    parts.push(written);
    Ok(())
}

/// The first call of a turn carries the signature; Gemini 3 asks for it.
fn call<'a>(call: &'a Call<'_>, must_be_signed: bool) -> Json<'a> {
    let made = object([
        ("id", (&call.id).into()),
        ("name", (&call.name).into()),
        ("args", call.arguments.clone()),
    ]);
    let seal = call.seal.as_ref().filter(|seal| seal.maker == Maker::Gemini);
    let foreign = must_be_signed.then_some(FOREIGN_CALL);
    let signature = seal.map(|seal: &Seal<'_>| &*seal.value).or(foreign);
    object([("functionCall", made), ("thoughtSignature", signature.into())])
}

/// An object: that which the text holds, or one made for it.
fn outcome<'a>(outcome: &'a Outcome<'_>) -> Json<'a> {
    let texts: Vec<_> = outcome.content.iter().filter_map(Part::as_text).collect();
    let text = texts.join("\n");
    let word = if outcome.failed { "error" } else { "result" };
    let parsed = Json::read(text.as_bytes()).ok();
    let parsed = parsed.filter(|it| matches!(it, Json::Object(_)) && !outcome.failed);
    let response = match parsed {
        Some(parsed) => parsed.into_owned(),
        None => object([(word, text.into())]),
    };
    let told = object([
        ("id", (&outcome.id).into()),
        ("name", (&outcome.name).into()),
        ("response", response),
    ]);
    object([("functionResponse", told)])
}

fn media<'a>(media: &'a Media<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    if media.kind == MediaKind::Document && !matches!(media.source, Source::Plain(_)) {
        losses.lose_some(media.name.as_ref(), Feature::MediaName)?;
    }
    let default = match media.kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Document => "application/pdf",
        MediaKind::Audio => "audio/wav",
        MediaKind::Video => "video/mp4",
    };
    let mime = media.mime.as_deref();
    Ok(match &media.source {
        Source::Base64(data) => {
            let mime = mime.unwrap_or(default).into();
            object([("inlineData", object([("mimeType", mime), ("data", data.into())]))])
        }
        Source::Plain(text) => {
            losses.lose(Feature::PlainDocument)?;
            let title = media.name.as_ref().map(|name| format!("{name}\n\n"));
            object([("text", [&title.unwrap_or_default(), &**text].concat().into())])
        }
        Source::Url(url) => {
            let mime = mime.or_else(|| mime_of(url)).unwrap_or(default).into();
            object([("fileData", object([("mimeType", mime), ("fileUri", url.into())]))])
        }
    })
}

/// The type that a URL's ending tells.
fn mime_of(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let (_, ending) = path.rsplit_once('.')?;
    Some(match &*ending.to_ascii_lowercase() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        _ => return None,
    })
}

fn tools<'a>(request: &'a Request<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    if request.tools.is_empty() {
        return Ok(Json::Null);
    }
    let declared: Result<Vec<_>, _> = request.tools.iter().map(|it| tool(it, losses)).collect();
    Ok(array([object([("functionDeclarations", declared?.into())])]))
}

fn tool<'a>(tool: &'a Tool<'_>, losses: &mut Losses) -> Result<Json<'a>, Unfit> {
    losses.lose_some(tool.strict.filter(|strict| *strict).as_ref(), Feature::Strict)?;
    let mut written = object([
        ("name", (&tool.name).into()),
        ("description", tool.description.as_ref().into()),
        ("parametersJsonSchema", tool.parameters.clone().into()),
    ]);
    if let Json::Object(fields) = &mut written {
        extend(fields, losses.leave(&tool.extra)?);
    }
    Ok(written)
}

fn tool_config<'a>(choice: &'a ToolChoice<'_>) -> Json<'a> {
    let (mode, names) = match choice {
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Only { names, must: true } => ("ANY", Some(array(names))),
        ToolChoice::Only { names, must: false } => ("VALIDATED", Some(array(names))),
    };
    let calling = object([("mode", mode.into()), ("allowedFunctionNames", names.into())]);
    object([("functionCallingConfig", calling)])
}

const fn tier(tier: Tier) -> Option<&'static str> {
    match tier {
        Tier::Auto => None,
        Tier::Standard => Some("standard"),
        Tier::Flex => Some("flex"),
        Tier::Priority => Some("priority"),
    }
}

fn extend<'a>(fields: &mut Object<'a>, extra: &'a [crate::translate::json::Field<'_>]) {
    fields.extend(extra.iter().map(|(name, value)| (name.as_ref().into(), value.clone())));
}
