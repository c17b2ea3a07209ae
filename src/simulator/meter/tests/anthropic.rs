use super::*;

fn meter() -> Meter {
    let limits = Limits {
        requests_per_minute: Some(60),
        input_tokens_per_minute: Some(60_000),
        output_tokens_per_minute: Some(6_000),
        ..Limits::NONE
    };
    Meter::new(Habit::Anthropic, &limits, at(0))
}

fn left(meter: &mut Meter, millis: u64) -> [u64; 3] {
    let readings = meter.readings(at(millis));
    [readings[0].remaining, readings[1].remaining, readings[2].remaining]
}

fn requests(amount: u64) -> [Grant; 1] {
    [Grant { dimension: Dimension::Requests, window: MINUTE, amount }]
}

#[test]
fn cache_reads_are_free_and_max_tokens_plays_no_part() {
    let mut meter = meter();
    let ask = Ask { input: 50_000, cached: 48_000, max_output: Some(64_000), choices: 1 };
    meter.admit(ask, at(0)).unwrap();
    assert_eq!(left(&mut meter, 0), [59, 58_000, 6_000]);
}

#[test]
fn output_counts_as_it_is_produced_and_may_run_into_debt() {
    let mut meter = meter();
    meter.admit(asking(10), at(0)).unwrap();
    meter.produce(6_500, at(0));
    let refusal = meter.admit(asking(10), at(0)).unwrap_err();
    assert_eq!(refusal.dimension, Dimension::OutputTokens);
    assert_eq!(refusal.retry_after, Duration::from_millis(5_010), "501 tokens at 100 a second");
    meter.admit(asking(10), at(5_010)).unwrap();
}

#[test]
fn sixty_a_minute_may_be_enforced_as_one_a_second() {
    let quantum = Some(Duration::from_secs(1));
    let limits = Limits { requests_per_minute: Some(60), quantum, ..Limits::NONE };
    let mut meter = Meter::new(Habit::Anthropic, &limits, at(0));
    meter.admit(Ask::default(), at(0)).unwrap();
    let refusal = meter.admit(Ask::default(), at(250)).unwrap_err();
    assert_eq!(refusal.retry_after, Duration::from_millis(750));
}

#[test]
fn a_refused_request_takes_nothing() {
    let mut meter = meter();
    assert!(meter.admit(asking(60_001), at(0)).is_err());
    assert_eq!(left(&mut meter, 0), [60, 60_000, 6_000]);
}

#[test]
fn a_bucket_is_full_again_when_its_reset_says() {
    let mut meter = meter();
    meter.admit(asking(30_000), at(0)).unwrap();
    assert_eq!(meter.readings(at(0))[1].reset, Duration::from_secs(30));
    assert_eq!(left(&mut meter, 30_000), [60, 60_000, 6_000]);
}

#[test]
fn a_ramp_lets_twice_as_many_through_in_each_minute() {
    let terms = Terms { ramp: Some(2_000), ..Terms::default() };
    let mut meter = Meter::of(Tariff::Anthropic, &requests(1_000), &terms, at(0));
    let mut admitted = |minute: u64| {
        let tries = (0..600).map(|nth| at(minute * 60_000 + nth * 100));
        tries.filter(|now| meter.admit(Ask::default(), *now).is_ok()).count()
    };
    assert_eq!([0, 1, 2].map(&mut admitted), [100, 200, 400]);
    assert_eq!(admitted(5), 100, "after a quiet time it begins anew");
}

#[test]
fn a_spend_cap_closes_the_account_until_the_month_is_over() {
    let spend = SpendLimit {
        amount: 1_000_000,
        span: SpendSpan::Month,
        input: 3_000_000,
        output: 15_000_000,
    };
    let terms = Terms { spend: Some(spend), ..Terms::default() };
    let mut meter = Meter::of(Tariff::Anthropic, &requests(1_000), &terms, at(0));
    meter.admit(asking(200_000), at(0)).unwrap();
    meter.produce(20_000, at(0));
    meter.admit(asking(40_000), at(1_000)).unwrap();
    let refusal = meter.admit(asking(1), at(2_000)).unwrap_err();
    assert_eq!((refusal.cause, refusal.used), (Cause::Spend, 1_020_000));
    assert_eq!(refusal.retry_after, Duration::from_secs(31 * 86_400 - 2));
    meter.admit(asking(1), at(31 * 86_400_000)).unwrap();
}
