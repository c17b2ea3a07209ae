//! Counts that outlive the process: what was used of windows of a day and more.
//!
//! Everything is told in the wall's time, and nothing that is read is believed without being looked
//! at: it may be a file of another version, another clock, or another program.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::Now;
use crate::formats::Dimension;

use super::ledger::Ledger;
use super::limit::Limit;
use super::rule::Measure;

/// What was used of long windows, by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    version: u32,
    /// When it was taken.
    at: Wall,
    ledgers: Vec<Entry>,
}

/// The counts of one ledger, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    owner: Vec<String>,
    counts: Counts,
}

/// What was used of one ledger's long windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// When that was so.
    at: Wall,
    limits: Vec<Count>,
}

/// What was used of one limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Count {
    measure: Word,
    window_seconds: u64,
    /// Units that were missing.
    used: u64,
    /// When all of them come back at once, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<Wall>,
}

/// A moment of the wall's clock, as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Wall(Timestamp);

/// The words for measures that have windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Word {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
    Cost,
}

/// Why a snapshot cannot be used.
#[derive(Debug)]
pub enum Damage {
    /// It cannot be read: torn, or something else altogether.
    Unreadable(serde_json::Error),
    /// It is of a version that is not known here.
    Version(u32),
    /// It was taken in the future, by our clock.
    Future(Timestamp),
    /// It has more entries than ever are written.
    TooLarge,
}

const VERSION: u32 = 1;
/// Windows that are shorter are full again before it matters.
const LONG: Duration = Duration::from_hours(24);
/// Ledgers in a snapshot at most, and counts of each.
const MOST_LEDGERS: usize = 100_000;
const MOST_COUNTS: usize = 32;
/// Clocks may differ by this much.
const SKEW: SignedDuration = SignedDuration::from_hours(1);
/// Two ends of one window, as two clocks have it.
const SAME: SignedDuration = SignedDuration::from_mins(5);

impl Snapshot {
    /// An empty one, taken now.
    pub const fn new(now: Now) -> Self {
        Self { version: VERSION, at: Wall(now.wall), ledgers: Vec::new() }
    }

    /// Adds the counts of one ledger. `owner` says whose it is, from the large to the small: provider,
    /// quota group, model, or caller. More than can be read again are left out.
    pub fn add(&mut self, owner: Vec<String>, counts: Counts) {
        if !counts.limits.is_empty() && self.ledgers.len() < MOST_LEDGERS {
            self.ledgers.push(Entry { owner, counts });
        }
    }

    /// The counts of that ledger, if it has any.
    pub fn find(&self, owner: &[&str]) -> Option<&Counts> {
        self.ledgers.iter().find(|entry| entry.owner == owner).map(|entry| &entry.counts)
    }

    /// Every owner and its counts.
    pub fn iter(&self) -> impl Iterator<Item = (&[String], &Counts)> {
        self.ledgers.iter().map(|entry| (entry.owner.as_slice(), &entry.counts))
    }

    /// When it was taken.
    pub const fn at(&self) -> Timestamp {
        self.at.0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ledgers.is_empty()
    }

    /// It as JSON, to be read again by [`parse`](Self::parse).
    ///
    /// # Errors
    /// None that could come up in practice: the serialiser's own.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads one that was written before.
    ///
    /// # Errors
    /// It is torn, foreign, of another version, from the future or absurdly large: then nothing of
    /// it is to be trusted.
    pub fn parse(json: &str, now: Now) -> Result<Self, Damage> {
        let snapshot: Self = serde_json::from_str(json).map_err(Damage::Unreadable)?;
        if snapshot.version != VERSION {
            return Err(Damage::Version(snapshot.version));
        }
        if snapshot.at.0.duration_since(now.wall) > SKEW {
            return Err(Damage::Future(snapshot.at.0));
        }
        let crowded = snapshot.ledgers.iter().any(|entry| entry.counts.limits.len() > MOST_COUNTS);
        if crowded || snapshot.ledgers.len() > MOST_LEDGERS {
            return Err(Damage::TooLarge);
        }
        Ok(snapshot)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(_) => write!(f, "not a snapshot of counts"),
            Self::Version(version) => write!(f, "version {version} is not known"),
            Self::Future(at) => write!(f, "taken in the future, at {at}"),
            Self::TooLarge => write!(f, "larger than any that was written"),
        }
    }
}

impl std::error::Error for Damage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::Version(_) | Self::Future(_) | Self::TooLarge => None,
        }
    }
}

impl Ledger {
    /// What was used of its windows of a day and more; nothing of those that are full.
    pub fn long_counts(&self, now: Now) -> Counts {
        let long = self.limits.iter().filter(|limit| limit.known() && limit.length() >= LONG);
        let limits = long.filter_map(|limit| {
            let used = limit.used(now.at);
            Some(Count {
                measure: Word::of(limit.measure)?,
                window_seconds: limit.length().as_secs(),
                used,
                ends: limit.ends().map(|ends| Wall(now.wall_at(ends))),
            })
            .filter(|_| used > 0)
        });
        Counts { at: Wall(now.wall), limits: limits.collect() }
    }

    /// Takes counts of an earlier process in, as far as these limits are still there and what was used
    /// has not come back since. Where more is counted already, that stays. Returns how many were of
    /// use.
    pub fn restore(&mut self, counts: &Counts, now: Now) -> usize {
        let mut restored = 0;
        let latest = self.next_seq();
        for count in counts.limits.iter().take(MOST_COUNTS) {
            let same = |limit: &&mut Limit| {
                Word::of(limit.measure) == Some(count.measure)
                    && limit.length().as_secs() == count.window_seconds
            };
            let limit = self.limits.iter_mut().find(same);
            let useful =
                limit.is_some_and(|limit| count.restore_to(limit, counts.at.0, latest, now));
            restored += usize::from(useful);
        }
        restored
    }
}

impl Count {
    fn restore_to(&self, limit: &mut Limit, taken: Timestamp, latest: u64, now: Now) -> bool {
        let elapsed = Duration::try_from(now.wall.duration_since(taken)).unwrap_or(Duration::ZERO);
        let over = !limit.is_dated() && elapsed >= limit.length();
        if limit.length() < LONG || over {
            return false;
        }
        limit.begin(latest, now.at);
        let ends = match (self.ends, limit.is_dated()) {
            // A period of the calendar: the present one, or over.
            (Some(told), true) => {
                let own = limit.ends().map(|own| now.wall_at(own));
                let same = own.is_some_and(|own| own.duration_since(told.0).abs() <= SAME);
                if !same {
                    return false;
                }
                None
            }
            (Some(told), false) => {
                let left = Duration::try_from(told.0.duration_since(now.wall));
                let Some(left) = left.ok().filter(|left| *left <= limit.length()) else {
                    return false;
                };
                Some(now.at + left)
            }
            (None, _) => None,
        };
        limit.restore(self.used, elapsed, ends, latest, now.at)
    }
}

impl TryFrom<String> for Wall {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl From<Wall> for String {
    fn from(wall: Wall) -> Self {
        wall.0.to_string()
    }
}

impl Word {
    const fn of(measure: Measure) -> Option<Self> {
        Some(match measure {
            Measure::Of(Dimension::Requests) => Self::Requests,
            Measure::Of(Dimension::Tokens) => Self::Tokens,
            Measure::Of(Dimension::InputTokens) => Self::InputTokens,
            Measure::Of(Dimension::OutputTokens) => Self::OutputTokens,
            Measure::Cost => Self::Cost,
            Measure::Concurrency => return None,
        })
    }
}

#[cfg(test)]
mod tests;
