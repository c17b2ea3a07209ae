//! What the policies that are compared with have in common: a plain queue, first come first served,
//! before a limiter that says of each key when it may be used.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Job, Out, Policy, Shed};
use crate::clock::Moment;
use crate::formats::{Usage, Verdict};
use crate::simulator::basin::answer::Answer;
use crate::simulator::basin::site::{Lane, Site};

/// When a key may be used, as one policy sees it.
pub(super) trait Limiter {
    /// The limiter of a sidecar.
    fn new(site: &Arc<Site>) -> Self;

    /// From when on a request may be sent that way, if nothing happens before.
    fn ready_at(&mut self, lane: Lane, job: &Job, now: Moment) -> Moment;

    /// A request is sent that way.
    fn sent(&mut self, lane: Lane, job: &Job, now: Moment);

    /// It was answered.
    fn heard(&mut self, lane: Lane, job: &Job, answer: &Answer, now: Moment);
}

/// Requests that wait in a line for each name.
#[derive(Debug)]
pub(super) struct Queued<L> {
    site: Arc<Site>,
    limiter: L,
    lines: Vec<VecDeque<Job>>,
    /// Until when a key or model is left alone that failed.
    rests: Vec<(Lane, Moment)>,
    turn: usize,
    wakes: Vec<Moment>,
}

/// A key that was refused is left alone for so long (`LiteLLM`'s cooldown).
const KEY_RESTS: Duration = Duration::from_mins(1);
/// A model that failed is left alone for so long (the same).
const MODEL_RESTS: Duration = Duration::from_secs(5);

impl<L: Limiter> Policy for Queued<L> {
    type Note = Lane;

    fn new(site: &Arc<Site>, _sidecar: u32) -> Self {
        Self {
            site: Arc::clone(site),
            limiter: L::new(site),
            lines: site.names.iter().map(|_| VecDeque::new()).collect(),
            rests: Vec::new(),
            turn: 0,
            wakes: vec![Moment::NEVER; site.names.len()],
        }
    }

    fn arrive(&mut self, job: &Job, out: &mut Out<'_, Lane>) {
        let Some(line) = self.lines.get_mut(usize::from(job.name)) else { return };
        line.push_back(*job);
        if line.len() == 1 {
            self.pump(usize::from(job.name), out);
        }
    }

    fn heard(
        &mut self,
        job: &Job,
        lane: Lane,
        answer: &Answer,
        out: &mut Out<'_, Lane>,
    ) -> Option<Lane> {
        self.limiter.heard(lane, job, answer, out.now);
        let rest = match answer.judgement.verdict {
            Verdict::Ok => return Some(lane),
            Verdict::RateLimited | Verdict::QuotaExhausted => None,
            Verdict::Overloaded | Verdict::ServerError => Some(MODEL_RESTS),
            Verdict::BillingExhausted
            | Verdict::KeyInvalid
            | Verdict::Suspended
            | Verdict::KeyForbidden
            | Verdict::Timeout
            | Verdict::ConnectFailed
            | Verdict::RequestInvalid
            | Verdict::MidStream => Some(KEY_RESTS),
        };
        if let Some(rest) = rest {
            self.rests.retain(|(resting, until)| *until > out.now && *resting != lane);
            self.rests.push((lane, out.now + rest));
        }
        if let Some(line) = self.lines.get_mut(usize::from(job.name)) {
            line.push_front(*job);
        }
        self.pump(usize::from(job.name), out);
        None
    }

    fn ended(&mut self, _job: &Job, _lane: Lane, _usage: &Usage, _out: &mut Out<'_, Lane>) {}

    fn wake(&mut self, out: &mut Out<'_, Lane>) {
        for name in 0..self.lines.len() {
            self.pump(name, out);
        }
    }

    fn wake_at(&self) -> Moment {
        self.wakes.iter().copied().min().unwrap_or(Moment::NEVER)
    }
}

impl<L: Limiter> Queued<L> {
    /// Serves a line as far as it goes.
    fn pump(&mut self, name: usize, out: &mut Out<'_, Lane>) {
        let mut wake = Moment::NEVER;
        while let Some(job) = self.lines.get(name).and_then(VecDeque::front).copied() {
            let (ready, lane) = self.choose(&job, out.now);
            let over = job.deadline <= out.now || ready == Moment::NEVER && lane.is_none();
            if let Some(lane) = lane.filter(|_| ready <= out.now && !over) {
                self.limiter.sent(lane, &job, out.now);
                out.send(&job, lane, lane);
            } else if over {
                out.shed(&job, if lane.is_none() { Shed::NoKey } else { Shed::Deadline });
            } else {
                wake = ready.min(job.deadline);
                break;
            }
            if let Some(line) = self.lines.get_mut(name) {
                line.pop_front();
            }
        }
        if let Some(place) = self.wakes.get_mut(name) {
            *place = wake;
        }
    }

    /// The way that is ready first; of several that are ready, each in turn.
    fn choose(&mut self, job: &Job, now: Moment) -> (Moment, Option<Lane>) {
        let site = Arc::clone(&self.site);
        let lanes = site.name_of(job.name).map_or(&[][..], |name| &name.lanes);
        self.turn = self.turn.wrapping_add(1);
        let mut best = (Moment::NEVER, None);
        for step in 0..lanes.len() {
            let Some(lane) = lanes.get((self.turn + step) % lanes.len()) else { continue };
            if !site.may(job.caller, *lane) {
                continue;
            }
            let rests = self.rests.iter().find(|(resting, _)| resting == lane);
            let rests = rests.map_or(Moment::ZERO, |(_, until)| *until);
            let ready = self.limiter.ready_at(*lane, job, now).max(rests);
            if ready <= now {
                return (ready, Some(*lane));
            }
            if best.1.is_none() || ready < best.0 {
                best = (ready, Some(*lane));
            }
        }
        best
    }
}
