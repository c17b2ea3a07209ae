use super::*;

const TARIFF: Tariff = Tariff::Bedrock { burndown: 5 };

fn meter(amount: u64, terms: Terms) -> Meter {
    let grant = Grant { dimension: Dimension::Tokens, window: MINUTE, amount };
    Meter::of(TARIFF, &[grant], &terms, at(0))
}

/// What is left, which its headers never tell.
fn left(meter: &mut Meter, now: Now) -> u64 {
    (0..=60_000).rev().find(|input| meter.check(tokens(*input, 0), now).is_ok()).unwrap()
}

#[test]
fn prompt_and_max_tokens_are_reserved_and_settled_with_output_burning_fivefold() {
    let mut meter = meter(60_000, Terms::default());
    let ask = Ask { input: 1_000, cached: 400, max_output: Some(4_000), choices: 1 };
    meter.admit(ask, at(0)).unwrap();
    assert_eq!(left(&mut meter, at(0)), 55_000);
    meter.finish(ask, 300, at(0));
    assert_eq!(left(&mut meter, at(0)), 60_000 - 600 - 1_500);
    meter.admit(tokens(100, 100), at(0)).unwrap();
    meter.finish(tokens(100, 100), 1_000, at(0));
    assert_eq!(left(&mut meter, at(0)), 57_900 - 5_100, "more than was reserved is charged too");
    assert!(meter.readings(at(0)).is_empty(), "it has no headers");
}

#[test]
fn what_is_given_back_never_overflows_the_bucket() {
    let mut meter = meter(10_000, Terms::default());
    let ask = tokens(1_000, 8_000);
    meter.admit(ask, at(0)).unwrap();
    meter.finish(ask, 0, at(59_000));
    assert_eq!(left(&mut meter, at(59_000)), 10_000);
}

#[test]
fn a_place_is_free_when_a_request_is_over() {
    let mut meter = meter(60_000, Terms { concurrency: Some(1), ..Terms::default() });
    meter.admit(tokens(1, 1), at(0)).unwrap();
    let refusal = meter.admit(tokens(1, 1), at(0)).unwrap_err();
    assert_eq!(refusal.cause, Cause::Concurrency);
    meter.finish(tokens(1, 1), 1, at(5));
    meter.admit(tokens(1, 1), at(5)).unwrap();
}
