use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::formats::{Dimension, Pattern};
use crate::limits::{Measure, Rule, Term};

const DAY: Duration = Duration::from_hours(24);

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn wall(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn requests_per_day(amount: u64) -> Rule {
    Rule::new(Measure::Of(Dimension::Requests), amount, DAY)
}

fn clause(rules: &[Rule]) -> Clause {
    Clause { rules: rules.to_vec(), ..Clause::default() }
}

fn accounts(per: Per, clauses: &[Clause]) -> Accounts {
    Accounts::new(per, clauses, Sharing::default(), Timestamp::UNIX_EPOCH)
}

fn scope(accounts: &Accounts, key: Key) -> Option<Scope> {
    accounts.scope(&Asked { key, model: Some("m"), kind: EndpointKind::Chat })
}

/// A request of one caller that costs so many tokens.
fn reserve(accounts: &mut Accounts, key: Key, tokens: u64, now: Moment) -> Option<Reservation> {
    let cost = Cost { tokens, ..Cost::REQUEST };
    accounts.reserve(&scope(accounts, key).unwrap(), &cost, now).ok()
}

#[test]
fn what_two_clauses_count_is_taken_from_both_or_from_none() {
    let tokens = Rule::new(Measure::Of(Dimension::Tokens), 100, DAY);
    let clauses = [clause(&[requests_per_day(2)]), clause(&[tokens])];
    let mut accounts = accounts(Per::Caller, &clauses);
    let first = reserve(&mut accounts, Key::COMMON, 90, at(0)).unwrap();
    assert!(reserve(&mut accounts, Key::COMMON, 90, at(0)).is_none(), "too many tokens");
    let second = reserve(&mut accounts, Key::COMMON, 5, at(0)).expect("no request was taken");
    assert!(reserve(&mut accounts, Key::COMMON, 1, at(0)).is_none(), "too many requests");
    accounts.cancel(second, at(0));
    accounts.settle(first, &Cost { tokens: 10, ..Cost::REQUEST }, at(0));
    assert!(reserve(&mut accounts, Key::COMMON, 90, at(0)).is_some(), "settled with the truth");
}

#[test]
fn who_is_blocked_hears_of_the_limit_that_frees_last() {
    let per_minute = Rule::new(Measure::Of(Dimension::Requests), 1, Duration::from_mins(1));
    let clauses = [clause(&[requests_per_day(1)]), clause(&[per_minute])];
    let mut accounts = accounts(Per::Caller, &clauses);
    let taken = reserve(&mut accounts, Key::COMMON, 0, at(0)).unwrap();
    let scope = scope(&accounts, Key::COMMON).unwrap();
    let told = accounts.check(&scope, &Cost::REQUEST, Mode::Enforce, at(0));
    let Err(Blocked::Until(until, binding)) = told else { panic!("{told:?}") };
    assert_eq!((binding.name(), until), ("requestsPerDay", at(0) + DAY));
    accounts.cancel(taken, at(0));
}

#[test]
fn users_are_counted_apart_and_their_names_are_not_kept() {
    let mut accounts = accounts(Per::User, &[clause(&[requests_per_day(1)])]);
    let (ann, bob) = (Key::of("ann"), Key::of("bob"));
    assert_ne!(ann, bob);
    let taken = reserve(&mut accounts, ann, 0, at(0)).unwrap();
    assert!(reserve(&mut accounts, ann, 0, at(0)).is_none());
    assert!(reserve(&mut accounts, bob, 0, at(0)).is_some());
    accounts.settle(taken, &Cost::REQUEST, at(1));
    assert_eq!(accounts.len(), 2);
    assert!(!format!("{accounts:?}").contains("ann"));
}

#[test]
fn whoever_asked_least_recently_is_forgotten_when_there_are_too_many() {
    let mut accounts = accounts(Per::User, &[clause(&[requests_per_day(1)])]);
    let key = |user: usize| Key::of(&user.to_string());
    for user in 0..MOST_ACCOUNTS {
        let taken = reserve(&mut accounts, key(user), 0, at(0)).unwrap();
        accounts.settle(taken, &Cost::REQUEST, at(0));
    }
    assert!(reserve(&mut accounts, key(0), 0, at(0)).is_none(), "the first asks again");
    let stranger = reserve(&mut accounts, Key::of("stranger"), 0, at(0)).unwrap();
    assert_eq!(accounts.len(), MOST_ACCOUNTS);
    assert!(reserve(&mut accounts, key(0), 0, at(0)).is_none(), "and is remembered");
    let second = reserve(&mut accounts, key(1), 0, at(0)).expect("the second is forgotten");
    accounts.settle(second, &Cost::REQUEST, at(0));
    accounts.settle(stranger, &Cost::REQUEST, at(0));
}

#[test]
fn a_clause_counts_its_own_models_and_kinds_of_requests_only() {
    let embeddings = Clause {
        models: vec![Pattern { text: "e".into(), open: true }],
        endpoints: vec![EndpointKind::Embeddings],
        ..clause(&[requests_per_day(1)])
    };
    let accounts = accounts(Per::Caller, &[embeddings]);
    let counts = |model, kind| accounts.scope(&Asked { key: Key::COMMON, model, kind });
    assert!(counts(Some("e5"), EndpointKind::Embeddings).is_some());
    assert_eq!(counts(Some("x"), EndpointKind::Embeddings), None);
    assert_eq!(counts(Some("e5"), EndpointKind::Chat), None);
    assert_eq!(counts(None, EndpointKind::Embeddings), None);
}

#[test]
fn a_clause_holds_at_its_times_and_what_was_used_stays_used_in_between() {
    let until = Some(wall("2026-01-03T00:00:00Z"));
    let term = Term { until, schedule: None };
    let clauses = [Clause { term, ..clause(&[requests_per_day(1)]) }];
    let mut accounts = accounts(Per::Caller, &clauses);
    assert_eq!(accounts.turn(wall("2026-01-02T00:00:00Z")), until);
    let taken = reserve(&mut accounts, Key::COMMON, 0, at(0)).unwrap();
    assert!(reserve(&mut accounts, Key::COMMON, 0, at(0)).is_none());
    assert_eq!(accounts.turn(wall("2026-01-03T00:00:00Z")), None);
    assert_eq!(scope(&accounts, Key::COMMON), None, "it has ended");
    assert!(accounts.levels(at(0)).is_empty());
    accounts.settle(taken, &Cost::REQUEST, at(0));
    accounts.turn(wall("2026-01-02T00:00:00Z"));
    assert!(reserve(&mut accounts, Key::COMMON, 0, at(0)).is_none(), "the clock was set back");
}

#[test]
fn a_clause_that_only_observes_binds_nobody() {
    let clauses = [Clause { mode: Mode::Observe, ..clause(&[requests_per_day(1)]) }];
    let mut accounts = accounts(Per::Caller, &clauses);
    for sent in 0..3 {
        let scope = scope(&accounts, Key::COMMON).unwrap();
        let would = accounts.check(&scope, &Cost::REQUEST, Mode::Observe, at(0));
        assert_eq!(would.is_err(), sent > 0, "what would have been done is told");
        assert!(reserve(&mut accounts, Key::COMMON, 0, at(0)).is_some());
    }
}

#[test]
fn a_limit_warns_with_each_request_above_its_share_and_the_first_is_told_apart() {
    let clauses = [Clause { warn_at: Some(0.5), ..clause(&[requests_per_day(4)]) }];
    let mut accounts = accounts(Per::Caller, &clauses);
    let mut told = Vec::new();
    for second in 0..4 {
        drop(reserve(&mut accounts, Key::COMMON, 0, at(second)));
        let warnings = accounts.warnings(Key::COMMON, at(second));
        told.extend(warnings.iter().map(|it| (second, it.limit, it.is_first)));
    }
    let limit = "requestsPerDay";
    assert_eq!(told, [(2, limit, true), (3, limit, false)], "refilled a little since the second");
    let tomorrow = at(3) + DAY / 3;
    assert!(!accounts.warnings(Key::COMMON, tomorrow)[0].is_first, "still the same window");
}

#[test]
fn a_reload_keeps_what_was_used_of_what_still_counts_the_same() {
    let mut accounts = accounts(Per::Caller, &[clause(&[requests_per_day(2)])]);
    drop(reserve(&mut accounts, Key::COMMON, 0, at(0)));
    let other = Clause { endpoints: vec![EndpointKind::Chat], ..clause(&[requests_per_day(9)]) };
    let clauses = [other, clause(&[requests_per_day(1)])];
    let now = (at(0), Timestamp::UNIX_EPOCH);
    accounts.revise(Per::Caller, &clauses, Sharing::default(), now);
    assert!(
        reserve(&mut accounts, Key::COMMON, 0, at(0)).is_none(),
        "one was used, one is allowed"
    );
    accounts.revise(Per::User, &clauses, Sharing::default(), now);
    assert!(accounts.is_empty(), "counted apart from now on, for somebody else");
}

#[test]
fn the_fullest_account_is_shown() {
    let mut accounts = accounts(Per::User, &[clause(&[requests_per_day(4)])]);
    drop(reserve(&mut accounts, Key::of("ann"), 0, at(0)));
    drop(reserve(&mut accounts, Key::of("ann"), 0, at(0)));
    drop(reserve(&mut accounts, Key::of("bob"), 0, at(0)));
    let levels = accounts.levels(at(0));
    assert_eq!((levels.len(), levels[0].name()), (1, "requestsPerDay"));
    assert!((levels[0].used() - 0.5).abs() < 1e-9);
}

proptest! {
    /// Whatever is begun and however it ends: no account lets more through than its amount, and
    /// once all is given back nothing is missing.
    #[test]
    fn what_is_cancelled_leaves_no_trace(
        steps in prop::collection::vec((0_u8..4, 1_u64..60, any::<bool>()), 1..60),
    ) {
        let tokens = Rule::new(Measure::Of(Dimension::Tokens), 100, DAY);
        let rules = [tokens, Rule::concurrency(3)];
        let mut accounts = accounts(Per::User, &[clause(&rules)]);
        let mut open: Vec<(u8, u64, Reservation)> = Vec::new();
        for (user, tokens, ends) in steps {
            if ends && !open.is_empty() {
                let (.., reservation) = open.swap_remove(0);
                accounts.cancel(reservation, at(0));
                continue;
            }
            if let Some(taken) = reserve(&mut accounts, Key::of(&user.to_string()), tokens, at(0)) {
                open.push((user, tokens, taken));
            }
            let of_user = || open.iter().filter(|(own, ..)| *own == user);
            prop_assert!(of_user().map(|(_, tokens, _)| tokens).sum::<u64>() <= 100);
            prop_assert!(of_user().count() <= 3);
        }
        for (.., reservation) in open {
            accounts.cancel(reservation, at(0));
        }
        prop_assert!(accounts.levels(at(0)).iter().all(|level| level.used() < 1e-9));
    }
}
