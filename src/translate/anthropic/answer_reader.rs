//! Reads a message (Anthropic API reference, "Create a message").

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
    let blocks = required(&mut body, "content")?.items().at("content")?;
    let parts = blocks.into_iter().filter_map(part).collect();
    let stop = take(&mut body, "stop_sequence").and_then(|stop| stop.text().ok());
    let finish = finish(&text(&mut body, "stop_reason"), stop);
    let usage = take(&mut body, "usage");
    Ok(Answer {
        id: text(&mut body, "id"),
        model: text(&mut body, "model"),
        choices: vec![Choice { parts, finish }],
        usage: usage.map(|told| usage::read(&told, &usage::Told::default()).usage()),
    })
}

/// A block; what server tools leave in an answer is nothing to other formats.
fn part(block: Json<'_>) -> Option<Part<'_>> {
    let mut block = block.fields().ok()?;
    let kind = match &*text(&mut block, "type") {
        "text" => Kind::Text(text(&mut block, "text")),
        "thinking" => {
            let signature = text(&mut block, "signature");
            let seal = (!signature.is_empty()).then(|| Seal::new(Maker::Anthropic, signature));
            Kind::Thinking { text: text(&mut block, "thinking"), seal }
        }
        "redacted_thinking" => {
            let seal = Seal::new(Maker::AnthropicRedacted, text(&mut block, "data"));
            Kind::Thinking { text: Cow::Borrowed(""), seal: Some(seal) }
        }
        "tool_use" => Kind::Call(Call {
            id: text(&mut block, "id"),
            name: text(&mut block, "name"),
            arguments: take(&mut block, "input").unwrap_or_else(|| Json::Object(Object::new())),
            seal: None,
        }),
        _ => return None,
    };
    Some(Part::of(kind))
}

/// Why it ended, in Anthropic's words.
pub(super) fn finish<'a>(reason: &str, stop: Option<Text<'a>>) -> Finish<'a> {
    match reason {
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" | "compaction" => {
            Finish::Length
        }
        "tool_use" => Finish::Calls,
        "refusal" => Finish::Filtered,
        "stop_sequence" => Finish::StopText(stop),
        _ => Finish::Stop,
    }
}

pub(super) fn text<'a>(object: &mut Object<'a>, name: &str) -> Text<'a> {
    if let Some(Json::Text(text)) = take(object, name) { text } else { Text::default() }
}
