//! Who knows everything: one queue for all sidecars that looks into the providers' own limits. No
//! sidecar can do better without knowing the future, and what it sheds nobody could have served.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::fixed::asked;
use super::{Job, Out, Policy, Shed};
use crate::callers::Priority;
use crate::clock::Moment;
use crate::formats::{Usage, Verdict};
use crate::simulator::basin::answer::Answer;
use crate::simulator::basin::site::{Lane, Site};

/// The higher class first, then the earlier deadline, then the earlier request.
type Order = (Reverse<Priority>, Moment, u64);

#[derive(Debug)]
pub(super) struct Oracle {
    site: Arc<Site>,
    lines: Vec<BTreeMap<Order, Job>>,
    number: u64,
    wake_at: Moment,
}

impl Policy for Oracle {
    type Note = ();

    const CENTRAL: bool = true;

    fn new(site: &Arc<Site>, _sidecar: u32) -> Self {
        let lines = site.names.iter().map(|_| BTreeMap::new()).collect();
        Self { site: Arc::clone(site), lines, number: 0, wake_at: Moment::NEVER }
    }

    fn arrive(&mut self, job: &Job, out: &mut Out<'_, ()>) {
        self.join(job);
        self.pump(out);
    }

    fn heard(&mut self, job: &Job, (): (), answer: &Answer, out: &mut Out<'_, ()>) -> Option<()> {
        if answer.judgement.verdict == Verdict::Ok {
            return Some(());
        }
        self.join(job);
        self.pump(out);
        None
    }

    fn ended(&mut self, _job: &Job, (): (), _usage: &Usage, _out: &mut Out<'_, ()>) {}

    fn wake(&mut self, out: &mut Out<'_, ()>) {
        self.pump(out);
    }

    fn wake_at(&self) -> Moment {
        self.wake_at
    }
}

impl Oracle {
    fn join(&mut self, job: &Job) {
        self.number += 1;
        let order = (Reverse(job.priority), job.deadline, self.number);
        if let Some(line) = self.lines.get_mut(usize::from(job.name)) {
            line.insert(order, *job);
        }
    }

    fn pump(&mut self, out: &mut Out<'_, ()>) {
        self.wake_at = Moment::NEVER;
        for line in 0..self.lines.len() {
            self.serve(line, out);
        }
    }

    fn serve(&mut self, name: usize, out: &mut Out<'_, ()>) {
        while let Some((order, job)) =
            self.lines.get(name).and_then(BTreeMap::first_key_value).map(|(o, job)| (*o, *job))
        {
            let found = self.look(&job, out);
            match found {
                Ok(lane) if out.now <= job.deadline => {
                    out.send(&job, lane, ());
                    // What is sent is charged before the next one looks.
                    self.forget(name, order);
                    self.wake_at = self.wake_at.min(out.now);
                    return;
                }
                Err(Moment::NEVER) => out.shed(&job, Shed::Oversized),
                Err(until) if out.now < job.deadline => {
                    self.wake_at = self.wake_at.min(until).min(job.deadline);
                    return;
                }
                Ok(_) | Err(_) => out.shed(&job, Shed::Deadline),
            }
            self.forget(name, order);
        }
    }

    /// A way that is free, or when one will be; never, if none ever is.
    fn look(&self, job: &Job, out: &mut Out<'_, ()>) -> Result<Lane, Moment> {
        let lanes = self.site.name_of(job.name).map_or(&[][..], |name| &name.lanes);
        let mut soonest = Moment::NEVER;
        let shift = out.random.usize(0..lanes.len().max(1));
        for lane in lanes.iter().cycle().skip(shift).take(lanes.len()) {
            if !self.site.may(job.caller, *lane) || out.plant.is_dead(*lane) {
                continue;
            }
            match out.plant.check(*lane, asked(job), out.now) {
                Ok(()) => return Ok(*lane),
                Err(refusal) => soonest = soonest.min(out.now + refusal.retry_after),
            }
        }
        Err(soonest)
    }

    fn forget(&mut self, name: usize, order: Order) {
        if let Some(line) = self.lines.get_mut(name) {
            line.remove(&order);
        }
    }
}
