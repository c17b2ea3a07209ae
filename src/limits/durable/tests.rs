use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::clock::Moment;
use crate::limits::{Blocked, Cost, Learning, Period, Rule, Terms, Window};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The process is that old, and the wall's clock reads that.
fn now(seconds: u64, wall: &str) -> Now {
    Now { at: Moment::from_nanos(seconds * 1_000_000_000), wall: wall.parse().unwrap() }
}

fn requests(amount: u64, window: impl Into<Window>) -> Rule {
    Rule::new(Measure::Of(Dimension::Requests), amount, window)
}

fn ledger(rules: &[Rule], now: Now) -> Ledger {
    let terms = Terms { learning: Learning::Off, wall: Some(now), ..Terms::default() };
    Ledger::new(rules, terms)
}

fn spend(ledger: &mut Ledger, requests: u64, now: Now) {
    for _ in 0..requests {
        let reservation = ledger.reserve(&Cost::REQUEST, now.at).unwrap();
        ledger.settle(reservation, &Cost::REQUEST, now.at);
    }
}

/// How many more requests pass now.
fn left(ledger: &mut Ledger, now: Now) -> u64 {
    (0..).take_while(|_| ledger.reserve(&Cost::REQUEST, now.at).map(drop).is_ok()).count() as u64
}

/// Spends in one process and goes on in another; returns what is left there.
fn after_restart(rule: &Rule, spent: u64, before: Now, after: Now) -> u64 {
    let rules = std::slice::from_ref(rule);
    let mut first = ledger(rules, before);
    spend(&mut first, spent, before);
    let mut snapshot = Snapshot::new(before);
    snapshot.add(vec!["openai".into(), "main".into()], first.long_counts(before));
    let json = snapshot.to_json().unwrap();
    let read = Snapshot::parse(&json, after).unwrap();
    assert_eq!(read, snapshot);
    let mut second = ledger(rules, after);
    if let Some(counts) = read.find(&["openai", "main"]) {
        second.restore(counts, after);
    }
    left(&mut second, after)
}

#[test]
fn what_was_used_of_a_day_is_used_after_a_restart_less_what_has_come_back() {
    let before = now(500, "2026-05-01T10:00:00Z");
    let rule = requests(240, DAY);
    assert_eq!(after_restart(&rule, 100, before, now(1, "2026-05-01T10:00:00Z")), 140);
    assert_eq!(after_restart(&rule, 100, before, now(1, "2026-05-01T15:00:00Z")), 190);
    assert_eq!(after_restart(&rule, 100, before, now(1, "2026-05-03T15:00:00Z")), 240);
}

#[test]
fn a_day_of_the_calendar_goes_on_until_midnight_and_no_longer() {
    let pacific = TimeZone::get("America/Los_Angeles").unwrap();
    let rule = requests(50, Window::Calendar(Period::Day, pacific));
    let before = now(500, "2026-05-01T10:00:00Z");
    assert_eq!(after_restart(&rule, 20, before, now(1, "2026-05-02T06:59:00Z")), 30);
    assert_eq!(after_restart(&rule, 20, before, now(1, "2026-05-02T07:00:01Z")), 50);
}

#[test]
fn a_window_that_began_with_its_first_use_ends_when_it_would_have() {
    let rule = requests(50, Window::Fixed(DAY));
    let before = now(500, "2026-05-01T10:00:00Z");
    let mut first = ledger(std::slice::from_ref(&rule), before);
    spend(&mut first, 50, before);
    let counts = first.long_counts(before);
    let after = now(1, "2026-05-01T12:00:00Z");
    let mut second = ledger(&[rule], after);
    assert_eq!(second.restore(&counts, after), 1);
    let Err(Blocked::Until(until, _)) = second.check(&Cost::REQUEST, after.at) else { panic!() };
    assert_eq!(until.since(after.at), 22 * HOUR);
}

#[test]
fn money_and_months_are_remembered_and_minutes_are_not() {
    let before = now(500, "2026-05-01T10:00:00Z");
    let month = Window::Calendar(Period::Month, TimeZone::UTC);
    let rules = [
        Rule::new(Measure::Cost, 300_000_000, month),
        requests(10, Duration::from_mins(1)),
        Rule::concurrency(3),
    ];
    let mut first = ledger(&rules, before);
    let cost = Cost { money: 250_000_000, ..Cost::REQUEST };
    let reservation = first.reserve(&cost, before.at).unwrap();
    first.settle(reservation, &cost, before.at);
    let counts = first.long_counts(before);
    assert_eq!(counts.limits.len(), 1, "{counts:?}");
    let after = now(1, "2026-05-31T23:00:00Z");
    let mut second = ledger(&rules, after);
    assert_eq!(second.restore(&counts, after), 1);
    assert!(second.check(&cost, after.at).is_err());
    assert!(second.check(&Cost { money: 50_000_000, ..cost }, after.at).is_ok());
}

#[test]
fn what_is_counted_already_is_not_counted_twice() {
    let before = now(500, "2026-05-01T10:00:00Z");
    let mut ledger = ledger(&[requests(240, DAY)], before);
    spend(&mut ledger, 100, before);
    let counts = ledger.long_counts(before);
    assert_eq!(ledger.restore(&counts, before), 0);
    assert_eq!(left(&mut ledger, before), 140);
}

#[test]
fn a_snapshot_that_is_torn_foreign_or_from_the_future_is_not_trusted() {
    let taken = now(1, "2026-05-01T10:00:00Z");
    let mut snapshot = Snapshot::new(taken);
    let mut used = ledger(&[requests(9, DAY)], taken);
    spend(&mut used, 3, taken);
    snapshot.add(vec!["a".into()], used.long_counts(taken));
    let json = snapshot.to_json().unwrap();
    assert!(Snapshot::parse(&json, taken).is_ok());
    let damaged = |json: &str, now| Snapshot::parse(json, now).unwrap_err();
    for end in 0..json.len() {
        assert!(matches!(damaged(&json[..end], taken), Damage::Unreadable(_)));
    }
    let foreign = json.replace("\"used\"", "\"spent\"");
    assert!(matches!(damaged(&foreign, taken), Damage::Unreadable(_)));
    let newer = json.replace("\"version\":1", "\"version\":2");
    assert!(matches!(damaged(&newer, taken), Damage::Version(2)));
    let earlier = now(1, "2026-04-30T10:00:00Z");
    assert!(matches!(damaged(&json, earlier), Damage::Future(_)));
}

proptest! {
    /// Whatever a file says: nothing panics, and no limit is closed for longer than two windows.
    #[test]
    fn no_count_closes_a_limit_for_ever(
        used in any::<u64>(),
        windows in prop::sample::select(vec![86_400_u64, 2_592_000, 60, 0, u64::MAX]),
        measure in prop::sample::select(vec![Word::Requests, Word::Tokens, Word::Cost]),
        ends in prop::option::of(-300_000_000_000_i64..250_000_000_000),
        taken in -10_000_000_i64..4_000,
    ) {
        let start = now(1, "2026-05-01T10:00:00Z");
        let ends = ends.map(|second| Wall(Timestamp::from_second(second).unwrap()));
        let count = Count { measure, window_seconds: windows, used, ends };
        let zone = TimeZone::UTC;
        for window in [
            Window::Refill(DAY),
            Window::Fixed(DAY),
            Window::Rolling(DAY),
            Window::Calendar(Period::Day, zone.clone()),
            Window::Calendar(Period::Month, zone),
        ] {
            let mut ledger = ledger(&[requests(10, window.clone())], start);
            let taken = start.wall.checked_add(SignedDuration::from_secs(taken)).unwrap();
            ledger.restore(&Counts { at: Wall(taken), limits: vec![count.clone()] }, start);
            if let Err(Blocked::Until(until, _)) = ledger.check(&Cost::REQUEST, start.at) {
                prop_assert!(until.since(start.at) <= 2 * window.length() + HOUR, "{until:?}");
            }
        }
    }
}
