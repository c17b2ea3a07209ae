//! Writes a response (OpenAI API reference, "The response object").

use super::items::{self, Status};
use crate::translate::Plan;
use crate::translate::answer::Answer;
use crate::translate::json::Json;
use crate::translate::request::Kind;

/// Writes the body of an answer: the first, for there is but one.
pub(crate) fn write<'a>(answer: &'a Answer<'_>, plan: &'a Plan) -> Json<'a> {
    let mut output: Vec<Json<'a>> = Vec::new();
    let choice = answer.choices.first();
    for part in choice.into_iter().flat_map(|choice| &choice.parts) {
        let id = |prefix: &str, nth: usize| format!("{prefix}_{:016x}_{nth}", plan.fresh);
        let nth = output.len();
        match &part.kind {
            Kind::Text(text) => output.push(items::message(id("msg", nth), Some(text))),
            Kind::Thinking { text, seal } => {
                output.push(items::reasoning(id("rs", nth), text, seal.as_ref()));
            }
            Kind::Call(call) => {
                if call.seal.is_some() {
                    output.push(items::reasoning(id("rs", nth), "", call.seal.as_ref()));
                }
                let arguments = call.arguments.to_text();
                let item = items::call(id("fc", output.len()), (&call.id, &call.name), None);
                output.push(whole_call(item, &arguments));
            }
            Kind::Media(_) | Kind::Outcome(_) => {}
        }
    }
    let status = choice.map_or(Status::Completed, |choice| Status::of(&choice.finish));
    let names = (plan.response_id(), plan.model_or_own(&answer.model));
    items::response(names, plan, status, output, answer.usage.as_ref())
}

fn whole_call<'a>(mut item: Json<'a>, arguments: &str) -> Json<'a> {
    if let Json::Object(fields) = &mut item {
        for (name, value) in fields {
            match &**name {
                "arguments" => *value = arguments.to_owned().into(),
                "status" => *value = "completed".into(),
                _ => {}
            }
        }
    }
    item
}
