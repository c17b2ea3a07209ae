//! Our part of a limit, in whatever way it is ours.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::provider::{Dice, Exact};
use super::*;

fn one_of(replicas: u32) -> Share {
    Share::one_of(NonZeroU32::new(replicas).unwrap())
}

fn shared(limit: u64, sharing: Sharing) -> Ledger {
    let rules = [per_minute(Dimension::Requests, limit)];
    Ledger::new(&rules, Terms { sharing, ..Terms::default() })
}

/// How many requests pass at that moment.
fn passing(ledger: &mut Ledger, now: Moment) -> u64 {
    let pass = |ledger: &mut Ledger| {
        let reservation = ledger.reserve(&Cost::REQUEST, now);
        reservation.map(|reservation| ledger.settle(reservation, &Cost::REQUEST, now)).is_ok()
    };
    (0..100_000).take_while(|_| pass(ledger)).count() as u64
}

#[test]
fn a_part_is_divided_by_the_replicas_assumed_and_says_so() {
    let mut ledger = shared(600, Sharing::Part(one_of(5)));
    assert_eq!(passing(&mut ledger, secs(0)), 120);
    assert_eq!(until(ledger.check(&Cost::REQUEST, secs(0))).since(secs(0)).as_millis(), 500);
    let level = ledger.levels(secs(0)).next().unwrap();
    assert_eq!((level.configured, level.replicas), (Some(600), 5));
    assert!(level.level.abs() < 1e-9, "{level:?}");
}

#[test]
fn a_coordinator_hands_in_another_part_and_what_was_used_stays_used() {
    let mut ledger = shared(600, Sharing::Part(one_of(5)));
    assert_eq!(passing(&mut ledger, secs(0)), 120);
    ledger.set_sharing(Sharing::Part(one_of(3)), secs(0));
    assert_eq!(passing(&mut ledger, secs(0)), 80);
    ledger.set_sharing(Sharing::Part(one_of(6)), secs(0));
    assert_eq!(until(ledger.check(&Cost::REQUEST, secs(0))).since(secs(0)).as_millis(), 60_600);
}

#[test]
fn a_part_of_a_place_is_one_place() {
    let terms = Terms { sharing: Sharing::Part(one_of(20)), ..Terms::default() };
    let mut ledger = Ledger::new(&[Rule::concurrency(8)], terms);
    assert_eq!(ledger.levels(secs(0)).next().unwrap().configured, Some(8));
    let held = ledger.reserve(&Cost::REQUEST, secs(0)).unwrap();
    assert!(ledger.check(&Cost::REQUEST, secs(0)).is_err());
    ledger.cancel(held, secs(0));
}

#[test]
fn a_request_larger_than_our_part_but_not_than_the_limit_passes_when_it_is_full() {
    let terms =
        Terms { learning: Learning::Off, sharing: Sharing::Part(one_of(10)), ..Terms::default() };
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 1_000)], terms);
    ledger.reserve(&tokens(700), secs(0)).map(drop).unwrap();
    assert_eq!(until(ledger.check(&tokens(100), secs(0))), secs(420), "its debt is ours");
    assert!(matches!(ledger.check(&tokens(1_300), secs(0)), Err(Blocked::Oversized(_))));
}

#[test]
fn alone_until_headers_show_that_somebody_else_draws_too() {
    let mut ledger = shared(600, Sharing::Learned);
    let mut provider = Exact::per_minute(600);
    let mut replicas = Vec::new();
    for second in 0..60 {
        for _ in 0..3 {
            let reservation = ledger.take(&Cost::REQUEST, secs(second));
            provider.admit(1, secs(second)).unwrap();
            if (20..40).contains(&second) {
                // Two others do just as we do.
                provider.admit(2, secs(second)).unwrap();
            }
            let headers = provider.headers(Dimension::Requests, secs(second));
            ledger.observe(&reservation, &[headers], secs(second));
            ledger.settle(reservation, &Cost::REQUEST, secs(second));
        }
        replicas.push(ledger.levels(secs(second)).next().unwrap().replicas);
    }
    assert_eq!(replicas[19], 1);
    assert_eq!(replicas[39], 3, "{replicas:?}");
    assert_eq!(replicas[59], 1, "and alone again when they have left: {replicas:?}");
}

#[test]
fn one_of_many_who_has_the_limit_to_itself_comes_to_use_nearly_all_of_it() {
    let mut ledger = shared(600, Sharing::Floor(one_of(20)));
    let mut provider = Exact::per_minute(600);
    let mut now = secs(1);
    let mut sent = 0;
    while now < secs(601) {
        match ledger.reserve(&Cost::REQUEST, now) {
            Ok(reservation) => {
                provider.admit(1, now).expect("nobody else draws");
                let headers = provider.headers(Dimension::Requests, now);
                let answered = now + Duration::from_millis(300);
                ledger.observe(&reservation, &[headers], answered);
                ledger.settle(reservation, &Cost::REQUEST, answered);
                sent += 1;
            }
            Err(blocked) => now = until(Err::<(), _>(blocked)),
        }
    }
    assert!(sent >= 5_500, "{sent} of 6,000 that came back in that time");
}

proptest! {
    /// I2: those who send no faster than their floors are never refused, however the headers are
    /// delayed or lost.
    #[test]
    fn floors_alone_are_never_refused(
        replicas in 2..40_u32,
        seed in any::<u64>(),
        lost in 0..100_u64,
    ) {
        let sharing = Sharing::Floor(one_of(replicas));
        let mut sidecars: Vec<_> = (0..replicas).map(|_| shared(600, sharing)).collect();
        let mut provider = Exact::per_minute(600);
        let mut dice = Dice(seed);
        let mut answers: Vec<(Moment, usize, Reservation, Option<Sample>)> = Vec::new();
        // Each sends at 97 % of its part, evenly but for a little chance.
        let gap = f64::from(replicas) / 10.0 / 0.97;
        let mut due: Vec<f64> = (0..replicas).map(|_| gap * dice.unit()).collect();
        for _ in 0..1_500 {
            let (n, at) = due.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            due[n] = at + gap * (0.9 + 0.2 * dice.unit());
            let now = secs(1) + Duration::from_secs_f64(at);
            answers.sort_by_key(|(answered, ..)| *answered);
            while answers.first().is_some_and(|(answered, ..)| *answered <= now) {
                let (answered, n, reservation, headers) = answers.remove(0);
                let samples: Vec<_> = headers.into_iter().collect();
                sidecars[n].observe(&reservation, &samples, answered);
                sidecars[n].settle(reservation, &Cost::REQUEST, answered);
            }
            if let Ok(reservation) = sidecars[n].reserve(&Cost::REQUEST, now) {
                prop_assert!(provider.admit(1, now).is_ok(), "sidecar {n} was refused at {now:?}");
                let heard = dice.roll() % 100 >= lost;
                let headers = heard.then(|| provider.headers(Dimension::Requests, now));
                let delay = Duration::from_secs_f64(3.0 * dice.unit());
                answers.push((now + delay, n, reservation, headers));
            }
        }
    }

    /// I1: what one of several sends in any time is bounded by its rate and what it saved up, however
    /// much the headers promise.
    #[test]
    fn one_of_several_never_sends_more_than_half_at_once(
        replicas in 3..40_u32,
        wait in 0..600_u64,
    ) {
        let mut ledger = shared(600, Sharing::Floor(one_of(replicas)));
        let reservation = ledger.take(&Cost::REQUEST, secs(0));
        for n in 0..30 {
            ledger.observe(&reservation, &[sample(Dimension::Requests, 600, 600)], secs(n));
            let again = ledger.take(&Cost::REQUEST, secs(n));
            ledger.observe(&again, &[sample(Dimension::Requests, 600, 600)], secs(n));
            ledger.settle(again, &Cost::REQUEST, secs(n));
        }
        prop_assert!(passing(&mut ledger, secs(30 + wait)) <= 301);
        ledger.settle(reservation, &Cost::REQUEST, secs(700));
    }

    /// I10: when nothing is heard any more, nobody's rate grows, and all come back to their floors.
    #[test]
    fn silence_never_raises_a_rate(replicas in 2..40_u32, good in 1..40_u64) {
        let mut ledger = shared(600, Sharing::Floor(one_of(replicas)));
        for n in 0..good {
            let reservation = ledger.take(&Cost::REQUEST, secs(n));
            ledger.observe(&reservation, &[sample(Dimension::Requests, 600, 590)], secs(n));
            ledger.settle(reservation, &Cost::REQUEST, secs(n));
        }
        let mut before = u64::MAX;
        let mut last = 0;
        for minute in 0..10_u64 {
            let mut sent = 0;
            for tenth in 0..600 {
                let now = secs(good + minute * 60) + Duration::from_millis(tenth * 100);
                sent += passing(&mut ledger, now);
            }
            // What was saved up may be spent in a minute in which less came back.
            prop_assert!(sent <= before.saturating_add(before / 50).saturating_add(2), "{sent} after {before}");
            (before, last) = (sent.max(1), sent);
        }
        let floor = 600 * 98 / 100 / u64::from(replicas);
        prop_assert!(last <= floor + 2, "{last} a minute, its floor is {floor}");
    }
}
