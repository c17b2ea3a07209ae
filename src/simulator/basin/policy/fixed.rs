//! A sidecar that knows what is configured and nothing else: it counts for itself, and holds back
//! when it is told to. With the whole limit for each sidecar, and with an N-th of it.

use std::sync::Arc;

use jiff::Timestamp;

use super::Job;
use super::queued::Limiter;
use crate::clock::{Moment, Now};
use crate::simulator::basin::answer::Answer;
use crate::simulator::basin::score::is_limit;
use crate::simulator::basin::site::{Lane, Site};
use crate::simulator::meter::{Ask, Grant, Meter, Terms};

/// Every sidecar believes the whole limit its own.
#[derive(Debug)]
pub(super) struct Whole(Fixed);

/// Every sidecar takes an N-th.
#[derive(Debug)]
pub(super) struct Share(Fixed);

#[derive(Debug)]
struct Fixed {
    /// Of each cell, a model of what the provider counts, and until when it said to wait.
    cells: Vec<(Meter, Moment)>,
}

impl Fixed {
    fn new(site: &Site, share: u64) -> Self {
        let mut cells = Vec::new();
        for provider in &site.providers {
            for group in 0..provider.groups.len() {
                for model in 0..provider.models.len() {
                    let (grants, _) = provider.believed(group, model);
                    let part = |it: &Grant| Grant { amount: (it.amount / share).max(1), ..*it };
                    let grants: Vec<Grant> = grants.iter().map(part).collect();
                    let terms = Terms { quantum: provider.terms.quantum, ..Terms::default() };
                    let meter =
                        Meter::of(provider.tariff(model), &grants, &terms, wall(Moment::ZERO));
                    cells.push((meter, Moment::ZERO));
                }
            }
        }
        Self { cells }
    }

    fn ready_at(&mut self, lane: Lane, job: &Job, now: Moment) -> Moment {
        let Some((meter, hold)) = self.cells.get_mut(lane.cell as usize) else { return now };
        let wait = meter.check(asked(job), wall(now)).err().map(|it| it.retry_after);
        wait.map_or(now, |wait| now + wait).max(*hold)
    }

    fn sent(&mut self, lane: Lane, job: &Job, now: Moment) {
        if let Some((meter, _)) = self.cells.get_mut(lane.cell as usize) {
            meter.take(asked(job), wall(now));
        }
    }

    fn heard(&mut self, lane: Lane, answer: &Answer) {
        if let Some((_, hold)) = self.cells.get_mut(lane.cell as usize)
            && is_limit(answer.judgement.verdict)
            && let Some(retry_at) = answer.judgement.retry_at
        {
            *hold = retry_at.max(*hold);
        }
    }
}

impl Limiter for Whole {
    fn new(site: &Arc<Site>) -> Self {
        Self(Fixed::new(site, 1))
    }

    fn ready_at(&mut self, lane: Lane, job: &Job, now: Moment) -> Moment {
        self.0.ready_at(lane, job, now)
    }

    fn sent(&mut self, lane: Lane, job: &Job, now: Moment) {
        self.0.sent(lane, job, now);
    }

    fn heard(&mut self, lane: Lane, _job: &Job, answer: &Answer, _now: Moment) {
        self.0.heard(lane, answer);
    }
}

impl Limiter for Share {
    fn new(site: &Arc<Site>) -> Self {
        Self(Fixed::new(site, u64::from(site.sidecars)))
    }

    fn ready_at(&mut self, lane: Lane, job: &Job, now: Moment) -> Moment {
        self.0.ready_at(lane, job, now)
    }

    fn sent(&mut self, lane: Lane, job: &Job, now: Moment) {
        self.0.sent(lane, job, now);
    }

    fn heard(&mut self, lane: Lane, _job: &Job, answer: &Answer, _now: Moment) {
        self.0.heard(lane, answer);
    }
}

/// What such a sidecar believes that a request costs. Output that is metered it learns too late.
pub(super) fn asked(job: &Job) -> Ask {
    Ask { input: job.input, cached: 0, max_output: job.max_output, choices: 1 }
}

/// It keeps no calendar.
const fn wall(at: Moment) -> Now {
    Now { at, wall: Timestamp::UNIX_EPOCH }
}
