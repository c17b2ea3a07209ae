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
    wakes: Moment,
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
        Sidecar {
            ledger,
            queue: VecDeque::new(),
            rate,
            attempted: Moment::ZERO,
            wakes: Moment::NEVER,
        }
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
                Event::Wake(n) => {
                    self.sidecars[n].wakes = Moment::NEVER;
                    self.send(n, now);
                }
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
                    if until < sidecar.wakes {
                        sidecar.wakes = until;
                        self.plan(until, Event::Wake(n));
                    }
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

/// What was served, of what the provider could at most have served by then.
fn goodput(scene: &Scene, score: &Score) -> f64 {
    let each_second = scene.limit as f64 / 60.0;
    let most = each_second * (scene.seconds as f64 + scene.depth.as_secs_f64());
    score.total() as f64 / most.min(score.offered as f64)
}

#[test]
fn with_enough_for_all_nobody_waits_for_long_and_next_to_nobody_is_refused() {
    for sidecars in [1, 5, 20, 50] {
        let scene = Scene::new(sidecars, 0.9);
        let score = play(scene);
        assert!(score.refusals() <= 0.2, "{sidecars}: {:.2} %", score.refusals());
        assert_eq!(score.late, 0, "{sidecars}");
        assert!(goodput(&scene, &score) >= 0.99, "{sidecars}: {}", goodput(&scene, &score));
    }
}

#[test]
fn in_overload_the_provider_is_used_whole_and_shared_evenly() {
    for sidecars in [1, 5, 20, 50] {
        let scene = Scene::new(sidecars, 1.3);
        let score = play(scene);
        assert!(score.refusals() <= 0.2, "{sidecars}: {:.2} %", score.refusals());
        assert!(goodput(&scene, &score) >= 0.96, "{sidecars}: {}", goodput(&scene, &score));
        assert!(score.fairness() >= 0.97, "{sidecars}: {}", score.fairness());
    }
}

/// P12.
#[test]
fn twice_the_load_and_refusals_that_cost_do_not_bring_it_down() {
    let scene = Scene::new(20, 2.0);
    let score = play(scene);
    assert!(goodput(&scene, &score) >= 0.95, "{}", goodput(&scene, &score));
}

/// I6.
#[test]
fn whoever_has_something_to_send_tries_in_time() {
    let score = play(Scene::new(20, 1.3));
    let floor = Duration::from_secs_f64(20.0 / 10.0 / 0.98);
    assert!(score.silence <= floor.max(Duration::from_secs(3)) * 2, "{:?}", score.silence);
}

#[test]
fn a_limit_that_is_halved_is_kept_to() {
    let scene = Scene { twist: Twist::Halved, ..Scene::new(5, 0.45) };
    let score = play(scene);
    assert!(score.refusals() <= 0.5, "{:.2} %", score.refusals());
    assert!(score.late == 0, "{}", score.late);
}

#[test]
fn who_needs_more_borrows_what_the_others_leave() {
    let scene = Scene { twist: Twist::Greedy, ..Scene::new(5, 0.9) };
    let score = play(scene);
    assert!(goodput(&scene, &score) >= 0.99, "{}", goodput(&scene, &score));
    assert!(score.refusals() <= 0.5, "{:.2} %", score.refusals());
}

#[test]
fn headers_that_are_lost_cost_little() {
    let scene = Scene { lost: 50, ..Scene::new(5, 1.3) };
    let score = play(scene);
    assert!(goodput(&scene, &score) >= 0.95, "{}", goodput(&scene, &score));
    assert!(score.refusals() <= 2.0, "{:.2} %", score.refusals());
}
