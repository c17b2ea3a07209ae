//! A new configuration: what stays, and what starts fresh.

use super::*;

fn named(name: &str, value: &str) -> KeySpec {
    KeySpec { fingerprint: Some(Secret::new(value).fingerprint()), ..key(name) }
}

fn of(keys: Vec<KeySpec>) -> Spec {
    Spec { keys, ..Spec::default() }
}

#[test]
fn what_is_known_of_a_key_stays_with_its_value() {
    let mut rig = Rig::proven(&["a", "b"]);
    for _ in 0..2 {
        let attempt = rig.send_with("a");
        rig.answer(attempt, Verdict::KeyInvalid);
        rig.pass(5 * SECOND);
    }
    rig.pool.rebuild(of(vec![named("new", "n"), named("b", "b"), named("renamed", "a")]), rig.now);
    assert_eq!(rig.key_state("renamed"), KeyState::Disabled);
    assert_eq!(rig.key_state("new"), KeyState::Healthy);
}

#[test]
fn a_rotated_key_starts_fresh_and_its_predecessor_gets_no_new_request() {
    let mut rig = Rig::proven(&["a"]);
    let old = rig.send();
    rig.meet(Verdict::KeyInvalid);
    rig.pass(5 * SECOND);
    rig.meet(Verdict::KeyInvalid);
    let rebuilt = rig.pool.rebuild(of(vec![named("a", "rotated")]), rig.now);
    let new = rig.send();
    assert_eq!(Some(new.key()), rebuilt.keys[0]);
    assert_ne!(new.key(), old.key());
    assert_eq!(rig.pool.key_name(old.key()), None);
    rig.answer(old, Verdict::KeyInvalid);
    assert_eq!(rig.key_state("a"), KeyState::Healthy, "what the old one meets is not its fault");
    rig.answer(new, Verdict::Ok);
}

#[test]
fn ids_stay_across_a_rebuild() {
    let mut rig = Rig::proven(&["a", "b", "c"]);
    let attempt = rig.send_with("c");
    let rebuilt = rig.pool.rebuild(spec(&["d", "c", "b"]), rig.now);
    assert_eq!(rebuilt.keys[1], Some(attempt.key()));
    assert_eq!(rig.pool.key_name(attempt.key()), Some("c"));
    assert_eq!(rig.pool.group_name(attempt.group()), Some("c"));
    rig.answer(attempt, Verdict::BillingExhausted);
    assert_eq!(rig.group_state("c"), GroupState::Benched, "late news reach the same group");
}

#[test]
fn a_group_keeps_its_state_while_one_of_its_keys_stays() {
    let mut rig = Rig::proven(&["a/x", "b/x", "c"]);
    let attempt = rig.send_with("a");
    rig.answer(attempt, Verdict::BillingExhausted);
    rig.pool.rebuild(spec(&["b/x", "new/x", "c"]), rig.now);
    assert_eq!(rig.group_state("x"), GroupState::Benched);
    rig.pool.rebuild(spec(&["other/x", "c"]), rig.now);
    assert_eq!(rig.group_state("x"), GroupState::Open, "all its keys are new");
}

#[test]
fn levels_survive_a_reload_and_changed_limits_hold_at_once() {
    let with = |amount| Spec {
        limits: vec![limit(&[per_minute(Dimension::Requests, amount)])],
        learning: Learning::Off,
        ..spec(&["a"])
    };
    let mut rig = Rig::of(with(10));
    for _ in 0..10 {
        let attempt = rig.send();
        rig.pool.settle(attempt, &Cost::REQUEST, rig.now);
    }
    rig.pool.rebuild(with(10), rig.now);
    assert_eq!(rig.wait().cause, Cause::Rate);
    rig.pool.rebuild(with(12), rig.now);
    for _ in 0..2 {
        let attempt = rig.send();
        rig.pool.settle(attempt, &Cost::REQUEST, rig.now);
    }
    assert_eq!(rig.wait().cause, Cause::Rate);
    rig.pool.rebuild(Spec { limits: Vec::new(), ..with(1) }, rig.now);
    let attempt = rig.send();
    rig.pool.cancel(attempt, rig.now);
}

#[test]
fn one_value_under_two_names_is_one_key() {
    let keys = vec![named("a", "same"), named("b", "same"), named("c", "other")];
    let mut pool = Pool::default();
    let rebuilt = pool.rebuild(of(keys), secs(1));
    assert_eq!(
        rebuilt.rejected,
        [Rejected { name: "b".into(), why: Rejection::SameAs("a".into()) }]
    );
    assert_eq!(rebuilt.keys[1], None);
    assert_eq!(pool.status(secs(1)).keys.len(), 2);
}

#[test]
fn a_pool_holds_256_keys_and_says_which_it_could_not_take() {
    let names: Vec<_> = (0..258).map(|n| format!("key-{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut pool = Pool::default();
    let rebuilt = pool.rebuild(spec(&names), secs(1));
    assert_eq!(rebuilt.rejected.len(), 2);
    assert_eq!(rebuilt.rejected[1], Rejected { name: "key-257".into(), why: Rejection::TooMany });
    assert_eq!(pool.groups(), 256);
    let choice = pool.choose(&ask("m", &Tried::default()), secs(1));
    assert!(matches!(choice, Choice::Send(_)));
}

#[test]
fn requests_under_way_on_a_key_that_left_are_settled_on_its_group() {
    let with = |names: &[&str]| Spec {
        limits: vec![limit(&[per_minute(Dimension::Tokens, 1_000)])],
        learning: Learning::Off,
        ..spec(names)
    };
    let mut rig = Rig::of(with(&["a/x", "b/x"]));
    let attempt = rig.send_with("a");
    rig.pool.rebuild(with(&["b/x"]), rig.now);
    let used = Cost { tokens: 1_000, input: 1_000, ..Cost::REQUEST };
    rig.pool.settle(attempt, &used, rig.now);
    assert_eq!(rig.wait().cause, Cause::Rate);
    assert_eq!(rig.pool.in_flight(), 0);
}

#[test]
fn a_slot_that_is_used_again_knows_nothing_of_who_had_it() {
    let mut rig = Rig::proven(&["a", "b"]);
    let attempt = rig.send_with("a");
    rig.answer(attempt, Verdict::KeyForbidden);
    rig.pool.rebuild(spec(&["c", "b"]), rig.now);
    assert_eq!(rig.key_state("c"), KeyState::Healthy);
    assert_eq!(rig.used(), ["b", "c"]);
}

#[test]
fn removed_keys_and_callers_leave_no_trace() {
    let mut rig = Rig::proven(&["a", "b", "c"]);
    rig.pool.rebuild(spec(&["b"]), rig.now);
    assert_eq!(rig.used(), ["b"]);
    rig.pool.rebuild(Spec::default(), rig.now);
    assert_eq!(rig.nothing(&Tried::default()), Nothing::NoKey);
    assert_eq!(rig.pool.groups(), 0);
}
