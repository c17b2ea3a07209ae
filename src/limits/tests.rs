use std::time::Duration;

use crate::clock::Moment;
use crate::formats::{Dimension, Sample};

use super::*;

mod laws;
mod learning;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

fn secs(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn rule(dimension: Dimension, amount: u64, window: Duration) -> Rule {
    Rule::new(Measure::Of(dimension), amount, window)
}

fn per_minute(dimension: Dimension, amount: u64) -> Rule {
    rule(dimension, amount, MINUTE)
}

fn tokens(tokens: u64) -> Cost {
    Cost { tokens, input: tokens, ..Cost::REQUEST }
}

fn sample(dimension: Dimension, limit: u64, remaining: u64) -> Sample {
    Sample {
        dimension,
        limit: Some(limit),
        remaining: Some(remaining),
        reset_in: None,
        window: Some(MINUTE),
    }
}

fn until(blocked: Result<impl std::fmt::Debug, Blocked>) -> Moment {
    match blocked.unwrap_err() {
        Blocked::Until(until, _) => until,
        Blocked::Oversized(binding) => panic!("oversized: {binding:?}"),
    }
}

#[test]
fn all_limits_are_taken_from_or_none() {
    let rules = [per_minute(Dimension::Requests, 10), per_minute(Dimension::Tokens, 1_000)];
    let mut ledger = Ledger::new(&rules, Learning::Off);
    ledger.reserve(&tokens(900), secs(0)).map(drop).unwrap();
    assert!(ledger.reserve(&tokens(500), secs(0)).is_err());
    let levels: Vec<_> = ledger.levels(secs(0)).map(|level| level.level).collect();
    assert!((levels[0] - 0.9).abs() < 1e-9, "the refused one took no request either: {levels:?}");
    assert!((levels[1] - 0.1).abs() < 1e-9);
}

#[test]
fn the_moment_told_is_the_one_at_which_it_passes() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 600)], Learning::Off);
    ledger.reserve(&tokens(600), secs(0)).map(drop).unwrap();
    let at = until(ledger.reserve(&tokens(100), secs(1)));
    assert_eq!(at, secs(10));
    assert!(ledger.check(&tokens(100), Moment::from_nanos(at.as_nanos() - 1)).is_err());
    ledger.reserve(&tokens(100), at).map(drop).unwrap();
}

#[test]
fn where_several_limits_bind_the_last_to_free_is_told() {
    let rules = [per_minute(Dimension::Requests, 1), rule(Dimension::Tokens, 100, DAY)];
    let mut ledger = Ledger::new(&rules, Learning::Off);
    ledger.reserve(&tokens(100), secs(0)).map(drop).unwrap();
    let Err(Blocked::Until(until, binding)) = ledger.reserve(&tokens(50), secs(0)) else {
        panic!("nothing is left");
    };
    assert_eq!(until, secs(43_200));
    assert_eq!(binding.name(), "tokensPerDay");
}

#[test]
fn what_was_not_used_goes_back_and_what_was_overrun_is_debt() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 600)], Learning::Off);
    let reservation = ledger.reserve(&tokens(500), secs(0)).unwrap();
    ledger.settle(reservation, &tokens(100), secs(0));
    let reservation = ledger.reserve(&tokens(500), secs(0)).unwrap();
    ledger.settle(reservation, &tokens(1_100), secs(0));
    assert!((ledger.levels(secs(0)).next().unwrap().level + 1.0).abs() < 1e-9, "600 in debt");
    assert_eq!(until(ledger.reserve(&tokens(60), secs(0))), secs(66), "debt is paid first");
}

#[test]
fn a_request_never_sent_leaves_no_trace() {
    let rules = [per_minute(Dimension::Requests, 10), per_minute(Dimension::OutputTokens, 100)];
    let mut ledger = Ledger::new(&rules, Learning::Off);
    let before: Vec<_> = ledger.levels(secs(5)).collect();
    let reservation = ledger.reserve(&Cost { output: 90, ..tokens(5) }, secs(5)).unwrap();
    assert_eq!(ledger.in_flight(), 1);
    ledger.cancel(reservation, secs(5));
    assert_eq!(ledger.levels(secs(5)).collect::<Vec<_>>(), before);
    assert_eq!(ledger.in_flight(), 0);
}

#[test]
fn an_unknown_outcome_costs_what_was_reserved() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 600)], Learning::Off);
    let reservation = ledger.reserve(&tokens(600), secs(0)).unwrap();
    ledger.forfeit(reservation, secs(0));
    assert_eq!(until(ledger.reserve(&tokens(10), secs(0))), secs(1));
}

#[test]
fn a_refund_does_not_return_what_time_has_returned() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 600)], Learning::Off);
    let slow = ledger.reserve(&tokens(600), secs(0)).unwrap();
    ledger.reserve(&tokens(600), secs(100)).map(drop).unwrap();
    ledger.settle(slow, &tokens(0), secs(100));
    assert_eq!(until(ledger.reserve(&tokens(60), secs(100))), secs(106));
}

#[test]
fn concurrency_is_a_limit_like_the_others() {
    let rule = Rule::concurrency(2);
    let mut ledger = Ledger::new(&[rule], Learning::Off);
    let first = ledger.reserve(&tokens(1), secs(0)).unwrap();
    ledger.reserve(&tokens(1), secs(0)).map(drop).unwrap();
    assert!(until(ledger.reserve(&tokens(1), secs(0))) > secs(0));
    assert_eq!(ledger.free(secs(0)), 0);
    ledger.settle(first, &tokens(1), secs(1));
    ledger.reserve(&tokens(1), secs(1)).map(drop).unwrap();
}

#[test]
fn a_request_larger_than_a_certain_limit_is_refused_for_good() {
    let rules = [per_minute(Dimension::Tokens, 1_000)];
    let mut certain = Ledger::new(&rules, Learning::Off);
    assert!(matches!(certain.reserve(&tokens(1_300), secs(0)), Err(Blocked::Oversized(_))));
    certain.reserve(&tokens(1_200), secs(0)).map(drop).expect("an estimate may be a quarter off");
    assert_eq!(until(certain.reserve(&tokens(1_200), secs(0))), secs(72), "from full only");

    let mut prior = Ledger::new(&rules, Learning::On);
    prior.reserve(&tokens(3_000), secs(0)).map(drop).expect("the provider may grant more");
    assert_eq!(until(prior.reserve(&tokens(1), secs(0))), Moment::from_nanos(120_060_000_000));
}

#[test]
fn output_is_metered_so_any_size_starts_while_something_is_left() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::OutputTokens, 100)], Learning::Off);
    let long = Cost { requests: 1, output: 250, ..Cost::default() };
    let first = ledger.reserve(&long, secs(0)).unwrap();
    assert!(ledger.reserve(&long, secs(0)).is_err(), "what is reserved is on its way");
    ledger.settle(first, &Cost { output: 50, ..long }, secs(0));
    ledger.reserve(&long, secs(0)).map(drop).unwrap();
}

#[test]
fn a_hold_is_kept_to_the_dimension_that_is_exhausted() {
    let mut ledger = Ledger::new(&[], Learning::On);
    let refused = ledger.reserve(&tokens(10), secs(0)).unwrap();
    ledger.refuse(&refused, Some(Dimension::Tokens), Some(secs(20)), secs(0), 0);
    assert_eq!(until(ledger.check(&tokens(1), secs(1))), secs(20));
    ledger.check(&Cost::REQUEST, secs(1)).expect("requests without tokens pass");
    ledger.refuse(&refused, None, Some(secs(10)), secs(1), 0);
    assert_eq!(until(ledger.check(&tokens(1), secs(1))), secs(20), "the latest moment wins");
    assert_eq!(until(ledger.check(&Cost::REQUEST, secs(1))), secs(10));
    ledger.check(&tokens(1), secs(20)).unwrap();
}

#[test]
fn the_jitter_of_a_hold_is_thirty_per_cent_and_a_second_at_most() {
    assert_eq!(jitter(Duration::from_secs(1), u64::MAX).as_millis(), 299);
    assert_eq!(jitter(DAY, u64::MAX).as_millis(), 999);
    assert_eq!(jitter(DAY, 0), Duration::ZERO);
}

#[test]
fn refusals_without_a_hint_hold_for_one_second_growing_to_a_minute() {
    let mut ledger = Ledger::new(&[], Learning::On);
    let (mut now, mut waits) = (secs(1), Vec::new());
    for _ in 0..8 {
        let refused = ledger.reserve(&tokens(10), now).unwrap();
        let until = ledger.refuse(&refused, None, None, now, 0);
        ledger.settle(refused, &Cost::REQUEST, now);
        waits.push(until.since(now).as_secs());
        now = until;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    let carried = ledger.reserve(&tokens(10), now + MINUTE).unwrap();
    ledger.carried(&carried, now + MINUTE);
    ledger.settle(carried, &tokens(10), now + MINUTE);
    let refused = ledger.reserve(&tokens(10), now + MINUTE).unwrap();
    let until = ledger.refuse(&refused, None, None, now + MINUTE, 0);
    assert_eq!(until, now + MINUTE + Duration::from_secs(1), "a success begins anew");
}

#[test]
fn refusals_that_were_under_way_together_count_once() {
    let mut ledger = Ledger::new(&[], Learning::On);
    let burst: Vec<_> = (0..50).map(|_| ledger.reserve(&tokens(1), secs(1)).unwrap()).collect();
    for refused in &burst {
        assert_eq!(ledger.refuse(refused, None, None, secs(2), 0), secs(3));
    }
}

#[test]
fn absurd_moments_to_come_back_count_as_none() {
    let mut ledger = Ledger::new(&[], Learning::On);
    for absurd in [Moment::NEVER, Moment::ZERO] {
        let refused = ledger.reserve(&tokens(1), secs(100)).unwrap();
        assert_eq!(ledger.refuse(&refused, None, Some(absurd), secs(100), 0), secs(101));
        ledger = Ledger::new(&[], Learning::On);
    }
}

#[test]
fn a_changed_configuration_keeps_what_was_used() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 1_000)], Learning::On);
    let spent = ledger.reserve(&tokens(600), secs(0)).unwrap();
    ledger.revise(&[per_minute(Dimension::Tokens, 2_000)], Learning::On, secs(0));
    let level = ledger.levels(secs(0)).next().unwrap();
    assert!((level.level - 0.7).abs() < 1e-6, "600 of 2,000 are used: {level:?}");
    ledger.settle(spent, &tokens(600), secs(0));
    ledger.revise(&[], Learning::On, secs(0));
    assert_eq!(ledger.levels(secs(0)).count(), 0, "a limit that was taken out binds nobody");
}

#[test]
fn limits_are_named_as_in_the_configuration() {
    let names: Vec<_> = [
        (Measure::Of(Dimension::Requests), Duration::from_secs(1)),
        (Measure::Of(Dimension::Tokens), MINUTE),
        (Measure::Of(Dimension::InputTokens), Duration::from_hours(1)),
        (Measure::Of(Dimension::OutputTokens), DAY),
        (Measure::Concurrency, Duration::ZERO),
    ]
    .into_iter()
    .map(|(measure, window)| Binding::Limit(measure, window).name())
    .collect();
    assert_eq!(
        names,
        [
            "requestsPerSecond",
            "tokensPerMinute",
            "inputTokensPerHour",
            "outputTokensPerDay",
            "concurrency"
        ]
    );
}
