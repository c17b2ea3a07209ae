use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::callers::{Asked, Key, Per};
use crate::formats::{Dimension, EndpointKind};
use crate::limits::{Clause, Measure, Rule, Sharing};

const MINUTE: Duration = Duration::from_mins(1);

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

/// Sixty tokens a minute, one a second, and whatever else.
fn gate(more: &[Rule]) -> Gate<u32> {
    let tokens = Rule::new(Measure::Of(Dimension::Tokens), 60, MINUTE);
    let rules = [&[tokens], more].concat();
    let clauses = [Clause { rules, ..Clause::default() }];
    Gate::new(Accounts::new(Per::User, &clauses, Sharing::default(), Timestamp::UNIX_EPOCH))
}

fn scope(gate: &Gate<u32>, user: &str) -> Scope {
    let asked = Asked { key: Key::of(user), model: None, kind: EndpointKind::Chat };
    gate.accounts().scope(&asked).unwrap()
}

fn claim(tokens: u64, deadline: u64) -> Claim {
    let cost = Cost { tokens, ..Cost::REQUEST };
    Claim { priority: Priority::Normal, deadline: at(deadline), cost }
}

fn arrive(gate: &mut Gate<u32>, claim: Claim, name: u32, now: u64) -> Decision {
    let scope = scope(gate, "ann");
    gate.arrive(&scope, &claim, || name, at(now))
}

fn waits(decision: Decision) -> Place {
    let Decision::Waits(place) = decision else { panic!("{decision:?}") };
    place
}

/// Everybody who is called until `now`, with the second.
fn called(gate: &mut Gate<u32>, now: u64) -> Vec<(u32, u64)> {
    let mut called = Vec::new();
    while let Some(wake) = gate.wake().filter(|wake| *wake <= at(now)) {
        while let Some((name, _)) = gate.next(wake) {
            called.push((name, wake.as_nanos() / 1_000_000_000));
        }
    }
    called
}

#[test]
fn each_is_called_at_the_very_moment_at_which_it_can_go() {
    let mut gate = gate(&[]);
    assert!(matches!(arrive(&mut gate, claim(60, 90), 0, 0), Decision::Pass(_)));
    for (name, tokens) in [(1, 10), (2, 5), (3, 20)] {
        waits(arrive(&mut gate, claim(tokens, 90), name, 0));
    }
    assert_eq!(called(&mut gate, 90), [(1, 10), (2, 15), (3, 35)]);
    assert_eq!((gate.waiting(), gate.wake()), (0, None));
}

#[test]
fn higher_classes_come_first_and_then_earlier_deadlines_and_nobody_small_slips_by() {
    let mut gate = gate(&[]);
    let _taken = arrive(&mut gate, claim(60, 600), 0, 0);
    waits(arrive(&mut gate, claim(30, 500), 1, 0));
    waits(arrive(&mut gate, claim(1, 600), 2, 0));
    waits(arrive(&mut gate, claim(2, 400), 3, 0));
    waits(arrive(&mut gate, Claim { priority: Priority::High, ..claim(3, 600) }, 4, 0));
    waits(arrive(&mut gate, Claim { priority: Priority::Batch, ..claim(1, 100) }, 5, 0));
    let order: Vec<_> = called(&mut gate, 600).into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, [4, 3, 1, 2, 5]);
}

#[test]
fn who_would_come_too_late_is_told_so_at_once_with_the_moment() {
    let mut gate = gate(&[]);
    let _taken = arrive(&mut gate, claim(60, 90), 0, 0);
    let Decision::Late(until, binding) = arrive(&mut gate, claim(30, 20), 1, 0) else { panic!() };
    assert_eq!((until, binding.name()), (at(30), "tokensPerMinute"));
    waits(arrive(&mut gate, claim(50, 60), 2, 0));
    let Decision::Late(until, _) = arrive(&mut gate, claim(30, 70), 3, 0) else { panic!() };
    assert_eq!(until, at(80), "behind the one who waits, and more than the bucket holds");
    waits(arrive(&mut gate, claim(30, 81), 4, 0));
    assert_eq!(called(&mut gate, 90), [(2, 50), (4, 80)]);
}

#[test]
fn what_can_never_be_held_is_refused_at_once() {
    let mut gate = gate(&[]);
    let decision = arrive(&mut gate, claim(100, 600), 0, 0);
    assert!(
        matches!(decision, Decision::Oversized(binding) if binding.name() == "tokensPerMinute")
    );
    assert!(
        matches!(arrive(&mut gate, claim(60, 0), 0, 0), Decision::Pass(_)),
        "nothing was taken"
    );
}

#[test]
fn what_comes_back_calls_the_next_at_once_and_who_leaves_makes_way() {
    let mut gate = gate(&[Rule::concurrency(1)]);
    let Decision::Pass(first) = arrive(&mut gate, claim(1, 90), 0, 0) else { panic!() };
    let second = waits(arrive(&mut gate, claim(1, 90), 1, 0));
    waits(arrive(&mut gate, claim(1, 90), 2, 0));
    assert_eq!(gate.leave(&second), Some(1));
    assert_eq!(gate.leave(&second), None, "a place is left once");
    assert_eq!(gate.next(at(1)).map(|(name, _)| name), None);
    gate.settle(first, &Cost::REQUEST, at(1));
    assert_eq!(gate.wake(), Some(Moment::ZERO));
    assert_eq!(gate.next(at(1)).map(|(name, _)| name), Some(2));
}

#[test]
fn users_do_not_stand_in_each_other_s_way() {
    let mut gate = gate(&[]);
    let _taken = arrive(&mut gate, claim(60, 90), 0, 0);
    waits(arrive(&mut gate, claim(60, 90), 1, 0));
    let bob = scope(&gate, "bob");
    let decision = gate.arrive(&bob, &claim(60, 90), || 2, at(0));
    assert!(matches!(decision, Decision::Pass(_)));
    waits(gate.arrive(&bob, &claim(30, 90), || 3, at(0)));
    assert_eq!(called(&mut gate, 90), [(3, 30), (1, 60)]);
}

#[test]
fn as_many_wait_as_may() {
    let mut gate = gate(&[Rule::concurrency(1)]);
    let _taken = arrive(&mut gate, claim(0, 900), 0, 0);
    for name in 0..10_000 {
        waits(arrive(&mut gate, claim(0, 900), name, 0));
    }
    assert!(matches!(arrive(&mut gate, claim(0, 900), 0, 0), Decision::Full(..)));
    assert_eq!(gate.waiting(), MOST_WAITING);
}

#[test]
fn a_limit_that_is_raised_lets_those_in_who_wait() {
    let mut gate = gate(&[]);
    let _taken = arrive(&mut gate, claim(60, 90), 0, 0);
    waits(arrive(&mut gate, claim(60, 90), 1, 0));
    let rules = vec![Rule::new(Measure::Of(Dimension::Tokens), 600, MINUTE)];
    let clauses = [Clause { rules, ..Clause::default() }];
    let now = (at(1), Timestamp::UNIX_EPOCH);
    gate.accounts_mut().revise(Per::User, &clauses, Sharing::default(), now);
    assert_eq!(gate.next(at(1)).map(|(name, _)| name), Some(1));
}

/// Lets the seconds pass until `to`: who cannot wait any longer leaves, who can go is called.
fn pass_time(gate: &mut Gate<u32>, waiting: &mut Waiting, from: u64, to: u64) -> u64 {
    let mut let_in = 0;
    for second in from..=to {
        let gone: Vec<_> =
            waiting.iter().filter(|(_, (_, deadline, _))| *deadline < second).collect();
        for place in gone.into_iter().map(|(_, (.., place))| place.clone()).collect::<Vec<_>>() {
            let name = gate.leave(&place).expect("it was never called");
            waiting.remove(&name);
        }
        while let Some((name, _)) = gate.next(at(second)) {
            let_in += waiting.remove(&name).expect("it waited").0;
        }
    }
    let_in
}

/// Who waits: the tokens, the deadline and the place of each.
type Waiting = BTreeMap<u32, (u64, u64, Place)>;

proptest! {
    /// Whoever comes and goes: what is let in never exceeds what the limit grants, nobody is called
    /// after its deadline, and where nobody else comes, who waits is called.
    #[test]
    fn nothing_is_let_in_beyond_the_limit_and_nobody_who_waits_is_forgotten(
        steps in prop::collection::vec((0_u64..8, 1_u64..40, 1_u64..200, 0_u8..3), 1..80),
    ) {
        let mut gate = gate(&[]);
        let (mut now, mut let_in, mut waiting) = (0, 0, Waiting::new());
        for (name, (pause, tokens, patience, class)) in (0..).zip(steps) {
            let_in += pass_time(&mut gate, &mut waiting, now, now + pause);
            now += pause;
            let priority = Priority::ALL[usize::from(class)];
            let claim = Claim { priority, ..claim(tokens, now + patience) };
            match arrive(&mut gate, claim, name, now) {
                Decision::Pass(_) => let_in += tokens,
                Decision::Waits(place) => {
                    waiting.insert(name, (tokens, now + patience, place));
                }
                Decision::Late(until, _) => prop_assert!(until > at(now + patience)),
                other => prop_assert!(false, "{other:?}"),
            }
            prop_assert!(let_in <= 60 + now, "{let_in} by {now}");
            prop_assert_eq!(gate.waiting(), waiting.len());
        }
        pass_time(&mut gate, &mut waiting, now, now + 300);
        prop_assert_eq!((waiting.len(), gate.waiting(), gate.wake()), (0, 0, None));
    }
}
