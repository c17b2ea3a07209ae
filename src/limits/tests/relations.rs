//! What stays the same, or moves one way, when something else is changed.

use proptest::prelude::*;

use super::provider::Exact;
use super::*;

/// A history of requests: what each costs, how long until the next, and how much it used in the end,
/// in hundredths.
type Trace = Vec<(u64, u64, u64)>;

fn any_trace() -> impl Strategy<Value = Trace> {
    prop::collection::vec((1..400_u64, 0..20_000_u64, 0..150_u64), 1..60)
}

/// When each request of a trace is sent, if every one waits for its turn: the first moment is `start`,
/// and all amounts are `scale` times as large.
fn sent(trace: &Trace, start: u64, scale: u64, kind: &Window) -> Vec<u64> {
    let rule = Rule::new(Measure::Of(Dimension::Tokens), 1_000 * scale, kind.clone());
    let mut ledger = Ledger::new(&[rule], Learning::Off);
    let mut now = secs(start);
    let mut moments = Vec::new();
    for (cost, gap, used) in trace {
        if let Err(Blocked::Until(until, _)) = ledger.check(&tokens(cost * scale), now) {
            now = until;
        }
        let reservation = ledger.reserve(&tokens(cost * scale), now).unwrap();
        moments.push(now.since(secs(start)).as_nanos() as u64);
        ledger.settle(reservation, &tokens(cost * scale * used / 100), now);
        now = now + Duration::from_millis(*gap);
    }
    moments
}

fn kinds() -> impl Strategy<Value = Window> {
    prop::sample::select(vec![Window::Refill(MINUTE), Window::Fixed(MINUTE), Window::Refill(DAY)])
}

proptest! {
    /// P3: all amounts a hundred times as large, or all of it a month later: the same decisions.
    #[test]
    fn scaled_and_shifted_histories_are_decided_alike(trace in any_trace(), kind in kinds()) {
        // Used amounts are rounded to whole units, so they are multiples.
        let trace: Trace = trace.into_iter().map(|(c, gap, used)| (c * 100, gap, used)).collect();
        let trace: Trace = trace.into_iter().map(|(c, gap, u)| (c / 100 * 100, gap, u)).collect();
        let small: Trace = trace.iter().map(|(c, gap, u)| (c / 100, *gap, *u / 100 * 100)).collect();
        let plain = sent(&small, 1, 1, &kind);
        let large = sent(&small, 1, 100, &kind);
        let late = sent(&small, 2_592_001, 1, &kind);
        for ((plain, large), late) in plain.iter().zip(large).zip(late) {
            // Rounding to nanoseconds adds up to a nanosecond a step.
            prop_assert!(plain.abs_diff(large) <= 200, "{plain} {large}");
            prop_assert!(plain.abs_diff(late) <= 200, "{plain} {late}");
        }
    }

    /// P4: a higher level or a smaller cost never makes a request wait longer.
    #[test]
    fn more_left_and_less_asked_never_wait_longer(
        taken in 0..1_500_u64,
        more in 0..500_u64,
        cost in 1..900_u64,
        less in 0..900_u64,
        kind in kinds(),
    ) {
        let wait = |taken: u64, cost: u64| {
            let rule = Rule::new(Measure::Of(Dimension::Tokens), 1_000, kind.clone());
            let mut ledger = Ledger::new(&[rule], Learning::Off);
            if taken > 0 {
                let reservation = ledger.take(&tokens(taken), secs(1));
                ledger.forfeit(reservation, secs(1));
            }
            match ledger.check(&tokens(cost), secs(2)) {
                Ok(()) => secs(2),
                Err(Blocked::Until(until, _)) => until,
                Err(Blocked::Oversized(_)) => Moment::NEVER,
            }
        };
        let before = wait(taken + more, cost);
        prop_assert!(wait(taken, cost) <= before);
        prop_assert!(wait(taken + more, cost.saturating_sub(less).max(1)) <= before);
    }

    /// P5: a request of nine tenths of a limit is admitted as soon as so much has come back, and what
    /// it turns out to owe is paid before the next one.
    #[test]
    fn a_large_request_is_admitted_in_time_and_its_debt_is_paid_first(owed in 0..3_000_u64) {
        let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 1_000)], Learning::Off);
        ledger.reserve(&tokens(1_000), secs(0)).map(drop).unwrap();
        prop_assert_eq!(until(ledger.check(&tokens(900), secs(0))), secs(54));
        let large = ledger.reserve(&tokens(900), secs(54)).unwrap();
        ledger.settle(large, &tokens(900 + owed), secs(54));
        let next = until(ledger.check(&tokens(60), secs(54)));
        prop_assert_eq!(next.since(secs(54)).as_millis(), u128::from((owed + 60) * 60));
    }

    /// P9: what the wall's clock is put to matters to nothing but windows of the calendar.
    #[test]
    fn the_walls_clock_matters_to_no_other_window(
        trace in any_trace(),
        kind in kinds(),
        jumps in prop::collection::vec(-100_000_000_i64..100_000_000, 1..10),
    ) {
        let plain = sent(&trace, 1, 1, &kind);
        let rule = Rule::new(Measure::Of(Dimension::Tokens), 1_000, kind);
        let mut ledger = Ledger::new(&[rule], Learning::Off);
        let (mut now, mut jumps) = (secs(1), jumps.iter().cycle());
        for ((cost, gap, used), at) in trace.iter().zip(plain) {
            let wall = jiff::Timestamp::from_second(1_700_000_000 + jumps.next().unwrap()).unwrap();
            ledger.set_wall(crate::clock::Now { at: now, wall });
            if let Err(Blocked::Until(until, _)) = ledger.check(&tokens(*cost), now) {
                now = until;
            }
            let reservation = ledger.reserve(&tokens(*cost), now).unwrap();
            prop_assert_eq!(now.since(secs(1)).as_nanos(), u128::from(at));
            ledger.settle(reservation, &tokens(cost * used / 100), now);
            now = now + Duration::from_millis(*gap);
        }
    }

    /// P9: a wall's clock that jumps gives a day of the calendar anew once for each jump at most, and
    /// never closes it for longer than two days.
    #[test]
    fn a_clock_that_jumps_neither_gives_a_day_again_and_again_nor_closes_it_for_ever(
        jumps in prop::collection::vec((-4_000_000_000_i64..4_000_000_000, 0..50_000_u64), 0..20),
    ) {
        let window = Window::Calendar(Period::Day, jiff::tz::TimeZone::UTC);
        let rule = Rule::new(Measure::Of(Dimension::Requests), 10, window);
        let mut ledger = Ledger::new(&[rule], Learning::Off);
        let mut now = secs(1);
        let (mut passed, changes) = (0, jumps.len() as u64 + 1);
        let mut slept = 0;
        for (jump, sleep) in [(0, 0)].into_iter().chain(jumps) {
            let wall = jiff::Timestamp::from_second(1_700_000_000 + jump).unwrap();
            ledger.set_wall(crate::clock::Now { at: now, wall });
            while let Ok(reservation) = ledger.reserve(&Cost::REQUEST, now) {
                ledger.settle(reservation, &Cost::REQUEST, now);
                passed += 1;
            }
            let until = until(ledger.check(&Cost::REQUEST, now));
            prop_assert!(until.since(now) <= 2 * DAY + DAY / 2, "{:?}", until.since(now));
            now = now + Duration::from_secs(sleep);
            slept += sleep;
        }
        let days = slept / 86_400 + 1;
        prop_assert!(passed <= 10 * (changes + days + 1), "{passed} in {days} days");
    }

    /// P11: a provider that begins to charge by another rule is followed within three answers: after
    /// these it refuses nothing.
    #[test]
    fn another_rule_of_charging_is_followed_within_three_answers(factor in 2..6_u64) {
        let mut ledger = Ledger::new(&[per_minute(Dimension::Tokens, 10_000)], Learning::On);
        let mut provider = Exact::new(10_000, MINUTE, MINUTE);
        let (mut now, mut refused_late) = (secs(1), 0);
        for n in 0..400_u64 {
            let charged = if n < 100 { 100 } else { 100 * factor };
            // What others seem to take is reckoned with anew at each moment.
            while let Err(Blocked::Until(until, _)) = ledger.check(&tokens(100), now) {
                now = until;
            }
            let reservation = ledger.reserve(&tokens(100), now).unwrap();
            match provider.admit(charged, now) {
                Ok(()) => {
                    let headers = provider.headers(Dimension::Tokens, now);
                    ledger.observe(&reservation, &[headers], now);
                    ledger.settle(reservation, &tokens(100), now);
                }
                Err(retry_at) => {
                    refused_late += u32::from(n >= 103);
                    let dimension = Some(Dimension::Tokens);
                    ledger.refuse(&reservation, dimension, Some(retry_at), now, 0);
                    ledger.settle(reservation, &Cost::REQUEST, now);
                }
            }
            // Twice what the limit carries, and then nine tenths of it.
            now = now + Duration::from_millis(if n < 100 { 300 } else { 667 * factor });
        }
        prop_assert!(refused_late == 0, "{refused_late} of 297");
    }
}
