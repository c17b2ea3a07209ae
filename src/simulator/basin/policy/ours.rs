//! The very code that runs in the proxy: admission of each provider, and requests that stand before
//! one or several of them.

mod desk;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::{Job, Out, Policy, Shed};
use crate::clock::Moment;
use crate::formats::{Usage, Verdict};
use crate::keys::{
    Ask, Backoff, Body, Decision, Nothing, Outcome, Place, Refused, Reservation, Tried, Why,
};
use crate::limits::{Claim, Cost};
use crate::simulator::basin::answer::Answer;
use crate::simulator::basin::site::{Name, Site, Target};
use desk::Desk;

#[derive(Debug)]
pub(super) struct Keyweir {
    site: Arc<Site>,
    desks: Vec<Desk>,
    /// Those who wait, by the number of their job.
    waiting: HashMap<u32, Trial>,
    /// When to look at them again if nobody calls them.
    alarms: BTreeSet<(Moment, u32)>,
    backoff: Backoff,
}

/// A request, with what it has tried at each of its targets.
#[derive(Clone, Debug)]
struct Trial {
    job: Job,
    legs: SmallVec<[Leg; 2]>,
    random: u64,
    /// When it looks again by itself.
    alarm: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Leg {
    target: Target,
    tried: Tried,
    again_at: Option<Moment>,
    backoff: Duration,
    /// Its place before that target's desk.
    place: Option<Place>,
    /// Why it was turned away there.
    away: Option<Shed>,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Flight {
    reservation: Reservation,
    trial: Trial,
    leg: usize,
}

/// Who is called: the job, and which of its legs.
type Waiter = (u32, usize);

impl Policy for Keyweir {
    type Note = Flight;

    fn new(site: &Arc<Site>, _sidecar: u32) -> Self {
        let retry = site.retry;
        Self {
            desks: site.providers.iter().map(|provider| Desk::new(site, provider)).collect(),
            waiting: HashMap::new(),
            alarms: BTreeSet::new(),
            backoff: Backoff { base: retry.base, max: retry.max },
            site: Arc::clone(site),
        }
    }

    fn arrive(&mut self, job: &Job, out: &mut Out<'_, Flight>) {
        let trial = self.trial(job, out);
        self.attempt(trial, out);
        self.call(out);
    }

    fn heard(
        &mut self,
        job: &Job,
        flight: Flight,
        answer: &Answer,
        out: &mut Out<'_, Flight>,
    ) -> Option<Flight> {
        let Flight { reservation, mut trial, leg } = flight;
        debug_assert_eq!(job.id, trial.job.id);
        let desk = self.desks.get_mut(trial.provider(leg))?;
        desk.admission.observe(&reservation, &answer.samples, out.now);
        let random = out.random.u64(..);
        desk.admission.report(&reservation, &answer.judgement, out.now, random);
        let verdict = answer.judgement.verdict;
        if verdict == Verdict::Ok {
            self.call(out);
            return Some(Flight { reservation, trial, leg });
        }
        if let Some(leg) = trial.legs.get_mut(leg) {
            leg.tried.note(&reservation, verdict, 0);
        }
        desk.admission.settle(reservation, &Cost::REQUEST, out.now);
        self.attempt(trial, out);
        self.call(out);
        None
    }

    fn ended(&mut self, job: &Job, flight: Flight, usage: &Usage, out: &mut Out<'_, Flight>) {
        let Flight { reservation, trial, leg } = flight;
        debug_assert_eq!(job.id, trial.job.id);
        let model = trial.legs.get(leg).map_or(0, |leg| usize::from(leg.target.model));
        if let Some(desk) = self.desks.get_mut(trial.provider(leg)) {
            desk.ended(reservation, model, usage, out.now);
        }
        self.call(out);
    }

    fn wake(&mut self, out: &mut Out<'_, Flight>) {
        self.call(out);
        while let Some((_, id)) = self.alarms.first().copied().filter(|(at, _)| *at <= out.now) {
            self.alarms.pop_first();
            if let Some(trial) = self.waiting.remove(&id) {
                self.attempt(trial, out);
                self.call(out);
            }
        }
    }

    fn wake_at(&self) -> Moment {
        let desks = self.desks.iter().filter_map(|desk| desk.admission.wake());
        let alarm = self.alarms.first().map(|(at, _)| *at);
        desks.chain(alarm).min().unwrap_or(Moment::NEVER)
    }
}

impl Keyweir {
    fn trial(&self, job: &Job, out: &mut Out<'_, Flight>) -> Trial {
        let random = out.random.u64(..);
        let name = self.site.name_of(job.name);
        let targets = name.map_or(&[][..], |name| &name.targets);
        let leg = |target: &Target| Leg {
            target: *target,
            tried: Tried::NOTHING,
            again_at: None,
            backoff: Duration::ZERO,
            place: None,
            away: None,
        };
        let mut legs: SmallVec<_> = targets.iter().map(leg).collect();
        let weights = || targets.iter().map(|target| u64::from(target.weight));
        if name.is_some_and(Name::weighted) && weights().sum::<u64>() > 0 {
            // One by weight first, the others in order behind it.
            let mut drawn = out.random.u64(..weights().sum::<u64>());
            let first = weights().position(|weight| match drawn.checked_sub(weight) {
                Some(rest) => {
                    drawn = rest;
                    false
                }
                None => true,
            });
            if let Some(ahead) = first.and_then(|first| legs.get_mut(..=first)) {
                ahead.rotate_right(1);
            }
        }
        Trial { job: *job, legs, random, alarm: Moment::NEVER }
    }

    /// What the desk of every target says, in order: a target that has no capacity yields to the next
    /// one, and waiting comes last.
    fn attempt(&mut self, mut trial: Trial, out: &mut Out<'_, Flight>) {
        let deadline = trial.job.deadline;
        let (late, several) = (out.now >= deadline, trial.legs.len() > 1);
        if late {
            self.leave_all(&mut trial);
        }
        for leg in 0..trial.legs.len() {
            self.pay_for_again(&mut trial, leg, out.now);
            let until = if several || late { out.now } else { deadline };
            if let Some(reservation) = self.stand(&mut trial, leg, until, out) {
                return self.send(trial, leg, reservation, out);
            }
        }
        for leg in 0..trial.legs.len() {
            if several
                && !late
                && let Some(reservation) = self.stand(&mut trial, leg, deadline, out)
            {
                return self.send(trial, leg, reservation, out);
            }
        }
        self.wait(trial, out);
    }

    /// It waits until it is called, or what it tried may be tried again, or its deadline has come.
    fn wait(&mut self, mut trial: Trial, out: &mut Out<'_, Flight>) {
        let deadline = trial.job.deadline;
        let again = trial.legs.iter().filter_map(|leg| leg.again_at);
        let place = trial.legs.iter().any(|leg| leg.place.is_some()).then_some(deadline);
        match again.chain(place).min() {
            Some(alarm) if alarm <= deadline && out.now < deadline => {
                trial.alarm = alarm.max(out.now + Duration::from_nanos(1));
                self.alarms.insert((trial.alarm, trial.job.id));
                self.waiting.insert(trial.job.id, trial);
            }
            _ => {
                self.leave_all(&mut trial);
                let away = trial.legs.iter().filter_map(|leg| leg.away).min();
                out.shed(&trial.job, away.unwrap_or(Shed::Deadline));
            }
        }
    }

    /// Takes the capacity and gives all places up.
    fn send(
        &mut self,
        mut trial: Trial,
        leg: usize,
        reservation: Reservation,
        out: &mut Out<'_, Flight>,
    ) {
        self.leave_all(&mut trial);
        let job = trial.job;
        let provider = trial.provider(leg);
        let Some(desk) = self.desks.get(provider) else { return };
        let model = trial.legs.get(leg).map_or(0, |leg| leg.target.model);
        let key = desk.place(reservation.key());
        let lane = self.site.lane(u16::try_from(provider).unwrap_or(0), key, model);
        out.send(&job, lane, Flight { reservation, trial, leg });
    }

    /// Calls everybody whose turn has come.
    fn call(&mut self, out: &mut Out<'_, Flight>) {
        for provider in 0..self.desks.len() {
            while let Some(desk) = self.desks.get_mut(provider)
                && let Some(((id, leg), outcome)) = desk.admission.next(out.now)
            {
                self.called(provider, (id, leg), outcome, out);
            }
        }
    }

    fn called(
        &mut self,
        provider: usize,
        (id, leg): Waiter,
        outcome: Outcome,
        out: &mut Out<'_, Flight>,
    ) {
        let Some(mut trial) = self.take_out(id) else {
            if let (Outcome::Send(reservation), Some(desk)) =
                (outcome, self.desks.get_mut(provider))
            {
                desk.admission.cancel(reservation, out.now);
            }
            return;
        };
        if let Some(leg) = trial.legs.get_mut(leg) {
            leg.place = None;
        }
        match self.settle_for(&mut trial, leg, outcome, out) {
            Some(reservation) => self.send(trial, leg, reservation, out),
            None => self.wait(trial, out),
        }
    }

    fn take_out(&mut self, id: u32) -> Option<Trial> {
        let trial = self.waiting.remove(&id)?;
        self.alarms.remove(&(trial.alarm, id));
        Some(trial)
    }

    fn leave_all(&mut self, trial: &mut Trial) {
        for leg in &mut trial.legs {
            let desk = self.desks.get_mut(usize::from(leg.target.provider));
            if let (Some(desk), Some(place)) = (desk, leg.place.take()) {
                desk.admission.leave(place);
            }
        }
    }

    /// What was tried is tried again once its moment has come and the budget pays for it.
    fn pay_for_again(&mut self, trial: &mut Trial, nth: usize, now: Moment) {
        let provider = trial.provider(nth);
        let Some(leg) = trial.legs.get_mut(nth) else { return };
        let Some(desk) = self.desks.get_mut(provider) else { return };
        if leg.again_at.is_none_or(|again_at| again_at > now) {
            return;
        }
        if let Err(next) = desk.admission.retry(now) {
            leg.again_at = Some(next);
        } else {
            leg.again_at = None;
            leg.tried.again();
            if let Some(place) = leg.place.take() {
                desk.admission.leave(place);
            }
        }
    }

    /// Asks the desk of a target for leave to send, and stands there until that moment where it has no
    /// place yet.
    fn stand(
        &mut self,
        trial: &mut Trial,
        nth: usize,
        until: Moment,
        out: &mut Out<'_, Flight>,
    ) -> Option<Reservation> {
        let provider = trial.provider(nth);
        trial.random = trial.random.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        let Trial { job, legs, random, .. } = &*trial;
        let leg = legs.get(nth).filter(|leg| leg.place.is_none())?;
        let desk = self.desks.get_mut(provider)?;
        let site = self.site.providers.get(provider)?;
        let model = site.models.get(usize::from(leg.target.model)).map_or("", |model| model);
        let cost = desk.cost(leg.target, model, job);
        let ask = Ask {
            model,
            caller: self.site.caller(job.caller),
            cost,
            tried: &leg.tried,
            prefix: job.prefix,
            stored_in: None,
            body: Body::Replayable,
            random: *random,
        };
        let (priority, caller) = (job.priority, job.caller.into());
        let claim = Claim { priority, caller, deadline: until, cost };
        let id = job.id;
        match desk.admission.arrive(&ask, &claim, || (id, nth), out.now) {
            Decision::Now(outcome) => self.settle_for(trial, nth, outcome, out),
            Decision::Waits(place) => {
                let leg = trial.legs.get_mut(nth)?;
                leg.place = Some(place);
                leg.away = None;
                leg.plan_again(place.again, self.backoff, out);
                None
            }
        }
    }

    fn settle_for(
        &mut self,
        trial: &mut Trial,
        nth: usize,
        outcome: Outcome,
        out: &mut Out<'_, Flight>,
    ) -> Option<Reservation> {
        let leg = trial.legs.get_mut(nth)?;
        let (away, again) = match outcome {
            Outcome::Send(reservation) => return Some(reservation),
            Outcome::Refused(Refused { why: Why::Full, again, .. }) => (Shed::QueueFull, again),
            Outcome::Refused(Refused { why: Why::Late, again, .. }) => (Shed::Deadline, again),
            Outcome::Nothing(Nothing::AllTried(told)) => (Shed::Deadline, Some(told)),
            Outcome::Nothing(Nothing::Oversized(_)) => (Shed::Oversized, None),
            Outcome::Nothing(_) => (Shed::NoKey, None),
        };
        leg.away = Some(away);
        leg.plan_again(again, self.backoff, out);
        None
    }
}

impl Trial {
    fn provider(&self, leg: usize) -> usize {
        self.legs.get(leg).map_or(0, |leg| usize::from(leg.target.provider))
    }
}

impl Leg {
    fn plan_again(&mut self, told: Option<Moment>, backoff: Backoff, out: &mut Out<'_, Flight>) {
        if let Some(told) = told
            && self.again_at.is_none()
        {
            self.backoff = backoff.next(self.backoff, out.random.u64(..));
            self.again_at = Some(told.max(out.now + self.backoff));
        }
    }
}
