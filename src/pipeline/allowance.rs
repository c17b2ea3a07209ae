//! A request and its caller's own limits: what it takes of them on the way in, and what stands in the
//! end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderName;
use http::request::Parts;

use super::desk::Desk;
use super::entry::Errand;
use super::exchange::Exchange;
use super::purse::{Arrival, Purse, Short};
use super::refusal::{Reason, Refusal};
use crate::callers::gate::{Claim, Foreseen};
use crate::callers::{Asked, Key, Per, Scope};
use crate::clock::Now;
use crate::formats::{EndpointKind, Facts, PathFacts};
use crate::lifecycle::Tasks;
use crate::limits::{Cost, Demand, Mode};
use crate::telemetry::Would;

/// Models whose price nobody knows, and that a caller with a limit of cost has asked for.
#[derive(Debug, Default)]
pub struct Unpriced(Mutex<BTreeSet<Box<str>>>);

/// Names of models that are remembered, so that each is told of once.
const MOST_UNPRICED: usize = 32;

impl Unpriced {
    /// The names.
    pub fn names(&self) -> Vec<String> {
        self.lock().iter().map(ToString::to_string).collect()
    }

    fn note(&self, model: &str) {
        let mut names = self.lock();
        let is_new = names.len() < MOST_UNPRICED && names.insert(model.into());
        drop(names);
        if is_new {
            tracing::warn!(
                model,
                "No price is known for this model, limits of cost do not count it"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Box<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    if purse.counts_cost() {
        note_unpriced(exchange, errand);
    }
    let claim = Claim {
        priority: exchange.terms.priority,
        deadline: exchange.deadline,
        cost: cost(exchange, errand, &purse, scope),
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

fn note_unpriced(exchange: &Exchange, errand: &Errand) {
    let models = errand.resolved.targets.iter().filter_map(|target| target.model.as_deref());
    for model in models.filter(|model| exchange.snapshot.price(model).is_none()) {
        exchange.snapshot.unpriced.note(model);
    }
}

fn foresee(exchange: &mut Exchange, foreseen: Foreseen) {
    match foreseen {
        Foreseen::Passes => {}
        Foreseen::Waits => exchange.would(Would::Waited),
        Foreseen::Refused => exchange.would(Would::Refused),
    }
}

/// What to reserve for the request: its input, and as much output as it allows. Where it does not say,
/// as much as most answers have, which is a guess. Of the targets that it may go to, the dearest.
fn cost(exchange: &Exchange, errand: &Errand, purse: &Purse, scope: &Scope) -> Cost {
    let snapshot = &exchange.snapshot;
    let (mut certain, mut guess) = (Cost::REQUEST, Cost::REQUEST);
    for target in &errand.resolved.targets {
        let model = target.model.as_deref().unwrap_or_default();
        let provider = snapshot.providers.get(target.provider);
        let demand = provider.map(|provider| demand(&provider.desk, model, errand));
        let (demand, price) = (demand.unwrap_or_default(), snapshot.price(model));
        let least = Demand { output_high: 0, ..demand };
        certain = certain.max(&least.of_caller(price.as_ref()));
        guess = guess.max(&demand.of_caller(price.as_ref()));
    }
    purse.within(scope, &certain, &guess)
}

fn demand(desk: &Desk, model: &str, errand: &Errand) -> Demand {
    match errand.path.kind {
        EndpointKind::Chat | EndpointKind::Completions => desk.demand(model, &errand.facts),
        EndpointKind::Embeddings | EndpointKind::Rerank | EndpointKind::Moderations => {
            Demand { output: 0, output_high: 0, ..desk.demand(model, &errand.facts) }
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
    }
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
