//! What is known of one request so far, and what is written down of it when it ends.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, Uri};
use smallvec::SmallVec;

use super::answer::names::{REQUEST_ID, TRACE};
use super::purse::Held;
use super::refusal::Refusal;
use super::snapshot::Snapshot;
use crate::callers::{Seen, Terms};
use crate::clock::{Moment, Now};
use crate::formats::models::Price;
use crate::formats::{EndpointKind, Judgement, Sample, Usage, Verdict};
use crate::lifecycle::Clock;
use crate::limits::{self, Cost};
use crate::telemetry::metrics::Waiting;
use crate::telemetry::{Lane, LaneId, Outcome, Record, Would};

/// One request, from its head to the end of its answer. Dropped before it was closed, it counts as
/// cancelled: the client left.
#[derive(Debug)]
pub struct Exchange {
    /// The snapshot it began with and finishes on.
    pub snapshot: Arc<Snapshot>,
    /// The clock.
    pub clock: Clock,
    /// When its head had arrived.
    pub arrived: Now,
    /// When the clock was last read: reading it costs as much as many a decision that wants to know
    /// the time, and between two waits next to none passes.
    pub now: Moment,
    /// The last moment at which it may be sent, or sent again.
    pub deadline: Moment,
    /// The place of the caller's rule.
    pub caller: usize,
    /// What the caller was granted.
    pub terms: Terms,
    /// Tries sent upstream.
    pub attempts: u32,
    /// Time spent waiting for capacity.
    pub queued: Duration,
    /// What it took of its caller's own limits.
    pub held: Option<Held>,
    /// Output tokens that have passed, as far as can be told.
    pub flowed: u64,
    method: Method,
    uri: Uri,
    request_id: Option<HeaderValue>,
    trace: Option<HeaderValue>,
    /// Time that was the client's, the provider's, or spent waiting for capacity.
    away: Duration,
    lane: Option<Arc<Lane>>,
    /// What the model that is asked for costs, where that is known.
    price: Option<Price>,
    failures: SmallVec<[(Arc<Lane>, Verdict); 2]>,
    last: Option<Last>,
    status: u16,
    refusal: &'static str,
    /// What would have been done to it, a bit for each.
    would: u8,
    first_byte: Option<Duration>,
    holds_copies: bool,
    closed: bool,
}

/// The last upstream answer.
#[derive(Clone, Debug)]
struct Last {
    verdict: Verdict,
    status: Option<u16>,
    limit: Option<Sample>,
    code: Option<Box<str>>,
    retry_after: Option<Duration>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending<'a> {
    /// Tokens that the provider counted.
    pub usage: Option<Usage>,
    /// `complete`, `cut`, `error`, `cancelled` or empty.
    pub word: &'a str,
}

impl Exchange {
    /// A request whose head has just arrived.
    pub fn begin(snapshot: Arc<Snapshot>, clock: Clock, parts: &Parts) -> Self {
        let arrived = clock.now();
        let seen = Seen { headers: &parts.headers, kind: EndpointKind::Other, model: None };
        let (caller, rule) = snapshot.callers.identify(&seen);
        let terms = rule.terms(&parts.headers);
        Self {
            caller,
            terms,
            deadline: arrived.at + terms.max_wait,
            now: arrived.at,
            arrived,
            clock,
            attempts: 0,
            queued: Duration::ZERO,
            held: None,
            flowed: 0,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            request_id: parts.headers.get(REQUEST_ID).cloned(),
            trace: parts.headers.get(TRACE).cloned(),
            away: Duration::ZERO,
            lane: None,
            price: None,
            failures: SmallVec::new(),
            last: None,
            status: 0,
            refusal: "",
            would: 0,
            first_byte: None,
            holds_copies: false,
            closed: false,
            snapshot,
        }
    }

    /// Asks again who it is, now that more of it is seen than its head.
    pub fn identify(&mut self, seen: &Seen<'_>) {
        let (caller, rule) = self.snapshot.callers.identify(seen);
        (self.caller, self.terms) = (caller, rule.terms(seen.headers));
        self.deadline = self.arrived.at + self.terms.max_wait;
    }

    /// How much longer it may wait.
    pub fn patience(&self) -> Duration {
        self.deadline.since(self.clock.moment())
    }

    /// Reads the clock.
    pub fn tick(&mut self) -> Moment {
        self.now = self.clock.moment();
        self.now
    }

    /// Both clocks as of the last reading.
    pub fn wall(&self) -> Now {
        Now { at: self.now, wall: self.arrived.wall_at(self.now) }
    }

    /// Notes time that was not ours.
    pub fn was_away(&mut self, span: Option<Span>) {
        if let Some(Span { from, until }) = span {
            self.away += until.since(from);
            self.now = until;
        }
    }

    /// Notes time spent waiting for capacity.
    pub fn has_waited(&mut self, since: Moment) {
        let waited = self.clock.moment().since(since);
        self.queued += waited;
        self.away += waited;
    }

    /// Notes who is asked now, and what the model costs there.
    pub fn turn_to(&mut self, id: LaneId, key: &Arc<str>, price: Option<Price>) {
        self.attempts += 1;
        self.price = price;
        if let Some(held) = &mut self.held {
            held.sent();
        }
        self.lane = Some(self.snapshot.lane(id, key));
    }

    /// Counts what would have been done to it if limits were enforced, each once.
    pub fn would(&mut self, action: Would) {
        let bit = 1 << action as u8;
        if self.would & bit == 0 {
            self.would |= bit;
            let would = &self.snapshot.sheet.metrics().would;
            would.with_label_values(&[action.as_str()]).inc();
        }
    }

    /// Counts it among those that wait, for as long as the guard lives.
    pub fn waiting(&self) -> Waiting {
        self.snapshot.sheet.metrics().waiting(self.terms.priority.as_str())
    }

    /// Notes what the upstream answer meant.
    pub fn judged(&mut self, judgement: &Judgement, status: Option<u16>, samples: &[Sample]) {
        let Some(lane) = &self.lane else { return };
        lane.response(judgement.verdict);
        if !matches!(judgement.verdict, Verdict::Ok) {
            self.failures.push((Arc::clone(lane), judgement.verdict));
        }
        let now = self.now;
        self.last = Some(Last {
            verdict: judgement.verdict,
            status,
            limit: tightest(samples),
            code: judgement.code.clone(),
            retry_after: judgement.retry_at.map(|at| at.since(now)),
        });
    }

    /// Notes that the answer's head is on its way to the client, and the provider's id for it.
    pub fn answered(&mut self, status: u16, request_id: Option<HeaderValue>) {
        self.status = status;
        let took = self.tick().since(self.arrived.at);
        let metrics = self.snapshot.sheet.metrics();
        metrics.overhead.observe(took.saturating_sub(self.away).as_secs_f64());
        if self.queued > Duration::ZERO {
            metrics.queue_wait.observe(self.queued.as_secs_f64());
        }
        self.request_id = request_id.or_else(|| self.request_id.take());
    }

    /// Notes that the first byte of an answer's body is on its way to the client. False if it was
    /// before.
    pub fn first_byte(&mut self) -> bool {
        if self.first_byte.is_some() {
            return false;
        }
        let took = self.tick().since(self.arrived.at);
        self.first_byte = Some(took);
        self.snapshot.sheet.metrics().time_to_first_token.observe(took.as_secs_f64());
        true
    }

    /// Copies what is remembered of the heads, so that the buffers in which they came can go: an
    /// answer may flow for long.
    pub fn let_go(&mut self) {
        if std::mem::replace(&mut self.holds_copies, true) {
            return;
        }
        for value in [&mut self.request_id, &mut self.trace].into_iter().flatten() {
            if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
                *value = copy;
            }
        }
        if let Ok(path) = Uri::try_from(self.uri.path()) {
            self.uri = path;
        }
    }

    /// Notes that Keyweir itself refuses it.
    pub fn refused(&mut self, refusal: &Refusal, status: u16, request_id: HeaderValue) {
        self.refusal = refusal.reason.row().code;
        self.request_id = Some(request_id);
        self.snapshot.sheet.metrics().refusals.with_label_values(&[self.refusal]).inc();
        self.answered(status, None);
        self.close(Outcome::Refused, Ending::default());
    }

    /// The client's own id for the request, where it sent one that can be repeated.
    pub fn client_request_id(&self) -> Option<&HeaderValue> {
        self.request_id.as_ref()
    }

    /// So many output tokens have flowed: what goes beyond what its caller's limits hold is charged as
    /// it does.
    pub fn flow(&mut self, output: u64) {
        self.flowed = output;
        let price = self.price;
        if let Some(held) = &mut self.held {
            let usage = Usage { input: held.cost().input, output, ..Usage::default() };
            held.flow(&limits::charged_to_caller(&usage, price.as_ref()));
        }
    }

    /// Writes down how it ended, when the clock was last read. Only the first time counts.
    pub fn close(&mut self, outcome: Outcome, ending: Ending<'_>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let duration = self.now.since(self.arrived.at);
        self.snapshot.sheet.metrics().request_duration.observe(duration.as_secs_f64());
        let lane = self.lane.take().unwrap_or_else(|| self.snapshot.no_lane(self.caller));
        lane.request(outcome);
        let cost = self.price.zip(ending.usage).map(|(price, usage)| price.of(&usage));
        if let Some(usage) = &ending.usage {
            lane.usage(usage, cost);
        }
        self.settle(outcome, &ending);
        if outcome == Outcome::Ok {
            for (lane, verdict) in &self.failures {
                lane.absorb(*verdict);
            }
        }
        self.write_record(&lane, outcome, ending, cost, duration);
    }

    /// Settles with the caller's own limits: what the provider counted, else what is known of it. A
    /// request that Keyweir refused costs nothing, and one that the provider refused no tokens.
    fn settle(&mut self, outcome: Outcome, ending: &Ending<'_>) {
        let Some(held) = self.held.take() else { return };
        let price = self.price.as_ref();
        match (outcome, ending.usage) {
            (Outcome::Ok, Some(usage)) => held.settle(&limits::charged_to_caller(&usage, price)),
            (_, Some(usage)) => {
                let usage = Usage { output: usage.output.max(self.flowed), ..usage };
                held.settle(&limits::charged_to_caller(&usage, price));
            }
            (Outcome::Refused, None) => held.cancel(),
            (Outcome::ClientError | Outcome::UpstreamError, None) => held.settle(&Cost::REQUEST),
            (Outcome::Ok, None) => {
                let usage =
                    Usage { input: held.cost().input, output: self.flowed, ..Usage::default() };
                held.settle(&limits::charged_to_caller(&usage, price));
            }
            // Dropped: given back if it was not sent, and charged whole if it was.
            (Outcome::Cancelled, None) => drop(held),
        }
    }

    /// Says aloud, once in a window, that much of a caller's limit is used.
    pub fn warn(&self) {
        let Some(held) = &self.held else { return };
        for warning in held.warnings.iter().filter(|warning| warning.is_first) {
            let (caller, limit) = (&**held.purse().name(), warning.limit);
            let warnings = &self.snapshot.sheet.metrics().limit_warnings;
            warnings.with_label_values(&[caller, limit]).inc();
            tracing::warn!(
                caller,
                limit,
                used = warning.used,
                "A caller's limit is nearly used up"
            );
        }
    }

    fn write_record(
        &self,
        lane: &Lane,
        outcome: Outcome,
        ending: Ending<'_>,
        cost: Option<f64>,
        duration: Duration,
    ) {
        if !self.snapshot.access_log.wants(outcome, fastrand::f64) {
            return;
        }
        let now = self.arrived.at + duration;
        let Some(withheld) = self.snapshot.floodgate.admit(now) else { return };
        let text = |value: &Option<HeaderValue>| -> Box<str> {
            value.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default().into()
        };
        let labels = lane.labels();
        let last = self.last.as_ref();
        Record {
            request_id: &text(&self.request_id),
            trace_id: text(&self.trace).split('-').nth(1).unwrap_or_default(),
            caller: &labels.caller,
            method: self.method.as_str(),
            path: self.uri.path(),
            provider: &labels.provider,
            key: &labels.key,
            model: &labels.model,
            status: self.status,
            refusal: self.refusal,
            verdict: last.map(|last| last.verdict),
            upstream_status: last.and_then(|last| last.status),
            upstream_code: last.and_then(|last| last.code.as_deref()),
            limit: last.and_then(|last| last.limit),
            retry_after: last.and_then(|last| last.retry_after),
            attempts: self.attempts,
            queued: self.queued,
            ttft: self.first_byte,
            duration,
            usage: ending.usage,
            cost,
            ended: ending.word,
            outcome,
        }
        .write(withheld);
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Its beginning.
    pub from: Moment,
    /// Its end.
    pub until: Moment,
}

/// Waits for `future`, and tells how long that took. What it does at once is our own work: that is no
/// wait, and the clock is not read for it.
pub(super) async fn awaited<F: Future>(clock: Clock, future: F) -> (F::Output, Option<Span>) {
    let mut future = pin!(future);
    if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        return (output, None);
    }
    let from = clock.moment();
    let output = future.await;
    (output, Some(Span { from, until: clock.moment() }))
}

/// The sample with the least left, of its own limit.
fn tightest(samples: &[Sample]) -> Option<Sample> {
    let permille = |sample: &Sample| {
        let (limit, remaining) = (sample.limit?, sample.remaining?);
        remaining.saturating_mul(1_000).checked_div(limit)
    };
    samples.iter().min_by_key(|sample| permille(sample).unwrap_or(u64::MAX)).copied()
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.closed {
            self.tick();
            self.close(Outcome::Cancelled, Ending { word: "cancelled", ..Ending::default() });
        }
    }
}
