//! What holds whatever happens.

use proptest::prelude::*;

use super::provider::{Emptied, Exact};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Reserve(u64),
    Cancel(usize),
    Settle(usize, u64),
    Forfeit(usize),
    Observe(usize, Sample),
    Refuse(usize, Option<u64>),
    Tick(u64),
}

fn any_cost() -> impl Strategy<Value = u64> {
    prop_oneof![0..2_000_u64, Just(u64::MAX), Just(0)]
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let amount = || prop_oneof![0..5_000_u64, Just(0), Just(u64::MAX), 0..=u64::MAX];
    let span = || prop_oneof![0..120_000_000_000_u64, 0..=u64::MAX];
    (
        prop::sample::select(Dimension::ALL.to_vec()),
        prop::option::of(amount()),
        prop::option::of(amount()),
        prop::option::of(span()),
        prop::option::of(span()),
    )
        .prop_map(|(dimension, limit, remaining, reset, window)| Sample {
            dimension,
            limit,
            remaining,
            reset_in: reset.map(Duration::from_nanos),
            window: window.map(Duration::from_nanos),
        })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any_cost().prop_map(Step::Reserve),
        1 => any::<usize>().prop_map(Step::Cancel),
        2 => (any::<usize>(), any_cost()).prop_map(|(i, c)| Step::Settle(i, c)),
        1 => any::<usize>().prop_map(Step::Forfeit),
        2 => (any::<usize>(), any_sample()).prop_map(|(i, s)| Step::Observe(i, s)),
        1 => (any::<usize>(), prop::option::of(0..=u64::MAX)).prop_map(|(i, t)| Step::Refuse(i, t)),
        3 => (0..20_000_000_000_u64).prop_map(Step::Tick),
    ]
}

fn pick(open: &mut Vec<Reservation>, index: usize) -> Option<Reservation> {
    (!open.is_empty()).then(|| open.swap_remove(index % open.len()))
}

fn apply(ledger: &mut Ledger, open: &mut Vec<Reservation>, step: &Step, now: &mut Moment) {
    match *step {
        Step::Reserve(cost) => open.extend(ledger.reserve(&tokens(cost), *now)),
        Step::Cancel(i) => {
            if let Some(reservation) = pick(open, i) {
                ledger.cancel(reservation, *now);
            }
        }
        Step::Settle(i, cost) => {
            if let Some(reservation) = pick(open, i) {
                ledger.settle(reservation, &tokens(cost), *now);
            }
        }
        Step::Forfeit(i) => {
            if let Some(reservation) = pick(open, i) {
                ledger.forfeit(reservation, *now);
            }
        }
        Step::Observe(i, sample) => {
            if let Some(reservation) = pick(open, i) {
                ledger.observe(&reservation, &[sample, sample], *now);
                open.push(reservation);
            }
        }
        Step::Refuse(i, retry_at) => {
            if let Some(reservation) = pick(open, i) {
                let dimension = Some(Dimension::Tokens);
                let at = retry_at.map(Moment::from_nanos);
                ledger.refuse(&reservation, dimension, at, *now, u64::MAX);
                open.push(reservation);
            }
        }
        Step::Tick(nanos) => *now = *now + Duration::from_nanos(nanos),
    }
}

/// Sixty requests and a thousand tokens a minute in any kind of window, and eight requests at once.
fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    let utc = || jiff::tz::TimeZone::UTC;
    let slice = Duration::from_secs(6);
    prop::sample::select(vec![
        Window::Refill(MINUTE),
        Window::Sliced { window: MINUTE, slice },
        Window::Fixed(MINUTE),
        Window::Rolling(MINUTE),
        Window::Calendar(Period::Day, utc()),
    ])
    .prop_map(|window| {
        vec![
            Rule::new(Measure::Of(Dimension::Requests), 60, window.clone()),
            Rule::new(Measure::Of(Dimension::Tokens), 1_000, window),
            per_minute(Dimension::OutputTokens, 1_000),
            Rule::concurrency(8),
        ]
    })
}

fn any_sharing() -> impl Strategy<Value = Sharing> {
    let share = Share::new(1, std::num::NonZeroU32::new(20).unwrap());
    prop::sample::select(vec![Sharing::Learned, Sharing::Floor(share), Sharing::Part(share)])
}

fn ledger(rules: &[Rule], sharing: Sharing) -> Ledger {
    let wall = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let wall = Some(crate::clock::Now { at: Moment::ZERO, wall });
    Ledger::new(rules, Terms { sharing, wall, ..Terms::default() })
}

proptest! {
    /// I3, I4, I5, P6.
    #[test]
    fn no_history_lifts_a_level_above_full_or_loses_a_place(
        rules in any_rules(),
        sharing in any_sharing(),
        steps in prop::collection::vec(any_step(), 0..200),
    ) {
        let mut ledger = ledger(&rules, sharing);
        let (mut open, mut now) = (Vec::new(), secs(1));
        for step in steps {
            apply(&mut ledger, &mut open, &step, &mut now);
            for level in ledger.levels(now) {
                prop_assert!(level.level <= 1.0);
            }
            prop_assert_eq!(ledger.in_flight(), open.len() as u64);
        }
        for reservation in open.drain(..) {
            ledger.cancel(reservation, now);
        }
        prop_assert_eq!(ledger.in_flight(), 0);
        for level in ledger.levels(now) {
            prop_assert!(level.level <= 1.0);
        }
    }

    /// P6: headers that lie, refusals that lie, usage that cannot be.
    #[test]
    fn no_history_of_lies_closes_a_limit_for_ever(
        rules in any_rules(),
        sharing in any_sharing(),
        steps in prop::collection::vec(any_step(), 0..200),
        cost in 0..900_u64,
    ) {
        let mut ledger = ledger(&rules, sharing);
        let (mut open, mut now) = (Vec::new(), secs(1));
        for step in steps {
            apply(&mut ledger, &mut open, &step, &mut now);
        }
        for reservation in open.drain(..) {
            ledger.settle(reservation, &Cost::REQUEST, now);
        }
        // From here on the provider carries everything and says nothing.
        let longest = rules.iter().map(|rule| rule.window.length()).max().unwrap();
        let end = now + DAY + DAY + 20 * longest;
        for _ in 0..20 {
            now = match ledger.check(&tokens(cost), now) {
                Ok(()) => now,
                Err(Blocked::Until(until, _)) => until,
                Err(Blocked::Oversized(_)) => now + Duration::from_mins(10),
            };
            prop_assert!(now <= end);
            if let Ok(carried) = ledger.reserve(&tokens(cost), now) {
                ledger.carried(&carried, now);
                ledger.settle(carried, &tokens(cost), now);
            }
        }
        prop_assert!(ledger.check(&tokens(cost), now + DAY).is_ok());
    }

    /// P8.
    #[test]
    fn a_storm_of_refunds_leaves_the_bucket_full_and_no_fuller(
        costs in prop::collection::vec(1..50_u64, 1..20),
        pause in 0..120_u64,
    ) {
        let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 1_000)], Learning::Off);
        let open: Vec<_> = costs.iter().map(|c| ledger.reserve(&tokens(*c), secs(1)).unwrap()).collect();
        let now = secs(1 + pause);
        for reservation in open {
            ledger.cancel(reservation, now);
        }
        ledger.reserve(&tokens(1_000), now).map(drop).unwrap();
        prop_assert!(ledger.reserve(&tokens(1), now).is_err());
    }

    /// P2: with headers, whether or not anything is written.
    #[test]
    fn an_exact_provider_used_by_nobody_else_refuses_nothing(
        steps in prop::collection::vec((1..700_u64, 0..30_000_u64, 0..90_000_u64), 1..150),
        written in any::<bool>(),
    ) {
        let rules = [per_minute(Dimension::Tokens, 1_000)];
        let mut ledger = Ledger::new(if written { &rules } else { &[] }, Learning::On);
        let mut provider = Exact::per_minute(1_000);
        let mut under_way: Vec<(Moment, Reservation, Sample)> = Vec::new();
        let mut now = secs(1);
        for (index, (cost, gap, delay)) in steps.into_iter().enumerate() {
            if let Ok(reservation) = ledger.reserve(&tokens(cost), now) {
                prop_assert!(provider.admit(cost, now).is_ok(), "refused {cost} at {now:?}");
                // With nothing written, the first answer has to come before the others are sent.
                let delay = if index == 0 && !written { 0 } else { delay };
                let headers = provider.headers(Dimension::Tokens, now);
                under_way.push((now + Duration::from_millis(delay), reservation, headers));
            }
            let next = now + Duration::from_millis(gap);
            under_way.sort_by_key(|(due, ..)| *due);
            while under_way.first().is_some_and(|(due, ..)| *due <= next) {
                let (due, reservation, headers) = under_way.remove(0);
                ledger.observe(&reservation, &[headers], due);
                let cost = *reservation.cost();
                ledger.settle(reservation, &cost, due);
            }
            now = next;
        }
    }

    /// P2: without a header, where the provider counts as the rule says, or in any phase of it.
    #[test]
    fn what_is_admitted_without_a_header_is_within_what_the_provider_counts(
        kind in 0..4_usize,
        steps in prop::collection::vec((1..90_u64, 0..12_000_u64), 1..150),
        phase in 0..60_u64,
    ) {
        let slice = Duration::from_secs(6);
        let sliced = Window::Sliced { window: MINUTE, slice };
        let window =
            [Window::Refill(MINUTE), Window::Fixed(MINUTE), Window::Rolling(MINUTE), sliced][kind].clone();
        let rule = Rule::new(Measure::Of(Dimension::Tokens), 1_000, window);
        let mut ledger = Ledger::new(&[rule], Learning::Off);
        let mut buckets = match kind {
            0 | 2 => vec![Exact::per_minute(1_000)],
            3 => vec![Exact::new(1_000, MINUTE, slice)],
            _ => vec![],
        };
        let mut counters = match kind {
            1 => vec![Emptied::after_first_use(1_000, MINUTE)],
            2 => vec![
                Emptied::after_first_use(1_000, MINUTE),
                Emptied::in_phase(1_000, MINUTE, Duration::from_secs(phase)),
            ],
            3 => vec![Emptied::in_phase(100, slice, Duration::from_secs(phase))],
            _ => vec![],
        };
        let mut now = secs(100);
        for (cost, gap) in steps {
            if let Ok(reservation) = ledger.reserve(&tokens(cost), now) {
                for bucket in &mut buckets {
                    prop_assert!(bucket.admit(cost, now).is_ok(), "a bucket refused {cost}");
                }
                for counter in &mut counters {
                    prop_assert!(counter.admit(cost, now), "a counter refused {cost}");
                }
                ledger.settle(reservation, &tokens(cost), now);
            }
            now = now + Duration::from_millis(gap);
        }
    }
}

/// I5, where there is least to go by: what was refused took nothing.
#[test]
fn the_refusal_of_a_request_that_takes_nothing_closes_no_limit() {
    let rules = vec![Rule::new(Measure::Of(Dimension::Tokens), 1_000, Window::Refill(MINUTE))];
    let share = Share::new(1, std::num::NonZeroU32::new(20).unwrap());
    let mut ledger = ledger(&rules, Sharing::Floor(share));
    let (mut open, mut now) = (Vec::new(), secs(1));
    for step in [Step::Reserve(0), Step::Refuse(0, None)] {
        apply(&mut ledger, &mut open, &step, &mut now);
    }
    assert!(ledger.check(&tokens(1), now + MINUTE).is_ok());
}
