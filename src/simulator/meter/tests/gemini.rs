use super::*;

fn now(wall: &str, seconds: u64) -> Now {
    let wall: Timestamp = wall.parse().unwrap();
    let seconds = Duration::from_secs(seconds);
    Now { at: Moment::ZERO + seconds, wall: wall.saturating_add(seconds).unwrap() }
}

#[test]
fn a_day_ends_at_midnight_in_california() {
    // 22:00 in California, in summer time.
    let start = "2026-07-02T05:00:00Z";
    let limits = Limits { requests_per_day: Some(2), ..Limits::default() };
    let mut meter = Meter::new(Habit::Gemini, &limits, now(start, 0));
    meter.admit(asking(1), now(start, 0)).unwrap();
    meter.admit(asking(1), now(start, 60)).unwrap();
    let refusal = meter.admit(asking(1), now(start, 3_600)).unwrap_err();
    assert_eq!(refusal.window, DAY);
    assert_eq!(refusal.retry_after, Duration::from_hours(1));
    meter.admit(asking(1), now(start, 7_200)).unwrap();
}

#[test]
fn input_counts_and_output_does_not() {
    let limits = Limits { tokens_per_minute: Some(1_000), ..Limits::default() };
    let start = "2026-07-02T05:00:00Z";
    let mut meter = Meter::new(Habit::Gemini, &limits, now(start, 0));
    let ask = tokens(600, 8_000);
    meter.admit(ask, now(start, 0)).unwrap();
    let refusal = meter.admit(ask, now(start, 20)).unwrap_err();
    assert_eq!(refusal.dimension, Dimension::InputTokens);
    assert_eq!(refusal.retry_after, Duration::from_secs(40));
    assert!(meter.readings(now(start, 20)).is_empty(), "it has no headers");
}

#[test]
fn ten_minutes_of_spending_slide() {
    let spend = SpendLimit { amount: 10, span: SpendSpan::TenMinutes, input: 1_000_000, output: 0 };
    let terms = Terms { spend: Some(spend), ..Terms::default() };
    let mut meter = Meter::of(Tariff::Gemini, &[], &terms, at(0));
    for minute in 0..10 {
        meter.admit(asking(1), at(minute * 60_000)).unwrap();
    }
    assert_eq!(meter.admit(asking(1), at(599_000)).unwrap_err().cause, Cause::Spend);
    meter.admit(asking(1), at(600_000)).unwrap();
    assert!(meter.admit(asking(1), at(600_000)).is_err(), "only the oldest minute has left");
}
