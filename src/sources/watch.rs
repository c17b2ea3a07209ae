//! Tells of changes: a folder watch, and a slow poll beside it for where a watch sees nothing
//! (virtual file systems, exhausted limits, folders that do not exist yet).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::folders::{Coverage, Folders};
use super::stamp::Stamp;
use super::{Letter, Places};

/// How often and how patiently places are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks while every folder is watched.
    pub poll: Duration,
    /// Between two looks while one is not, or could not be read.
    pub hurried_poll: Duration,
    /// How long nothing may have stirred before it is read: the kubelet and editors take several
    /// steps to one change.
    pub quiet: Duration,
    /// After this long it is read, however much still stirs.
    pub patience: Duration,
}

/// Watches all places. Reading is plain blocking I/O, for mounts of ConfigMaps and Secrets are
/// memory; it is meant for the control thread.
#[derive(Debug)]
pub struct Watch {
    places: Places,
    pace: Pace,
    folders: Option<Folders>,
    bell: Arc<Bell>,
    letter: Arc<Letter>,
    stamp: Stamp,
    next_poll: Instant,
    /// When the bell rang for what has not been read yet.
    stirred: Option<Instant>,
}

/// Asks for a reading now (`SIGHUP`). Clones ask the same watch.
#[derive(Clone, Debug)]
pub struct Prompter(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    rung: Notify,
    prompted: AtomicBool,
}

impl Watch {
    /// Reads every place and begins to watch. Needs a runtime with time.
    pub fn start(places: Places, pace: Pace) -> Self {
        let bell = Arc::new(Bell::default());
        let for_folders = Arc::clone(&bell);
        let folders = Folders::new(&places, move || {
            let bell = Arc::clone(&for_folders);
            Box::new(move || bell.rung.notify_one())
        });
        Self::begin(places, pace, bell, Some(folders))
    }

    /// Watches by polling alone.
    #[cfg(test)]
    pub(super) fn start_polling(places: Places, pace: Pace) -> Self {
        Self::begin(places, pace, Arc::default(), None)
    }

    fn begin(places: Places, pace: Pace, bell: Arc<Bell>, folders: Option<Folders>) -> Self {
        // In this order: what changes in between is seen as a change.
        let stamp = Stamp::of(&places);
        let letter = Arc::new(places.read());
        let (next_poll, stirred) = (Instant::now(), None);
        let mut watch = Self { places, pace, folders, bell, letter, stamp, next_poll, stirred };
        watch.look();
        watch
    }

    /// What was read last.
    pub fn letter(&self) -> &Arc<Letter> {
        &self.letter
    }

    /// A handle that asks for a reading.
    pub fn prompter(&self) -> Prompter {
        Prompter(Arc::clone(&self.bell))
    }

    /// Waits for a change and returns what all places hold then. A reading that was asked for is
    /// returned even if it is the same as before. May be dropped at any time, and called again,
    /// without missing a change.
    pub async fn changed(&mut self) -> Arc<Letter> {
        loop {
            self.stir().await;
            if let Some(letter) = self.look() {
                return letter;
            }
        }
    }

    /// Waits until the bell has rung and fallen silent, or somebody asks, or a poll is due.
    async fn stir(&mut self) {
        if self.stirred.is_none() {
            tokio::select! {
                biased;
                () = self.bell.rung.notified() => self.stirred = Some(Instant::now()),
                () = sleep_until(self.next_poll) => {}
            }
        }
        let Some(since) = self.stirred else { return };
        let at_last = since + self.pace.patience;
        // Who asks for a reading knows that the change is whole.
        while !self.bell.prompted.load(Ordering::Acquire) {
            let silence = at_last.min(Instant::now() + self.pace.quiet);
            if timeout_at(silence, self.bell.rung.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Reads if there is reason to, and returns what is new.
    fn look(&mut self) -> Option<Arc<Letter>> {
        let prompted = self.bell.prompted.swap(false, Ordering::AcqRel);
        let stirred = self.stirred.take().is_some();
        let before = Stamp::of(&self.places);
        let read = prompted || stirred || before != self.stamp || self.is_unsettled();
        let letter = read.then(|| self.places.read_again(&self.letter));
        self.stamp = before;
        let coverage = self.cover();
        if Stamp::of(&self.places) != before {
            // It changed while it was read, perhaps before its folder was watched.
            self.bell.rung.notify_one();
        }
        let new = letter.filter(|letter| prompted || *letter != *self.letter);
        let new = new.map(|letter| {
            self.letter = Arc::new(letter);
            Arc::clone(&self.letter)
        });
        let hurried = coverage == Coverage::Partial || self.is_unsettled();
        let poll = if hurried { self.pace.hurried_poll } else { self.pace.poll };
        self.next_poll = Instant::now() + poll;
        new
    }

    fn cover(&mut self) -> Coverage {
        self.folders.as_mut().map_or(Coverage::Full, |folders| folders.cover(&self.places))
    }

    fn is_unsettled(&self) -> bool {
        self.letter.problems.iter().any(|problem| problem.trouble.is_passing())
    }
}

impl Prompter {
    /// Asks for a reading now.
    pub fn prompt(&self) {
        self.0.prompted.store(true, Ordering::Release);
        self.0.rung.notify_one();
    }
}

impl Default for Pace {
    /// The poll is slow, for it only backs up the watch; a change is delivered within 200 ms.
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(10),
            hurried_poll: Duration::from_secs(1),
            quiet: Duration::from_millis(50),
            patience: Duration::from_millis(150),
        }
    }
}

#[cfg(test)]
#[path = "watch/tests.rs"]
mod tests;
