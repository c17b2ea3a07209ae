use super::*;

fn limits(requests: u64, tokens: u64) -> Limits {
    Limits { requests_per_minute: Some(requests), tokens_per_minute: Some(tokens), ..Limits::NONE }
}

fn meter(limits: &Limits) -> Meter {
    Meter::new(Habit::OpenAi, limits, at(0))
}

#[test]
fn tokens_are_charged_up_front_as_the_larger_of_estimate_and_max_tokens() {
    let mut meter = meter(&limits(60, 6_000));
    meter.admit(tokens(100, 1_000), at(0)).unwrap();
    meter.admit(tokens(500, 16), at(0)).unwrap();
    let readings = meter.readings(at(0));
    assert_eq!(readings[0].remaining, 58);
    assert_eq!(readings[1].remaining, 4_500);
    assert_eq!(readings[1].reset, Duration::from_secs(15), "1,500 at 100 a second");
}

#[test]
fn a_refusal_says_when_the_longest_of_its_limits_lets_it_through() {
    let mut meter = meter(&limits(60, 6_000));
    for _ in 0..6 {
        meter.admit(tokens(1_000, 0), at(0)).unwrap();
    }
    let refusal = meter.admit(tokens(2_000, 0), at(5_000)).unwrap_err();
    assert_eq!(refusal.dimension, Dimension::Tokens);
    assert_eq!((refusal.limit, refusal.used, refusal.requested), (6_000, 5_500, 2_000));
    assert_eq!(refusal.retry_after, Duration::from_secs(15));
    assert!(!refusal.oversized());
    assert_eq!(meter.readings(at(5_000))[0].remaining, 59, "nothing was charged");
    meter.admit(tokens(2_000, 0), at(20_000)).unwrap();
}

#[test]
fn a_request_larger_than_the_bucket_is_told_so() {
    let mut meter = meter(&limits(60, 6_000));
    let refusal = meter.admit(tokens(7_000, 0), at(0)).unwrap_err();
    assert!(refusal.oversized());
    assert_eq!(refusal.retry_after, Duration::MAX);
}

#[test]
fn quantised_limits_allow_a_sixtieth_at_once() {
    let quantised = Limits { quantum: Some(Duration::from_secs(1)), ..limits(600, 60_000) };
    let mut meter = meter(&quantised);
    for _ in 0..10 {
        meter.admit(tokens(1, 0), at(0)).unwrap();
    }
    let refusal = meter.admit(tokens(1, 0), at(0)).unwrap_err();
    assert_eq!(refusal.dimension, Dimension::Requests);
    assert_eq!(refusal.retry_after, Duration::from_millis(100));
    assert_eq!(meter.readings(at(0))[0].limit, 600, "headers tell the minute's limit");
}

#[test]
fn rejections_that_count_keep_an_empty_bucket_empty() {
    let counting = Limits { rejections: Rejections::Count, ..limits(60, 1_000_000) };
    let mut meter = meter(&counting);
    for _ in 0..60 {
        meter.admit(tokens(1, 0), at(0)).unwrap();
    }
    assert!(meter.admit(tokens(1, 0), at(900)).is_err());
    let refusal = meter.admit(tokens(1, 0), at(1_000)).unwrap_err();
    let second = Duration::from_secs(1);
    assert_eq!(refusal.retry_after, second, "the rejection took what was there");
    meter.admit(tokens(1, 0), at(2_000)).unwrap();
}

#[test]
fn a_days_bucket_is_told_of_when_it_is_the_emptier() {
    let daily = Limits { requests_per_day: Some(100), ..limits(60, 1_000) };
    let mut meter = meter(&daily);
    for second in 0..80 {
        meter.admit(tokens(1, 0), at(second * 1_000)).unwrap();
    }
    let reading = meter.readings(at(80_000))[0];
    assert_eq!((reading.limit, reading.remaining, reading.window), (100, 20, DAY));
}

#[test]
fn others_of_the_same_account_take_their_share() {
    let mut meter = meter(&limits(60, 6_000));
    let minute = Moment::ZERO + Duration::from_mins(1);
    meter.drain(500, Duration::from_mins(1), minute);
    let readings = meter.readings(at(60_000));
    assert_eq!([readings[0].remaining, readings[1].remaining], [30, 3_000]);
    meter.drain(1_000, Duration::from_mins(1), minute);
    assert_eq!(meter.readings(at(90_000))[0].remaining, 0, "and do not wait for it to be there");
    assert_eq!(meter.readings(at(91_000))[0].remaining, 1);
}
