//! The providers at work: accounts with their limits, keys and troubles, as seen from outside.

use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use smallvec::SmallVec;

use super::answer::{self, Answer};
use super::number::{float, seconds};
use super::scenario::{Chaos, Fault, Pace, Scenario, Trouble};
use super::site::{Lane, Site};
use crate::clock::{Moment, Now};
use crate::formats::{Dialect, Samples, Verdict};
use crate::simulator::meter::{Ask, Grant, Meter, Refusal, Tariff, Terms};

/// All accounts of all providers.
#[derive(Debug)]
pub(super) struct Plant {
    cells: Vec<Cell>,
    /// Of each provider and key, what its requests are refused with.
    dead: Vec<Vec<Option<Verdict>>>,
    start: Timestamp,
}

/// The limits of one model of one quota group.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) provider: usize,
    pub(super) group: usize,
    pub(super) model: usize,
    tariff: Tariff,
    dialect: Dialect,
    pace: Pace,
    meter: Meter,
    /// What is granted while nothing is wrong.
    grants: Vec<Grant>,
    trouble: Troubled,
    latest: Samples,
    pub(super) books: Books,
}

/// What is wrong with an account just now, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Troubled {
    limits: u64,
    foreign: u64,
    overload: u64,
    slow: u64,
    headers: Option<Chaos>,
    /// Whether every key of its group is dead.
    keys: Keys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    Some,
    None,
}

/// What an account granted, and what it could have.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) attempts: u64,
    pub(super) refused: u64,
    pub(super) dimensions: SmallVec<[Line; 4]>,
    since: Moment,
}

/// The same of one limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) grant: Grant,
    /// What was charged to those who are simulated.
    pub(super) charged: u64,
    /// What could have been, from the beginning on.
    pub(super) capacity: f64,
    /// What ran over while somebody waited.
    pub(super) stranded: u64,
    spilt: u64,
}

/// What a request truly is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Truth {
    pub(super) ask: Ask,
    pub(super) output: u64,
}

impl Truth {
    /// Input and output together.
    pub(super) const fn tokens(&self) -> u64 {
        self.ask.input + self.output
    }
}

/// What comes of sending a request.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) answer: Box<Answer>,
    /// When its head is heard.
    pub(super) heard: Moment,
    /// When an answer that is served is over.
    pub(super) ends: Option<Moment>,
}

impl Plant {
    pub(super) fn new(scenario: &Scenario, site: &Site) -> Self {
        let mut plant = Self { cells: Vec::new(), dead: Vec::new(), start: scenario.start };
        for (index, (provider, known)) in scenario.providers.iter().zip(&site.providers).enumerate()
        {
            plant.dead.push(vec![None; known.keys.len()]);
            let limits = provider.grants.as_ref().unwrap_or(&known.spec.limits);
            for group in 0..known.groups.len() {
                for model in 0..known.models.len() {
                    let (grants, at_once) = known.granted(limits, group, model);
                    let concurrency = at_once.or(provider.terms.concurrency);
                    let terms = Terms { concurrency, ..provider.terms };
                    let place = (index, group, model);
                    let tariff = known.tariff(model);
                    let cell = Cell::new((provider, tariff), place, grants, &terms, scenario.start);
                    plant.cells.push(cell);
                }
            }
        }
        plant
    }

    /// Sends a request that way.
    pub(super) fn send(
        &mut self,
        lane: Lane,
        truth: &Truth,
        random: &mut Rng,
        now: Moment,
    ) -> Sent {
        let wall = self.start;
        let now = both(wall, now);
        let keys = self.dead.get(usize::from(lane.provider));
        let dead = keys.and_then(|keys| *keys.get(usize::from(lane.key))?);
        let Some(cell) = self.cells.get_mut(index(lane)) else {
            return Sent {
                answer: Answer::of(Verdict::RequestInvalid).into(),
                heard: now.at,
                ends: None,
            };
        };
        cell.books.attempts += 1;
        let rejected = now.at + cell.pace.rejection;
        let overloaded = cell.trouble.overload > 0 && random.u64(0..1_000) < cell.trouble.overload;
        if let Some(verdict) = dead.or_else(|| overloaded.then_some(Verdict::Overloaded)) {
            return Sent { answer: Answer::of(verdict).into(), heard: rejected, ends: None };
        }
        let outcome = cell.meter.admit(truth.ask, now);
        let samples = cell.told(random, now);
        if let Err(refusal) = outcome {
            cell.books.refused += 1;
            let judgement =
                answer::refused((cell.tariff, cell.dialect), &refusal, &samples, rejected);
            return Sent {
                answer: Answer { judgement, samples }.into(),
                heard: rejected,
                ends: None,
            };
        }
        cell.charge(|tariff, dimension| tariff.upfront(dimension, truth.ask));
        let first_byte = seconds(cell.pace.first_byte.draw(random));
        let heard = now.at + first_byte * thousandths(cell.trouble.slow) / 1_000;
        let speed = cell.pace.speed.draw(random).max(0.1);
        let ends = heard + seconds(float(truth.output) / speed);
        let answer = Answer { samples, ..Answer::of(Verdict::Ok) }.into();
        Sent { answer, heard, ends: Some(ends) }
    }

    /// Output flows.
    pub(super) fn produce(&mut self, lane: Lane, output: u64, now: Moment) {
        let now = both(self.start, now);
        if let Some(cell) = self.cells.get_mut(index(lane)) {
            cell.meter.produce(output, now);
            cell.charge(|tariff, dimension| tariff.flowing(dimension, output));
        }
    }

    /// An answer is over.
    pub(super) fn finish(&mut self, lane: Lane, truth: &Truth, now: Moment) {
        let now = both(self.start, now);
        let Some(cell) = self.cells.get_mut(index(lane)) else { return };
        cell.meter.finish(truth.ask, truth.output, now);
        for line in &mut cell.books.dimensions {
            let dimension = line.grant.dimension;
            if let Some(actual) = cell.tariff.settled(dimension, truth.ask, truth.output) {
                let taken = cell.tariff.upfront(dimension, truth.ask);
                line.charged = (line.charged + actual).saturating_sub(taken);
            }
        }
    }

    /// Whether output counts there while it flows.
    pub(super) fn meters_output(&self, lane: Lane) -> bool {
        self.cells.get(index(lane)).is_some_and(|cell| {
            cell.books.dimensions.iter().any(|line| cell.tariff.meters(line.grant.dimension))
        })
    }

    /// Whether a request would be let through: what only an oracle knows.
    pub(super) fn check(&mut self, lane: Lane, ask: Ask, now: Moment) -> Result<(), Refusal> {
        let now = both(self.start, now);
        self.cells.get_mut(index(lane)).map_or(Ok(()), |cell| cell.meter.check(ask, now))
    }

    /// Whether requests by that key are refused whatever the limits say.
    pub(super) fn is_dead(&self, lane: Lane) -> bool {
        let keys = self.dead.get(usize::from(lane.provider));
        keys.and_then(|keys| keys.get(usize::from(lane.key))).is_some_and(Option::is_some)
    }

    /// These faults are in force from now on, and no others.
    pub(super) fn suffer(&mut self, site: &Site, faults: &[&Fault], now: Moment) {
        for (index, keys) in self.dead.iter_mut().enumerate() {
            let Some(provider) = site.providers.get(index) else { continue };
            for (dead, key) in keys.iter_mut().zip(&provider.keys) {
                let group = provider.groups.get(key.group);
                let mut hit = faults.iter().filter(|fault| {
                    strikes(fault.provider, index)
                        && fault.key.as_ref().is_none_or(|it| *it == key.name)
                        && fault.group.as_ref().is_none_or(|it| Some(it) == group)
                });
                *dead = hit.find_map(|fault| fault.kind.kills());
            }
        }
        for cell in &mut self.cells {
            let Some(provider) = site.providers.get(cell.provider) else { continue };
            let group = provider.groups.get(cell.group);
            let model = provider.models.get(cell.model);
            let mut trouble = Troubled::NONE;
            let dead = self.dead.get(cell.provider);
            let alive = dead.into_iter().flatten().zip(&provider.keys);
            if !alive.into_iter().any(|(dead, key)| key.group == cell.group && dead.is_none()) {
                trouble.keys = Keys::None;
            }
            for fault in faults.iter().filter(|fault| {
                strikes(fault.provider, cell.provider)
                    && fault.group.as_ref().is_none_or(|it| Some(it) == group)
                    && fault.model.as_ref().is_none_or(|it| Some(it) == model)
            }) {
                trouble.add(fault.kind);
            }
            cell.become_(trouble, now);
        }
    }

    /// So much time has passed: others have taken their share, and what ran over while `waiting`
    /// somebody did is noted.
    pub(super) fn pass(&mut self, time: Duration, waiting: Waiting, now: Moment) {
        for cell in &mut self.cells {
            if cell.trouble.foreign > 0 {
                cell.meter.drain(cell.trouble.foreign, time, now);
            }
            let spilt = cell.meter.spilt(now);
            for (line, total) in cell.books.dimensions.iter_mut().zip(spilt) {
                if waiting == Waiting::Somebody {
                    line.stranded += total.saturating_sub(line.spilt);
                }
                line.spilt = total;
            }
        }
    }

    /// Closes the books: what each account granted by then, and what it could have.
    pub(super) fn close(&mut self, now: Moment) {
        for cell in &mut self.cells {
            cell.integrate(now);
        }
    }

    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }
}

/// Whether anybody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Somebody,
    Nobody,
}

impl Cell {
    fn new(
        (provider, tariff): (&super::scenario::Provider, Tariff),
        (index, group, model): (usize, usize, usize),
        grants: Vec<Grant>,
        terms: &Terms,
        start: Timestamp,
    ) -> Self {
        let now = Now { at: Moment::ZERO, wall: start };
        let meter = Meter::of(tariff, &grants, terms, now);
        let line = |(grant, depth): (Grant, u64)| {
            let capacity = float(depth);
            Line { grant, charged: 0, capacity, stranded: 0, spilt: 0 }
        };
        let dimensions = meter.grants().map(line).collect();
        Self {
            provider: index,
            group,
            model,
            tariff,
            dialect: provider.dialect,
            pace: provider.pace,
            meter,
            grants,
            trouble: Troubled::NONE,
            latest: Samples::new(),
            books: Books { dimensions, ..Books::default() },
        }
    }

    /// What the headers of an answer tell.
    fn told(&mut self, random: &mut Rng, now: Now) -> Samples {
        if self.trouble.headers == Some(Chaos::Gone) || !self.tariff.has_headers() {
            return Samples::new();
        }
        let readings = self.meter.readings(now);
        let samples = answer::samples((self.tariff, self.dialect), &readings, now);
        if self.trouble.headers.is_none() {
            return samples;
        }
        let told = answer::nonsense(&samples, &self.latest, random);
        self.latest = samples;
        told
    }

    fn charge(&mut self, units: impl Fn(Tariff, crate::formats::Dimension) -> u64) {
        for line in &mut self.books.dimensions {
            line.charged = line.charged.saturating_add(units(self.tariff, line.grant.dimension));
        }
    }

    fn become_(&mut self, trouble: Troubled, now: Moment) {
        if trouble == self.trouble {
            return;
        }
        self.integrate(now);
        if trouble.limits != self.trouble.limits {
            let scaled: Vec<Grant> =
                self.grants.iter().map(|it| scaled(*it, trouble.limits)).collect();
            self.meter.regrant(&scaled, now);
        }
        self.trouble = trouble;
    }

    /// Adds what has been granted since the books were looked at last.
    fn integrate(&mut self, now: Moment) {
        let time = match self.trouble.keys {
            Keys::Some => now.since(self.books.since).as_secs_f64(),
            Keys::None => 0.0,
        };
        let ours = float(1_000_u64.saturating_sub(self.trouble.foreign)) / 1_000.0;
        for line in &mut self.books.dimensions {
            let grant = scaled(line.grant, self.trouble.limits);
            let rate = float(grant.amount) / grant.window.as_secs_f64().max(1e-9);
            line.capacity += rate * time * ours;
        }
        self.books.since = now;
    }
}

impl Troubled {
    const NONE: Self = Self {
        limits: 1_000,
        foreign: 0,
        overload: 0,
        slow: 1_000,
        headers: None,
        keys: Keys::Some,
    };

    fn add(&mut self, kind: Trouble) {
        match kind {
            Trouble::Limits(permille) => self.limits = self.limits * permille / 1_000,
            Trouble::Foreign(permille) => self.foreign = (self.foreign + permille).min(1_000),
            Trouble::Overload(permille) => self.overload = (self.overload + permille).min(1_000),
            Trouble::Slow(permille) => self.slow = self.slow * permille / 1_000,
            Trouble::Headers(chaos) => self.headers = Some(chaos),
            Trouble::KeyDies | Trouble::CreditGone | Trouble::Suspended | Trouble::Sidecars(_) => {}
        }
    }
}

impl Trouble {
    /// What requests by a key that it strikes are refused with.
    const fn kills(self) -> Option<Verdict> {
        match self {
            Self::KeyDies => Some(Verdict::KeyInvalid),
            Self::CreditGone => Some(Verdict::BillingExhausted),
            Self::Suspended => Some(Verdict::Suspended),
            Self::Limits(_)
            | Self::Foreign(_)
            | Self::Headers(_)
            | Self::Overload(_)
            | Self::Slow(_)
            | Self::Sidecars(_) => None,
        }
    }
}

fn strikes(only: Option<usize>, index: usize) -> bool {
    only.is_none_or(|only| only == index)
}

fn scaled(grant: Grant, permille: u64) -> Grant {
    Grant { amount: (grant.amount.saturating_mul(permille) / 1_000).max(1), ..grant }
}

fn thousandths(permille: u64) -> u32 {
    u32::try_from(permille).unwrap_or(u32::MAX)
}

const fn index(lane: Lane) -> usize {
    lane.cell as usize
}

/// Both clocks at that moment of a simulation.
fn both(start: Timestamp, at: Moment) -> Now {
    let origin = Now { at: Moment::ZERO, wall: start };
    Now { at, wall: origin.wall_at(at) }
}
