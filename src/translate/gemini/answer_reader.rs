//! Reads generated content (Gemini API reference, `GenerateContentResponse`).

use std::borrow::Cow;

use super::usage;
use crate::translate::answer::{Answer, Choice, Finish};
use crate::translate::json::{Json, Object, Text, take};
use crate::translate::request::{Call, Kind, Part};
use crate::translate::seal::{Maker, Seal};
use crate::translate::unfit::{At, Expect, Unfit};

/// Reads the body of an answer.
pub(crate) fn read(body: Json<'_>) -> Result<Answer<'_>, Unfit> {
    let mut body = body.fields()?;
    let id = text(&mut body, "responseId");
    let blocked =
        take(&mut body, "promptFeedback").is_some_and(|it| it.get("blockReason").is_some());
    let candidates = match take(&mut body, "candidates") {
        Some(candidates) => candidates.items().at("candidates")?,
        None if blocked => Vec::new(),
        None => return Err(Unfit::of("candidates", "is required")),
    };
    let mut choices = Vec::new();
    for (place, candidate) in candidates.into_iter().enumerate() {
        choices.push(choice(candidate, &id).nth(place).at("candidates")?);
    }
    if choices.is_empty() {
        // The prompt was refused: an answer that says nothing, and why.
        choices.push(Choice { parts: Vec::new(), finish: Finish::Filtered });
    }
    Ok(Answer {
        model: text(&mut body, "modelVersion"),
        usage: take(&mut body, "usageMetadata").as_ref().map(usage::read),
        id,
        choices,
    })
}

fn choice<'a>(value: Json<'a>, id: &str) -> Result<Choice<'a>, Unfit> {
    let mut candidate = value.fields()?;
    let index = take(&mut candidate, "index").and_then(|index| index.as_count()).unwrap_or(0);
    let mut parts = Vec::new();
    let said = take(&mut candidate, "content").and_then(|mut content| content.take("parts"));
    if let Some(Json::Array(said)) = said {
        for piece in said {
            let made = parts.iter().filter(|part: &&Part<'_>| part.as_call().is_some()).count();
            parts.extend(part(piece, &|| made_id(id, index, made)));
        }
    }
    let called = parts.iter().any(|part| part.as_call().is_some());
    let finish = finish(&text(&mut candidate, "finishReason"), called);
    Ok(Choice { parts, finish })
}

/// A part; what server tools leave in an answer is nothing to other formats.
pub(super) fn part<'a>(value: Json<'a>, own_id: &dyn Fn() -> String) -> Option<Part<'a>> {
    let mut part = value.fields().ok()?;
    let signature = text(&mut part, "thoughtSignature");
    let seal = (!signature.is_empty()).then(|| Seal::new(Maker::Gemini, signature));
    if let Some(call) = take(&mut part, "functionCall") {
        let mut call = call.fields().ok()?;
        let id = Some(text(&mut call, "id")).filter(|id| !id.is_empty());
        return Some(Part::of(Kind::Call(Call {
            id: id.unwrap_or_else(|| Cow::Owned(own_id())),
            name: text(&mut call, "name"),
            arguments: take(&mut call, "args").unwrap_or_else(|| Json::Object(Object::new())),
            seal,
        })));
    }
    let thought = take(&mut part, "thought").and_then(|it| it.as_bool()).unwrap_or(false);
    let text = take(&mut part, "text")?.text().ok()?;
    let kind = if thought { Kind::Thinking { text, seal } } else { Kind::Text(text) };
    Some(Part::of(kind))
}

/// An id for a call that has none: no other call has it, for no other answer has this one's id.
pub(super) fn made_id(answer: &str, choice: u64, call: usize) -> String {
    let word: String = answer.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    format!("call_{word}_{choice}_{call}")
}

/// Why it ended, in Google's words, which have none for calls.
pub(super) fn finish(reason: &str, called: bool) -> Finish<'static> {
    match reason {
        "MAX_TOKENS" | "CONTINUATION" => Finish::Length,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE"
        | "OTHER" | "MODEL_ARMOR" => Finish::Filtered,
        reason if reason.starts_with("IMAGE_") => Finish::Filtered,
        _ if called => Finish::Calls,
        _ => Finish::Stop,
    }
}

pub(super) fn text<'a>(object: &mut Object<'a>, name: &str) -> Text<'a> {
    if let Some(Json::Text(text)) = take(object, name) { text } else { Text::default() }
}
