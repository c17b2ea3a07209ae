//! Keeps one replica's certificates: takes in what is seen, and says what is to be done.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::sync::watch;

use super::authority::{Authority, Leaf, Shown};
use super::bundle::{self, Seen};
use super::decide::{NotReady, Situation, Step, Terms, Trust};
use super::stored::{Entries, Observed, Stored};

/// One replica's view.
#[derive(Debug)]
pub struct Keeper {
    terms: Terms,
    /// What a certificate is signed for.
    names: Vec<String>,
    observed: Observed,
    memory: Option<Stored>,
    bundles: BTreeMap<String, Seen>,
    trust: Trust,
    pub(super) leaf: Option<Leaf>,
    shown: watch::Sender<Option<Shown>>,
}

/// What is to be done in the cluster. Each is for the version that was seen; where that is no
/// longer the present one, it fails, the present one is seen, and all is thought over again.
#[derive(Debug)]
pub enum Act {
    /// To the Secret.
    Write(Write),
    /// To the webhooks of the configuration of that name.
    Trust {
        /// The configuration's name, as it was seen under.
        name: String,
        /// The `caBundle`, as PEM.
        pem: String,
    },
}

/// The Secret as it should be.
#[derive(Debug)]
pub struct Write {
    /// The version that is replaced; `None` where there is none.
    pub replaces: Option<String>,
    /// The entries.
    pub entries: Entries,
}

impl Keeper {
    /// One that has seen nothing yet, for a server that is called by these names, and what it is
    /// to show.
    pub fn new(terms: Terms, names: Vec<String>) -> (Self, watch::Receiver<Option<Shown>>) {
        let (sender, receiver) = watch::channel(None);
        let keeper = Self {
            terms,
            names,
            observed: Observed::Unknown,
            memory: None,
            bundles: BTreeMap::new(),
            trust: Trust::default(),
            leaf: None,
            shown: sender,
        };
        (keeper, receiver)
    }

    /// The Secret is now so.
    pub fn saw_secret(&mut self, observed: Observed) {
        // What it held is kept in mind in case it goes.
        let before = std::mem::replace(&mut self.observed, observed);
        if let Observed::Held { stored, .. } = before {
            self.memory = Some(*stored);
        }
    }

    /// The webhook configuration of that name now has these bundles; `None`: there is none.
    pub fn saw_bundle(&mut self, now: Timestamp, name: &str, seen: Option<Seen>) {
        match seen {
            Some(seen) => self.bundles.insert(name.to_owned(), seen),
            None => self.bundles.remove(name),
        };
        self.trust.observe(now, &self.bundles);
    }

    /// Signs what is due. That is between this replica and its memory, and waits for nobody.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn sign(&mut self, now: Timestamp) -> Result<(), rcgen::Error> {
        if let Some(signer) = self.situation(now).signer() {
            let leaf = signer.sign(&self.names, now, self.terms.leaf)?;
            self.shown.send_replace(Some(leaf.shown.clone()));
            self.leaf = Some(leaf);
        }
        Ok(())
    }

    /// Signs what is due and returns what is to be done in the cluster.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn step(&mut self, now: Timestamp) -> Result<Vec<Act>, rcgen::Error> {
        self.sign(now)?;
        let mut acts = Vec::new();
        if let Some(step) = self.situation(now).step() {
            let write = self.write(now, step)?;
            acts.push(Act::Write(write));
        }
        let bundles = self.situation(now).bundles();
        acts.extend(
            bundles
                .into_iter()
                .map(|(name, wanted)| Act::Trust { name, pem: bundle::pem(&wanted) }),
        );
        Ok(acts)
    }

    /// Whether the API server would trust this replica.
    pub fn readiness(&self, now: Timestamp) -> Result<(), NotReady> {
        self.situation(now).readiness()
    }

    /// The next moment at which something may be due.
    pub fn wake(&self, now: Timestamp) -> Timestamp {
        self.situation(now).wake()
    }

    /// Why the Secret is of no use, if it is.
    pub fn trouble(&self) -> Option<String> {
        match &self.observed {
            Observed::Unusable { reason, .. } => Some(reason.to_string()),
            Observed::Unknown | Observed::Missing | Observed::Held { .. } => None,
        }
    }

    fn situation(&self, now: Timestamp) -> Situation<'_> {
        Situation {
            now,
            terms: &self.terms,
            observed: &self.observed,
            memory: self.memory.as_ref(),
            leaf: self.leaf.as_ref(),
            bundles: &self.bundles,
            trust: &self.trust,
        }
    }

    fn write(&self, now: Timestamp, step: Step) -> Result<Write, rcgen::Error> {
        let new = || Authority::new(now, self.terms.authority);
        let (replaces, held) = match &self.observed {
            Observed::Unknown | Observed::Missing => (None, self.memory.as_ref()),
            Observed::Unusable { version, .. } => (Some(version.clone()), self.memory.as_ref()),
            Observed::Held { version, stored } => (Some(version.clone()), Some(&**stored)),
        };
        let entries = match (step, held) {
            (Step::Restore | Step::Prepare, Some(held)) => {
                Stored::entries_of(&held.current, Some(&new()?), held.since)
            }
            (Step::Promote, Some(Stored { next: Some(next), .. })) => {
                Stored::entries_of(next, None, now)
            }
            _ => Stored::entries_of(&new()?, None, now),
        };
        Ok(Write { replaces, entries })
    }
}
