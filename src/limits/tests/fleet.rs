//! Several sidecars that draw on one limit and know nothing of each other but the provider's headers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU32;

use super::provider::{Dice, Exact};
use super::*;

/// What is played.
#[derive(Clone, Copy, Debug)]
struct Scene {
    sidecars: u32,
    sharing: Sharing,
    /// Of the provider's capacity.
    load: f64,
    /// Requests a minute that the provider grants, and how many seconds' worth it holds.
    limit: u64,
    depth: Duration,
    /// Whether a refused request costs as much as a served one.
    rejections_count: bool,
    /// Of a hundred answers, those whose headers are lost.
    lost: u64,
    seconds: u64,
    seed: u64,
    twist: Twist,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Twist {
    None,
    /// A third into the play the limit is halved.
    Halved,
    /// The first of them has more to send than all the others together.
    Greedy,
}

impl Scene {
    fn new(sidecars: u32, load: f64) -> Self {
        let replicas = NonZeroU32::new(sidecars).unwrap();
        Self {
            sidecars,
            sharing: Sharing::Floor(Share::one_of(replicas)),
            load,
            limit: 600,
            depth: MINUTE,
            rejections_count: true,
            lost: 0,
            seconds: 300,
            seed: u64::from(sidecars),
            twist: Twist::None,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
struct Score {
    offered: u64,
    served: Vec<u64>,
    attempts: u64,
    refused: u64,
    /// Requests that waited for longer than thirty seconds: nobody would have.
    late: u64,
    /// The longest time that a sidecar with something to send did not try to.
    silence: Duration,
}

impl Score {
    fn total(&self) -> u64 {
        self.served.iter().sum()
    }

    /// Refusals in a hundred attempts.
    fn refusals(&self) -> f64 {
        100.0 * self.refused as f64 / self.attempts.max(1) as f64
    }

    /// Jain's index: 1 when all get the same.
    fn fairness(&self) -> f64 {
        let sum: f64 = self.served.iter().map(|n| *n as f64).sum();
        let squares: f64 = self.served.iter().map(|n| (*n as f64).powi(2)).sum();
        sum * sum / (squares * self.served.len() as f64)
    }
}

struct Sidecar {
    ledger: Ledger,
    queue: VecDeque<Moment>,
    rate: f64,
    attempted: Moment,
}

enum Event {
    Arrival(usize),
    Wake(usize),
    Answer(usize, Box<Reservation>, Result<Option<Sample>, Moment>),
}

struct Play {
    scene: Scene,
    provider: Exact,
    sidecars: Vec<Sidecar>,
    agenda: BinaryHeap<Reverse<(Moment, u64)>>,
    events: std::collections::HashMap<u64, Event>,
    count: u64,
    dice: Dice,
    score: Score,
}

const PATIENCE: Duration = Duration::from_secs(30);

fn play(scene: Scene) -> Score {
    let capacity = scene.limit as f64 / 60.0;
    let each = scene.load * capacity / f64::from(scene.sidecars);
    let rules = [per_minute(Dimension::Requests, scene.limit)];
    let terms = Terms { sharing: scene.sharing, ..Terms::default() };
    let sidecars = (0..scene.sidecars).map(|n| {
        let greedy = scene.twist == Twist::Greedy;
        let rate = match n {
            0 if greedy => each * f64::from(scene.sidecars) * 0.6,
            _ if greedy => each * 0.4,
            _ => each,
        };
        let ledger = Ledger::new(&rules, terms);
        Sidecar { ledger, queue: VecDeque::new(), rate, attempted: Moment::ZERO }
    });
    let mut provider = Exact::new(scene.limit, MINUTE, scene.depth);
    provider.rejection = u64::from(scene.rejections_count);
    let mut play = Play {
        scene,
        provider,
        sidecars: sidecars.collect(),
        agenda: BinaryHeap::new(),
        events: std::collections::HashMap::new(),
        count: 0,
        dice: Dice(scene.seed),
        score: Score::default(),
    };
    play.score.served = vec![0; scene.sidecars as usize];
    play.run();
    play.score
}

impl Play {
    fn run(&mut self) {
        for n in 0..self.sidecars.len() {
            self.plan(Moment::ZERO, Event::Arrival(n));
        }
        let end = secs(self.scene.seconds);
        let mut halved = self.scene.twist != Twist::Halved;
        while let Some(Reverse((now, number))) = self.agenda.pop() {
            if now >= end {
                break;
            }
            if !halved && now >= secs(self.scene.seconds / 3) {
                halved = true;
                self.provider.resize(self.scene.limit / 2, now);
            }
            match self.events.remove(&number).unwrap() {
                Event::Arrival(n) => {
                    self.score.offered += 1;
                    let sidecar = &mut self.sidecars[n];
                    if sidecar.queue.is_empty() {
                        sidecar.attempted = now;
                    }
                    sidecar.queue.push_back(now);
                    let gap = self.dice.gap(sidecar.rate);
                    self.plan(now + gap, Event::Arrival(n));
                    self.send(n, now);
                }
                Event::Wake(n) => self.send(n, now),
                Event::Answer(n, reservation, answer) => self.answer(n, *reservation, answer, now),
            }
        }
    }

    fn plan(&mut self, at: Moment, event: Event) {
        self.count += 1;
        self.agenda.push(Reverse((at, self.count)));
        self.events.insert(self.count, event);
    }

    fn send(&mut self, n: usize, now: Moment) {
        while let Some(arrived) = self.sidecars[n].queue.front().copied() {
            if now.since(arrived) > PATIENCE {
                self.sidecars[n].queue.pop_front();
                self.score.late += 1;
                continue;
            }
            let sidecar = &mut self.sidecars[n];
            match sidecar.ledger.check(&Cost::REQUEST, now) {
                Ok(()) => {}
                Err(Blocked::Until(until, _)) => {
                    self.plan(until, Event::Wake(n));
                    return;
                }
                Err(oversized) => panic!("{oversized:?}"),
            }
            let silent = now.since(sidecar.attempted);
            self.score.silence = self.score.silence.max(silent);
            sidecar.attempted = now;
            sidecar.queue.pop_front();
            let reservation = sidecar.ledger.take(&Cost::REQUEST, now);
            self.score.attempts += 1;
            let admitted = self.provider.admit(1, now);
            let heard = self.dice.roll() % 100 >= self.scene.lost;
            let headers = self.provider.headers(Dimension::Requests, now);
            let delay = 0.1 + 0.8 * self.dice.unit();
            let (delay, answer) = match admitted {
                Ok(()) => (delay, Ok(heard.then_some(headers))),
                Err(retry_at) => (0.1, Err(retry_at)),
            };
            let reservation = Box::new(reservation);
            let at = now + Duration::from_secs_f64(delay);
            self.plan(at, Event::Answer(n, reservation, answer));
        }
    }

    fn answer(
        &mut self,
        n: usize,
        reservation: Reservation,
        answer: Result<Option<Sample>, Moment>,
        now: Moment,
    ) {
        let random = self.dice.roll();
        let sidecar = &mut self.sidecars[n];
        match answer {
            Ok(sample) => {
                self.score.served[n] += 1;
                let samples: Vec<_> = sample.into_iter().collect();
                sidecar.ledger.observe(&reservation, &samples, now);
                sidecar.ledger.carried(&reservation, now);
            }
            Err(retry_at) => {
                self.score.refused += 1;
                let dimension = Some(Dimension::Requests);
                sidecar.ledger.refuse(&reservation, dimension, Some(retry_at), now, random);
                sidecar.queue.push_front(reservation.at());
            }
        }
        sidecar.ledger.settle(reservation, &Cost::REQUEST, now);
        self.send(n, now);
    }
}

#[test]
fn print_all() {
    for sharing in ["floor", "learned"] {
        for (limit, depth) in [(600, 60), (600, 1), (6_000, 60)] {
            for load in [0.9, 1.3, 2.0] {
                for sidecars in [1, 5, 20, 50] {
                    let mut scene = Scene::new(sidecars, load);
                    scene.limit = limit;
                    scene.depth = Duration::from_secs(depth);
                    if sharing == "learned" {
                        scene.sharing = Sharing::Learned;
                    }
                    let score = play(scene);
                    let capacity = limit as f64 / 60.0 * 300.0;
                    println!(
                        "{sharing} {limit}/{depth}s load {load} N={sidecars}: refused {:.2}% goodput {:.1}% of capacity, {:.1}% of offered, late {:.2}% jain {:.3} silence {:.1}s",
                        score.refusals(),
                        100.0 * score.total() as f64 / capacity,
                        100.0 * score.total() as f64 / score.offered as f64,
                        100.0 * score.late as f64 / score.offered as f64,
                        score.fairness(),
                        score.silence.as_secs_f64(),
                    );
                }
            }
        }
    }
}
