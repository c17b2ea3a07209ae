//! What holds whatever happens.

use proptest::prelude::*;

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

fn both() -> [Rule; 3] {
    [
        per_minute(Dimension::Requests, 60),
        per_minute(Dimension::Tokens, 1_000),
        Rule::concurrency(8),
    ]
}

proptest! {
    #[test]
    fn no_history_lifts_a_level_above_full_or_loses_a_place(
        steps in prop::collection::vec(any_step(), 0..200),
    ) {
        let mut ledger = Ledger::new(&both(), Learning::On);
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

    #[test]
    fn no_history_of_lies_closes_a_limit_for_ever(
        steps in prop::collection::vec(any_step(), 0..200),
        cost in 0..900_u64,
    ) {
        let mut ledger = Ledger::new(&both(), Learning::On);
        let (mut open, mut now) = (Vec::new(), secs(1));
        for step in steps {
            apply(&mut ledger, &mut open, &step, &mut now);
        }
        for reservation in open.drain(..) {
            ledger.settle(reservation, &Cost::REQUEST, now);
        }
        // From here on the provider carries everything and says nothing.
        let end = now + DAY + DAY;
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

    #[test]
    fn without_learning_the_level_is_the_textbooks(
        steps in prop::collection::vec((0..400_u64, 0..400_u64, 0..9_000_u64), 1..100),
    ) {
        let (amount, window) = (1_000_i128, 60_000_000_000_i128);
        let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 1_000)], Learning::Off);
        let (mut now, mut level) = (secs(1), amount * window);
        for (reserve, actual, millis) in steps {
            let admitted = ledger.reserve(&tokens(reserve), now);
            let expected = level >= i128::from(reserve) * window;
            // Rounding down to the nanosecond may admit an unseen fraction of a token early.
            let near = (level - i128::from(reserve) * window).abs() < 1_000 * amount;
            prop_assert!(admitted.is_ok() == expected || near || reserve == 0);
            if let Ok(reservation) = admitted {
                ledger.settle(reservation, &tokens(actual), now);
                level -= i128::from(actual) * window;
            }
            now = now + Duration::from_millis(millis);
            level = (level + i128::from(millis) * 1_000_000 * amount).min(amount * window);
        }
    }

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

    #[test]
    fn a_smaller_request_never_waits_longer(
        taken in prop::collection::vec(1..600_u64, 0..10),
        small in 1..500_u64,
        more in 0..500_u64,
    ) {
        let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 1_000)], Learning::On);
        for cost in taken {
            ledger.reserve(&tokens(cost), secs(1)).map(drop).ok();
        }
        let wait = |ledger: &mut Ledger, cost| match ledger.check(&tokens(cost), secs(1)) {
            Ok(()) => secs(1),
            Err(Blocked::Until(until, _)) => until,
            Err(Blocked::Oversized(_)) => Moment::NEVER,
        };
        prop_assert!(wait(&mut ledger, small) <= wait(&mut ledger, small + more));
    }

    #[test]
    fn an_exact_provider_used_by_nobody_else_refuses_nothing(
        steps in prop::collection::vec((1..700_u64, 0..30_000_u64, 0..90_000_u64), 1..150),
        written in any::<bool>(),
    ) {
        let rules = [per_minute(Dimension::Tokens, 1_000)];
        let mut ledger = Ledger::new(if written { &rules } else { &[] }, Learning::On);
        let mut provider = Exact { level: 1_000 * MINUTE_NANOS, at: secs(1) };
        let mut under_way: Vec<(Moment, Reservation, u64)> = Vec::new();
        let mut now = secs(1);
        for (index, (cost, gap, delay)) in steps.into_iter().enumerate() {
            if let Ok(reservation) = ledger.reserve(&tokens(cost), now) {
                let left = provider.admit(cost, now);
                prop_assert!(left.is_some(), "refused {cost} at {now:?}");
                // With nothing written, the first answer has to come before the others are sent.
                let delay = if index == 0 && !written { 0 } else { delay };
                under_way.push((now + Duration::from_millis(delay), reservation, left.unwrap()));
            }
            let next = now + Duration::from_millis(gap);
            under_way.sort_by_key(|(due, ..)| *due);
            while under_way.first().is_some_and(|(due, ..)| *due <= next) {
                let (due, reservation, left) = under_way.remove(0);
                ledger.observe(&reservation, &[sample(Dimension::Tokens, 1_000, left)], due);
                let cost = *reservation.cost();
                ledger.settle(reservation, &cost, due);
            }
            now = next;
        }
    }
}

const MINUTE_NANOS: i128 = 60_000_000_000;

/// A provider's bucket of 1,000 a minute, in token-nanoseconds: exact.
struct Exact {
    level: i128,
    at: Moment,
}

impl Exact {
    /// What is left, in whole tokens; `None` refuses. A token's fraction is forgiven, for we count
    /// in whole nanoseconds.
    fn admit(&mut self, cost: u64, now: Moment) -> Option<u64> {
        let since = i128::try_from(now.since(self.at).as_nanos()).unwrap();
        self.level = (self.level + since * 1_000).min(1_000 * MINUTE_NANOS);
        self.at = now;
        self.level -= i128::from(cost) * MINUTE_NANOS;
        (self.level > -MINUTE_NANOS).then(|| u64::try_from(self.level / MINUTE_NANOS).unwrap_or(0))
    }
}
