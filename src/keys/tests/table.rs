//! The design's table of verdicts, row by row: what each does to key, group and breaker.

use crate::formats::Scope;

use super::*;

fn rate_limited(retry_at: Option<Moment>) -> Judgement {
    Judgement { retry_at, ..Judgement::of(Verdict::RateLimited) }
}

#[test]
fn rate_limited_holds_the_group_for_this_model_until_the_moment_told() {
    let mut rig = Rig::proven(&["a", "b"]);
    let attempt = rig.send_with("a");
    rig.end(attempt, &rate_limited(Some(rig.now + MINUTE)));
    assert_eq!(rig.used(), ["b"], "another group now");
    let other = rig.send_model("other", &Tried::default());
    rig.pool.cancel(other, rig.now);
    rig.pass(MINUTE);
    assert_eq!(rig.used(), ["a", "b"]);
}

#[test]
fn rate_limited_holds_the_whole_group_where_the_provider_says_so() {
    let mut rig = Rig::proven(&["a"]);
    let attempt = rig.send();
    let until = rig.now + MINUTE;
    rig.end(attempt, &Judgement { scope: Scope::Group, ..rate_limited(Some(until)) });
    let Choice::Wait(wait) = rig.choose("other", &Tried::default()) else { panic!("held") };
    assert_eq!((wait.until, wait.cause), (until, Cause::Rate));
    assert_eq!(rig.group_state("a"), GroupState::Held);
}

#[test]
fn rate_limited_is_held_until_the_latest_moment_told() {
    let mut rig = Rig::proven(&["a"]);
    let (first, second) = (rig.send(), rig.send());
    let late = rig.now + MINUTE;
    rig.end(first, &rate_limited(Some(late)));
    rig.end(second, &rate_limited(Some(rig.now + SECOND)));
    assert_eq!(rig.wait().until, late);
}

#[test]
fn rate_limited_without_a_hint_waits_a_second_growing_to_a_minute() {
    let mut rig = Rig::proven(&["a"]);
    let mut waits = Vec::new();
    for _ in 0..8 {
        rig.meet(Verdict::RateLimited);
        let until = rig.wait().until;
        waits.push(until.since(rig.now).as_secs());
        rig.now = until;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn the_jitter_of_a_hold_is_a_second_at_most() {
    let mut rig = Rig::proven(&["a"]);
    let attempt = rig.send();
    let told = rig.now + MINUTE;
    rig.pool.report(&attempt, &rate_limited(Some(told)), rig.now, u64::MAX);
    let late = rig.wait().until.since(told);
    assert!(late > SECOND / 2 && late <= SECOND, "{late:?}");
}

#[test]
fn rate_limited_for_a_request_larger_than_the_bucket_blames_nobody() {
    let mut rig = Rig::proven(&["a"]);
    let attempt = rig.send();
    let told = rate_limited(Some(rig.now + MINUTE));
    rig.end(attempt, &Judgement { oversized: true, ..told });
    let attempt = rig.send();
    rig.pool.cancel(attempt, rig.now);
}

#[test]
fn quota_exhausted_is_held_until_the_stated_reset_and_then_tried_by_one() {
    let mut rig = Rig::proven(&["a"]);
    let attempt = rig.send();
    let reset = rig.now + Duration::from_hours(9);
    let told = Judgement { retry_at: Some(reset), ..Judgement::of(Verdict::QuotaExhausted) };
    assert!(matches!(rig.end(attempt, &told), Some(Event::GroupClosed(_, Cause::Quota, _))));
    assert_eq!((rig.wait().until, rig.wait().cause), (reset, Cause::Quota));
    rig.now = reset;
    let probe = rig.send();
    assert_eq!(probe.probe(), Probe::Yes);
    assert_eq!(rig.wait().cause, Cause::Quota, "one request tries");
    assert!(matches!(rig.answer(probe, Verdict::Ok), Some(Event::GroupReopened(_))));
    assert_eq!(rig.send().probe(), Probe::No);
}

#[test]
fn quota_exhausted_without_a_reset_is_looked_at_every_ten_minutes() {
    let mut rig = Rig::proven(&["a"]);
    for _ in 0..5 {
        rig.meet(Verdict::QuotaExhausted);
        let until = rig.wait().until;
        assert_eq!(until.since(rig.now), 10 * MINUTE);
        rig.now = until;
    }
}

#[test]
fn quota_exhausted_of_one_model_leaves_the_others() {
    let mut rig = Rig::proven(&["a"]);
    rig.meet(Verdict::QuotaExhausted);
    assert_eq!(rig.wait().cause, Cause::Quota);
    let other = rig.send_model("other", &Tried::default());
    rig.pool.cancel(other, rig.now);
}

#[test]
fn billing_exhausted_benches_the_group_and_is_probed_less_and_less_often() {
    let mut rig = Rig::proven(&["a/x", "b/x", "c"]);
    let attempt = rig.send_with("a");
    assert!(matches!(
        rig.answer(attempt, Verdict::BillingExhausted),
        Some(Event::GroupClosed(_, Cause::Billing, _))
    ));
    assert_eq!(rig.used(), ["c"], "the other keys of the group are as poor");
    assert_eq!(rig.group_state("x"), GroupState::Benched);
    let mut waits = Vec::new();
    let mut only = Rig::proven(&["a"]);
    for _ in 0..5 {
        only.meet(Verdict::BillingExhausted);
        waits.push(only.wait().until.since(only.now).as_secs() / 60);
        only.now = only.wait().until;
    }
    assert_eq!(waits, [10, 20, 40, 60, 60]);
}

#[test]
fn a_probe_is_one_request_at_a_time_and_makes_way_if_it_finds_nothing_out() {
    let mut rig = Rig::proven(&["a"]);
    rig.meet(Verdict::BillingExhausted);
    rig.pass(10 * MINUTE);
    let probe = rig.send();
    assert_eq!(rig.wait().cause, Cause::Billing);
    rig.pool.cancel(probe, rig.now);
    let probe = rig.send();
    rig.answer(probe, Verdict::ConnectFailed);
    assert_eq!(rig.send().probe(), Probe::Yes, "no connection says nothing of the bill");
}

#[test]
fn key_invalid_rests_the_key_and_the_second_time_disables_it() {
    let mut rig = Rig::proven(&["a/x", "b/x"]);
    let attempt = rig.send_with("a");
    assert!(matches!(rig.answer(attempt, Verdict::KeyInvalid), Some(Event::KeyResting(_))));
    assert_eq!(rig.key_state("a"), KeyState::Resting);
    assert_eq!(rig.used(), ["b"], "another key, of the same group too");
    rig.pass(5 * SECOND);
    let attempt = rig.send_with("a");
    assert!(matches!(rig.answer(attempt, Verdict::KeyInvalid), Some(Event::KeyDisabled(_))));
    rig.pass(Duration::from_hours(1_000));
    assert_eq!(rig.used(), ["b"]);
    assert_eq!(rig.key_state("a"), KeyState::Disabled);
}

#[test]
fn key_invalid_is_forgiven_by_a_success() {
    let mut rig = Rig::proven(&["a", "b"]);
    for _ in 0..3 {
        let attempt = rig.send_with("a");
        rig.answer(attempt, Verdict::KeyInvalid);
        rig.pass(5 * SECOND);
        let attempt = rig.send_with("a");
        assert!(matches!(rig.answer(attempt, Verdict::Ok), Some(Event::KeyRecovered(_))));
    }
    assert_eq!(rig.key_state("a"), KeyState::Healthy);
}

#[test]
fn a_dead_key_is_met_twice_however_many_requests_come_at_once() {
    let mut rig = Rig::new(&["dead", "good"]);
    let mut met = 0;
    for _ in 0..50 {
        // A burst of ten, all chosen before any is answered.
        let burst: Vec<_> = (0..10)
            .filter_map(|_| match rig.choose("m", &Tried::default()) {
                Choice::Send(attempt) => Some(attempt),
                Choice::Wait(_) | Choice::Nothing(_) => None,
            })
            .collect();
        rig.pass(SECOND / 10);
        for attempt in burst {
            let dead = rig.name(&attempt) == "dead";
            met += u32::from(dead);
            rig.answer(attempt, if dead { Verdict::KeyInvalid } else { Verdict::Ok });
        }
        rig.pass(SECOND);
    }
    assert_eq!(met, 2);
    assert_eq!(rig.key_state("dead"), KeyState::Disabled);
}

#[test]
fn a_hiccup_that_refuses_all_requests_under_way_does_not_disable_the_key() {
    let mut rig = Rig::proven(&["a"]);
    let burst: Vec<_> = (0..20).map(|_| rig.send()).collect();
    rig.pass(SECOND);
    for attempt in burst {
        rig.answer(attempt, Verdict::KeyInvalid);
    }
    assert_eq!(rig.key_state("a"), KeyState::Resting);
    rig.pass(5 * SECOND);
    assert!(matches!(rig.meet(Verdict::Ok), Some(Event::KeyRecovered(_))));
}

#[test]
fn a_request_waits_for_a_resting_key_and_not_for_a_disabled_one() {
    let mut rig = Rig::proven(&["a"]);
    rig.meet(Verdict::KeyInvalid);
    assert_eq!((rig.wait().until, rig.wait().cause), (rig.now + 5 * SECOND, Cause::Resting));
    rig.pass(5 * SECOND);
    rig.meet(Verdict::KeyInvalid);
    assert_eq!(rig.nothing(&Tried::default()), Nothing::AllInvalid);
}

#[test]
fn where_no_credential_is_needed_none_can_be_refused() {
    let anonymous = KeySpec { fingerprint: None, ..key("local") };
    let mut rig = Rig::of(Spec { keys: vec![anonymous], ..Spec::default() });
    for _ in 0..5 {
        rig.meet(Verdict::KeyInvalid);
    }
    assert_eq!(rig.key_state("local"), KeyState::Healthy);
}

#[test]
fn suspended_turns_the_group_off_and_probes_it_rarely() {
    let mut rig = Rig::proven(&["a/x", "b/x", "c"]);
    let attempt = rig.send_with("b");
    assert!(matches!(
        rig.answer(attempt, Verdict::Suspended),
        Some(Event::GroupClosed(_, Cause::Suspended, _))
    ));
    assert_eq!(rig.used(), ["c"]);
    assert_eq!(rig.group_state("x"), GroupState::Suspended);
    rig.pass(10 * MINUTE);
    assert!(matches!(rig.used()[..], [_, ..]));
}

#[test]
fn key_forbidden_keeps_the_key_from_that_model_for_ten_minutes() {
    let mut rig = Rig::proven(&["a/x", "b/x"]);
    let attempt = rig.send_with("a");
    rig.answer(attempt, Verdict::KeyForbidden);
    assert_eq!(rig.used(), ["b"]);
    assert_eq!(rig.key_state("a"), KeyState::Forbidden);
    let mut names: Vec<_> = (0..50)
        .map(|_| {
            let attempt = rig.send_model("other", &Tried::default());
            let name = rig.name(&attempt);
            rig.pool.cancel(attempt, rig.now);
            name
        })
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names, ["a", "b"], "other models are not concerned");
    rig.pass(10 * MINUTE);
    assert_eq!(rig.used(), ["a", "b"]);
}

#[test]
fn a_model_forbidden_to_all_is_answered_by_the_provider_itself() {
    let mut rig = Rig::proven(&["a", "b"]);
    for name in ["a", "b"] {
        let attempt = rig.send_with(name);
        rig.answer(attempt, Verdict::KeyForbidden);
    }
    let mut tried = Tried::default();
    let attempt = rig.send_model("m", &tried);
    tried.note(&attempt, Verdict::KeyForbidden, 403);
    rig.answer(attempt, Verdict::KeyForbidden);
    assert_eq!(rig.nothing(&tried), Nothing::AllForbidden);
}

#[test]
fn a_model_not_found_is_asked_of_one_more_group_only() {
    let mut rig = Rig::proven(&["a", "b", "c", "d"]);
    let mut tried = Tried::default();
    let mut asked = 0;
    while let Choice::Send(attempt) = rig.choose("m", &tried) {
        asked += 1;
        tried.note(&attempt, Verdict::KeyForbidden, 404);
        rig.answer(attempt, Verdict::KeyForbidden);
    }
    assert_eq!(asked, 2);
    assert_eq!(rig.nothing(&tried), Nothing::AllForbidden);
}

#[test]
fn five_failures_in_a_row_open_the_breaker_of_group_and_model() {
    for verdict in [
        Verdict::Overloaded,
        Verdict::ServerError,
        Verdict::Timeout,
        Verdict::ConnectFailed,
        Verdict::MidStream,
    ] {
        let mut rig = Rig::proven(&["a"]);
        for _ in 0..4 {
            assert_eq!(rig.meet(verdict), None);
        }
        assert!(matches!(rig.meet(verdict), Some(Event::BreakerOpened(..))), "{verdict:?}");
        assert_eq!(rig.breaker("a"), BreakerState::Open);
        let wait = rig.wait();
        assert_eq!((wait.until.since(rig.now), wait.cause), (SECOND, Cause::Breaker));
        assert!(wait.causes.only(Cause::Breaker), "the provider's breaker is open");
        let other = rig.send_model("other", &Tried::default());
        rig.pool.cancel(other, rig.now);
    }
}

#[test]
fn an_open_breaker_lets_one_probe_through_and_its_success_closes_it() {
    let mut rig = Rig::proven(&["a"]);
    let mut waits = Vec::new();
    for _ in 0..5 {
        rig.meet(Verdict::ServerError);
    }
    for _ in 0..7 {
        let until = rig.wait().until;
        waits.push(until.since(rig.now).as_secs());
        rig.now = until;
        assert_eq!(rig.breaker("a"), BreakerState::HalfOpen);
        let probe = rig.send();
        assert_eq!(rig.wait().cause, Cause::Breaker, "one request tries");
        rig.answer(probe, Verdict::ServerError);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    rig.now = rig.wait().until;
    assert!(matches!(rig.meet(Verdict::Ok), Some(Event::BreakerClosed(_))));
    assert_eq!(rig.breaker("a"), BreakerState::Closed);
    assert_eq!(rig.send().probe(), Probe::No);
}

#[test]
fn one_open_breaker_leaves_the_other_groups() {
    let mut rig = Rig::proven(&["a", "b"]);
    for _ in 0..5 {
        let attempt = rig.send_with("a");
        rig.answer(attempt, Verdict::Overloaded);
    }
    assert_eq!(rig.used(), ["b"]);
}

#[test]
fn an_overloaded_provider_that_says_when_to_come_back_is_left_alone_until_then() {
    let mut rig = Rig::proven(&["a"]);
    let attempt = rig.send();
    let told = rig.now + 7 * SECOND;
    let judgement = Judgement { retry_at: Some(told), ..Judgement::of(Verdict::Overloaded) };
    rig.end(attempt, &judgement);
    assert_eq!((rig.wait().until, rig.wait().cause), (told, Cause::Breaker));
}

#[test]
fn an_invalid_request_says_that_key_group_and_model_are_alive() {
    let mut rig = Rig::proven(&["a"]);
    for _ in 0..20 {
        for _ in 0..4 {
            rig.meet(Verdict::ServerError);
        }
        assert_eq!(rig.meet(Verdict::RequestInvalid), None);
        rig.pass(10 * SECOND); // or half of twenty would have failed
    }
}

#[test]
fn an_ok_is_healthy() {
    let mut rig = Rig::new(&["a", "b"]);
    for _ in 0..10 {
        assert_eq!(rig.meet(Verdict::Ok), None);
    }
    assert_eq!(rig.key_state("a"), KeyState::Healthy);
    assert_eq!(rig.group_state("a"), GroupState::Open);
    assert_eq!(rig.breaker("a"), BreakerState::Closed);
}
