//! What gateways do by default: any key, and after a failure another one, six tries with a back-off
//! that doubles; then the client has the provider's 429.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::{Job, Out, Policy, Shed};
use crate::clock::Moment;
use crate::formats::Usage;
use crate::simulator::basin::answer::Answer;
use crate::simulator::basin::number::seconds;
use crate::simulator::basin::score::is_limit;
use crate::simulator::basin::site::{Lane, Site};

/// Tries of one request.
const TRIES: u32 = 6;
/// The first wait, in seconds, and the longest.
const FIRST: f64 = 0.5;
const LONGEST: f64 = 8.0;

#[derive(Debug)]
pub(super) struct Rotate {
    site: Arc<Site>,
    again: BinaryHeap<Reverse<Again>>,
    number: u64,
}

/// How often a request was tried.
#[derive(Debug)]
pub(super) struct Tries(u32);

#[derive(Debug)]
struct Again {
    at: Moment,
    number: u64,
    job: Job,
    tries: u32,
}

impl Policy for Rotate {
    type Note = Tries;

    fn new(site: &Arc<Site>, _sidecar: u32) -> Self {
        Self { site: Arc::clone(site), again: BinaryHeap::new(), number: 0 }
    }

    fn arrive(&mut self, job: &Job, out: &mut Out<'_, Tries>) {
        self.attempt(job, 0, out);
    }

    fn heard(
        &mut self,
        job: &Job,
        Tries(tries): Tries,
        answer: &Answer,
        out: &mut Out<'_, Tries>,
    ) -> Option<Tries> {
        if answer.judgement.verdict == crate::formats::Verdict::Ok {
            return Some(Tries(tries));
        }
        if tries >= TRIES || out.now >= job.deadline {
            let limit = is_limit(answer.judgement.verdict);
            out.shed(job, if limit { Shed::Passed429 } else { Shed::Failed });
            return None;
        }
        let most = (FIRST * 2_f64.powi(i32::try_from(tries).unwrap_or(0) - 1)).min(LONGEST);
        let wait = seconds(most * (0.5 + 0.5 * out.random.f64()));
        self.number += 1;
        let (at, number) = (out.now + wait, self.number);
        self.again.push(Reverse(Again { at, number, job: *job, tries }));
        None
    }

    fn ended(&mut self, _job: &Job, _tries: Tries, _usage: &Usage, _out: &mut Out<'_, Tries>) {}

    fn wake(&mut self, out: &mut Out<'_, Tries>) {
        while self.again.peek().is_some_and(|Reverse(next)| next.at <= out.now) {
            if let Some(Reverse(next)) = self.again.pop() {
                self.attempt(&next.job, next.tries, out);
            }
        }
    }

    fn wake_at(&self) -> Moment {
        self.again.peek().map_or(Moment::NEVER, |Reverse(next)| next.at)
    }
}

impl Rotate {
    fn attempt(&self, job: &Job, tries: u32, out: &mut Out<'_, Tries>) {
        let lanes = self.site.name_of(job.name).map_or(&[][..], |name| &name.lanes);
        let usable = || lanes.iter().filter(|lane| self.site.may(job.caller, **lane));
        let count = usable().count();
        let chosen: Option<&Lane> =
            if count == 0 { None } else { usable().nth(out.random.usize(0..count)) };
        match chosen {
            Some(lane) => out.send(job, *lane, Tries(tries + 1)),
            None => out.shed(job, Shed::NoKey),
        }
    }
}

impl PartialEq for Again {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Again {}

impl PartialOrd for Again {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Again {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
