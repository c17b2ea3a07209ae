//! Tells a pod's controller why its pods have no sidecar, where `kubectl describe` shows it.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::knowledge::Owner;
use crate::clock::Moment;
use crate::lifecycle::{Clock, Tasks};

/// Who tells it.
const REPORTER: &str = "keyweir-injector";
/// What may wait to be told; what comes beyond is in the log and the metrics only.
const MOST_WAITING: usize = 256;
/// The same is not told again so soon: a controller tries again at once.
const AGAIN: Duration = Duration::from_secs(10);
/// The most controllers that are remembered to have been told.
const MOST_TOLD: usize = 1_024;
/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1_024;

/// One thing to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// To whom.
    pub owner: Owner,
    /// Where it is.
    pub namespace: String,
    /// `InjectionSkipped`, `InjectionDenied`.
    pub reason: &'static str,
    /// In words.
    pub note: String,
}

/// Where news is handed in. Clones lead to the same place.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<News>);

impl Events {
    /// Where it is handed in, and where it comes out.
    pub fn channel() -> (Self, mpsc::Receiver<News>) {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        (Self(sender), receiver)
    }

    /// Tells through the API server.
    pub fn start(client: kube::Client, clock: Clock, tasks: &Tasks) -> Self {
        let (events, news) = Self::channel();
        drop(tasks.spawn(tell(client, clock, news)));
        events
    }

    /// Hands it in; nobody waits for it.
    pub fn tell(&self, news: News) {
        if let Err(error) = self.0.try_send(news) {
            tracing::debug!(%error, "An event is not told");
        }
    }
}

async fn tell(client: kube::Client, clock: Clock, mut news: mpsc::Receiver<News>) {
    let recorder = Recorder::new(client, Reporter { controller: REPORTER.into(), instance: None });
    let mut told = Told::default();
    while let Some(News { owner, namespace, reason, note }) = news.recv().await {
        if !told.is_new(&owner.uid, reason, clock.moment()) {
            continue;
        }
        let regarding = ObjectReference {
            api_version: Some(owner.api_version),
            kind: Some(owner.kind),
            name: Some(owner.name),
            namespace: Some(namespace),
            uid: Some(owner.uid),
            ..ObjectReference::default()
        };
        let kept = note.floor_char_boundary(LONGEST_NOTE);
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note.split_at(kept).0.to_owned()),
            action: "Inject".to_owned(),
            secondary: None,
        };
        match timeout(PATIENCE, recorder.publish(&event, &regarding)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "An event could not be told"),
            Err(_) => tracing::warn!("An event could not be told in time"),
        }
    }
}

/// Who was told what, and when.
#[derive(Debug, Default)]
struct Told(HashMap<(String, &'static str), Moment>);

impl Told {
    fn is_new(&mut self, uid: &str, reason: &'static str, now: Moment) -> bool {
        let key = (uid.to_owned(), reason);
        if self.0.get(&key).is_some_and(|told| now.since(*told) < AGAIN) {
            return false;
        }
        if self.0.len() >= MOST_TOLD {
            self.0.clear();
        }
        self.0.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_again_only_after_a_while() {
        let mut told = Told::default();
        let at = |seconds| Moment::ZERO + Duration::from_secs(seconds);
        assert!(told.is_new("a", "InjectionSkipped", at(0)));
        assert!(!told.is_new("a", "InjectionSkipped", at(9)));
        assert!(told.is_new("b", "InjectionSkipped", at(9)));
        assert!(told.is_new("a", "InjectionSkipped", at(10)));
        for number in 0..2 * MOST_TOLD {
            told.is_new(&number.to_string(), "InjectionSkipped", at(11));
        }
        assert!(told.0.len() <= MOST_TOLD);
    }
}
