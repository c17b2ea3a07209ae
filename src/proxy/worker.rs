//! The data plane's threads: each a runtime of its own, with its own listener and its own upstream
//! connections.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use http::{Request, Response};
use tokio::runtime::Builder;

use crate::lifecycle::{Clock, Lifecycle};
use crate::pipeline::{AnswerBody, Hall, Snapshot};
use crate::serve::{self, Handler, Incoming, Rounds};

/// One worker's way from a request to the hall: the snapshot is loaded here, once for each request.
#[derive(Clone, Debug)]
struct Doorkeeper {
    snapshots: Arc<ArcSwap<Snapshot>>,
    hall: Arc<Hall>,
}

impl Handler for Doorkeeper {
    type Body = AnswerBody;

    async fn handle(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        self.hall.handle(self.snapshots.load_full(), request).await
    }
}

/// Starts worker `number` on a listener that is already open.
pub(super) fn start(
    number: u32,
    listener: std::net::TcpListener,
    snapshots: Arc<ArcSwap<Snapshot>>,
    clock: Clock,
    lifecycle: Lifecycle,
) -> io::Result<JoinHandle<io::Result<()>>> {
    // Entered here, so that `/live` knows of a worker that never comes up.
    let pulse = lifecycle.liveness.worker();
    thread::Builder::new().name(format!("keyweir-{number}")).spawn(move || {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (tasks, connections) = (lifecycle.tasks.clone(), lifecycle.connections.clone());
            let hall = Arc::new(Hall::new(clock, tasks, connections));
            drop(lifecycle.tasks.spawn(pulse.keep()));
            let rounds = Rounds {
                connections: lifecycle.connections.clone(),
                tasks: lifecycle.tasks.clone(),
                drain: lifecycle.drain.clone(),
                clock,
            };
            serve::accept(listener, Doorkeeper { snapshots, hall }, rounds).await;
            lifecycle.drain.over().await;
            Ok(())
        })
    })
}
