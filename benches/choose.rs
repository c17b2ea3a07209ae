//! What a decision costs: choosing a key, reserving and settling, for 1 to 256 keys, and the queue
//! of those who wait.
//!
//! `cargo bench --bench choose` prints the median and the 99th percentile in nanoseconds, the some
//! twenty that reading the clock takes included.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use keyweir::clock::Moment;
use keyweir::formats::{Dimension, Judgement, Sample, Verdict};
use keyweir::keys::{Ask, Body, Choice, KeySpec, LimitSpec, Pool, Reach, Secret, Spec, Tried};
use keyweir::limits::{Cost, Learning, Measure, Queue, Rule};

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
    waiters(10_000);
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

/// One comes, the head is looked at, one leaves from the middle.
fn waiters(count: u64) {
    let mut queue = Queue::new(usize::MAX);
    let mut clock = Clock::default();
    let mut tickets = Vec::new();
    for _ in 0..count {
        let (_, random) = clock.tick();
        tickets.extend(queue.push(Moment::from_nanos(random), ()));
    }
    measure(&format!("queue with {count} waiters: come, look, leave"), || {
        let (_, random) = clock.tick();
        black_box(queue.head());
        let place = usize::try_from(random >> 1).unwrap_or(0) % tickets.len();
        if let Ok(ticket) = queue.push(Moment::from_nanos(random), ())
            && let Some(place) = tickets.get_mut(place)
        {
            queue.leave(std::mem::replace(place, ticket));
        }
    });
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
    let tried = Tried::default();
    let ask = Ask {
        model: "gpt-4o-mini-2024-07-18",
        caller: "checkout",
        cost: cost(),
        tried: &tried,
        preferred: None,
        stored_in: None,
        body: Body::Replayable,
        random,
    };
    pool.choose(&ask, now)
}

const fn cost() -> Cost {
    Cost { requests: 1, tokens: 300, input: 200, output: 100, money: 0 }
}

/// A pool whose keys have all been proven good.
fn pool(count: usize, amount: u64) -> Pool {
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
    let spec = Spec {
        keys: keys.collect(),
        limits: vec![limits],
        learning: Learning::On,
        ..Spec::default()
    };
    let mut pool = Pool::new(spec, Moment::ZERO);
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
    let mut each: Vec<u128> = Vec::with_capacity(DECISIONS);
    for _ in 0..DECISIONS {
        let start = Instant::now();
        decide();
        each.push(start.elapsed().as_nanos());
    }
    each.sort_unstable();
    let at = |share: usize| each.get(DECISIONS * share / 100).copied().unwrap_or(0);
    println!("{what:<48} {:>9} {:>9}", at(50), at(99));
}
