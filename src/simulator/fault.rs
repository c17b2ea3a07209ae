//! What can be made to go wrong, while the simulator runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::clock::Moment;

/// Something that goes wrong for the requests it reaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Only for this account, by name.
    #[serde(default)]
    pub account: Option<String>,
    /// Only for this key, by label.
    #[serde(default)]
    pub key: Option<String>,
    /// Only for this model, by name.
    #[serde(default)]
    pub model: Option<String>,
    /// Only for paths that contain this.
    #[serde(default)]
    pub path: Option<String>,
    /// For this share of them, 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
    /// For this many of them, then no more.
    #[serde(default)]
    pub times: Option<u32>,
    /// From this many milliseconds after it was switched on.
    #[serde(default)]
    pub after_ms: u64,
    /// For this long, in milliseconds from then on.
    #[serde(default)]
    pub for_ms: Option<u64>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FaultKind {
    /// The key is refused as wrong or revoked.
    DeadKey,
    /// The account is on hold or deactivated.
    Suspended,
    /// The account's credit is used up.
    CreditGone,
    /// A spend limit is reached.
    SpendCap,
    /// The key may not use the model: 403, or 404 where `hidden`.
    ForbiddenModel {
        /// Whether the provider denies that the model exists.
        #[serde(default)]
        hidden: bool,
    },
    /// The provider fails with this status (500, 502, 503, 504, 529).
    Outage {
        /// The status.
        status: u16,
    },
    /// A rate limit is hit, whatever the buckets say.
    RateLimited {
        /// When to come back, in milliseconds.
        retry_after_ms: u64,
    },
    /// Limits are this many thousandths of the plan's, while it lasts.
    LimitFactor {
        /// Thousandths: 500 halves.
        permille: u64,
    },
    /// Any answer at all, word for word.
    Answer {
        /// The status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: String,
        /// Headers.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// A redirect to somewhere else.
    Redirect {
        /// Where to.
        location: String,
    },
    /// 200 with a body that is not what was asked for.
    Nonsense,
    /// An HTML page of that status, as edges send them.
    Html {
        /// The status.
        status: u16,
    },
    /// The answer comes later.
    Latency {
        /// By how much, in milliseconds.
        ms: u64,
    },
    /// Nothing comes, not even headers, for an hour.
    StallHeaders,
    /// The connection is closed before the first byte of an answer.
    HangUp,
    /// A header that does not end (HTTP/1.1 only).
    EndlessHeader,
    /// A body that is longer or shorter than its `content-length` says (HTTP/1.1 only).
    WrongLength {
        /// How many bytes more than are sent the header claims; negative for fewer.
        excess: i64,
    },
    /// A stream falls silent for an hour.
    StallStream {
        /// After this many events.
        after: usize,
    },
    /// The connection breaks while the answer is sent; one that is not streamed breaks in its middle.
    CutStream {
        /// After this many events.
        after: usize,
        /// Whether half of another event is sent first.
        #[serde(default)]
        inside: bool,
    },
    /// A stream ends with an error event.
    ErrorEvent {
        /// After this many events.
        after: usize,
    },
    /// A stream's event is preceded by a comment line of this many bytes.
    HugeEvent {
        /// Bytes.
        bytes: usize,
    },
    /// The body trickles.
    SlowBody {
        /// Bytes at a time.
        bytes: usize,
        /// Milliseconds between them.
        ms: u64,
    },
    /// An event stream with CRLF line ends.
    Crlf,
    /// No rate-limit headers.
    NoLimitHeaders,
    /// Rate-limit headers that lie: everything left, or nothing, or absurd.
    LyingHeaders {
        /// What every `remaining` says.
        remaining: String,
        /// What every `reset` says.
        reset: String,
    },
}

/// Tells one fault that was switched on from another.
pub type FaultId = u64;

/// The faults that hit one request.
pub(crate) type Drawn = SmallVec<[FaultKind; 2]>;

/// Whom a request concerns, as far as that is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whom<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) model: Option<&'a str>,
    pub(crate) path: &'a str,
}

/// The faults that are switched on. At most [`Faults::BOUND`]; a further one replaces the oldest.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<Active>,
    next: FaultId,
    random: u64,
}

#[derive(Debug)]
struct Active {
    id: FaultId,
    fault: Fault,
    since: Moment,
    hits: u32,
}

impl Fault {
    /// This, for every request.
    pub const fn every(kind: FaultKind) -> Self {
        Self {
            kind,
            account: None,
            key: None,
            model: None,
            path: None,
            share: 1.0,
            times: None,
            after_ms: 0,
            for_ms: None,
        }
    }

    /// Only for this account.
    #[must_use]
    pub fn account(mut self, name: &str) -> Self {
        self.account = Some(name.to_owned());
        self
    }

    /// Only for this key.
    #[must_use]
    pub fn key(mut self, label: &str) -> Self {
        self.key = Some(label.to_owned());
        self
    }

    /// Only for this model.
    #[must_use]
    pub fn model(mut self, name: &str) -> Self {
        self.model = Some(name.to_owned());
        self
    }

    /// For this share of the requests, 0 to 1.
    #[must_use]
    pub const fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// For this many requests.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// From this long after it was switched on.
    #[must_use]
    pub fn beginning(mut self, delay: Duration) -> Self {
        self.after_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// For this long from then on.
    #[must_use]
    pub fn lasting(mut self, period: Duration) -> Self {
        self.for_ms = Some(u64::try_from(period.as_millis()).unwrap_or(u64::MAX));
        self
    }
}

impl Faults {
    /// More are a mistake in a test.
    const BOUND: usize = 256;

    pub(crate) fn new(seed: u64) -> Self {
        Self { active: Vec::new(), next: 1, random: seed }
    }

    pub(crate) fn add(&mut self, fault: Fault, now: Moment) -> FaultId {
        let id = self.next;
        self.next += 1;
        if self.active.len() >= Self::BOUND {
            self.active.remove(0);
        }
        self.active.push(Active { id, fault, since: now, hits: 0 });
        id
    }

    pub(crate) fn remove(&mut self, id: FaultId) {
        self.active.retain(|active| active.id != id);
    }

    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    pub(crate) fn list(&self) -> impl Iterator<Item = (FaultId, &Fault)> {
        self.active.iter().map(|active| (active.id, &active.fault))
    }

    /// The faults that hit this request; each counts the hit.
    pub(crate) fn draw(&mut self, whom: Whom<'_>, now: Moment) -> Drawn {
        let mut drawn = Drawn::new();
        let random = &mut self.random;
        for active in &mut self.active {
            if active.reaches(whom, now) && unit(random) < active.fault.share {
                active.hits += 1;
                drawn.push(active.fault.kind.clone());
            }
        }
        drawn
    }

    /// By how many thousandths the limits of this account's model are changed now.
    pub(crate) fn limit_permille(&self, whom: Whom<'_>, now: Moment) -> u64 {
        let factors = self.active.iter().filter(|active| active.reaches(whom, now));
        factors.fold(1_000, |product, active| {
            let FaultKind::LimitFactor { permille } = active.fault.kind else { return product };
            product * permille / 1_000
        })
    }
}

impl Active {
    fn reaches(&self, whom: Whom<'_>, now: Moment) -> bool {
        let Fault { account, key, model, path, times, after_ms, for_ms, .. } = &self.fault;
        let begins = self.since + Duration::from_millis(*after_ms);
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(account, whom.account)
            && is(key, whom.key)
            && is(model, whom.model)
            && path.as_deref().is_none_or(|part| whom.path.contains(part))
            && times.is_none_or(|times| self.hits < times)
            && now >= begins
            && for_ms.is_none_or(|ms| now.since(begins) < Duration::from_millis(ms))
    }
}

/// The next number of a `SplitMix64` sequence, as a fraction of 1.
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    f64::from(u32::try_from(mix(*state) >> 32).unwrap_or(0)) / 4_294_967_296.0
}

/// `SplitMix64`'s finaliser: every bit of the result depends on every bit of `state`.
pub(crate) const fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const fn all() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(key: &str) -> Whom<'_> {
        Whom { account: Some("main"), key: Some(key), model: None, path: "/v1/files" }
    }

    #[test]
    fn a_fault_hits_only_whom_it_names_and_as_often_as_it_says() {
        let mut faults = Faults::new(1);
        faults.add(Fault::every(FaultKind::DeadKey).key("a").times(2), Moment::ZERO);
        assert!(faults.draw(whom("b"), Moment::ZERO).is_empty());
        for _ in 0..2 {
            assert_eq!(faults.draw(whom("a"), Moment::ZERO).as_slice(), [FaultKind::DeadKey]);
        }
        assert!(faults.draw(whom("a"), Moment::ZERO).is_empty());
    }

    #[test]
    fn a_fault_begins_and_ends_with_its_period() {
        let mut faults = Faults::new(1);
        let second = Duration::from_secs(1);
        let fault = Fault::every(FaultKind::Suspended).beginning(second).lasting(second);
        faults.add(fault, Moment::ZERO);
        assert!(faults.draw(whom("a"), Moment::ZERO).is_empty());
        assert!(!faults.draw(whom("a"), Moment::ZERO + second).is_empty());
        assert!(faults.draw(whom("a"), Moment::ZERO + 2 * second).is_empty());
    }

    #[test]
    fn a_share_of_requests_is_hit() {
        let mut faults = Faults::new(7);
        faults.add(Fault::every(FaultKind::Outage { status: 503 }).share(0.3), Moment::ZERO);
        let hits = (0..10_000).filter(|_| !faults.draw(whom("a"), Moment::ZERO).is_empty()).count();
        assert!((2_800..3_200).contains(&hits), "{hits} of 10,000 at a share of 0.3");
    }

    #[test]
    fn a_fault_is_written_as_json() {
        let text = r#"{"kind":"cutStream","after":3,"account":"main","times":1}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!(fault.kind, FaultKind::CutStream { after: 3, inside: false });
        assert_eq!((fault.account.as_deref(), fault.times), (Some("main"), Some(1)));
    }
}
