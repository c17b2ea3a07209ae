//! The items of a response's output, and the response around them.

use crate::formats::Usage;
use crate::translate::Plan;
use crate::translate::answer::Finish;
use crate::translate::json::{Json, array, object};
use crate::translate::seal::Seal;

/// How far a response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    /// It ended early, for that reason.
    Incomplete(&'static str),
}

impl Status {
    pub(super) const fn of(finish: &Finish<'_>) -> Self {
        match finish {
            Finish::Length => Self::Incomplete("max_output_tokens"),
            Finish::Filtered => Self::Incomplete("content_filter"),
            Finish::Stop | Finish::StopText(_) | Finish::Calls => Self::Completed,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

/// A response; `output` are its items.
pub(super) fn response<'a>(
    (id, model): (&'a str, &'a str),
    plan: &Plan,
    status: Status,
    output: Vec<Json<'a>>,
    usage: Option<&Usage>,
) -> Json<'a> {
    let reason = if let Status::Incomplete(reason) = status { Some(reason) } else { None };
    let details = reason.map(|reason| object([("reason", reason.into())]));
    Json::Object(vec![
        ("id".into(), id.into()),
        ("object".into(), "response".into()),
        ("created_at".into(), plan.created.into()),
        ("status".into(), status.as_str().into()),
        ("error".into(), Json::Null),
        ("incomplete_details".into(), details.into()),
        ("instructions".into(), Json::Null),
        ("metadata".into(), object([])),
        ("model".into(), model.into()),
        ("output".into(), output.into()),
        ("parallel_tool_calls".into(), true.into()),
        ("store".into(), false.into()),
        ("tool_choice".into(), "auto".into()),
        ("tools".into(), array::<Json<'_>>([])),
        ("usage".into(), usage.map(self::usage).into()),
    ])
}

/// Token counts in the words of responses.
pub(super) fn usage(usage: &Usage) -> Json<'static> {
    object([
        ("input_tokens", usage.input.into()),
        (
            "input_tokens_details",
            object([
                ("cached_tokens", usage.cached_input.into()),
                ("cache_write_tokens", usage.cache_write.into()),
            ]),
        ),
        ("output_tokens", usage.output.into()),
        ("output_tokens_details", object([("reasoning_tokens", usage.reasoning.into())])),
        ("total_tokens", usage.input.saturating_add(usage.output).into()),
    ])
}

/// The text of a message.
pub(super) fn text_part(text: &str) -> Json<'_> {
    object([
        ("type", "output_text".into()),
        ("text", text.into()),
        ("annotations", array::<Json<'_>>([])),
        ("logprobs", array::<Json<'_>>([])),
    ])
}

/// A message; `None` is one that has just begun.
pub(super) fn message(id: String, text: Option<&str>) -> Json<'_> {
    let status = if text.is_some() { "completed" } else { "in_progress" };
    object([
        ("id", id.into()),
        ("type", "message".into()),
        ("status", status.into()),
        ("role", "assistant".into()),
        ("content", array(text.map(text_part))),
    ])
}

/// A summary of reasoning.
pub(super) fn summary_part(text: &str) -> Json<'_> {
    object([("type", "summary_text".into()), ("text", text.into())])
}

/// A thought; its seal is told where the format has encrypted reasoning.
pub(super) fn reasoning<'a>(id: String, text: &'a str, seal: Option<&Seal<'_>>) -> Json<'a> {
    let parts = Some(text).filter(|text| !text.is_empty()).map(summary_part);
    object([
        ("id", id.into()),
        ("type", "reasoning".into()),
        ("summary", array(parts)),
        ("encrypted_content", seal.map(Seal::marked).into()),
    ])
}

/// A function call; `None` is one that has just begun.
pub(super) fn call<'a>(
    id: String,
    (call_id, name): (&'a str, &'a str),
    arguments: Option<&'a str>,
) -> Json<'a> {
    let status = if arguments.is_some() { "completed" } else { "in_progress" };
    object([
        ("id", id.into()),
        ("type", "function_call".into()),
        ("status", status.into()),
        ("call_id", call_id.into()),
        ("name", name.into()),
        ("arguments", arguments.unwrap_or_default().into()),
    ])
}
