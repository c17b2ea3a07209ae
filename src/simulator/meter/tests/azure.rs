use super::*;

fn meter() -> Meter {
    let limits =
        Limits { requests_per_minute: Some(60), tokens_per_minute: Some(10_000), ..Limits::NONE };
    Meter::new(Habit::Azure, &limits, at(0))
}

#[test]
fn every_answer_asked_for_is_charged_with_max_tokens() {
    let mut meter = meter();
    let ask = Ask { input: 100, max_output: Some(1_000), choices: 3, cached: 0 };
    meter.admit(ask, at(0)).unwrap();
    assert_eq!(meter.readings(at(0))[1].remaining, 6_900);
    assert_eq!(meter.readings(at(60_000))[1].remaining, 10_000, "emptied each minute");
}

#[test]
fn requests_are_counted_over_ten_seconds_and_rejected_ones_count() {
    let mut meter = meter();
    for _ in 0..10 {
        meter.admit(Ask::default(), at(0)).unwrap();
    }
    let refusal = meter.admit(Ask::default(), at(4_000)).unwrap_err();
    assert_eq!(refusal.retry_after, Duration::from_secs(6));
    assert_eq!((refusal.limit, refusal.used), (10, 10));
    meter.admit(Ask::default(), at(10_000)).unwrap();
    for _ in 0..4 {
        assert!(meter.admit(asking(20_000), at(10_000)).is_err());
    }
    assert_eq!(
        meter.readings(at(10_000))[0].remaining,
        5,
        "refused for tokens, counted all the same"
    );
}
