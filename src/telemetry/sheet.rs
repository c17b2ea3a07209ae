//! The counters of one combination of provider, key, model and caller, looked up once.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::core::{AtomicF64, GenericCounter};
use prometheus::{IntCounter, IntCounterVec};

use super::Metrics;
use crate::formats::{Usage, Verdict};

/// How a request ended for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// The provider found fault with the request.
    ClientError,
    /// The provider failed, and nothing else could serve.
    UpstreamError,
    /// Keyweir refused it.
    Refused,
    /// The client left.
    Cancelled,
}

impl Outcome {
    const COUNT: usize = 5;

    /// The word for it in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::UpstreamError => "upstream_error",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What would have been done to a request if limits were enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Would {
    /// It would have waited for capacity.
    Waited,
    /// It would have been refused.
    Refused,
    /// It would have gone to another target.
    Moved,
}

impl Would {
    /// Everything that would have been done.
    pub const ALL: [Self; 3] = [Self::Waited, Self::Refused, Self::Moved];

    /// The word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waited => "waited",
            Self::Refused => "refused",
            Self::Moved => "moved",
        }
    }
}

/// What tokens were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// All input.
    Input,
    /// All output.
    Output,
    /// The part of the input that the provider had cached.
    CachedInput,
    /// The part of the output that was reasoning.
    Reasoning,
}

impl TokenKind {
    const ALL: [Self; 4] = [Self::Input, Self::Output, Self::CachedInput, Self::Reasoning];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CachedInput => "cached_input",
            Self::Reasoning => "reasoning",
        }
    }

    const fn of(self, usage: &Usage) -> u64 {
        match self {
            Self::Input => usage.input,
            Self::Output => usage.output,
            Self::CachedInput => usage.cached_input,
            Self::Reasoning => usage.reasoning,
        }
    }
}

/// Which lane: small numbers that the snapshot gives to providers, keys, models and callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneId {
    /// Index of the provider.
    pub provider: u16,
    /// Slot of the key.
    pub key: u16,
    /// Index of the model's label.
    pub model: u16,
    /// Index of the caller.
    pub caller: u16,
}

impl LaneId {
    const fn packed(self) -> u64 {
        (self.provider as u64) << 48
            | (self.key as u64) << 32
            | (self.model as u64) << 16
            | self.caller as u64
    }
}

/// The lanes that a snapshot has used so far.
#[derive(Debug)]
pub struct Sheet {
    metrics: Metrics,
    lanes: Mutex<HashMap<u64, Arc<Lane>, BuildHasherDefault<Spread>>>,
}

impl Sheet {
    /// An empty sheet over the process's metrics.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, lanes: Mutex::default() }
    }

    /// The process's metrics, for what has no lane.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The counters of that combination; `labels` is asked only the first time.
    pub fn lane(&self, id: LaneId, labels: impl FnOnce() -> Labels) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes
            .entry(id.packed())
            .or_insert_with(|| Arc::new(Lane::new(self.metrics.clone(), labels())));
        Arc::clone(lane)
    }
}

/// The names behind a [`LaneId`].
#[derive(Clone, Debug)]
pub struct Labels {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The key's name, never its value.
    pub key: Arc<str>,
    /// The model's name, or `other`.
    pub model: Arc<str>,
    /// The caller's name.
    pub caller: Arc<str>,
}

/// The counters of one combination of provider, key, model and caller.
pub struct Lane {
    metrics: Metrics,
    labels: Labels,
    requests: [OnceLock<IntCounter>; Outcome::COUNT],
    responses: [OnceLock<IntCounter>; Verdict::ALL.len()],
    absorbed: [OnceLock<IntCounter>; Verdict::ALL.len()],
    tokens: [OnceLock<IntCounter>; TokenKind::ALL.len()],
    cost: OnceLock<GenericCounter<AtomicF64>>,
}

impl Lane {
    fn new(metrics: Metrics, labels: Labels) -> Self {
        Self {
            metrics,
            labels,
            requests: Default::default(),
            responses: Default::default(),
            absorbed: Default::default(),
            tokens: Default::default(),
            cost: OnceLock::new(),
        }
    }

    /// The names it counts under.
    pub const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// A request ended.
    pub fn request(&self, outcome: Outcome) {
        let Labels { provider, model, caller, .. } = &self.labels;
        let labels = [&**provider, &**model, &**caller, outcome.as_str()];
        count(&self.requests, outcome as usize, &self.metrics.requests, &labels, 1);
    }

    /// The upstream answered, or failed to.
    pub fn response(&self, verdict: Verdict) {
        let Labels { provider, key, model, .. } = &self.labels;
        let labels = [&**provider, &**key, &**model, verdict.as_str()];
        count(&self.responses, verdict as usize, &self.metrics.upstream_responses, &labels, 1);
    }

    /// A failure that the application never saw.
    pub fn absorb(&self, verdict: Verdict) {
        let labels = [&*self.labels.provider, verdict.as_str()];
        count(&self.absorbed, verdict as usize, &self.metrics.absorbed, &labels, 1);
    }

    /// Tokens were used, and cost that many US dollars where the price is known.
    pub fn usage(&self, usage: &Usage, cost: Option<f64>) {
        let Labels { provider, key, model, caller } = &self.labels;
        for kind in TokenKind::ALL {
            let amount = kind.of(usage);
            if amount > 0 {
                let labels = [&**provider, &**key, &**model, &**caller, kind.as_str()];
                count(&self.tokens, kind as usize, &self.metrics.tokens, &labels, amount);
            }
        }
        if let Some(cost) = cost.filter(|cost| *cost > 0.0) {
            let labels = [&**provider, &**model, &**caller];
            self.cost.get_or_init(|| self.metrics.cost.with_label_values(&labels)).inc_by(cost);
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("labels", &self.labels).finish_non_exhaustive()
    }
}

fn count(
    handles: &[OnceLock<IntCounter>],
    which: usize,
    family: &IntCounterVec,
    labels: &[&str],
    amount: u64,
) {
    if let Some(handle) = handles.get(which) {
        handle.get_or_init(|| family.with_label_values(labels)).inc_by(amount);
    }
}

/// Spreads packed small numbers over a table: one multiplication instead of a keyed hash, for the
/// numbers are ours and no stranger chooses them.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> (Sheet, Metrics) {
        let metrics = Metrics::new().unwrap();
        (Sheet::new(metrics.clone()), metrics)
    }

    fn labels() -> Labels {
        Labels {
            provider: "openai".into(),
            key: "main".into(),
            model: "gpt-4o".into(),
            caller: "default".into(),
        }
    }

    #[test]
    fn a_lane_is_looked_up_once_and_counts_under_its_names() {
        let (sheet, metrics) = sheet();
        let id = LaneId { provider: 1, key: 2, model: 3, caller: 4 };
        sheet.lane(id, labels).request(Outcome::Ok);
        sheet.lane(id, || panic!("asked twice")).request(Outcome::Ok);
        let counter = metrics.requests.with_label_values(&["openai", "gpt-4o", "default", "ok"]);
        assert_eq!(counter.get(), 2);
    }

    #[test]
    fn no_series_exists_before_it_is_needed() {
        let (sheet, metrics) = sheet();
        let lane = sheet.lane(LaneId { provider: 0, key: 0, model: 0, caller: 0 }, labels);
        lane.usage(&Usage { input: 5, ..Usage::default() }, None);
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("kind=\"input\""), "{text}");
        assert!(!text.contains("kind=\"output\""), "{text}");
        assert!(!text.contains("keyweir_cost_usd_total"), "{text}");
    }
}
