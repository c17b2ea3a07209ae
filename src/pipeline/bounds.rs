//! What a caller may ask for in one request: its models, and how much goes in and comes out.

use super::charge;
use super::entry::InBody;
use super::exchange::Exchange;
use super::refusal::{Reason, Refusal};
use crate::callers::Caller;
use crate::formats::{self, Facts, PathFacts};
use crate::limits::Mode;
use crate::telemetry::Would;

/// Says no to what the caller may not ask for. A request that does not say how many output tokens it
/// allows is given the caller's bound; what it is for one answer is returned, to be put into it.
pub(super) fn check(
    exchange: &mut Exchange,
    path: &PathFacts,
    facts: &mut Facts,
    body: &InBody,
) -> Result<Option<u64>, Refusal> {
    let snapshot = std::sync::Arc::clone(&exchange.snapshot);
    let Some(rule) = snapshot.callers.all().nth(exchange.caller) else { return Ok(None) };
    let found = model(rule, path, facts)
        .and_then(|()| input(rule, facts))
        .and_then(|()| output(rule, path, facts, body));
    match (found, snapshot.mode) {
        (Err(refusal), Mode::Enforce) => Err(refusal),
        (Err(_), Mode::Observe) => {
            exchange.would(Would::Refused);
            Ok(None)
        }
        (Ok(most), Mode::Enforce) => {
            facts.max_output = most.or(facts.max_output);
            Ok(most)
        }
        (Ok(_), Mode::Observe) => Ok(None),
    }
}

/// A caller of certain models may not hide which one it asks for: in a body that is not read, or by
/// naming none where the provider has one of its own choice.
fn model(rule: &Caller, path: &PathFacts, facts: &Facts) -> Result<(), Refusal> {
    let name = &rule.name;
    let message = match facts.model.as_deref() {
        Some(model) if !rule.may_use(model) => {
            format!("caller {name:?} may not use model {model:?}")
        }
        None if path.endpoint.is_known() && !rule.models.is_empty() => format!(
            "caller {name:?} may use certain models only, and this request does not tell its model"
        ),
        Some(_) | None => return Ok(()),
    };
    Err(Refusal::new(Reason::ModelNotAllowed, message))
}

fn input(rule: &Caller, facts: &Facts) -> Result<(), Refusal> {
    let Some(most) = rule.max_input else { return Ok(()) };
    let input = charge::demand(facts).input;
    if input <= most {
        return Ok(());
    }
    let message = format!(
        "the request has about {input} input tokens, and `maxInputTokens` of caller {:?} is {most}",
        rule.name
    );
    Err(Refusal::new(Reason::RequestExceedsLimit, message))
}

/// The bound for one answer of a request that names none itself.
fn output(
    rule: &Caller,
    path: &PathFacts,
    facts: &Facts,
    body: &InBody,
) -> Result<Option<u64>, Refusal> {
    let Some(most) = rule.max_output else { return Ok(None) };
    let choices = u64::from(facts.choices.max(1));
    let InBody::Whole(bytes) = body else { return Ok(None) };
    let Some(asked) = facts.max_output else {
        return Ok(Some((most / choices).max(1)));
    };
    let all = asked.saturating_mul(choices);
    if all <= most {
        return Ok(None);
    }
    let field = formats::output_field(path, bytes);
    let times = if choices > 1 { format!(" for each of {choices} answers") } else { String::new() };
    let message = format!(
        "`{}` allows {asked} output tokens{times}, and `maxOutputTokens` of caller {:?} is {most}",
        field.unwrap_or("max_tokens"),
        rule.name
    );
    Err(Refusal::new(Reason::RequestExceedsLimit, message).about(field))
}
