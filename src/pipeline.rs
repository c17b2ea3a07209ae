//! The hall: the walk of a request, one function that reads like the table of rooms.

mod admit;
mod allowance;
mod answer;
mod attempt;
mod bounds;
mod desk;
mod entry;
mod exchange;
mod fallback;
mod foreign;
mod giving_up;
mod headers;
mod intake;
mod listing;
mod outbound;
mod purse;
mod refusal;
mod relay;
mod snapshot;
mod tunnel;
mod verdicts;
mod wait;

use std::sync::Arc;

use http::{Request, Response};

use crate::lifecycle::{Clock, Connections, Tasks};
use crate::serve::Incoming;
use crate::upstream::Upstream;

pub use allowance::Unpriced;
pub use answer::AnswerBody;
pub use desk::{Budget, Card, Desk};
pub use purse::Purse;
pub use refusal::{Reason, Refusal};
pub use snapshot::{ModelNames, Provider, Snapshot};

use attempt::Answered;
use exchange::Exchange;

/// One worker's hall.
#[derive(Debug)]
pub struct Hall {
    clock: Clock,
    tasks: Tasks,
    connections: Connections,
    upstream: Upstream,
}

impl Hall {
    /// A hall with a back door of its own.
    pub fn new(clock: Clock, tasks: Tasks, connections: Connections) -> Self {
        Self { clock, tasks, connections, upstream: Upstream::new() }
    }

    /// Answers one request, on one snapshot from its beginning to its end.
    pub async fn handle(
        &self,
        snapshot: Arc<Snapshot>,
        request: Request<Incoming>,
    ) -> Response<AnswerBody> {
        let (mut parts, body) = request.into_parts();
        let mut exchange = Exchange::begin(snapshot, self.clock, &parts);
        let mut errand = match entry::read(&mut exchange, &parts, body).await {
            Ok(errand) => errand,
            Err(refusal) => {
                let wire = entry::caller_wire(&exchange.snapshot, &parts);
                return answer::refuse(&mut exchange, &refusal, wire);
            }
        };
        if let Err(refusal) = allowance::enter(&self.tasks, &mut exchange, &errand).await {
            return answer::refuse(&mut exchange, &refusal, errand.path.wire);
        }
        let mut answered = attempt::carry(self, &mut exchange, &parts, &errand).await;
        if let Err(refusal) = answered {
            let instead = fallback::carry(self, &mut exchange, &parts, &mut errand, refusal);
            // Rare: boxed, so that every other request's future stays small.
            answered = Box::pin(instead).await;
        }
        match answered {
            Ok(Answered::Whole(carried)) => answer::relay(carried, exchange, &errand).await,
            Ok(Answered::Upgraded(upgraded)) => {
                tunnel::open((&self.tasks, &self.connections), exchange, &mut parts, *upgraded)
            }
            Err(refusal) => listing::instead(&mut exchange, &errand)
                .or_else(|| fallback::text(&mut exchange, &errand, &refusal))
                .unwrap_or_else(|| answer::refuse(&mut exchange, &refusal, errand.path.wire)),
        }
    }
}
