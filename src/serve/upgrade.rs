//! The hand-over of a connection that changes its protocol.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::rewound::Rewound;

/// What a request that asks for another protocol carries among its extensions: whoever answers it
/// with 101 is given the connection's bytes through it.
#[derive(Clone, Debug)]
pub struct OnUpgrade(Arc<Mutex<Option<oneshot::Receiver<Rewound>>>>);

/// The server's end of an [`OnUpgrade`].
#[derive(Debug)]
pub(super) struct Handover(oneshot::Sender<Rewound>);

impl OnUpgrade {
    pub(super) fn new() -> (Handover, Self) {
        let (give, take) = oneshot::channel();
        (Handover(give), Self(Arc::new(Mutex::new(Some(take)))))
    }

    /// The connection's bytes, once the 101 has been written; `None` if the answer was another or
    /// the client left, or if they were taken before.
    pub async fn stream(self) -> Option<Rewound> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken?.await.ok()
    }
}

impl Handover {
    pub(super) fn give(self, stream: Rewound) {
        // Nobody waits for it any more: it is closed.
        drop(self.0.send(stream));
    }
}
