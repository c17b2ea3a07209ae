//! The access record: one line for one request, naming no key's value, prompt or answer.

use std::sync::Mutex;
use std::time::Duration;

use super::Outcome;
use crate::clock::Moment;
use crate::formats::{Sample, Usage, Verdict};

/// Which requests leave an access record.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AccessLog {
    /// None.
    Off,
    /// Those that failed for the application.
    #[default]
    Failures,
    /// All.
    All,
    /// All failures, and this share (0 to 1) of the rest.
    Sample(f64),
}

impl AccessLog {
    /// Whether a request that ended like that is written down; `random` is uniform in 0 to 1.
    pub fn wants(self, outcome: Outcome, random: impl FnOnce() -> f64) -> bool {
        let failed = !matches!(outcome, Outcome::Ok | Outcome::Cancelled);
        match self {
            Self::Off => false,
            Self::Failures => failed,
            Self::All => true,
            Self::Sample(share) => failed || random() < share,
        }
    }
}

/// What is written down of one request.
#[derive(Debug)]
pub struct Record<'a> {
    /// The id in the answer's `x-request-id`.
    pub request_id: &'a str,
    /// The trace of the caller's `traceparent`.
    pub trace_id: &'a str,
    /// Who asked.
    pub caller: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path, without its query.
    pub path: &'a str,
    /// Who answered; empty if nobody did.
    pub provider: &'a str,
    /// The name of the key that was used.
    pub key: &'a str,
    /// The model that was asked for at the provider.
    pub model: &'a str,
    /// The status that the client saw.
    pub status: u16,
    /// The code of a refusal; empty for an answer.
    pub refusal: &'a str,
    /// The last upstream answer, judged.
    pub verdict: Option<Verdict>,
    /// Its status.
    pub upstream_status: Option<u16>,
    /// The provider's own word in it.
    pub upstream_code: Option<&'a str>,
    /// The tightest limit that its headers told of.
    pub limit: Option<Sample>,
    /// When the provider said to come back, from its answer on.
    pub retry_after: Option<Duration>,
    /// Tries sent upstream.
    pub attempts: u32,
    /// Waiting for capacity.
    pub queued: Duration,
    /// To the first byte of the answer.
    pub ttft: Option<Duration>,
    /// To the end of the answer.
    pub duration: Duration,
    /// Tokens that the provider counted.
    pub usage: Option<Usage>,
    /// What they cost, in US dollars.
    pub cost: Option<f64>,
    /// How the answer ended: `complete`, `cut`, `error`, `cancelled` or empty.
    pub ended: &'a str,
    /// How the request ended for the application.
    pub outcome: Outcome,
}

/// Records a second that are written before the rest of that second is only counted.
const PER_SECOND: u32 = 100;

/// Keeps the access log from becoming a flood.
#[derive(Debug, Default)]
pub struct Floodgate(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    began: Moment,
    written: u32,
    withheld: u32,
}

impl Floodgate {
    /// Whether one more may be written now, and how many were withheld since the last.
    pub fn admit(&self, now: Moment) -> Option<u32> {
        let mut second = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if now.since(second.began) >= Duration::from_secs(1) {
            second.began = now;
            second.written = 0;
        }
        if second.written >= PER_SECOND {
            second.withheld += 1;
            return None;
        }
        second.written += 1;
        Some(std::mem::take(&mut second.withheld))
    }
}

impl Record<'_> {
    /// Writes it to the log; `withheld` records before it were not.
    pub fn write(&self, withheld: u32) {
        let usage = self.usage.unwrap_or_default();
        tracing::info!(
            target: "access",
            request_id = self.request_id,
            trace_id = self.trace_id,
            caller = self.caller,
            method = self.method,
            path = self.path,
            provider = self.provider,
            key = self.key,
            model = self.model,
            status = self.status,
            refusal = self.refusal,
            verdict = self.verdict.map_or("", Verdict::as_str),
            upstream_status = self.upstream_status,
            upstream_code = self.upstream_code,
            limit_dimension = self.limit.map(|limit| limit.dimension.as_str()),
            limit = self.limit.and_then(|limit| limit.limit),
            limit_remaining = self.limit.and_then(|limit| limit.remaining),
            limit_reset_ms = self.limit.and_then(|limit| limit.reset_in).map(millis),
            retry_after_ms = self.retry_after.map(millis),
            attempts = self.attempts,
            queued_ms = millis(self.queued),
            ttft_ms = self.ttft.map(millis),
            duration_ms = millis(self.duration),
            input_tokens = usage.input,
            output_tokens = usage.output,
            cached_input_tokens = usage.cached_input,
            reasoning_tokens = usage.reasoning,
            cost_usd = self.cost,
            ended = self.ended,
            outcome = self.outcome.as_str(),
            withheld,
            "Request"
        );
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_always_written_unless_the_log_is_off() {
        let sampled = AccessLog::Sample(0.5);
        assert!(sampled.wants(Outcome::Refused, || 0.9));
        assert!(sampled.wants(Outcome::Ok, || 0.4));
        assert!(!sampled.wants(Outcome::Ok, || 0.6));
        assert!(!AccessLog::Off.wants(Outcome::Refused, || 0.0));
        assert!(!AccessLog::Failures.wants(Outcome::Ok, || 0.0));
    }

    #[test]
    fn a_storm_is_counted_once_a_hundred_a_second_are_written() {
        let gate = Floodgate::default();
        let start = Moment::from_nanos(1);
        let written = (0..1_000).filter(|_| gate.admit(start).is_some()).count();
        assert_eq!(written, 100);
        assert_eq!(gate.admit(start + Duration::from_secs(1)), Some(900));
        assert_eq!(gate.admit(start + Duration::from_secs(1)), Some(0));
    }
}
