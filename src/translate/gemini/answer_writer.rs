//! Writes generated content (Gemini API reference, `GenerateContentResponse`).

use super::usage;
use crate::translate::Plan;
use crate::translate::answer::{Answer, Choice, Finish};
use crate::translate::json::{Json, array, object};
use crate::translate::request::{Call, Kind, Part};
use crate::translate::seal::{Maker, Seal};

/// Writes the body of an answer.
pub(crate) fn write<'a>(answer: &'a Answer<'_>, plan: &'a Plan) -> Json<'a> {
    let choices = (0_u32..).zip(&answer.choices).map(|(index, it)| candidate(index, it));
    object([
        ("candidates", array(choices)),
        ("usageMetadata", answer.usage.as_ref().map(usage::write).into()),
        ("modelVersion", plan.model_or_own(&answer.model).into()),
        ("responseId", plan.id_or_own(&answer.id, "").into()),
    ])
}

fn candidate<'a>(index: u32, choice: &'a Choice<'_>) -> Json<'a> {
    let parts = array(choice.parts.iter().filter_map(part));
    object([
        ("content", object([("parts", parts), ("role", "model".into())])),
        ("finishReason", finish(&choice.finish).into()),
        ("index", index.into()),
    ])
}

fn part<'a>(part: &'a Part<'_>) -> Option<Json<'a>> {
    match &part.kind {
        Kind::Text(text) => Some(object([("text", text.into())])),
        Kind::Thinking { text, seal } => Some(thought(text, seal.as_ref())),
        Kind::Call(call) => Some(self::call(call)),
        Kind::Media(_) | Kind::Outcome(_) => None,
    }
}

/// A thought, with the signature that ends it.
pub(super) fn thought<'a>(text: &'a str, seal: Option<&'a Seal<'_>>) -> Json<'a> {
    let signature = seal.map(Seal::in_base64);
    object([
        ("text", text.into()),
        ("thought", true.into()),
        ("thoughtSignature", signature.into()),
    ])
}

/// A call; it carries the signature of the thought that led to it.
pub(super) fn call<'a>(call: &'a Call<'_>) -> Json<'a> {
    let made = object([
        ("id", (&call.id).into()),
        ("name", (&call.name).into()),
        ("args", call.arguments.clone()),
    ]);
    let seal = call.seal.as_ref().filter(|seal| seal.maker == Maker::Gemini);
    let signature = seal.map(|seal| &*seal.value);
    object([("functionCall", made), ("thoughtSignature", signature.into())])
}

/// Why it ended, in Google's words.
pub(super) const fn finish(finish: &Finish<'_>) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopText(_) | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Filtered => "SAFETY",
    }
}
