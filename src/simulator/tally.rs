//! What the simulated providers saw and did.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use serde::Serialize;

/// What was served and refused, by account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// By account name.
    pub accounts: BTreeMap<String, AccountTally>,
    /// Requests with a credential that no account knows, or with none.
    pub strangers: u64,
}

/// What one account served and refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountTally {
    /// By key label.
    pub keys: BTreeMap<String, KeyTally>,
    /// Input tokens of what was served.
    pub input_tokens: u64,
    /// Output tokens that were sent.
    pub output_tokens: u64,
    /// Requests being answered now.
    pub in_flight: u64,
    /// The most there ever were.
    pub in_flight_max: u64,
    /// Answers that the client did not stay for.
    pub abandoned: u64,
}

/// What one key was used for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyTally {
    /// Requests answered with 2xx.
    pub served: u64,
    /// Requests refused, by what the provider refused them for (see [`AccountTally::refused`]).
    pub refused: BTreeMap<&'static str, u64>,
}

/// A request as a provider saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// HTTP version.
    pub version: http::Version,
    /// Every header, in order; values that are not text are shown as such.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body, at most 64 KiB.
    pub body: Bytes,
    /// The whole body's length.
    pub body_bytes: usize,
    /// The label of the key it came with, if that is known.
    pub key: Option<String>,
    /// The status it was answered with; 0 until then.
    pub status: u16,
}

impl Tally {
    /// Requests answered with 2xx, by all accounts.
    pub fn served(&self) -> u64 {
        self.accounts.values().map(AccountTally::served).sum()
    }

    /// Requests refused, by all accounts, by kind.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        sums(self.accounts.values().flat_map(|account| account.keys.values()))
    }
}

impl AccountTally {
    /// Requests answered with 2xx.
    pub fn served(&self) -> u64 {
        self.keys.values().map(|key| key.served).sum()
    }

    /// Requests refused: `rateLimited`, `quotaExhausted`, `creditGone`, `keyInvalid`, `suspended`,
    /// `forbidden`, `overloaded`, `serverError`, `notFound`, `badRequest`, `broken` (no proper answer).
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        sums(self.keys.values())
    }
}

fn sums<'a>(keys: impl Iterator<Item = &'a KeyTally>) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (kind, count) in keys.flat_map(|key| &key.refused) {
        *sums.entry(*kind).or_insert(0) += count;
    }
    sums
}

/// The tally being kept, with the last requests and every credential seen.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) tally: Tally,
    requests: VecDeque<Seen>,
    forgotten: u64,
    credentials: BTreeSet<String>,
}

impl Ledger {
    /// Requests that are remembered.
    const REQUESTS: usize = 256;
    /// Credentials that are remembered.
    const CREDENTIALS: usize = 4_096;
    /// Bytes of a body that are remembered.
    pub(crate) const BODY: usize = 64 * 1024;

    /// Remembers a request, and gives it a number.
    pub(crate) fn see(&mut self, seen: Seen) -> u64 {
        if self.requests.len() >= Self::REQUESTS {
            self.requests.pop_front();
            self.forgotten += 1;
        }
        self.requests.push_back(seen);
        self.forgotten + self.requests.len() as u64 - 1
    }

    /// Remembers how that request was answered.
    pub(crate) fn answered(&mut self, number: u64, status: u16) {
        let place =
            number.checked_sub(self.forgotten).and_then(|place| usize::try_from(place).ok());
        if let Some(seen) = place.and_then(|place| self.requests.get_mut(place)) {
            seen.status = status;
        }
    }

    pub(crate) fn credential(&mut self, value: &str) {
        if self.credentials.len() < Self::CREDENTIALS && !self.credentials.contains(value) {
            self.credentials.insert(value.to_owned());
        }
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = &Seen> {
        self.requests.iter()
    }

    pub(crate) const fn credentials(&self) -> &BTreeSet<String> {
        &self.credentials
    }

    pub(crate) fn key(&mut self, account: &str, key: &str) -> &mut KeyTally {
        self.account(account).keys.entry(key.to_owned()).or_default()
    }

    pub(crate) fn account(&mut self, name: &str) -> &mut AccountTally {
        self.tally.accounts.entry(name.to_owned()).or_default()
    }

    /// Forgets everything but what is in flight.
    pub(crate) fn clear(&mut self) {
        self.forgotten += self.requests.len() as u64;
        self.requests.clear();
        self.credentials.clear();
        self.tally.strangers = 0;
        for account in self.tally.accounts.values_mut() {
            let in_flight = account.in_flight;
            *account = AccountTally { in_flight, in_flight_max: in_flight, ..Default::default() };
        }
    }
}
