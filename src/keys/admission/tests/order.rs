//! Who is served when.

use super::*;

#[test]
fn what_cannot_go_now_goes_at_the_very_moment_at_which_it_can() {
    let wishes = vec![Wish::new(secs(1), 600), Wish::new(secs(1), 60), Wish::new(secs(2), 30)];
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run();
    assert_eq!(world.waited(0), Some(Duration::ZERO));
    assert_eq!(world.waited(1), Some(6 * SECOND));
    assert_eq!(world.waited(2), Some(8 * SECOND), "after the one before it");
    assert_eq!(world.woken, (2, 0), "once for each");
}

#[test]
fn what_is_given_back_goes_to_who_waits_at_once() {
    let mut wishes = vec![Wish::new(secs(1), 600), Wish::new(secs(1), 600)];
    wishes[1].patience = 2 * MINUTE;
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run_until(secs(1));
    let sent = world.open[0].take().unwrap();
    world.now = secs(5);
    world.admission.cancel(sent, world.now);
    assert_eq!(world.call(), 1);
    assert_eq!(world.waited(1), Some(4 * SECOND));
}

#[test]
fn a_large_request_is_not_starved_by_small_ones() {
    // Ten tokens a second, and small requests that ask for twelve.
    let mut wishes = steady(secs(0), 3 * MINUTE, 6, |at| Wish::new(at, 2));
    wishes.push(Wish::new(secs(60), 540).by(2).patient(2 * MINUTE));
    let large = wishes.len() - 1;
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run();
    let waited = world.waited(large).expect("it is served");
    assert!(waited <= 75 * SECOND, "{waited:?}: its refill takes 54 s");
}

#[test]
fn while_a_large_request_waits_for_one_group_small_ones_pass_it_on_the_other() {
    let mut wishes = vec![
        Wish::new(secs(1), 600).patient(2 * MINUTE),
        Wish::new(secs(1), 600).patient(2 * MINUTE),
        Wish::new(secs(2), 540).by(2).patient(2 * MINUTE),
    ];
    wishes.extend(steady(secs(3), 30 * SECOND, 1, |at| Wish::new(at, 5).by(3)));
    let mut world = World::new(spec(&[("a", 600), ("b", 600)]), wishes);
    world.run();
    assert_eq!(world.waited(2), Some(53 * SECOND), "as if the others were not there");
    for small in 3..world.wishes.len() {
        assert!(world.waited(small).is_some_and(|waited| waited < SECOND), "{small}");
    }
    let group = |index: usize| {
        let Fate::Sent { group, .. } = &world.fates[index] else { panic!("{index} waits") };
        group.clone()
    };
    assert!((3..world.wishes.len()).all(|small| group(small) != group(2)));
}

#[test]
fn what_does_not_delay_a_large_request_passes_it_in_the_same_group() {
    let free = Cost { tokens: 0, input: 0, ..tokens(0) };
    let wishes = vec![
        Wish::new(secs(1), 600),
        Wish::new(secs(1), 300).by(2),
        Wish { cost: free, ..Wish::new(secs(2), 0).by(3) },
    ];
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run();
    assert_eq!(world.waited(2), Some(Duration::ZERO), "it costs no tokens");
    assert_eq!(world.waited(1), Some(30 * SECOND));
}

#[test]
fn callers_that_always_wait_get_the_same_tokens() {
    let mut wishes = Vec::new();
    // Together they ask for two and a half times what there is, one of them for most of it.
    for (caller, cost, each_second) in [(1, 5, 20), (2, 50, 1), (3, 20, 2), (4, 7, 6)] {
        let patience = 10 * MINUTE;
        let wish = |at| Wish::new(at, cost).by(caller).patient(patience);
        wishes.extend(steady(secs(0), 2 * MINUTE, each_second, wish));
    }
    let mut world = World::new(spec(&[("a", 3_000), ("b", 2_000)]), wishes);
    // What the full buckets give at first is nobody's turn.
    world.run_until(secs(20));
    let served = |world: &World| [1, 2, 3, 4].map(|id| world.served(|wish| wish.caller == id));
    let before = served(&world);
    world.run_until(secs(120));
    let got: Vec<f64> = served(&world).iter().zip(before).map(|(a, b)| (a - b) as f64).collect();
    let (sum, squares) = (got.iter().sum::<f64>(), got.iter().map(|x| x * x).sum::<f64>());
    assert!(sum * sum / (4.0 * squares) >= 0.97, "{got:?}");
    assert!(sum >= 0.97 * 100.0 * 5_000.0 / 60.0, "all that there was: {sum}");
}

#[test]
fn a_lane_of_its_own_neither_blocks_the_others_nor_is_starved_by_them() {
    let mut wishes = steady(secs(0), MINUTE, 25, |at| Wish::new(at, 4).patient(10 * SECOND));
    let stored =
        |at, cost| Wish { stored_in: Some("a"), ..Wish::new(at, cost).by(2).patient(30 * SECOND) };
    // One that is small, and one that needs most of what the group can hold.
    wishes.push(stored(secs(40), 1));
    wishes.push(stored(secs(41), 200));
    let (small, large) = (wishes.len() - 2, wishes.len() - 1);
    let mut world = World::new(spec(&[("a", 600), ("b", 600)]), wishes);
    world.run();
    assert!(world.waited(small).is_some_and(|waited| waited < SECOND), "{:?}", world.fates[small]);
    let waited = world.waited(large).expect("served");
    assert!(waited < 25 * SECOND, "{waited:?}: its refill takes 20 s");
    assert!(matches!(&world.fates[large], Fate::Sent { group, .. } if group == "a"));
    let served = world.served(|wish| wish.stored_in.is_none());
    assert!(served >= 1_200 + 20 * 60 - 201 - 60, "the others lose what it took: {served}");
}

#[test]
fn while_the_group_of_stored_things_is_held_the_others_go_on() {
    let mut wishes = vec![
        Wish { stored_in: Some("a"), ..Wish::new(secs(1), 600) },
        Wish { stored_in: Some("a"), ..Wish::new(secs(1), 100) },
    ];
    wishes.extend(steady(secs(2), 10 * SECOND, 1, |at| Wish::new(at, 10)));
    let mut world = World::new(spec(&[("a", 600), ("b", 600)]), wishes);
    world.run();
    assert_eq!(world.waited(1), Some(10 * SECOND));
    assert!((2..12).all(|other| world.waited(other) == Some(Duration::ZERO)));
}

#[test]
fn models_wait_apart() {
    let mut wishes = vec![Wish::new(secs(1), 600), Wish::new(secs(1), 600)];
    wishes.push(Wish { model: "n", ..Wish::new(secs(2), 600) });
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run_until(secs(3));
    assert!(matches!(world.fates[1], Fate::Refused { .. }), "it would wait for a minute");
    assert_eq!(world.waited(2), Some(Duration::ZERO));
}

#[test]
fn models_that_share_a_limit_wait_together() {
    let mut spec = spec(&[("a", 600)]);
    spec.limits[0].reach = Reach::Together;
    let other = |wish| Wish { model: "n", ..wish };
    let wishes = vec![
        Wish::new(secs(1), 600),
        Wish::new(secs(2), 100),
        other(Wish::new(secs(3), 10).by(2)),
        Wish::new(secs(3), 10),
    ];
    let mut world = World::new(spec, wishes);
    world.run();
    assert_eq!(world.waited(1), Some(9 * SECOND));
    assert_eq!(world.waited(2), Some(9 * SECOND), "the other model stands behind");
    assert_eq!(world.woken.1, 0);
}

#[test]
fn a_new_configuration_is_used_by_those_who_wait() {
    let wishes = vec![Wish::new(secs(1), 600), Wish::new(secs(1), 60)];
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run_until(secs(2));
    world.admission.rebuild(spec(&[("a", 600), ("b", 600)]), world.now);
    assert_eq!(world.call(), 1);
    assert_eq!(world.waited(1), Some(SECOND));
}

#[test]
fn keys_that_are_gone_let_nobody_wait_for_them() {
    let wishes = vec![Wish::new(secs(1), 600), Wish::new(secs(1), 60)];
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run_until(secs(2));
    world.admission.rebuild(Spec::default(), world.now);
    assert_eq!(world.call(), 1);
    assert_eq!(world.fates[1], Fate::Nothing);
}
