//! The hall: the walk of a request, one function that reads like the table of rooms.

mod answer;
mod attempt;
mod desk;
mod entry;
mod exchange;
mod headers;
mod intake;
mod outbound;
mod refusal;
mod relay;
mod snapshot;
mod tunnel;
mod verdicts;
mod wait;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::lifecycle::Clock;
use crate::upstream::Upstream;

pub use answer::AnswerBody;
pub use desk::{Card, Desk};
pub use refusal::{Reason, Refusal};
pub use snapshot::{ModelNames, Provider, Snapshot};

use entry::Errand;
use exchange::Exchange;

/// One worker's hall.
#[derive(Debug)]
pub struct Hall {
    clock: Clock,
    upstream: Upstream,
}

impl Hall {
    /// A hall whose back door is `upstream`.
    pub const fn new(clock: Clock, upstream: Upstream) -> Self {
        Self { clock, upstream }
    }

    /// Answers one request, on one snapshot from its beginning to its end.
    pub async fn handle(
        &self,
        snapshot: Arc<Snapshot>,
        request: Request<Incoming>,
    ) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        let mut exchange = Exchange::begin(snapshot, self.clock, &parts);
        let wire = entry::caller_wire(&exchange.snapshot, &parts);
        let errand = match entry::read(&mut exchange, &parts, body).await {
            Ok(errand) => errand,
            Err(refusal) => return answer::refuse(&mut exchange, &refusal, wire),
        };
        match attempt::carry(self, &mut exchange, &parts, &errand).await {
            Ok(carried) => carried.relay(exchange, &errand),
            Err(refusal) => answer::refuse(&mut exchange, &refusal, wire),
        }
    }
}
