//! The very code that runs in the proxy: a pool of keys for each provider, and those who wait before
//! it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Job, Out, Policy, Shed};
use crate::clock::Moment;
use crate::formats::{Usage, Verdict};
use crate::keys::{
    Ask, Backoff, Body, Choice, KeyId, Nothing, Pool, Reservation, RetryBudget, Spec, Tried,
};
use crate::limits::{Cost, Demand, Lengths, Queue, Share, Sharing};
use crate::simulator::basin::answer::Answer;
use crate::simulator::basin::site::{Lane, Site, Target};

#[derive(Debug)]
pub(super) struct Keyweir {
    site: Arc<Site>,
    desks: Vec<Desk>,
    lines: Vec<Line>,
    backoff: Backoff,
}

/// One provider's pool.
#[derive(Debug)]
struct Desk {
    pool: Pool,
    /// The key's place in the spec, by its index in the pool.
    keys: Vec<u16>,
    budget: RetryBudget,
    /// How long the answers of each model are.
    lengths: Vec<Lengths>,
}

/// Who waits for a name.
#[derive(Debug)]
struct Line {
    queue: Queue<Trial>,
    wake: Moment,
}

/// A request, with what it has tried at each of its targets.
#[derive(Clone, Debug)]
struct Trial {
    job: Job,
    legs: SmallVec<[Leg; 2]>,
    random: u64,
}

#[derive(Clone, Copy, Debug)]
struct Leg {
    target: Target,
    tried: Tried,
    again_at: Option<Moment>,
    backoff: std::time::Duration,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Flight {
    reservation: Reservation,
    trial: Trial,
    leg: usize,
}

enum View {
    Go(usize, Reservation, Lane),
    Wait(Moment),
    Stuck(Shed),
}

/// As in the proxy.
const LONGEST_LINE: usize = 10_000;

impl Policy for Keyweir {
    type Note = Flight;

    fn new(site: &Arc<Site>, _sidecar: u32) -> Self {
        let line = |_| Line { queue: Queue::new(LONGEST_LINE), wake: Moment::NEVER };
        let retry = site.retry;
        Self {
            desks: site.providers.iter().map(|provider| Desk::new(site, provider)).collect(),
            lines: site.names.iter().map(line).collect(),
            backoff: Backoff { base: retry.base, max: retry.max },
            site: Arc::clone(site),
        }
    }

    fn arrive(&mut self, job: &Job, out: &mut Out<'_, Flight>) {
        let trial = self.trial(job, out);
        let behind =
            self.lines.get(usize::from(job.name)).is_some_and(|line| !line.queue.is_empty());
        if behind {
            self.join(trial, out);
        } else {
            self.attempt(trial, out);
        }
    }

    fn heard(
        &mut self,
        job: &Job,
        flight: Flight,
        answer: &Answer,
        out: &mut Out<'_, Flight>,
    ) -> Option<Flight> {
        let Flight { reservation, mut trial, leg } = flight;
        let provider = trial.legs.get(leg).map_or(0, |leg| usize::from(leg.target.provider));
        let Some(desk) = self.desks.get_mut(provider) else { return None };
        desk.pool.observe(&reservation, &answer.samples, out.now);
        let random = out.random.u64(..);
        desk.pool.report(&reservation, &answer.judgement, out.now, random);
        let verdict = answer.judgement.verdict;
        if verdict == Verdict::Ok {
            self.pump_all(out);
            return Some(Flight { reservation, trial, leg });
        }
        if let Some(leg) = trial.legs.get_mut(leg) {
            leg.tried.note(&reservation, verdict, 0);
        }
        desk.pool.settle(reservation, &Cost::REQUEST, out.now);
        debug_assert_eq!(job.id, trial.job.id);
        self.attempt(trial, out);
        self.pump_all(out);
        None
    }

    fn ended(&mut self, job: &Job, flight: Flight, usage: &Usage, out: &mut Out<'_, Flight>) {
        let Flight { reservation, trial, leg } = flight;
        debug_assert_eq!(job.id, trial.job.id);
        let provider = trial.legs.get(leg).map_or(0, |leg| usize::from(leg.target.provider));
        let model = trial.legs.get(leg).map_or(0, |leg| usize::from(leg.target.model));
        if let Some(desk) = self.desks.get_mut(provider) {
            if let Some(lengths) = desk.lengths.get_mut(model) {
                lengths.learn(usage.output);
            }
            let actual = desk.pool.charged(&reservation, usage);
            desk.pool.settle(reservation, &actual, out.now);
        }
        self.pump_all(out);
    }

    fn wake(&mut self, out: &mut Out<'_, Flight>) {
        self.pump_all(out);
    }

    fn wake_at(&self) -> Moment {
        self.lines.iter().map(|line| line.wake).min().unwrap_or(Moment::NEVER)
    }
}

impl Keyweir {
    fn trial(&self, job: &Job, out: &mut Out<'_, Flight>) -> Trial {
        let random = out.random.u64(..);
        let targets = self.site.name_of(job.name).map_or(&[][..], |name| &name.targets);
        let leg = |target: &Target| Leg {
            target: *target,
            tried: Tried::NOTHING,
            again_at: None,
            backoff: std::time::Duration::ZERO,
        };
        Trial { job: *job, legs: targets.iter().map(leg).collect(), random }
    }

    /// Sends a request, or has it wait, or gives it up.
    fn attempt(&mut self, mut trial: Trial, out: &mut Out<'_, Flight>) {
        match self.look(&mut trial, out) {
            View::Go(leg, reservation, lane) => {
                let job = trial.job;
                out.send(&job, lane, Flight { reservation, trial, leg });
            }
            View::Wait(until) if until <= trial.job.deadline && out.now < trial.job.deadline => {
                self.join(trial, out);
            }
            View::Wait(_) => out.shed(&trial.job, Shed::Deadline),
            View::Stuck(why) => out.shed(&trial.job, why),
        }
    }

    fn join(&mut self, trial: Trial, out: &mut Out<'_, Flight>) {
        let name = usize::from(trial.job.name);
        let Some(line) = self.lines.get_mut(name) else { return };
        if let Err(trial) = line.queue.push(trial.job.deadline, trial) {
            out.shed(&trial.job, Shed::QueueFull);
            return;
        }
        self.pump(name, out);
    }

    fn pump_all(&mut self, out: &mut Out<'_, Flight>) {
        for name in 0..self.lines.len() {
            self.pump(name, out);
        }
    }

    /// The head of a line tries its luck, and the next one after it.
    fn pump(&mut self, name: usize, out: &mut Out<'_, Flight>) {
        let mut wake = Moment::NEVER;
        loop {
            let Some(line) = self.lines.get_mut(name) else { return };
            let Some(mut trial) = line.queue.pop() else { break };
            match self.look(&mut trial, out) {
                View::Go(leg, reservation, lane) => {
                    let job = trial.job;
                    out.send(&job, lane, Flight { reservation, trial, leg });
                }
                View::Wait(until)
                    if until <= trial.job.deadline && out.now < trial.job.deadline =>
                {
                    wake = until;
                    if let Some(line) = self.lines.get_mut(name) {
                        let deadline = trial.job.deadline;
                        drop(line.queue.push(deadline, trial));
                    }
                    break;
                }
                View::Wait(_) => out.shed(&trial.job, Shed::Deadline),
                View::Stuck(why) => out.shed(&trial.job, why),
            }
        }
        if let Some(line) = self.lines.get_mut(name) {
            line.wake = wake;
        }
    }

    /// Asks the desk of every target, in order.
    fn look(&mut self, trial: &mut Trial, out: &mut Out<'_, Flight>) -> View {
        let (mut soonest, mut why) = (None, Shed::NoKey);
        for leg in 0..trial.legs.len() {
            match self.look_at(trial, leg, out) {
                View::Wait(until) => {
                    soonest = Some(soonest.map_or(until, |at: Moment| at.min(until)));
                }
                View::Stuck(reason) => why = reason,
                go @ View::Go(..) => return go,
            }
        }
        soonest.map_or(View::Stuck(why), View::Wait)
    }

    fn look_at(&mut self, trial: &mut Trial, nth: usize, out: &mut Out<'_, Flight>) -> View {
        let Trial { job, legs, random } = trial;
        let Some(leg) = legs.get_mut(nth) else { return View::Stuck(Shed::NoKey) };
        let provider = usize::from(leg.target.provider);
        let (Some(desk), Some(site)) =
            (self.desks.get_mut(provider), self.site.providers.get(provider))
        else {
            return View::Stuck(Shed::NoKey);
        };
        let now = out.now;
        if let Some(at) = leg.again_at.filter(|at| *at <= now) {
            if desk.budget.withdraw(at.max(now)) {
                leg.again_at = None;
                leg.tried.again();
            } else {
                leg.again_at = Some(desk.budget.next(now));
            }
        }
        *random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        let model = site.models.get(usize::from(leg.target.model)).map_or("", |model| model);
        let demand = desk.demand(leg.target, job);
        let ask = Ask {
            model,
            caller: self.site.caller(job.caller),
            cost: desk.pool.cost(model, &demand),
            tried: &leg.tried,
            preferred: None,
            stored_in: None,
            body: Body::Replayable,
            random: *random,
        };
        match desk.pool.choose(&ask, now) {
            Choice::Send(reservation) => {
                if leg.tried.nothing() {
                    desk.budget.deposit(now);
                }
                let key = desk.place(reservation.key());
                let lane = self.site.lane(leg.target.provider, key, leg.target.model);
                View::Go(nth, reservation, lane)
            }
            Choice::Wait(wait) => {
                let again = wait.again.map(|told| leg.again(told, self.backoff, out));
                View::Wait(again.map_or(wait.until, |again| again.min(wait.until)))
            }
            Choice::Nothing(Nothing::AllTried(told)) => {
                View::Wait(leg.again(told, self.backoff, out))
            }
            Choice::Nothing(Nothing::Oversized(_)) => View::Stuck(Shed::Oversized),
            Choice::Nothing(_) => View::Stuck(Shed::NoKey),
        }
    }
}

impl Leg {
    fn again(&mut self, told: Moment, backoff: Backoff, out: &mut Out<'_, Flight>) -> Moment {
        let Self { again_at, backoff: last, .. } = self;
        *again_at.get_or_insert_with(|| {
            *last = backoff.next(*last, out.random.u64(..));
            told.max(out.now + *last)
        })
    }
}

impl Desk {
    fn new(site: &Site, provider: &crate::simulator::basin::site::Provider) -> Self {
        let mut pool = Pool::default();
        pool.set_wall(site.start);
        let others = site.told.filter(|count| count.get() > 1);
        let sharing = others.map_or(Sharing::Learned, |it| Sharing::Floor(Share::one_of(it)));
        let spec = Spec { sharing, ..provider.spec.clone() };
        let rebuilt = pool.rebuild(spec, Moment::ZERO);
        let mut keys = vec![0; 256];
        for (place, key) in (0_u16..).zip(&rebuilt.keys) {
            if let Some(slot) = key.and_then(|key: KeyId| keys.get_mut(key.index())) {
                *slot = place;
            }
        }
        let budget = RetryBudget::new(site.retry.permille, site.retry.floor, Moment::ZERO);
        let lengths = provider.models.iter().map(|_| Lengths::default()).collect();
        Self { pool, keys, budget, lengths }
    }

    /// What a request will need, as far as can be told.
    fn demand(&self, target: Target, job: &Job) -> Demand {
        let lengths = self.lengths.get(usize::from(target.model));
        Demand {
            input: job.input,
            cached: 0,
            output: lengths.map_or(0, Lengths::mean),
            output_high: lengths.map_or(0, Lengths::high),
            max_output: job.max_output,
            choices: 1,
        }
    }

    fn place(&self, key: KeyId) -> u16 {
        self.keys.get(key.index()).copied().unwrap_or(0)
    }
}
