//! What a caller may ask for in one request: its models, and how much goes in and comes out.

use std::sync::Arc;

use super::entry::InBody;
use super::exchange::Exchange;
use super::refusal::{Reason, Refusal};
use crate::callers::Caller;
use crate::formats::{self, Facts, PathFacts};
use crate::limits::Mode;
use crate::routes::Resolved;
use crate::telemetry::Would;

/// Says no to a model that the caller may not ask for.
pub(super) fn check_model(
    exchange: &mut Exchange,
    path: &PathFacts,
    facts: &Facts,
) -> Result<(), Refusal> {
    let snapshot = Arc::clone(&exchange.snapshot);
    let rule = snapshot.callers.all().nth(exchange.caller);
    enforce(exchange, rule.map_or(Ok(()), |rule| model(rule, path, facts))).map(|_| ())
}

/// Says no to more input and output than the caller may ask for. A request that does not say how many
/// output tokens it allows is given the caller's bound; what it is for one answer is returned, to be
/// put into it.
pub(super) fn check_size(
    exchange: &mut Exchange,
    path: &PathFacts,
    (facts, body): (&mut Facts, &InBody),
    resolved: &Resolved,
) -> Result<Option<u64>, Refusal> {
    let snapshot = Arc::clone(&exchange.snapshot);
    let Some(rule) = snapshot.callers.all().nth(exchange.caller) else { return Ok(None) };
    let target = resolved.targets.first();
    let provider = target.and_then(|target| snapshot.providers.get(target.provider));
    let model = target.and_then(|target| target.model.as_deref()).unwrap_or_default();
    let input = || provider.map_or(0, |provider| provider.desk.input(model, facts));
    let found = check_input(rule, input).and_then(|()| output(rule, path, facts, body));
    let most = enforce(exchange, found)?.flatten();
    if snapshot.mode == Mode::Observe {
        return Ok(None);
    }
    facts.max_output = most.or(facts.max_output);
    Ok(most)
}

/// What is only observed is no reason to refuse anything.
fn enforce<T>(exchange: &mut Exchange, found: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match (found, exchange.snapshot.mode) {
        (Ok(found), _) => Ok(Some(found)),
        (Err(refusal), Mode::Enforce) => Err(refusal),
        (Err(_), Mode::Observe) => {
            exchange.would(Would::Refused);
            Ok(None)
        }
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

fn check_input(rule: &Caller, input: impl FnOnce() -> u64) -> Result<(), Refusal> {
    let Some(most) = rule.max_input else { return Ok(()) };
    let input = input();
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
