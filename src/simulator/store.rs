//! What a provider keeps for one account: files, batches, responses, vector stores, cached contents,
//! and the beginnings of prompts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use serde_json::Value;

/// A kept object.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// What it is: `file`, `batch`...
    pub(crate) kind: &'static str,
    /// As the API shows it.
    pub(crate) object: Value,
    /// A file's content, or whatever else belongs to it and is not shown.
    pub(crate) content: Bytes,
}

/// Everything kept for one account.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: BTreeMap<String, Stored>,
    order: VecDeque<String>,
    bytes: usize,
    prefixes: BTreeSet<u64>,
    recent: VecDeque<u64>,
}

impl Store {
    /// Objects that are kept; the oldest go.
    const OBJECTS: usize = 10_000;
    /// Bytes of content that are kept; the oldest go.
    const BYTES: usize = 256 * 1024 * 1024;
    /// Prompt beginnings that are remembered.
    const PREFIXES: usize = 4_096;

    pub(crate) fn put(&mut self, id: &str, stored: Stored) {
        self.bytes += stored.content.len();
        if let Some(old) = self.objects.insert(id.to_owned(), stored) {
            self.bytes -= old.content.len();
        } else {
            self.order.push_back(id.to_owned());
        }
        while self.order.len() > Self::OBJECTS || self.bytes > Self::BYTES {
            let Some(oldest) = self.order.front().cloned() else { break };
            self.remove(&oldest);
        }
    }

    pub(crate) fn find(&self, kind: &str, id: &str) -> Option<&Stored> {
        self.objects.get(id).filter(|stored| stored.kind == kind)
    }

    /// All of a kind, the newest first.
    pub(crate) fn list(&self, kind: &str) -> impl Iterator<Item = &Stored> {
        let newest_first = self.order.iter().rev().filter_map(|id| self.objects.get(id));
        newest_first.filter(move |stored| stored.kind == kind)
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Stored> {
        let removed = self.objects.remove(id)?;
        self.bytes -= removed.content.len();
        self.order.retain(|other| other != id);
        Some(removed)
    }

    /// Whether a prompt that begins like this was seen before; it has been from now on.
    pub(crate) fn knew_prefix(&mut self, hash: u64) -> bool {
        if !self.prefixes.insert(hash) {
            return true;
        }
        self.recent.push_back(hash);
        if self.recent.len() > Self::PREFIXES
            && let Some(oldest) = self.recent.pop_front()
        {
            self.prefixes.remove(&oldest);
        }
        false
    }
}
