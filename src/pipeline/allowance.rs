//! A request and its caller's own limits: what it takes of them on the way in, and what stands in the
//! end.

use std::sync::Arc;

use http::HeaderName;
use http::request::Parts;

use super::charge;
use super::entry::Errand;
use super::exchange::Exchange;
use super::purse::{Arrival, Short};
use super::refusal::{Reason, Refusal};
use crate::callers::gate::{Claim, Foreseen};
use crate::callers::{Asked, Key, Per, Scope};
use crate::clock::Now;
use crate::formats::{EndpointKind, Facts, PathFacts};
use crate::lifecycle::Tasks;
use crate::limits::{Cost, Demand, Mode};
use crate::telemetry::Would;

/// Which user of a caller asks.
static USER: HeaderName = HeaderName::from_static("x-keyweir-user");

/// What of its caller's limits counts the request.
pub(super) fn scope(
    exchange: &Exchange,
    parts: &Parts,
    path: &PathFacts,
    facts: &Facts,
) -> Option<Scope> {
    let purse = exchange.snapshot.purse(exchange.caller)?;
    let model = facts.model.as_deref();
    let payer = match exchange.snapshot.callers.all().nth(exchange.caller)?.per {
        Per::Caller => None,
        Per::User => parts.headers.get(&USER).and_then(|user| user.to_str().ok()),
        Per::Model => model,
    };
    let key = payer.map_or(Key::COMMON, Key::of);
    purse.scope(&Asked { key, model, kind: path.kind })
}

/// Takes what the request will cost of its caller's limits, waiting for it if need be.
pub(super) async fn enter(
    tasks: &Tasks,
    exchange: &mut Exchange,
    errand: &Errand,
) -> Result<(), Refusal> {
    let Some(scope) = &errand.scope else { return Ok(()) };
    let Some(purse) = exchange.snapshot.purse(exchange.caller).map(Arc::clone) else {
        return Ok(());
    };
    let claim = Claim {
        priority: exchange.terms.priority,
        deadline: exchange.deadline,
        cost: cost(exchange, errand),
    };
    foresee(exchange, purse.foresee(scope, &claim, Mode::Observe));
    if exchange.snapshot.mode == Mode::Observe {
        foresee(exchange, purse.foresee(scope, &claim, Mode::Enforce));
        exchange.held = Some(purse.take(scope, &claim.cost));
        return Ok(());
    }
    let held = match purse.arrive(scope, &claim, tasks) {
        Arrival::Passed(held) => Ok(held),
        Arrival::Refused(short) => Err(short),
        Arrival::Waits(seat) => {
            let since = exchange.clock.moment();
            let waiting = exchange.waiting();
            let called = seat.called().await;
            drop(waiting);
            exchange.has_waited(since);
            called
        }
    };
    let now = exchange.clock.now();
    exchange.held = Some(held.map_err(|short| refusal(purse.name(), short, now))?);
    exchange.warn();
    Ok(())
}

fn foresee(exchange: &mut Exchange, foreseen: Foreseen) {
    match foreseen {
        Foreseen::Passes => {}
        Foreseen::Waits => exchange.would(Would::Waited),
        Foreseen::Refused => exchange.would(Would::Refused),
    }
}

/// What the request will cost its caller: of the targets that it may go to, the dearest.
fn cost(exchange: &Exchange, errand: &Errand) -> Cost {
    let demand = match errand.path.kind {
        EndpointKind::Chat | EndpointKind::Completions => charge::demand(&errand.facts),
        EndpointKind::Embeddings | EndpointKind::Rerank | EndpointKind::Moderations => {
            Demand { output: 0, output_high: 0, ..charge::demand(&errand.facts) }
        }
        // What these use is told by their answers, if at all.
        EndpointKind::CountTokens
        | EndpointKind::Models
        | EndpointKind::Images
        | EndpointKind::Audio
        | EndpointKind::Files
        | EndpointKind::Batches
        | EndpointKind::Realtime
        | EndpointKind::Other => Demand::default(),
    };
    let targets = errand.resolved.targets.iter();
    let costs = targets.map(|target| {
        let price = target.model.as_deref().and_then(|model| exchange.snapshot.price(model));
        demand.of_caller(price.as_ref())
    });
    costs.fold(Cost::REQUEST, |dearest, cost| dearest.max(&cost))
}

fn refusal(caller: &str, short: Short, now: Now) -> Refusal {
    match short {
        Short::Until(until, binding) => {
            let wait = until.since(now.at).as_secs_f64();
            let message = format!(
                "caller {caller:?} has used its own limit up ({}), free in {wait:.1} s",
                binding.name()
            );
            Refusal::new(Reason::CallerLimitExceeded, message).until(Some(until))
        }
        Short::Oversized(binding) => {
            let message = format!(
                "the request is larger than the limit of caller {caller:?} ({}) can ever hold",
                binding.name()
            );
            Refusal::new(Reason::RequestExceedsLimit, message)
        }
    }
}
