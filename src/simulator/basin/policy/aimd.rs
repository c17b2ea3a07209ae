//! A client that finds the limit by hitting it: the rate limiter of the AWS SDKs' adaptive retry mode,
//! one for each quota group and model, with its constants (`client_rate_limiter.rs` of `smithy-rs`).

use std::sync::Arc;

use super::Job;
use super::queued::Limiter;
use crate::clock::Moment;
use crate::simulator::basin::answer::Answer;
use crate::simulator::basin::number::seconds;
use crate::simulator::basin::score::is_limit;
use crate::simulator::basin::site::{Lane, Site};

#[derive(Debug)]
pub(super) struct Aimd(Vec<Rate>);

const MIN_FILL_RATE: f64 = 0.5;
const MIN_CAPACITY: f64 = 1.0;
const SMOOTH: f64 = 0.8;
const BETA: f64 = 0.7;
const SCALE: f64 = 0.4;

/// The limiter; times are seconds.
#[derive(Clone, Debug, Default)]
struct Rate {
    /// Only after the first throttle does it hold anything back.
    enabled: bool,
    refill: f64,
    max_capacity: f64,
    capacity: f64,
    filled_at: f64,
    measured: f64,
    bucket: f64,
    requests: f64,
    last_max: f64,
    throttled_at: f64,
    window: f64,
}

impl Limiter for Aimd {
    fn new(site: &Arc<Site>) -> Self {
        Self(vec![Rate::default(); site.cells()])
    }

    fn ready_at(&mut self, lane: Lane, _job: &Job, now: Moment) -> Moment {
        self.0.get_mut(lane.cell as usize).map_or(now, |rate| rate.ready_at(now))
    }

    fn sent(&mut self, lane: Lane, _job: &Job, _now: Moment) {
        if let Some(rate) = self.0.get_mut(lane.cell as usize) {
            rate.capacity -= 1.0;
        }
    }

    fn heard(&mut self, lane: Lane, _job: &Job, answer: &Answer, now: Moment) {
        if let Some(rate) = self.0.get_mut(lane.cell as usize) {
            rate.update(is_limit(answer.judgement.verdict), now);
        }
    }
}

impl Rate {
    fn ready_at(&mut self, now: Moment) -> Moment {
        if !self.enabled {
            return now;
        }
        self.refill(now);
        if self.capacity >= 1.0 {
            return now;
        }
        now + seconds((1.0 - self.capacity) / self.refill)
    }

    fn refill(&mut self, now: Moment) {
        let now = time(now);
        self.capacity += (now - self.filled_at) * self.refill;
        self.capacity = self.capacity.min(self.max_capacity);
        self.filled_at = now;
    }

    fn update(&mut self, throttled: bool, now: Moment) {
        self.measure(now);
        let calculated = if throttled {
            let rate = if self.enabled { self.measured.min(self.refill) } else { self.measured };
            self.last_max = rate;
            self.window = window(rate);
            self.throttled_at = time(now);
            self.enabled = true;
            BETA * rate
        } else {
            self.window = window(self.last_max);
            let since = time(now) - self.throttled_at - self.window;
            SCALE * since.powi(3) + self.last_max
        };
        self.refill(now);
        self.refill = calculated.min(2.0 * self.measured).max(MIN_FILL_RATE);
        self.max_capacity = self.refill.max(MIN_CAPACITY);
        self.capacity = self.capacity.min(self.max_capacity);
    }

    /// Requests a second, measured in half seconds and smoothed.
    fn measure(&mut self, now: Moment) {
        let bucket = (time(now) * 2.0).floor() / 2.0;
        self.requests += 1.0;
        if bucket > self.bucket {
            let current = self.requests / (bucket - self.bucket);
            self.measured = current * SMOOTH + self.measured * (1.0 - SMOOTH);
            self.requests = 0.0;
            self.bucket = bucket;
        }
    }
}

fn window(last_max: f64) -> f64 {
    (last_max * (1.0 - BETA) / SCALE).cbrt()
}

fn time(at: Moment) -> f64 {
    at.since(Moment::ZERO).as_secs_f64()
}
