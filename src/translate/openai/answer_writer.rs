//! Writes a chat completion (OpenAI API reference, "The chat completion object").

use super::usage;
use crate::translate::Plan;
use crate::translate::answer::{Answer, Choice, Finish};
use crate::translate::json::{Json, Object, Text, array, object};
use crate::translate::request::{Call, Kind};
use crate::translate::seal::{Maker, Seal};

/// Writes the body of an answer.
pub(crate) fn write<'a>(answer: &'a Answer<'_>, plan: &'a Plan) -> Json<'a> {
    let choices = (0_u32..).zip(&answer.choices).map(|(index, it)| choice(index, it));
    object([
        ("id", plan.id_or_own(&answer.id, "chatcmpl-").into()),
        ("object", "chat.completion".into()),
        ("created", plan.created.into()),
        ("model", plan.model_or_own(&answer.model).into()),
        ("choices", array(choices)),
        ("usage", answer.usage.as_ref().map(usage::write).into()),
    ])
}

fn choice<'a>(index: u32, choice: &'a Choice<'_>) -> Json<'a> {
    let (mut texts, mut thoughts) = (Vec::new(), Vec::new());
    let (mut blocks, mut calls) = (Vec::new(), Vec::new());
    for part in &choice.parts {
        match &part.kind {
            Kind::Text(text) => texts.push(&**text),
            Kind::Thinking { text, seal } => {
                thoughts.push(&**text);
                blocks.extend(seal.as_ref().map(|seal| block(text, seal)));
            }
            Kind::Call(call) => calls.push(self::call(call)),
            Kind::Media(_) | Kind::Outcome(_) => {}
        }
    }
    let joined = |texts: Vec<&'a str>| match &texts[..] {
        [] => Json::Null,
        [one] => (*one).into(),
        many => many.concat().into(),
    };
    let mut message = Object::new();
    message.push(("role".into(), "assistant".into()));
    message.push(("content".into(), joined(texts)));
    message.push(("refusal".into(), Json::Null));
    thoughts.retain(|thought| !thought.is_empty());
    for (name, value) in [
        ("reasoning_content", joined(thoughts)),
        ("thinking_blocks", (!blocks.is_empty()).then_some(blocks).into()),
        ("tool_calls", (!calls.is_empty()).then_some(calls).into()),
    ] {
        if !value.is_null() {
            message.push((name.into(), value));
        }
    }
    Json::Object(vec![
        ("index".into(), index.into()),
        ("message".into(), Json::Object(message)),
        ("logprobs".into(), Json::Null),
        ("finish_reason".into(), finish(&choice.finish).into()),
    ])
}

/// A thought with its signature, to be given back.
fn block<'a>(text: &'a Text<'_>, seal: &'a Seal<'_>) -> Json<'a> {
    if seal.maker == Maker::AnthropicRedacted {
        return object([("type", "redacted_thinking".into()), ("data", (&seal.value).into())]);
    }
    object([
        ("type", "thinking".into()),
        ("thinking", text.into()),
        ("signature", seal.stamped(Maker::Anthropic).into()),
    ])
}

fn call<'a>(call: &'a Call<'_>) -> Json<'a> {
    let function =
        object([("name", (&call.name).into()), ("arguments", call.arguments.to_text().into())]);
    object([
        ("id", (&call.id).into()),
        ("type", "function".into()),
        ("function", function),
        ("extra_content", call.seal.as_ref().map(sealed).into()),
    ])
}

/// Where Google's own OpenAI-shaped answers keep a thought signature.
pub(super) fn sealed<'a>(seal: &'a Seal<'_>) -> Json<'a> {
    let signature = object([("thought_signature", seal.stamped(Maker::Gemini).into())]);
    object([("google", signature)])
}

/// Why it ended, in OpenAI's words.
pub(super) const fn finish(finish: &Finish<'_>) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopText(_) => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
        Finish::Filtered => "content_filter",
    }
}
