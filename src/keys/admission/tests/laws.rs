//! What holds whatever comes.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn any_spec() -> impl Strategy<Value = Spec> {
    prop::collection::vec(60..6_000_u64, 1..=4).prop_map(|amounts| {
        let groups: Vec<_> = NAMES.into_iter().zip(amounts).collect();
        spec(&groups)
    })
}

/// Wishes of some minutes; each costs no more than the smallest group can hold.
fn any_wish(sizes: std::ops::Range<u64>) -> impl Strategy<Value = Wish> {
    (
        (1_000..90_000_u64, sizes, 1..4_u64, 0..3_usize),
        (0..60_u64, 0..20_000_u64, any::<bool>(), 0..10_u8),
    )
        .prop_map(|((at, cost, caller, class), (patience, takes, other, stored))| Wish {
            caller,
            priority: Priority::ALL[class],
            patience: Duration::from_secs(patience),
            takes: Duration::from_millis(takes),
            model: if other { "n" } else { "m" },
            // A few need the group that made what they name.
            stored_in: (stored == 0).then_some("a"),
            ..Wish::new(millis(at), cost)
        })
}

/// The same, all of them alike but for the moment at which they come.
fn alike(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Wish>> {
    let moments = prop::collection::vec(1_000..60_000_u64, count);
    (moments, 1..60_u64, 1..40_u64).prop_map(|(moments, cost, patience)| {
        let wish = |at| Wish::new(millis(at), cost).patient(Duration::from_secs(patience));
        moments.into_iter().map(wish).collect()
    })
}

fn check_that_all_is_over(world: &World) -> Result<(), TestCaseError> {
    prop_assert_eq!(world.admission.waiting(), 0);
    prop_assert_eq!(world.admission.pool().in_flight(), 0);
    prop_assert_eq!(world.admission.wake(), None);
    for (fate, wish) in world.fates.iter().zip(&world.wishes) {
        prop_assert!(!matches!(fate, Fate::Unborn | Fate::Waits(_)), "{:?}: {:?}", wish, fate);
        if let Fate::Sent { at, .. } = fate {
            prop_assert!(*at <= wish.at + wish.patience, "{:?} was sent too late", wish);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everybody_ends_in_one_way_and_next_to_nobody_is_woken_in_vain(
        spec in any_spec(),
        wishes in prop::collection::vec(any_wish(1..60), 1..150),
    ) {
        let mut world = World::new(spec, wishes);
        world.run();
        check_that_all_is_over(&world)?;
        // Somebody who needs less may have gone since the moment was told.
        let (times, in_vain) = world.woken;
        prop_assert!(in_vain <= 1 + times / 50, "{in_vain} of {times} times");
    }

    #[test]
    fn nobody_sleeps_who_could_go(spec in any_spec(), wishes in alike(1..150)) {
        let cost = wishes[0].cost;
        let mut world = World::new(spec, wishes);
        while let Some(Reverse((next, _))) = world.events.peek() {
            let next = *next;
            world.run_until(next);
            if world.admission.waiting() > 0 {
                let (tried, now) = (Tried::NOTHING, world.now);
                let ask = Ask { cost, ..ask(&tried, "m", 7) };
                prop_assert!(!world.admission.pool_mut().can_carry(&ask, now));
            }
        }
    }

    #[test]
    fn who_is_let_in_is_served_in_time_if_nothing_else_comes(
        spec in any_spec(),
        mut wishes in alike(1..200),
    ) {
        for wish in &mut wishes {
            wish.at = secs(1);
        }
        let mut world = World::new(spec, wishes);
        world.run();
        let late = world.fates.iter().filter(|fate| matches!(fate, Fate::Late(_))).count();
        prop_assert_eq!(late, 0);
    }

    #[test]
    fn whoever_comes_back_when_it_was_told_to_is_served_at_once_if_nothing_else_comes(
        spec in any_spec(),
        mut wishes in alike(1..200),
        priorities in prop::collection::vec(0..3_usize, 200),
        callers in prop::collection::vec(0..4_u64, 200),
    ) {
        for (wish, (priority, caller)) in wishes.iter_mut().zip(priorities.into_iter().zip(callers)) {
            wish.at = secs(1);
            (wish.priority, wish.caller) = (Priority::ALL[priority], caller);
        }
        let last = Wish { priority: Priority::Batch, ..wishes[0].clone() };
        wishes.push(last.clone().patient(Duration::ZERO));
        let turned_away = wishes.len() - 1;
        let mut world = World::new(spec.clone(), wishes.clone());
        world.run();
        if let Fate::Refused { refused, .. } = world.fates[turned_away] {
            wishes.push(Wish { at: refused.until, ..last.patient(Duration::ZERO) });
            let mut world = World::new(spec, wishes);
            world.run();
            prop_assert_eq!(world.waited(turned_away + 1), Some(Duration::ZERO), "{:?}", refused);
        }
    }

    #[test]
    fn a_request_of_any_size_is_served_in_the_time_that_its_refill_takes(
        amount in 600..6_000_u64,
        share in 1..100_u64,
        small in 1..20_u64,
        each_second in 1..30_u64,
    ) {
        let size = amount * share / 100 + 1;
        let mut wishes = steady(secs(0), 2 * MINUTE, each_second, |at| Wish::new(at, small));
        wishes.push(Wish::new(secs(40), size).by(2).patient(100 * SECOND));
        let large = wishes.len() - 1;
        let mut world = World::new(spec(&[("a", amount)]), wishes);
        world.run();
        let refill = Duration::from_secs_f64(60.0 * size as f64 / amount as f64);
        // Those of the other caller that were owed their turn before it.
        let turns = Duration::from_secs_f64(60.0 * 2.0 * small as f64 / amount as f64);
        let waited = world.waited(large);
        prop_assert!(waited.is_some_and(|waited| waited <= refill + turns), "{:?}", waited);
    }

    #[test]
    fn the_same_world_a_year_later_is_the_same_world(
        spec in any_spec(),
        wishes in prop::collection::vec(any_wish(1..60), 1..60),
    ) {
        let later = Duration::from_hours(24 * 365);
        let moved = wishes.iter().map(|wish| Wish { at: wish.at + later, ..wish.clone() });
        let mut now = World::new(spec.clone(), wishes.clone());
        let mut then = World::new(spec, moved.collect());
        now.run();
        then.run();
        let waits = |world: &World| -> Vec<_> {
            (0..world.wishes.len()).map(|index| world.waited(index)).collect()
        };
        prop_assert_eq!(waits(&now), waits(&then));
    }
}
