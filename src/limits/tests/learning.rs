//! What headers teach, and how little a lie can do.

use super::*;

/// Sends a request and hears these samples with its answer, all at one moment.
fn ask(ledger: &mut Ledger, cost: u64, samples: &[Sample], now: Moment) {
    let reservation = ledger.take(&tokens(cost), now);
    ledger.observe(&reservation, samples, now);
    ledger.settle(reservation, &tokens(cost), now);
}

fn openai(limit: u64, remaining: u64, reset: Duration) -> Sample {
    Sample { reset_in: Some(reset), window: None, ..sample(Dimension::Tokens, limit, remaining) }
}

fn level(ledger: &Ledger, now: Moment) -> Level {
    ledger.levels(now).next().unwrap()
}

#[test]
fn headers_alone_are_enough() {
    let mut ledger = Ledger::new(&[], Learning::On);
    ask(&mut ledger, 100, &[sample(Dimension::Tokens, 6_000, 1_000)], secs(0));
    ledger.reserve(&tokens(900), secs(0)).map(drop).unwrap();
    assert_eq!(until(ledger.reserve(&tokens(1_100), secs(0))), secs(10), "100 left, 100 a second");
    assert_eq!(level(&ledger, secs(0)).learned, Some(6_000));
    assert_eq!(level(&ledger, secs(0)).configured, None);
}

#[test]
fn what_was_sent_after_the_sampled_request_is_subtracted_from_its_rest() {
    let mut ledger = Ledger::new(&[], Learning::On);
    let first = ledger.reserve(&tokens(1_000), secs(0)).unwrap();
    for _ in 0..4 {
        ledger.reserve(&tokens(1_000), secs(0)).map(drop).unwrap();
    }
    ledger.observe(&first, &[sample(Dimension::Tokens, 6_000, 5_001)], secs(0));
    assert!(ledger.reserve(&tokens(1_000), secs(0)).is_ok(), "1,001 are left");
    assert!(ledger.reserve(&tokens(1_000), secs(0)).is_err());
}

#[test]
fn the_use_of_other_systems_is_seen() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 6_000)], Learning::On);
    let reservation = ledger.reserve(&tokens(100), secs(0)).unwrap();
    let later = ledger.reserve(&tokens(100), secs(1)).unwrap();
    ledger.observe(&reservation, &[sample(Dimension::Tokens, 6_000, 2_001)], secs(2));
    let used = 6_000.0 * level(&ledger, secs(2)).used();
    assert!(
        (used - 3_909.0).abs() < 1.0,
        "3,999 a tenth of a second later, what was refilled since, 100 more: {used}"
    );
    ledger.observe(&later, &[sample(Dimension::Tokens, 6_000, 2_001)], secs(3));
    let used = 6_000.0 * level(&ledger, secs(3)).used();
    assert!((used - 3_809.0).abs() < 1.0, "3,999 at second 1, whatever was thought: {used}");
}

#[test]
fn an_answer_that_was_overtaken_changes_nothing() {
    let mut ledger = Ledger::new(&[], Learning::On);
    let early = ledger.reserve(&tokens(1), secs(0)).unwrap();
    let late = ledger.reserve(&tokens(1), secs(1)).unwrap();
    ledger.observe(&late, &[sample(Dimension::Tokens, 6_000, 3_001)], secs(2));
    let known = level(&ledger, secs(2));
    ledger.observe(&early, &[sample(Dimension::Tokens, 6_000, 17)], secs(2));
    assert_eq!(level(&ledger, secs(2)), known);
}

#[test]
fn a_request_without_tokens_hears_of_tokens_too() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 600)], Learning::On);
    ask(&mut ledger, 600, &[], secs(0));
    ask(&mut ledger, 0, &[sample(Dimension::Tokens, 600, 600)], secs(1_000));
    ledger.check(&tokens(600), secs(1_000)).expect("it is full, and was told to be");
}

#[test]
fn what_was_cancelled_before_an_answer_is_not_given_back_twice() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 600)], Learning::On);
    let cancelled = ledger.reserve(&tokens(500), secs(0)).unwrap();
    let sent = ledger.reserve(&tokens(100), secs(0)).unwrap();
    ledger.cancel(cancelled, secs(0));
    ledger.observe(&sent, &[sample(Dimension::Tokens, 600, 500)], secs(0));
    ledger.check(&tokens(500), secs(0)).unwrap();
    assert!(ledger.check(&tokens(501), secs(0)).is_err());
}

#[test]
fn a_halved_limit_is_learned_with_the_first_answer_that_tells() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Requests, 600)], Learning::On);
    ask(&mut ledger, 0, &[sample(Dimension::Requests, 600, 599)], secs(0));
    ask(&mut ledger, 0, &[sample(Dimension::Requests, 300, 10)], secs(1));
    assert_eq!(level(&ledger, secs(1)).learned, Some(300));
    assert_eq!(level(&ledger, secs(1)).configured, Some(600));
    for _ in 0..10 {
        ledger.reserve(&Cost::REQUEST, secs(1)).map(drop).unwrap();
    }
    assert_eq!(until(ledger.reserve(&Cost::REQUEST, secs(1))).since(secs(1)).as_millis(), 200);
}

#[test]
fn a_rest_rounded_to_thousands_is_read_with_care() {
    let mut ledger = Ledger::new(&[], Learning::On);
    ask(&mut ledger, 1, &[sample(Dimension::InputTokens, 40_000, 3_000)], secs(0));
    ledger.check(&tokens(2_500), secs(0)).unwrap();
    assert!(ledger.check(&tokens(2_501), secs(0)).is_err());
}

#[test]
fn openais_pair_of_rest_and_reset_shows_that_the_header_tells_of_another_window() {
    // community.openai.com/t/541210: the tokens header told of 1.5 M a day, not of a minute.
    let rate = 1_500_000.0 / 86_400.0;
    let rules = [per_minute(Dimension::Tokens, 200_000)];
    let mut ledger = Ledger::new(&rules, Learning::On);
    let mut left = 43_000;
    for second in 0..3 {
        let reset = Duration::from_secs_f64(f64::from(1_500_000 - left) / rate);
        let told = openai(1_500_000, u64::try_from(left).unwrap(), reset);
        ask(&mut ledger, 1_000, &[told], secs(second));
        left -= 1_000;
    }
    let levels: Vec<_> = ledger.levels(secs(3)).collect();
    assert_eq!((levels[0].configured, levels[0].learned), (Some(200_000), None));
    assert_eq!(levels[1].name(), "tokensPerDay");
    assert_eq!(levels[1].learned, Some(1_500_000));
    assert!(ledger.check(&tokens(40_000), secs(3)).is_ok());
    assert!(ledger.check(&tokens(45_000), secs(3)).is_err(), "the day's limit binds");
}

#[test]
fn a_counter_that_is_reset_each_minute_does_not_change_the_window() {
    // Azure: the reset is the distance to the next full minute, whatever is left.
    let mut ledger = Ledger::new(&[], Learning::On);
    for second in 0..30 {
        let told = openai(60_000, 60_000 - 1_000 * (second + 1), Duration::from_secs(60 - second));
        ask(&mut ledger, 1_000, &[told], secs(second));
    }
    assert_eq!(level(&ledger, secs(30)).window, MINUTE);
}

#[test]
fn two_limits_of_one_dimension_in_one_answer_are_two_limits() {
    let mut ledger = Ledger::new(&[], Learning::On);
    for second in 0..4 {
        let day = openai(1_000_000, 999_000, Duration::from_secs(86));
        let minute = openai(60_000, 30_000, Duration::from_secs(30));
        ask(&mut ledger, 10, &[minute, day], secs(second));
    }
    let learned: Vec<_> = ledger.levels(secs(4)).map(|level| level.learned.unwrap()).collect();
    assert_eq!(learned, [60_000, 1_000_000]);
}

#[test]
fn with_learning_off_only_what_is_written_counts() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Requests, 600)], Learning::Off);
    ask(&mut ledger, 0, &[sample(Dimension::Requests, 3, 0)], secs(0));
    ledger.reserve(&Cost::REQUEST, secs(0)).map(drop).unwrap();
    assert_eq!(level(&ledger, secs(0)).learned, None);
}

#[test]
fn a_refusal_tells_the_level() {
    let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 600)], Learning::On);
    let refused = ledger.reserve(&tokens(100), secs(0)).unwrap();
    ledger.refuse(&refused, Some(Dimension::Tokens), Some(secs(30)), secs(0), 0);
    ledger.settle(refused, &Cost::REQUEST, secs(0));
    ledger.reserve(&tokens(100), secs(30)).map(drop).expect("this is what the provider promised");
    assert!(ledger.reserve(&tokens(100), secs(30)).is_err(), "and no more");
}

#[test]
fn headers_that_lie_and_then_fall_silent_are_forgotten() {
    let mut ledger = Ledger::new(&[], Learning::On);
    ask(&mut ledger, 1, &[sample(Dimension::Tokens, 1, 0)], secs(0));
    let mut now = secs(0);
    for _ in 0..8 {
        if let Err(Blocked::Until(until, _)) = ledger.check(&tokens(1_000), now) {
            assert!(until.since(now) <= Duration::from_mins(10));
            now = until;
        }
        ask(&mut ledger, 1_000, &[], now);
    }
    assert_eq!(ledger.levels(now).count(), 0, "nothing is known any more");
}

#[test]
fn a_limit_told_for_long_is_looked_at_again_with_one_request() {
    let mut ledger = Ledger::new(&[], Learning::On);
    let day = Sample { window: Some(DAY), ..sample(Dimension::Tokens, 1_000, 0) };
    ask(&mut ledger, 1, &[day], secs(0));
    assert_eq!(until(ledger.check(&tokens(1_000), secs(1))), secs(600));
    ledger.reserve(&tokens(1_000), secs(600)).map(drop).expect("one is let through");
    assert_eq!(until(ledger.check(&tokens(1_000), secs(601))), secs(1_200), "and only one");
}
