//! What a decision costs: choosing a key, reserving and settling, for 1 to 256 keys, and with ten
//! thousand who wait.
//!
//! `cargo bench --bench choose` prints the median and the 99th percentile in nanoseconds, the some
//! twenty that reading the clock takes included.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use keyweir::clock::Moment;
use keyweir::formats::{Dimension, Judgement, Sample, Verdict};
use keyweir::keys::{
    Admission, Ask, Body, Choice, Decision, KeySpec, LimitSpec, Outcome, Place, Pool, Reach,
    RetryBudget, Secret, Spec, Tried,
};
use keyweir::limits::{Claim, Cost, Learning, Measure, Priority, Rule};

const DECISIONS: usize = 200_000;

fn main() {
    println!("{:<48} {:>9} {:>9}", "ns per decision", "median", "p99");
    for keys in [1, 16, 64, 256] {
        free(keys);
    }
    for keys in [1, 16, 64, 256] {
        half_held(keys);
    }
    for keys in [1, 16, 64, 256] {
        exhausted(keys);
    }
    for (what, sizes) in [("alike", Sizes::Alike), ("of all sizes", Sizes::Many)] {
        for groups in [1, 64] {
            Hall::new(groups, 10_000, sizes).measure(what);
        }
    }
}

/// Every key can carry the request: the usual case, with all that belongs to a request.
fn free(keys: usize) {
    let mut pool = pool(keys, u64::MAX >> 20);
    let mut clock = Clock::default();
    for _ in 0..keys * 20 {
        walk(&mut pool, &mut clock);
    }
    measure(&format!("choose and cancel, {keys} keys"), || {
        let (now, random) = clock.tick();
        if let Choice::Send(attempt) = choose(&mut pool, random, now) {
            pool.cancel(black_box(attempt), now);
        }
    });
    measure(&format!("choose, observe, report, settle, {keys} keys"), || {
        walk(&mut pool, &mut clock);
    });
}

/// Every second key is held by a 429.
fn half_held(keys: usize) {
    let mut pool = pool(keys, u64::MAX >> 20);
    let mut clock = Clock::default();
    for _ in 0..keys / 2 {
        let (now, random) = clock.tick();
        if let Choice::Send(attempt) = choose(&mut pool, random, now) {
            let retry_at = Some(now + Duration::from_hours(20));
            let judgement = Judgement { retry_at, ..Judgement::of(Verdict::RateLimited) };
            pool.report(&attempt, &judgement, now, random);
            pool.settle(attempt, &Cost::REQUEST, now);
        }
    }
    measure(&format!("half of them held, {keys} keys"), || {
        let (now, random) = clock.tick();
        if let Choice::Send(attempt) = choose(&mut pool, random, now) {
            pool.cancel(black_box(attempt), now);
        }
    });
}

/// No key can carry it: who is at the head of the queue is told until when to wait.
fn exhausted(keys: usize) {
    let mut pool = pool(keys, 10);
    let mut clock = Clock::default();
    loop {
        let (now, random) = clock.tick();
        match choose(&mut pool, random, now) {
            Choice::Send(attempt) => pool.settle(attempt, &cost(), now),
            Choice::Wait(_) | Choice::Nothing(_) => break,
        }
    }
    measure(&format!("all exhausted, {keys} keys"), || {
        let (now, random) = clock.tick();
        black_box(choose(&mut pool, random, now));
    });
}

/// What the requests cost that wait.
#[derive(Clone, Copy, PartialEq)]
enum Sizes {
    Alike,
    Many,
}

/// Many who wait for groups that are used up.
struct Hall {
    admission: Admission<u32>,
    places: Vec<Place>,
    sizes: Sizes,
    groups: usize,
    now: Moment,
    dice: u64,
}

impl Hall {
    fn new(groups: usize, waiting: u32, sizes: Sizes) -> Self {
        let mut admission = Admission::new(RetryBudget::new(100, 1_000, Moment::ZERO));
        admission.rebuild(spec(groups, 600), Moment::ZERO);
        let now = Moment::from_nanos(1_000_000_000);
        let mut hall = Self { admission, places: Vec::new(), sizes, groups, now, dice: 1 };
        hall.prove();
        while hall.admission.waiting() < waiting as usize {
            hall.come();
        }
        while hall.admission.next(hall.now).is_some() {}
        hall
    }

    /// Every key works, as an answer has shown.
    fn prove(&mut self) {
        let tried = Tried::default();
        for _ in 0..self.groups {
            self.dice = self.dice.wrapping_add(1);
            let cost = Cost::REQUEST;
            let claim = Claim { priority: Priority::High, caller: 0, deadline: self.now, cost };
            let ask = Ask { cost, ..ask(&tried, self.dice) };
            if let Decision::Now(Outcome::Send(sent)) =
                self.admission.arrive(&ask, &claim, || 0, self.now)
            {
                self.admission.report(&sent, &Judgement::of(Verdict::Ok), self.now, 0);
                self.admission.cancel(sent, self.now);
            }
        }
        self.now = self.now + Duration::from_secs(1);
    }

    fn measure(&mut self, what: &str) {
        let name = |step: &str| format!("{} groups, 10,000 {what}: {step}", self.groups);
        let names = ["one comes and waits", "one leaves", "one goes", "nobody goes", "one ends"];
        let names = names.map(name);
        let mut times: [Vec<u128>; 5] = Default::default();
        for _ in 0..DECISIONS / 10 {
            self.dice = self.dice.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
            let [come, leave, go, none, end] = &mut times;
            timed(come, || self.come());
            let place = usize::try_from(self.dice >> 8).unwrap_or(0) % self.places.len();
            let place = self.places.swap_remove(place);
            timed(leave, || self.admission.leave(place));
            while self.admission.next(self.now).is_some() {}
            self.now = self.admission.wake().unwrap_or(self.now).max(self.now);
            let mut sent = Vec::new();
            loop {
                let start = Instant::now();
                let called = black_box(self.admission.next(self.now));
                let took = start.elapsed().as_nanos();
                let Some((_, outcome)) = called else {
                    none.push(took);
                    break;
                };
                go.push(took);
                sent.extend(if let Outcome::Send(sent) = outcome { Some(sent) } else { None });
            }
            for sent in sent {
                timed(end, || {
                    let cost = *sent.cost();
                    self.admission.settle(sent, &cost, self.now);
                    self.admission.next(self.now).is_some()
                });
            }
            while self.admission.waiting() < 10_000 {
                timed(come, || self.come());
            }
        }
        for (name, times) in names.iter().zip(times) {
            report(name, times);
        }
    }

    fn come(&mut self) {
        self.dice = self.dice.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        let size = if self.sizes == Sizes::Alike { 100 } else { 10 + (self.dice >> 40) % 4_000 };
        let tried = Tried::default();
        let cost = Cost { requests: 1, tokens: size, input: size, output: 0, money: 0 };
        let ask = Ask { cost, ..ask(&tried, self.dice) };
        let [priority, ..] = match self.dice >> 61 {
            0 => [Priority::High],
            1..=4 => [Priority::Normal],
            _ => [Priority::Batch],
        };
        let deadline = self.now + Duration::from_hours(100);
        let claim = Claim { priority, caller: (self.dice >> 30) % 100, deadline, cost };
        if let Decision::Waits(place) = self.admission.arrive(&ask, &claim, || 0, self.now) {
            self.places.push(place);
        }
    }
}

fn walk(pool: &mut Pool, clock: &mut Clock) {
    let (now, random) = clock.tick();
    if let Choice::Send(attempt) = choose(pool, random, now) {
        let told = |dimension, limit, remaining| Sample {
            dimension,
            limit: Some(limit),
            remaining: Some(remaining),
            reset_in: Some(Duration::from_millis(10)),
            window: Some(Duration::from_mins(1)),
        };
        let limit = u64::MAX >> 20;
        let samples = [
            told(Dimension::Requests, limit, limit - 1),
            told(Dimension::Tokens, limit, limit - 100),
        ];
        pool.observe(&attempt, &samples, now);
        pool.report(&attempt, &Judgement::of(Verdict::Ok), now, random);
        pool.settle(attempt, &cost(), now);
    }
}

fn choose(pool: &mut Pool, random: u64, now: Moment) -> Choice {
    pool.choose(&ask(&Tried::default(), random), now)
}

fn ask(tried: &Tried, random: u64) -> Ask<'_> {
    Ask {
        model: "gpt-4o-mini-2024-07-18",
        caller: "checkout",
        cost: cost(),
        tried,
        prefix: None,
        stored_in: None,
        body: Body::Replayable,
        random,
    }
}

const fn cost() -> Cost {
    Cost { requests: 1, tokens: 300, input: 200, output: 100, money: 0 }
}

/// A pool whose keys have all been proven good.
fn pool(count: usize, amount: u64) -> Pool {
    let mut pool = Pool::new(spec(count, amount), Moment::ZERO);
    let mut clock = Clock::default();
    for _ in 0..count * 20 {
        let (now, random) = clock.tick();
        if let Choice::Send(attempt) = choose(&mut pool, random, now) {
            pool.report(&attempt, &Judgement::of(Verdict::Ok), now, random);
            pool.cancel(attempt, now);
        }
    }
    pool
}

/// Keys that are each a quota group of its own, with as many requests a minute.
fn spec(count: usize, amount: u64) -> Spec {
    let minute = Duration::from_mins(1);
    let rule = |dimension, amount| Rule::new(Measure::Of(dimension), amount, minute);
    let rules = vec![
        rule(Dimension::Requests, amount),
        rule(Dimension::Tokens, amount.saturating_mul(1_000)),
    ];
    let keys = (0..count).map(|n| {
        let name = format!("key-{n}").into_boxed_str();
        KeySpec {
            quota_group: name.clone(),
            weight: 1,
            models: Vec::new(),
            callers: Vec::new(),
            fingerprint: Some(Secret::new(&name).fingerprint()),
            name,
        }
    });
    let limits =
        LimitSpec { models: Vec::new(), quota_groups: Vec::new(), reach: Reach::EachModel, rules };
    Spec { keys: keys.collect(), limits: vec![limits], learning: Learning::On, ..Spec::default() }
}

/// A microsecond passes from one decision to the next.
#[derive(Default)]
struct Clock {
    ticks: u64,
}

impl Clock {
    fn tick(&mut self) -> (Moment, u64) {
        self.ticks += 1;
        (Moment::from_nanos(self.ticks * 1_000), self.ticks.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

fn measure(what: &str, mut decide: impl FnMut()) {
    let mut times = Vec::with_capacity(DECISIONS);
    for _ in 0..DECISIONS {
        timed(&mut times, &mut decide);
    }
    report(what, times);
}

fn timed<T>(times: &mut Vec<u128>, decide: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let outcome = black_box(decide());
    times.push(start.elapsed().as_nanos());
    outcome
}

fn report(what: &str, mut times: Vec<u128>) {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0);
    println!("{what:<48} {:>9} {:>9}", at(50), at(99));
}
