//! Reads a chat completion (OpenAI API reference, "The chat completion object").

use std::borrow::Cow;

use super::usage;
use crate::translate::answer::{Answer, Choice, Finish};
use crate::translate::json::{Json, Object, Text, take};
use crate::translate::request::{Call, Kind, Part};
use crate::translate::seal::{Maker, Seal};
use crate::translate::unfit::{At, Expect, Unfit, required};

/// Reads the body of an answer.
pub(crate) fn read(body: Json<'_>) -> Result<Answer<'_>, Unfit> {
    let mut body = body.fields()?;
    let choices = required(&mut body, "choices")?.items().at("choices")?.into_iter().enumerate();
    let choices: Result<Vec<_>, _> =
        choices.map(|(place, it)| choice(it).nth(place).at("choices")).collect();
    Ok(Answer {
        id: text(&mut body, "id"),
        model: text(&mut body, "model"),
        choices: choices?,
        usage: take(&mut body, "usage").as_ref().map(usage::read),
    })
}

fn choice(value: Json<'_>) -> Result<Choice<'_>, Unfit> {
    let mut choice = value.fields()?;
    let reason = text(&mut choice, "finish_reason");
    let mut message = required(&mut choice, "message")?.fields().at("message")?;
    let mut parts = Vec::new();
    let thought = take(&mut message, "reasoning_content");
    match thought.or_else(|| take(&mut message, "reasoning")) {
        Some(Json::Text(text)) if !text.is_empty() => {
            parts.push(Part::of(Kind::Thinking { text, seal: None }));
        }
        _ => {}
    }
    let refusal = text(&mut message, "refusal");
    let refused = !refusal.is_empty();
    said(take(&mut message, "content").unwrap_or_default(), &mut parts);
    if refused {
        parts.push(Part::text(refusal));
    }
    if let Some(calls) = take(&mut message, "tool_calls") {
        for (place, call) in calls.items().at("tool_calls")?.into_iter().enumerate() {
            parts.push(self::call(call).nth(place).at("tool_calls")?);
        }
    }
    let finish = finish(&reason, parts.iter().any(|part| part.as_call().is_some()));
    let finish = if refused { Finish::Filtered } else { finish };
    Ok(Choice { parts, finish })
}

/// A string; Mistral's reasoning models give a list of chunks.
fn said<'a>(content: Json<'a>, parts: &mut Vec<Part<'a>>) {
    match content {
        Json::Text(text) if !text.is_empty() => parts.push(Part::text(text)),
        Json::Array(chunks) => {
            for mut chunk in chunks {
                if let Some(Json::Array(thoughts)) = chunk.take("thinking") {
                    let texts = thoughts.iter().filter_map(|it| it.get("text")?.as_text());
                    let text = Cow::Owned(texts.collect());
                    parts.push(Part::of(Kind::Thinking { text, seal: None }));
                } else if let Some(Json::Text(text)) = chunk.take("text") {
                    parts.push(Part::text(text));
                }
            }
        }
        _ => {}
    }
}

fn call(value: Json<'_>) -> Result<Part<'_>, Unfit> {
    let mut call = value.fields()?;
    let mut function = required(&mut call, "function")?.fields().at("function")?;
    let arguments = text(&mut function, "arguments");
    let seal = seal(take(&mut call, "extra_content"));
    let (id, name) = (text(&mut call, "id"), text(&mut function, "name"));
    Ok(Part::of(Kind::Call(Call { id, name, arguments: arguments_of(&arguments), seal })))
}

/// The thought signature where Google's own OpenAI-shaped answers keep it.
pub(super) fn seal(extra: Option<Json<'_>>) -> Option<Seal<'_>> {
    let signature = extra?.take("google")?.take("thought_signature")?;
    let Json::Text(signature) = signature else { return None };
    Some(Seal::unstamped(Maker::Gemini, signature))
}

/// What a model wrote as arguments. What is no object (a model may err, or have been cut short) is
/// kept as text, for the application to see.
pub(crate) fn arguments_of(text: &str) -> Json<'static> {
    if text.trim().is_empty() {
        return Json::Object(Object::new());
    }
    match Json::read(text.as_bytes()) {
        Ok(read @ Json::Object(_)) => read.into_owned(),
        Ok(_) | Err(_) => Json::Object(vec![("arguments".into(), text.to_owned().into())]),
    }
}

/// Why it ended, in OpenAI's words and its copyists'.
pub(super) fn finish(reason: &str, called: bool) -> Finish<'static> {
    match reason {
        "length" | "model_length" => Finish::Length,
        "content_filter" => Finish::Filtered,
        "tool_calls" | "function_call" => Finish::Calls,
        _ if called => Finish::Calls,
        _ => Finish::Stop,
    }
}

pub(crate) fn text<'a>(object: &mut Object<'a>, name: &str) -> Text<'a> {
    if let Some(Json::Text(text)) = take(object, name) { text } else { Text::default() }
}
