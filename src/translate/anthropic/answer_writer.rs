//! Writes a message (Anthropic API reference, "Create a message").

use super::usage;
use crate::formats::Usage;
use crate::translate::Plan;
use crate::translate::answer::{Answer, Choice, Finish};
use crate::translate::json::{Json, array, object};
use crate::translate::request::{Kind, Part};
use crate::translate::seal::{Maker, Seal};

/// Writes the body of an answer: the first, for there is but one.
pub(crate) fn write<'a>(answer: &'a Answer<'_>, plan: &'a Plan) -> Json<'a> {
    let none = Choice { parts: Vec::new(), finish: Finish::Stop };
    let finish = answer.choices.first().map_or(none.finish, |choice| choice.finish.clone());
    let parts = answer.choices.first().map_or(&[][..], |choice| &choice.parts);
    let (reason, stop) = self::finish(&finish);
    let usage = answer.usage.unwrap_or_default();
    Json::Object(vec![
        ("id".into(), plan.id_or_own(&answer.id, "msg_").into()),
        ("type".into(), "message".into()),
        ("role".into(), "assistant".into()),
        ("model".into(), plan.model_or_own(&answer.model).into()),
        ("content".into(), array(parts.iter().flat_map(blocks))),
        ("stop_reason".into(), reason.into()),
        ("stop_sequence".into(), stop.map(str::to_owned).into()),
        ("usage".into(), usage::write(&usage)),
    ])
}

fn blocks<'a>(part: &'a Part<'_>) -> Vec<Json<'a>> {
    match &part.kind {
        Kind::Text(text) => vec![object([("type", "text".into()), ("text", text.into())])],
        Kind::Thinking { text, seal } => match seal {
            Some(seal) if text.is_empty() => vec![redacted(seal)],
            seal => vec![object([
                ("type", "thinking".into()),
                ("thinking", text.into()),
                ("signature", seal.as_ref().map_or_else(|| "".into(), signature)),
            ])],
        },
        Kind::Call(call) => {
            let block = object([
                ("type", "tool_use".into()),
                ("id", (&call.id).into()),
                ("name", (&call.name).into()),
                ("input", call.arguments.clone()),
            ]);
            call.seal.as_ref().map(redacted).into_iter().chain([block]).collect()
        }
        Kind::Media(_) | Kind::Outcome(_) => Vec::new(),
    }
}

fn signature<'a>(seal: &'a Seal<'_>) -> Json<'a> {
    seal.stamped(Maker::Anthropic).into()
}

/// A seal without its thought: the format's own block for what only its maker can read.
pub(super) fn redacted<'a>(seal: &'a Seal<'_>) -> Json<'a> {
    let data = seal.stamped(Maker::AnthropicRedacted);
    object([("type", "redacted_thinking".into()), ("data", data.into())])
}

/// Why it ended, in Anthropic's words, and at which text.
pub(super) fn finish<'f>(finish: &'f Finish<'_>) -> (&'static str, Option<&'f str>) {
    match finish {
        Finish::Stop | Finish::StopText(None) => ("end_turn", None),
        Finish::StopText(Some(text)) => ("stop_sequence", Some(text)),
        Finish::Length => ("max_tokens", None),
        Finish::Calls => ("tool_use", None),
        Finish::Filtered => ("refusal", None),
    }
}

/// What a stream begins with.
pub(super) fn begun<'a>(id: &'a str, model: &'a str, usage: &Usage) -> Json<'a> {
    Json::Object(vec![
        ("id".into(), id.into()),
        ("type".into(), "message".into()),
        ("role".into(), "assistant".into()),
        ("model".into(), model.into()),
        ("content".into(), array::<Json<'_>>([])),
        ("stop_reason".into(), Json::Null),
        ("stop_sequence".into(), Json::Null),
        ("usage".into(), usage::write(usage)),
    ])
}
