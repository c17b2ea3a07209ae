//! The loop of time: requests come, sidecars decide, providers answer.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::agenda::Agenda;
use super::answer::Answer;
use super::demand::{Demand, Source};
use super::draw::normal;
use super::number::{float, seconds, whole};
use super::plant::{Plant, Truth, Waiting};
use super::policy::{Action, Job, Out, Policy, Shed};
use super::scenario::{Fault, Scenario, Turns};
use super::score::{Binding, Score, Sent, When};
use super::site::{Lane, Site};
use super::spread::Spreading;
use crate::callers::Priority;
use crate::clock::Moment;
use crate::formats::{Usage, Verdict};
use crate::simulator::fault::mix;
use crate::simulator::meter::Ask;

/// A simulation under way.
pub(super) struct World<'s, P: Policy> {
    scenario: &'s Scenario,
    site: Arc<Site>,
    plant: Plant,
    source: Source,
    spreading: Spreading,
    sidecars: Vec<Sidecar<P>>,
    /// Requests that are there, by id; an id is used again when its request has gone.
    slots: Vec<Option<Slot<P::Note>>>,
    free: Vec<u32>,
    next: Vec<Option<Demand>>,
    agenda: Agenda<Event>,
    actions: Vec<Action<P::Note>>,
    random: Rng,
    now: Moment,
    score: Score,
    /// Requests that wait at all sidecars.
    waiting: u64,
    live: u64,
    feeds: usize,
}

struct Sidecar<P> {
    policy: P,
    /// When it is woken next.
    armed: Moment,
    waiting: [u32; Priority::ALL.len()],
}

struct Slot<N> {
    job: Job,
    truth: Truth,
    sidecar: u32,
    seed: u64,
    attempts: u64,
    sent: Moment,
    lane: Lane,
    /// What is under way of it.
    flight: Option<Flight<N>>,
    /// Output that has not flowed yet, and in how many pieces it will.
    pieces: (u64, u64),
    talk: Option<Talk>,
}

struct Flight<N> {
    note: N,
    answer: Box<Answer>,
    ends: Option<Moment>,
}

/// A conversation that goes on.
#[derive(Clone, Copy)]
struct Talk {
    turns: Turns,
    left: u64,
    /// What tells it from others.
    id: u64,
    /// Where its last request went, which has its beginning in the cache until that moment.
    warm: Option<(u32, Moment)>,
    /// How much of it.
    prefix: u64,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The next request of a feed.
    Arrive(usize),
    /// The next request of a conversation.
    Follow(u32),
    Heard(u32),
    Flow(u32),
    Ended(u32),
    Wake(u32),
    Faults,
    Second,
}

/// What is left of a run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) score: Score,
    pub(super) plant: Plant,
    pub(super) site: Arc<Site>,
}

/// How often others' share is taken and is looked at what runs over.
const BEAT: Duration = Duration::from_secs(1);
/// Nobody is woken more often than that: time goes on whatever a policy asks for.
const BREATH: Duration = Duration::from_micros(100);
/// Pieces in which output flows where it counts as it does.
const PIECES: u64 = 4;
/// How long a provider keeps a prompt's beginning (Anthropic and OpenAI: five minutes).
const WARM: Duration = Duration::from_mins(5);

/// Runs a scenario under a policy.
pub(super) fn run<P: Policy>(scenario: &Scenario) -> Run {
    let mut world = World::<P>::new(scenario);
    world.begin();
    while let Some((at, event)) = world.agenda.next() {
        world.now = at;
        world.take(event);
    }
    world.plant.close(Moment::ZERO + scenario.duration);
    Run { score: world.score, plant: world.plant, site: world.site }
}

impl<'s, P: Policy> World<'s, P> {
    fn new(scenario: &'s Scenario) -> Self {
        let site = Arc::new(Site::of(scenario));
        let plant = Plant::new(scenario, &site);
        let source = Source::of(scenario);
        let count = if P::CENTRAL { 1 } else { scenario.most_sidecars() };
        let sidecars = (0..count).map(|nth| Sidecar {
            policy: P::new(&site, nth),
            armed: Moment::NEVER,
            waiting: [0; Priority::ALL.len()],
        });
        Self {
            sidecars: sidecars.collect(),
            spreading: Spreading::new(scenario.fleet.spread, scenario.fleet.sidecars),
            feeds: source.feeds(),
            scenario,
            plant,
            source,
            slots: Vec::new(),
            free: Vec::new(),
            next: Vec::new(),
            agenda: Agenda::new(),
            actions: Vec::new(),
            random: Rng::with_seed(mix(scenario.seed ^ 0x5eed)),
            now: Moment::ZERO,
            score: Score::new(scenario, &site),
            waiting: 0,
            live: 0,
            site,
        }
    }

    fn begin(&mut self) {
        for fault in &self.scenario.faults {
            let begins = Moment::ZERO + fault.at;
            self.agenda.put(begins, Event::Faults);
            if let Some(lasts) = fault.lasts {
                self.agenda.put(begins + lasts, Event::Faults);
            }
        }
        for feed in 0..self.feeds {
            self.next.push(None);
            self.expect(feed);
        }
        self.agenda.put(Moment::ZERO + BEAT, Event::Second);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Arrive(feed) => {
                let demand = self.next.get_mut(feed).and_then(Option::take);
                self.expect(feed);
                if let Some(demand) = demand {
                    let id = self.settle_in(&demand);
                    self.arrive(id);
                }
            }
            Event::Follow(id) => self.arrive(id),
            Event::Heard(id) => self.heard(id),
            Event::Flow(id) => self.flow(id),
            Event::Ended(id) => self.ended(id),
            Event::Wake(sidecar) => self.wake(sidecar),
            Event::Faults => self.suffer(),
            Event::Second => self.beat(),
        }
    }

    /// Puts the next request of a feed on the agenda.
    fn expect(&mut self, feed: usize) {
        let demand = self.source.next(feed);
        if let Some(demand) = &demand {
            self.agenda.put(demand.arrival.at, Event::Arrive(feed));
        }
        if let Some(next) = self.next.get_mut(feed) {
            *next = demand;
        }
    }

    /// Makes a request out of a demand: whose it is, and how it is estimated there.
    fn settle_in(&mut self, demand: &Demand) -> u32 {
        let arrival = demand.arrival;
        let mut random = Rng::with_seed(demand.seed);
        let place = self.spreading.draw(&mut random);
        let sidecar = if P::CENTRAL { 0 } else { place };
        let talk = demand.turns.map(|turns| Talk {
            turns,
            left: whole(turns.count.draw(&mut random)).saturating_sub(1),
            id: demand.seed,
            warm: None,
            prefix: 0,
        });
        let ask = Ask {
            input: arrival.input,
            cached: arrival.cached,
            max_output: arrival.max_output,
            choices: 1,
        };
        let job = Job {
            id: 0,
            name: arrival.name,
            caller: arrival.caller,
            priority: arrival.priority,
            arrived: arrival.at,
            deadline: arrival.at + arrival.max_wait,
            input: self.estimate(arrival.input, &mut random),
            max_output: arrival.max_output,
            prefix: prefix_of(talk.as_ref(), arrival.input),
        };
        let job = if P::CENTRAL { Job { input: arrival.input, ..job } } else { job };
        self.keep(Slot {
            job,
            truth: Truth { ask, output: arrival.output },
            sidecar,
            seed: random.u64(..),
            attempts: 0,
            sent: Moment::ZERO,
            lane: Lane::default(),
            flight: None,
            pieces: (0, 0),
            talk,
        })
    }

    fn estimate(&self, input: u64, random: &mut Rng) -> u64 {
        let error = self.scenario.estimate_error;
        if error <= 0.0 {
            return input;
        }
        whole(float(input) * (1.0 + error * normal(random)).max(0.05)).max(1)
    }

    fn keep(&mut self, mut slot: Slot<P::Note>) -> u32 {
        let fresh = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let id = self.free.pop().unwrap_or(fresh);
        slot.job.id = id;
        if id == fresh {
            self.slots.push(None);
        }
        if let Some(place) = self.slots.get_mut(id as usize) {
            *place = Some(slot);
        }
        self.live += 1;
        id
    }

    fn slot(&mut self, id: u32) -> Option<&mut Slot<P::Note>> {
        self.slots.get_mut(id as usize)?.as_mut()
    }

    fn let_go(&mut self, id: u32) -> Option<Slot<P::Note>> {
        let slot = self.slots.get_mut(id as usize)?.take()?;
        self.free.push(id);
        self.live -= 1;
        Some(slot)
    }

    fn arrive(&mut self, id: u32) {
        let Some(slot) = self.slot(id) else { return };
        let (job, sidecar, truth) = (slot.job, slot.sidecar, slot.truth);
        self.score.offered(&job, sidecar, &truth, &self.site);
        self.count_waiting(sidecar, job.priority, Change::More);
        self.decide(sidecar, |policy, out| policy.arrive(&job, out));
    }

    /// Has a sidecar decide, does what it says, and notes when it wants to be woken.
    fn decide(&mut self, sidecar: u32, ask: impl FnOnce(&mut P, &mut Out<'_, P::Note>)) {
        let Some(place) = self.sidecars.get_mut(sidecar as usize) else { return };
        let mut out = Out {
            now: self.now,
            random: &mut self.random,
            plant: &mut self.plant,
            actions: &mut self.actions,
        };
        ask(&mut place.policy, &mut out);
        let wake_at = place.policy.wake_at().max(self.now + BREATH);
        if wake_at < place.armed {
            place.armed = wake_at;
            self.agenda.put(wake_at, Event::Wake(sidecar));
        }
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                Action::Send(id, lane, note) => self.send(id, lane, note),
                Action::Shed(id, why) => self.shed(id, why),
            }
        }
        self.actions = actions;
    }

    fn wake(&mut self, sidecar: u32) {
        let Some(place) = self.sidecars.get_mut(sidecar as usize) else { return };
        // One that was put off, or forestalled, is followed by another.
        if place.armed > self.now {
            return;
        }
        place.armed = Moment::NEVER;
        self.decide(sidecar, Policy::wake);
    }

    fn send(&mut self, id: u32, lane: Lane, note: P::Note) {
        let now = self.now;
        let Self { slots, plant, .. } = self;
        let Some(slot) = slots.get_mut(id as usize).and_then(Option::as_mut) else { return };
        slot.attempts += 1;
        slot.sent = now;
        slot.lane = lane;
        if let Some(talk) = slot.talk {
            let warm = talk.warm.is_some_and(|(cell, until)| cell == lane.cell && now < until);
            let cached = if warm { float(talk.prefix) * talk.turns.cached } else { 0.0 };
            slot.truth.ask.cached = whole(cached).min(slot.truth.ask.input);
        }
        let mut random = Rng::with_seed(mix(slot.seed ^ slot.attempts));
        let sent = plant.send(lane, &slot.truth, &mut random, now);
        let verdict = sent.answer.judgement.verdict;
        slot.flight = Some(Flight { note, answer: sent.answer, ends: sent.ends });
        let (sidecar, priority) = (slot.sidecar, slot.job.priority);
        self.score.attempted(verdict, now);
        self.count_waiting(sidecar, priority, Change::Less);
        self.agenda.put(sent.heard, Event::Heard(id));
    }

    fn heard(&mut self, id: u32) {
        let Some(slot) = self.slot(id) else { return };
        let Some(Flight { note, answer, ends }) = slot.flight.take() else { return };
        let (job, sidecar) = (slot.job, slot.sidecar);
        if answer.judgement.verdict != Verdict::Ok {
            self.count_waiting(sidecar, job.priority, Change::More);
        }
        let mut kept = None;
        self.decide(sidecar, |policy, out| kept = policy.heard(&job, note, &answer, out));
        let Some(ends) = ends else { return };
        let now = self.now;
        let until = Moment::ZERO + self.scenario.duration;
        let Self { slots, plant, score, agenda, .. } = self;
        let Some(slot) = slots.get_mut(id as usize).and_then(Option::as_mut) else { return };
        slot.flight = kept.map(|note| Flight { note, answer, ends: Some(ends) });
        let tokens = slot.truth.tokens();
        let when = if slot.sent < until { When::InTime } else { When::After };
        score.served(&slot.job, slot.sidecar, tokens, Sent { at: slot.sent, when });
        if plant.meters_output(slot.lane) {
            slot.pieces = (slot.truth.output, PIECES);
            agenda.put(now, Event::Flow(id));
        }
        agenda.put(ends, Event::Ended(id));
    }

    /// A piece of an answer has flowed.
    fn flow(&mut self, id: u32) {
        let now = self.now;
        let Self { slots, plant, agenda, .. } = self;
        let Some(slot) = slots.get_mut(id as usize).and_then(Option::as_mut) else { return };
        let (left, pieces) = slot.pieces;
        let piece = if pieces <= 1 { left } else { left / pieces };
        slot.pieces = (left - piece, pieces.saturating_sub(1));
        plant.produce(slot.lane, piece, now);
        let ends = slot.flight.as_ref().and_then(|flight| flight.ends);
        if let Some(ends) = ends.filter(|_| pieces > 1) {
            let gap = ends.since(now) / u32::try_from(pieces).unwrap_or(1);
            agenda.put(now + gap, Event::Flow(id));
        }
    }

    fn ended(&mut self, id: u32) {
        let Some(slot) = self.let_go(id) else { return };
        self.plant.finish(slot.lane, &slot.truth, self.now);
        let usage = Usage {
            input: slot.truth.ask.input,
            cached_input: slot.truth.ask.cached,
            output: slot.truth.output,
            ..Usage::default()
        };
        if let Some(talk) = slot.talk {
            self.go_on(&slot, talk);
        }
        if let Some(Flight { note, .. }) = slot.flight {
            let job = slot.job;
            self.decide(slot.sidecar, |policy, out| policy.ended(&job, note, &usage, out));
        }
    }

    /// The next turn of a conversation.
    fn go_on(&mut self, before: &Slot<P::Note>, talk: Talk) {
        if talk.left == 0 {
            return;
        }
        let mut random = Rng::with_seed(mix(before.seed));
        let at = self.now + seconds(talk.turns.pause.draw(&mut random));
        if at >= Moment::ZERO + self.scenario.duration {
            return;
        }
        let prefix = before.truth.ask.input;
        let grown = before.truth.output + whole(talk.turns.growth.draw(&mut random));
        let input = prefix + grown;
        let truth = Truth {
            ask: Ask { input, cached: 0, ..before.truth.ask },
            output: before.truth.output,
        };
        let waits = before.job.deadline.since(before.job.arrived);
        let job = Job {
            arrived: at,
            deadline: at + waits,
            input: self.estimate(input, &mut random),
            prefix: prefix_of(Some(&talk), input),
            ..before.job
        };
        let warm = Some((before.lane.cell, self.now + WARM));
        let talk = Talk { left: talk.left - 1, warm, prefix, ..talk };
        let id = self.keep(Slot {
            job,
            truth,
            sidecar: before.sidecar,
            seed: random.u64(..),
            attempts: 0,
            sent: Moment::ZERO,
            lane: Lane::default(),
            flight: None,
            pieces: (0, 0),
            talk: Some(talk),
        });
        self.agenda.put(at, Event::Follow(id));
    }

    fn shed(&mut self, id: u32, why: Shed) {
        let Some(slot) = self.let_go(id) else { return };
        let (job, sidecar) = (slot.job, slot.sidecar);
        self.count_waiting(sidecar, job.priority, Change::Less);
        self.score.shed(&job, sidecar, why, self.now);
        let lower = self.sidecars.get(sidecar as usize).is_some_and(|place| {
            place.waiting.iter().take(job.priority as usize).any(|waiting| *waiting > 0)
        });
        let highest = job.priority == Priority::High;
        self.score.inversions += u64::from(highest && lower);
        let binding = match why {
            Shed::CallerLimit => Binding::Caller(job.caller),
            Shed::Deadline
            | Shed::QueueFull
            | Shed::Passed429
            | Shed::Failed
            | Shed::Oversized
            | Shed::NoKey => self.binding(&job, slot.truth.ask),
        };
        self.score.bound(binding);
    }

    /// What stands in a request's way: of all the ways that it might go, the limit that frees first.
    fn binding(&mut self, job: &Job, ask: Ask) -> Binding {
        let site = Arc::clone(&self.site);
        let lanes = site.name_of(job.name).map_or(&[][..], |name| &name.lanes);
        let mut soonest: Option<(Duration, Binding)> = None;
        for lane in lanes.iter().filter(|lane| site.may(job.caller, **lane)) {
            if self.plant.is_dead(*lane) {
                continue;
            }
            let Err(refusal) = self.plant.check(*lane, ask, self.now) else {
                return Binding::Nothing;
            };
            if soonest.is_none_or(|(wait, _)| refusal.retry_after < wait) {
                let (provider, model) = (lane.provider, lane.model);
                let (dimension, window) = (refusal.dimension, refusal.window);
                let binding = Binding::Limit { provider, model, dimension, window };
                soonest = Some((refusal.retry_after, binding));
            }
        }
        soonest.map_or(Binding::Keys, |(_, binding)| binding)
    }

    fn count_waiting(&mut self, sidecar: u32, priority: Priority, change: Change) {
        let place = self.sidecars.get_mut(sidecar as usize);
        let Some(count) = place.and_then(|it| it.waiting.get_mut(priority as usize)) else {
            return;
        };
        match change {
            Change::More => {
                *count += 1;
                self.waiting += 1;
            }
            Change::Less => {
                *count = count.saturating_sub(1);
                self.waiting = self.waiting.saturating_sub(1);
            }
        }
    }

    fn suffer(&mut self) {
        let now = self.now;
        let active = |fault: &&Fault| {
            let begins = Moment::ZERO + fault.at;
            begins <= now && fault.lasts.is_none_or(|lasts| now < begins + lasts)
        };
        let faults: Vec<&Fault> = self.scenario.faults.iter().filter(active).collect();
        self.plant.suffer(&self.site, &faults, now);
        let mut counts = faults.iter().filter_map(|fault| fault.kind.sidecars());
        let count = counts.next_back().unwrap_or(self.scenario.fleet.sidecars);
        self.spreading = Spreading::new(self.scenario.fleet.spread, count);
    }

    fn beat(&mut self) {
        let waiting = if self.waiting > 0 { Waiting::Somebody } else { Waiting::Nobody };
        self.plant.pass(BEAT, waiting, self.now);
        let more = self.live > 0 || self.next.iter().any(Option::is_some);
        if more && self.now < Moment::ZERO + self.scenario.duration + LATEST {
            self.agenda.put(self.now + BEAT, Event::Second);
        }
    }
}

/// What the proxy would tell a request's beginning by: that of a conversation, once it is so long that
/// providers cache it (1,024 tokens).
fn prefix_of(talk: Option<&Talk>, input: u64) -> Option<u64> {
    talk.filter(|_| input >= 1_024).map(|talk| talk.id)
}

/// Whoever is still there so long after the last request came is not looked after.
const LATEST: Duration = Duration::from_hours(24);

#[derive(Clone, Copy)]
enum Change {
    More,
    Less,
}
