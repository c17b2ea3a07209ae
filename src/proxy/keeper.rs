//! Keeps the counts of long windows over a restart: days, months and budgets.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;

use crate::lifecycle::Clock;
use crate::limits::{self, Damage};
use crate::pipeline::Snapshot;
use crate::sources::{Problem, Shelf, shelf};
use crate::telemetry::Metrics;

/// The counts are written as often, if anything was used meanwhile. A process that is killed loses no
/// more.
const PACE: Duration = Duration::from_secs(5);

/// How long the end waits for a write that is under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes the counts now and then, and at the end.
#[derive(Debug)]
pub(super) struct Keeper {
    shelf: Arc<Shelf>,
    clock: Clock,
    metrics: Metrics,
    snapshots: Arc<ArcSwap<Snapshot>>,
    /// Requests that had ended when it wrote last.
    written_at: u64,
    writing: Option<JoinHandle<()>>,
}

/// What was found on a shelf.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// The counts of an earlier process.
    Counts(limits::Snapshot),
    /// Something that is not to be trusted, and why.
    Distrusted(String),
}

/// Reads what an earlier process has left. Whatever cannot be trusted is put aside.
pub(super) fn read(shelf: &Shelf, clock: Clock) -> Result<Found, Problem> {
    let aside = |found: shelf::Found, why: String| match found {
        shelf::Found::Distrusted(path) => {
            Found::Distrusted(format!("{why}; put aside as {}", path.display()))
        }
        shelf::Found::Nothing | shelf::Found::Counts(_) => Found::Nothing,
    };
    match shelf.read()? {
        shelf::Found::Nothing => Ok(Found::Nothing),
        shelf::Found::Counts(text) => match limits::Snapshot::parse(&text, clock.now()) {
            Ok(counts) => Ok(Found::Counts(counts)),
            Err(damage) => Ok(aside(shelf.put_aside()?, why(&damage))),
        },
        found @ shelf::Found::Distrusted(_) => {
            Ok(aside(found, "The counts are torn, foreign or of another version".to_owned()))
        }
    }
}

fn why(damage: &Damage) -> String {
    format!("The counts cannot be used: {damage}")
}

impl Keeper {
    /// Keeps counts on that shelf.
    pub(super) fn new(
        shelf: Shelf,
        clock: Clock,
        metrics: Metrics,
        snapshots: Arc<ArcSwap<Snapshot>>,
    ) -> Self {
        let shelf = Arc::new(shelf);
        Self { shelf, clock, metrics, snapshots, written_at: 0, writing: None }
    }

    /// When to [`write`](Self::write) next.
    pub(super) fn next(&self) -> tokio::time::Instant {
        self.clock.instant(self.clock.moment() + PACE)
    }

    /// Begins to write the counts, unless nothing was used since, or a write still is under way. It
    /// is done by a thread of its own: a disk may take its time.
    pub(super) fn write(&mut self) {
        let ended = self.metrics.request_duration.get_sample_count();
        let busy = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if busy || ended == self.written_at {
            return;
        }
        self.written_at = ended;
        let (place, text) = (Arc::clone(&self.shelf), self.text());
        self.writing = Some(tokio::task::spawn_blocking(move || write(&place, &text)));
    }

    /// Writes the counts for the last time.
    pub(super) async fn close(mut self) {
        if let Some(writing) = self.writing.take() {
            drop(tokio::time::timeout(PATIENCE, writing).await);
        }
        let (place, text) = (Arc::clone(&self.shelf), self.text());
        let last = tokio::task::spawn_blocking(move || write(&place, &text));
        if tokio::time::timeout(PATIENCE, last).await.is_err() {
            tracing::warn!("The disk took too long: the latest counts may be lost");
        }
    }

    fn text(&self) -> String {
        let (snapshot, now) = (self.snapshots.load_full(), self.clock.now());
        let mut counts = limits::Snapshot::new(now);
        for provider in &snapshot.providers {
            provider.desk.look(|pool, _| pool.store(&provider.name, &mut counts, now));
        }
        for (owner, purse) in owners(&snapshot) {
            purse.store(&owner, &mut counts);
        }
        counts.to_json().unwrap_or_default()
    }
}

/// Takes in what was used before the process began.
pub(super) fn restore(snapshot: &Snapshot, counts: &limits::Snapshot, clock: Clock) {
    let now = clock.now();
    for provider in &snapshot.providers {
        provider.desk.look(|pool, _| pool.restore(&provider.name, counts, now));
    }
    for (owner, purse) in owners(snapshot) {
        purse.change(|accounts, _| accounts.restore(&owner, counts, now));
    }
}

/// The purses, each with what tells it from the others: the rule's name, and nothing for the default,
/// which no rule is called.
fn owners(snapshot: &Snapshot) -> impl Iterator<Item = (String, &Arc<crate::pipeline::Purse>)> {
    let names = std::iter::once(String::new())
        .chain(snapshot.callers.rules.iter().map(|rule| rule.name.to_string()));
    names.zip(&snapshot.purses).filter_map(|(name, purse)| Some((name, purse.as_ref()?)))
}

fn write(shelf: &Shelf, text: &str) {
    if let Err(error) = shelf.write(text) {
        tracing::warn!(%error, "The counts could not be written");
    }
}
