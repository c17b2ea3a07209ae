//! Reads a chat answer (Cohere API reference, "Chat", version 2).

use crate::formats::Usage;
use crate::translate::answer::{Answer, Choice, Finish};
use crate::translate::json::{Json, take};
use crate::translate::openai::answer_reader::{arguments_of, text};
use crate::translate::request::{Call, Kind, Part};
use crate::translate::unfit::{At, Expect, Unfit, required};

/// Reads the body of an answer.
pub(crate) fn read(body: Json<'_>) -> Result<Answer<'_>, Unfit> {
    let mut body = body.fields()?;
    let mut message = required(&mut body, "message")?.fields().at("message")?;
    let mut parts = Vec::new();
    let plan = text(&mut message, "tool_plan");
    if !plan.is_empty() {
        parts.push(Part::of(Kind::Thinking { text: plan, seal: None }));
    }
    match take(&mut message, "content") {
        Some(Json::Text(text)) => parts.push(Part::text(text)),
        Some(Json::Array(chunks)) => parts.extend(chunks.into_iter().filter_map(part)),
        _ => {}
    }
    if let Some(Json::Array(calls)) = take(&mut message, "tool_calls") {
        for call in calls {
            let mut call = call.fields()?;
            let mut function = required(&mut call, "function")?.fields()?;
            let arguments = arguments_of(&text(&mut function, "arguments"));
            let (id, name) = (text(&mut call, "id"), text(&mut function, "name"));
            parts.push(Part::of(Kind::Call(Call { id, name, arguments, seal: None })));
        }
    }
    let finish = finish(&text(&mut body, "finish_reason"));
    Ok(Answer {
        id: text(&mut body, "id"),
        model: text(&mut body, "model"),
        usage: take(&mut body, "usage").as_ref().map(usage),
        choices: vec![Choice { parts, finish }],
    })
}

fn part(mut chunk: Json<'_>) -> Option<Part<'_>> {
    if let Some(Json::Text(text)) = chunk.take("thinking") {
        return Some(Part::of(Kind::Thinking { text, seal: None }));
    }
    Some(Part::text(chunk.take("text")?.text().ok()?))
}

/// Why it ended, in Cohere's words.
pub(super) fn finish(reason: &str) -> Finish<'static> {
    match reason {
        "MAX_TOKENS" => Finish::Length,
        "TOOL_CALL" => Finish::Calls,
        "STOP_SEQUENCE" => Finish::StopText(None),
        "ERROR_TOXIC" => Finish::Filtered,
        _ => Finish::Stop,
    }
}

/// Reads a `usage` object: tokens as the model saw them, not as they are billed.
pub(super) fn usage(usage: &Json<'_>) -> Usage {
    let count = |name: &str| {
        let of = |unit: &str| usage.get(unit)?.get(name)?.as_count();
        of("tokens").or_else(|| of("billed_units")).unwrap_or(0)
    };
    let cached = usage.get("cached_tokens").and_then(Json::as_count).unwrap_or(0);
    Usage {
        input: count("input_tokens"),
        cached_input: cached,
        output: count("output_tokens"),
        ..Usage::default()
    }
}
