//! Who is turned away, when, and what it is told.

use super::*;

#[test]
fn what_cannot_be_served_in_time_is_refused_when_it_comes_with_the_moment_to_come_back() {
    let mut wishes = vec![Wish::new(secs(1), 600)];
    wishes.push(Wish::new(secs(2), 400));
    // Comes back at the moment that it was told.
    wishes.push(Wish::new(secs(41), 400).patient(Duration::ZERO));
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run();
    let Fate::Refused { at, refused } = &world.fates[1] else { panic!("{:?}", world.fates[1]) };
    assert_eq!((*at, refused.until, refused.ahead), (secs(2), secs(41), 0));
    assert_eq!(world.waited(2), Some(Duration::ZERO));
}

#[test]
fn who_comes_behind_others_is_told_when_its_turn_would_be() {
    // Ten tokens a second; twenty seconds' worth wait.
    let mut wishes = vec![Wish::new(secs(1), 600)];
    wishes.extend((0..21).map(|_| Wish::new(secs(1), 10).patient(20 * SECOND)));
    wishes.push(Wish::new(secs(22), 10).patient(Duration::ZERO));
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run();
    let Fate::Refused { at, refused } = &world.fates[21] else { panic!("{:?}", world.fates[21]) };
    assert_eq!((*at, refused.ahead), (secs(1), 20));
    assert_eq!(refused.until, secs(22));
    assert_eq!(world.waited(22), Some(Duration::ZERO), "coming back then succeeds");
}

#[test]
fn a_caller_with_much_waiting_is_refused_where_a_modest_one_is_let_in() {
    let mut wishes = vec![Wish::new(secs(1), 600)];
    wishes.extend((0..40).map(|_| Wish::new(secs(1), 10)));
    wishes.push(Wish::new(secs(1), 10).by(2).patient(10 * SECOND));
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run();
    let refused = world.turned_away(|wish| wish.caller == 1);
    assert!((10..=11).contains(&refused), "{refused}: thirty of forty fit into thirty seconds");
    let waited = world.waited(41).expect("let in");
    assert!(waited <= 3 * SECOND, "{waited:?}");
}

#[test]
fn in_overload_only_the_lowest_class_is_turned_away_and_capacity_is_used() {
    // A hundred tokens a second; the classes above ask for seventy of them, and all for 130.
    let mut wishes = Vec::new();
    for (priority, each_second) in
        [(Priority::High, 3), (Priority::Normal, 4), (Priority::Batch, 6)]
    {
        let wish = |at| Wish::new(at, 10).class(priority).by(priority as u64);
        wishes.extend(steady(secs(60), 5 * MINUTE, each_second, wish));
    }
    let mut world = World::new(spec(&[("a", 3_000), ("b", 3_000)]), wishes);
    world.run();
    assert_eq!(world.turned_away(|wish| wish.priority > Priority::Batch), 0);
    let used = world.served(|_| true);
    assert!(used >= 97 * (6_000 + 300 * 100) / 100, "{used}");
    for (index, wish) in
        world.wishes.iter().enumerate().filter(|(_, w)| w.priority == Priority::High)
    {
        let waited = world.waited(index).expect("served");
        assert!(waited < SECOND, "{waited:?} at {:?}", wish.at);
    }
    // Who is let in is served: waiting for nothing is what nobody should do.
    let late = world.fates.iter().filter(|fate| matches!(fate, Fate::Late(_))).count();
    let away = world.turned_away(|_| true);
    assert!(late * 10 <= away, "{late} of {away} waited until their deadline");
}

#[test]
fn a_lower_class_is_never_starved_for_ever() {
    let mut wishes = steady(secs(0), 10 * MINUTE, 15, |at| Wish::new(at, 10).class(Priority::High));
    wishes.push(Wish::new(secs(120), 10).class(Priority::Batch).patient(8 * MINUTE));
    let batch = wishes.len() - 1;
    let mut world = World::new(spec(&[("a", 6_000)]), wishes);
    world.run();
    let waited = world.waited(batch).expect("served");
    assert!(waited <= MINUTE, "{waited:?}");
}

#[test]
fn when_too_many_wait_the_last_of_the_lowest_class_makes_way() {
    // Nothing is ever refilled in time, and everybody has all the time there is.
    let patience = Duration::from_hours(10_000);
    let wish = |at, priority| Wish::new(at, 10).class(priority).patient(patience);
    let mut wishes = vec![Wish::new(secs(1), 60)];
    wishes.extend((0..6_000).map(|_| wish(secs(1), Priority::Normal)));
    wishes.extend((0..4_000).map(|_| wish(secs(1), Priority::Batch)));
    // One of each class comes when it is full.
    wishes.push(wish(secs(2), Priority::Batch).by(1));
    wishes.push(wish(secs(2), Priority::Normal));
    wishes.push(wish(secs(2), Priority::High));
    let mut world = World::new(spec(&[("a", 60)]), wishes);
    world.run_until(secs(3));
    assert_eq!(world.admission.waiting(), MOST_WAITING);
    let full = |index: &usize| matches!(&world.fates[*index], Fate::Refused { refused, .. } if refused.why == Why::Full);
    let away: Vec<_> = (0..world.wishes.len()).filter(full).collect();
    assert_eq!(away.len(), 3, "{away:?}");
    assert!(away.iter().all(|index| world.wishes[*index].priority == Priority::Batch), "{away:?}");
    assert!(matches!(world.fates[10_003], Fate::Waits(_)));
}

#[test]
fn when_too_many_of_one_class_wait_the_caller_with_most_makes_way() {
    let patience = Duration::from_hours(10_000);
    let mut wishes = vec![Wish::new(secs(1), 60)];
    wishes.extend((0..10_000).map(|_| Wish::new(secs(1), 10).patient(patience)));
    wishes.push(Wish::new(secs(2), 10).by(2).patient(patience));
    wishes.push(Wish::new(secs(2), 10).patient(patience));
    let mut world = World::new(spec(&[("a", 60)]), wishes);
    world.run_until(secs(3));
    assert!(matches!(world.fates[10_001], Fate::Waits(_)), "the modest one is let in");
    assert!(matches!(world.fates[10_002], Fate::Refused { .. }), "the greedy one is not");
    assert_eq!(world.turned_away(|wish| wish.caller == 1), 2);
}

#[test]
fn who_leaves_lets_the_next_one_go() {
    let wishes = vec![
        Wish::new(secs(1), 600),
        Wish::new(secs(1), 290),
        Wish::new(secs(1), 10).by(2).patient(40 * SECOND),
    ];
    let mut world = World::new(spec(&[("a", 600)]), wishes);
    world.run_until(secs(3));
    let Fate::Waits(place) = world.fates[1] else { panic!("{:?}", world.fates[1]) };
    world.admission.leave(place);
    world.call();
    assert_eq!(world.waited(2), Some(SECOND), "what was kept for the large one is free");
    assert!(world.admission.leave(place).is_none());
}
