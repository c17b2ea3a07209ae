//! Which key is chosen, and what is said when there is none.

use super::*;

fn shares(rig: &mut Rig, names: &[&str]) -> Vec<usize> {
    let mut counts = vec![0; names.len()];
    for _ in 0..4_000 {
        let attempt = rig.send();
        let name = rig.name(&attempt);
        counts[names.iter().position(|other| *other == name).unwrap()] += 1;
        rig.pool.cancel(attempt, rig.now);
    }
    counts
}

#[test]
fn where_all_have_as_much_left_weight_decides() {
    let names = ["a", "b", "c"];
    let mut spec = spec(&names);
    spec.keys[2].weight = 2;
    let mut rig = Rig::of(spec);
    rig.prove();
    for (count, share) in shares(&mut rig, &names).into_iter().zip([1_000, 1_000, 2_000]) {
        assert!(count.abs_diff(share) < 150, "{count} of {share}");
    }
}

#[test]
fn keys_of_one_group_add_no_weight_because_they_add_no_capacity() {
    let mut rig = Rig::proven(&["a/x", "b/x", "c/x", "d"]);
    let counts = shares(&mut rig, &["a", "b", "c", "d"]);
    assert!(counts[3].abs_diff(2_000) < 200, "{counts:?}");
    assert!(counts[0].abs_diff(667) < 150, "{counts:?}");
}

#[test]
fn the_group_with_more_left_is_taken() {
    let mut spec = spec(&["a", "b"]);
    spec.limits = vec![limit(&[per_minute(Dimension::Requests, 100)])];
    let mut rig = Rig::of(spec);
    rig.prove();
    rig.pass(MINUTE);
    for _ in 0..20 {
        if rig.used() == ["b"] {
            return;
        }
        let attempt = rig.send_with("a");
        rig.pool.settle(attempt, &Cost::REQUEST, rig.now);
    }
    panic!("a is chosen however little it has left");
}

#[test]
fn all_capacity_is_used_before_anybody_waits() {
    let mut spec = spec(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    spec.limits = vec![limit(&[per_minute(Dimension::Requests, 10)])];
    let mut rig = Rig::of(spec);
    rig.prove();
    rig.pass(MINUTE);
    for _ in 0..80 {
        let attempt = rig.send();
        rig.pool.settle(attempt, &Cost::REQUEST, rig.now);
    }
    let wait = rig.wait();
    assert_eq!(wait.until, rig.now + 6 * SECOND);
    assert_eq!(wait.binding.unwrap().name(), "requestsPerMinute");
    rig.now = wait.until;
    assert_eq!(rig.used().len(), 8);
}

#[test]
fn a_key_is_used_for_its_models_and_its_callers_only() {
    let mut spec = spec(&["any", "gpt", "mine"]);
    spec.keys[1].models = vec![pattern("gpt-4o*"), pattern("o3")];
    spec.keys[2].callers = vec!["checkout".into()];
    let mut rig = Rig::of(spec);
    let mut used = |model: &str, caller: &str| {
        let tried = Tried::default();
        let mut names: Vec<_> = (0..200)
            .filter_map(|random: u64| {
                let random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let ask = Ask { caller, random, ..ask(model, &tried) };
                let Choice::Send(attempt) = rig.pool.choose(&ask, rig.now) else { return None };
                let name = rig.name(&attempt);
                rig.pool.cancel(attempt, rig.now);
                Some(name)
            })
            .collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(used("claude", "web"), ["any"]);
    assert_eq!(used("gpt-4o-mini", "web"), ["any", "gpt"]);
    assert_eq!(used("o3", "web"), ["any", "gpt"]);
    assert_eq!(used("o3-mini", "web"), ["any"]);
    assert_eq!(used("claude", "checkout"), ["any", "mine"]);
}

#[test]
fn no_key_for_this_caller_or_model_is_no_key() {
    assert_eq!(Rig::new(&[]).nothing(&Tried::default()), Nothing::NoKey);
    let mut spec = spec(&["a"]);
    spec.keys[0].models = vec![pattern("other")];
    assert_eq!(Rig::of(spec.clone()).nothing(&Tried::default()), Nothing::NoKey);
    spec.keys[0].callers = vec!["somebody".into()];
    assert_eq!(Rig::of(spec).nothing(&Tried::default()), Nothing::NoKey);
}

#[test]
fn what_was_tried_is_not_tried_again_without_being_asked() {
    let mut rig = Rig::proven(&["a", "b"]);
    let mut tried = Tried::default();
    for _ in 0..2 {
        let attempt = rig.send_model("m", &tried);
        tried.note(&attempt, Verdict::ServerError, 500);
        rig.answer(attempt, Verdict::ServerError);
    }
    assert_eq!(rig.nothing(&tried), Nothing::AllTried(rig.now));
    tried.again();
    let attempt = rig.send_model("m", &tried);
    rig.pool.cancel(attempt, rig.now);
}

#[test]
fn a_tried_group_that_is_held_is_told_with_its_moment() {
    let mut rig = Rig::proven(&["a"]);
    let mut tried = Tried::default();
    let attempt = rig.send();
    tried.note(&attempt, Verdict::RateLimited, 429);
    let until = rig.now + 20 * SECOND;
    let told = Judgement { retry_at: Some(until), ..Judgement::of(Verdict::RateLimited) };
    rig.end(attempt, &told);
    assert_eq!(rig.nothing(&tried), Nothing::AllTried(until));
}

#[test]
fn while_an_untried_group_is_held_a_tried_one_is_told_too() {
    let mut rig = Rig::proven(&["a", "b"]);
    let held = rig.send_with("b");
    let until = rig.now + 20 * SECOND;
    let told = Judgement { retry_at: Some(until), ..Judgement::of(Verdict::RateLimited) };
    rig.end(held, &told);
    let mut tried = Tried::default();
    let attempt = rig.send();
    tried.note(&attempt, Verdict::ServerError, 500);
    rig.answer(attempt, Verdict::ServerError);
    let Choice::Wait(wait) = rig.choose("m", &tried) else { panic!("b is held") };
    assert_eq!((wait.until, wait.again), (until, Some(rig.now)));
    assert_eq!(rig.pool.group_name(wait.group), Some("b"));
}

#[test]
fn what_a_group_stores_is_asked_of_that_group_alone() {
    let mut rig = Rig::proven(&["a", "b"]);
    let made = rig.send_with("a");
    let stored_in = Some(made.group());
    let told =
        Judgement { retry_at: Some(rig.now + MINUTE), ..Judgement::of(Verdict::RateLimited) };
    rig.end(made, &told);
    let tried = Tried::default();
    let follow_up = Ask { stored_in, ..ask("m", &tried) };
    let Choice::Wait(wait) = rig.pool.choose(&follow_up, rig.now) else { panic!("a is held") };
    assert_eq!(rig.pool.group_name(wait.group), Some("a"));
    rig.pool.rebuild(spec(&["b"]), rig.now);
    let choice = rig.pool.choose(&follow_up, rig.now);
    assert!(matches!(choice, Choice::Send(_)), "a has left: nobody knows better");
}

#[test]
fn requests_that_begin_alike_go_to_one_group_and_to_one_other_when_it_is_full() {
    let mut rig = Rig::proven(&["a", "b", "c", "d", "e", "f"]);
    let prefix = Some(7);
    let home = |rig: &mut Rig| {
        let tried = Tried::default();
        let mut names: Vec<_> = (0..50)
            .map(|random| {
                let ask = Ask { prefix, random, ..ask("m", &tried) };
                let Choice::Send(attempt) = rig.pool.choose(&ask, rig.now) else { panic!("open") };
                let name = rig.name(&attempt);
                rig.pool.cancel(attempt, rig.now);
                name
            })
            .collect();
        names.dedup();
        assert_eq!(names.len(), 1, "{names:?}");
        names.remove(0)
    };
    let first = home(&mut rig);
    let attempt = rig.send_with(&first);
    rig.answer(attempt, Verdict::RateLimited);
    let second = home(&mut rig);
    assert_ne!(first, second);
    rig.pass(2 * SECOND);
    assert_eq!(home(&mut rig), first, "it has room again");
}

#[test]
fn a_body_that_can_be_sent_once_takes_a_key_known_to_be_good() {
    let mut rig = Rig::new(&["a", "b", "c"]);
    let attempt = rig.send_with("b");
    rig.answer(attempt, Verdict::Ok);
    let tried = Tried::default();
    for random in 0..50 {
        let ask = Ask { body: Body::Once, random, ..ask("m", &tried) };
        let Choice::Send(attempt) = rig.pool.choose(&ask, rig.now) else { panic!("b is good") };
        assert_eq!(rig.name(&attempt), "b");
        rig.pool.cancel(attempt, rig.now);
    }
    let mut fresh = Rig::new(&["a"]);
    let ask = Ask { body: Body::Once, ..ask("m", &tried) };
    let choice = fresh.pool.choose(&ask, fresh.now);
    assert!(matches!(choice, Choice::Send(_)), "where none is known to be good, any is taken");
}

#[test]
fn a_body_that_can_be_sent_once_tries_nothing_for_others() {
    let mut rig = Rig::proven(&["a", "b"]);
    let attempt = rig.send_with("a");
    rig.answer(attempt, Verdict::BillingExhausted);
    rig.pass(10 * MINUTE);
    let tried = Tried::default();
    for random in 0..50 {
        let ask = Ask { body: Body::Once, random, ..ask("m", &tried) };
        let Choice::Send(attempt) = rig.pool.choose(&ask, rig.now) else { panic!("b is open") };
        assert_eq!(rig.name(&attempt), "b");
        rig.pool.cancel(attempt, rig.now);
    }
}

#[test]
fn at_first_each_key_is_tried_by_one_request_and_the_others_wait_for_what_it_finds() {
    let mut rig = Rig::new(&["a", "b"]);
    let (first, second) = (rig.send(), rig.send());
    assert_ne!(first.key(), second.key());
    let wait = rig.wait();
    assert_eq!((wait.cause, wait.until), (Cause::Trial, rig.now + SECOND / 2));
    rig.answer(first, Verdict::Ok);
    assert_eq!(rig.used().len(), 1);
    rig.pass(SECOND / 2);
    assert_eq!(rig.used().len(), 2, "no answer for so long is no refusal");
    drop(second);

    let mut only = Rig::new(&["a"]);
    let burst: Vec<_> = (0..10).map(|_| only.send()).collect();
    assert_eq!(burst.len(), 10, "with one key there is nothing to be gained");
}

#[test]
fn limits_hold_for_each_model_or_for_all_together() {
    let mut spec = spec(&["a"]);
    let two = [per_minute(Dimension::Requests, 2)];
    let shared = LimitSpec {
        models: vec![pattern("opus*")],
        reach: Reach::Together,
        ..limit(&[per_minute(Dimension::Requests, 3)])
    };
    spec.limits = vec![limit(&two), shared];
    spec.learning = Learning::Off;
    let mut rig = Rig::of(spec);
    let sent = |rig: &mut Rig, model: &str| {
        let mut sent = 0;
        while let Choice::Send(attempt) = rig.choose(model, &Tried::default()) {
            rig.pool.settle(attempt, &Cost::REQUEST, rig.now);
            sent += 1;
        }
        sent
    };
    assert_eq!(sent(&mut rig, "haiku"), 2);
    assert_eq!(sent(&mut rig, "sonnet"), 2);
    assert_eq!(sent(&mut rig, "opus-1"), 2);
    assert_eq!(sent(&mut rig, "opus-2"), 1, "the third of what they share");
}

#[test]
fn the_more_exactly_named_limit_holds() {
    let mut spec = spec(&["main", "eu"]);
    let requests = |amount| limit(&[per_minute(Dimension::Requests, amount)]);
    spec.limits = vec![
        LimitSpec { models: vec![pattern("gpt-4o")], ..requests(7) },
        LimitSpec { models: vec![pattern("gpt*")], ..requests(5) },
        requests(2),
        LimitSpec { quota_groups: vec!["eu".into()], ..requests(3) },
    ];
    let mut rig = Rig::of(spec);
    for model in ["gpt-4o", "gpt-4", "o3"] {
        for _ in 0..2 {
            let attempt = rig.send_model(model, &Tried::default());
            rig.answer(attempt, Verdict::Ok);
        }
    }
    let status = rig.pool.status(rig.now);
    let mut configured: Vec<_> = status
        .groups
        .iter()
        .flat_map(|group| {
            group
                .models
                .iter()
                .map(|model| (&*model.model, &*group.name, model.levels[0].configured.unwrap()))
        })
        .collect();
    configured.sort_unstable();
    assert_eq!(
        configured,
        [
            ("gpt-4", "eu", 5),
            ("gpt-4", "main", 5),
            ("gpt-4o", "eu", 7),
            ("gpt-4o", "main", 7),
            ("o3", "eu", 3),
            ("o3", "main", 2)
        ]
    );
}

#[test]
fn a_request_larger_than_every_bucket_is_refused_with_the_limit() {
    let mut spec = spec(&["a", "b"]);
    spec.limits = vec![limit(&[per_minute(Dimension::Tokens, 50)])];
    spec.learning = Learning::Off;
    let mut rig = Rig::of(spec);
    let Nothing::Oversized(binding) = rig.nothing(&Tried::default()) else { panic!("too large") };
    assert_eq!(binding.name(), "tokensPerMinute");
}

#[test]
fn headers_steer_the_choice_away_from_what_others_have_used_up() {
    let mut rig = Rig::proven(&["a", "b"]);
    let attempt = rig.send_with("a");
    let told = Sample {
        dimension: Dimension::Tokens,
        limit: Some(10_000),
        remaining: Some(50),
        reset_in: None,
        window: Some(MINUTE),
    };
    rig.pool.observe(&attempt, &[told], rig.now);
    rig.answer(attempt, Verdict::Ok);
    assert_eq!(rig.used(), ["b"]);
}

#[test]
fn a_refusal_is_explained_group_by_group() {
    let mut spec = spec(&["rate", "billing", "dead", "open"]);
    spec.limits = vec![LimitSpec {
        quota_groups: vec!["rate".into()],
        ..limit(&[per_minute(Dimension::Tokens, 100)])
    }];
    let mut rig = Rig::of(spec);
    rig.prove();
    let attempt = rig.send_with("billing");
    rig.answer(attempt, Verdict::BillingExhausted);
    for _ in 0..2 {
        let attempt = rig.send_with("dead");
        rig.answer(attempt, Verdict::KeyInvalid);
        rig.pass(5 * SECOND);
    }
    rig.pass(MINUTE);
    drop(rig.send_with("rate"));
    let tried = Tried::default();
    let reasons = rig.pool.explain(&ask("m", &tried), rig.now);
    let told: Vec<_> =
        reasons.iter().map(|reason| (&*reason.group, reason.obstacle, reason.limit)).collect();
    assert_eq!(
        told,
        [
            ("rate", Obstacle::Closed(Cause::Rate), Some("tokensPerMinute")),
            ("billing", Obstacle::Closed(Cause::Billing), None),
            ("dead", Obstacle::Invalid, None),
        ]
    );
    assert_eq!(reasons[0].until, Some(rig.now + MINUTE));
}

#[test]
fn the_soonest_change_is_known() {
    let mut rig = Rig::proven(&["a", "b"]);
    assert_eq!(rig.pool.status(rig.now).next_change, None);
    let attempt = rig.send_with("a");
    rig.answer(attempt, Verdict::BillingExhausted);
    let attempt = rig.send_with("b");
    let retry_at = Some(rig.now + 9 * SECOND);
    rig.end(attempt, &Judgement { retry_at, ..Judgement::of(Verdict::RateLimited) });
    assert_eq!(rig.pool.status(rig.now).next_change, retry_at);
}
