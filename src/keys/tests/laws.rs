//! What holds whatever happens.

use proptest::prelude::*;

use crate::formats::Scope;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Choose { model: u8, once: bool },
    Report(usize, Judgement),
    Settle(usize, u64),
    Cancel(usize),
    Forfeit(usize),
    Observe(usize, u64, u64),
    Rebuild(u8),
    Tick(u64),
}

const NAMES: [&str; 8] = ["a/x", "b/x", "c/y", "d/y", "e", "f", "g", "h"];

fn any_judgement() -> impl Strategy<Value = Judgement> {
    (
        prop::sample::select(Verdict::ALL.to_vec()),
        any::<bool>(),
        prop::option::of(prop_oneof![0..600_000_000_000_u64, 0..=u64::MAX]),
        prop::option::of(prop::sample::select(Dimension::ALL.to_vec())),
        any::<bool>(),
    )
        .prop_map(|(verdict, group, retry_at, dimension, oversized)| Judgement {
            scope: if group { Scope::Group } else { Scope::Model },
            retry_at: retry_at.map(Moment::from_nanos),
            dimension,
            oversized,
            ..Judgement::of(verdict)
        })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, any::<bool>()).prop_map(|(model, once)| Step::Choose { model, once }),
        6 => (any::<usize>(), any_judgement()).prop_map(|(i, j)| Step::Report(i, j)),
        2 => (any::<usize>(), 0..500_u64).prop_map(|(i, c)| Step::Settle(i, c)),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Forfeit),
        1 => (any::<usize>(), any::<u64>(), any::<u64>()).prop_map(|(i, l, r)| Step::Observe(i, l, r)),
        1 => any::<u8>().prop_map(Step::Rebuild),
        4 => prop_oneof![0..2_000_000_000_u64, 0..900_000_000_000_u64].prop_map(Step::Tick),
    ]
}

fn subset(members: u8) -> Spec {
    let names: Vec<_> =
        (0..).zip(NAMES).filter(|(bit, _)| members >> bit & 1 == 1).map(|(_, name)| name).collect();
    Spec {
        limits: vec![
            limit(&[per_minute(Dimension::Requests, 60), per_minute(Dimension::Tokens, 5_000)]),
            LimitSpec { reach: Reach::Together, ..limit(&[per_minute(Dimension::Requests, 100)]) },
        ],
        ..spec(&names)
    }
}

/// Plays a history and checks at each step what must hold.
struct Play {
    pool: Pool,
    open: Vec<Reservation>,
    now: Moment,
    dice: u64,
    disabled: Vec<KeyId>,
    in_pool: u64,
}

impl Play {
    fn new() -> Self {
        Self {
            pool: Pool::new(subset(u8::MAX), secs(1)),
            open: Vec::new(),
            now: secs(1),
            dice: 1,
            disabled: Vec::new(),
            in_pool: 0,
        }
    }

    fn pick(&mut self, index: usize) -> Option<Reservation> {
        (!self.open.is_empty()).then(|| self.open.swap_remove(index % self.open.len()))
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Choose { model, once } => self.choose(*model, *once),
            Step::Report(i, judgement) => {
                if let Some(attempt) = self.pick(*i) {
                    let event = self.pool.report(&attempt, judgement, self.now, self.dice);
                    if let Some(Event::KeyDisabled(key)) = event {
                        self.disabled.push(key);
                    }
                    self.open.push(attempt);
                }
            }
            Step::Settle(i, tokens) => {
                if let Some(attempt) = self.pick(*i) {
                    let cost = Cost { tokens: *tokens, ..Cost::REQUEST };
                    self.pool.settle(attempt, &cost, self.now);
                    self.in_pool -= 1;
                }
            }
            Step::Cancel(i) => {
                if let Some(attempt) = self.pick(*i) {
                    self.pool.cancel(attempt, self.now);
                    self.in_pool -= 1;
                }
            }
            Step::Forfeit(i) => {
                if let Some(attempt) = self.pick(*i) {
                    self.pool.forfeit(attempt, self.now);
                    self.in_pool -= 1;
                }
            }
            Step::Observe(i, limit, remaining) => {
                if let Some(attempt) = self.pick(*i) {
                    let sample = Sample {
                        dimension: Dimension::Tokens,
                        limit: Some(*limit),
                        remaining: Some(*remaining),
                        reset_in: None,
                        window: None,
                    };
                    self.pool.observe(&attempt, &[sample], self.now);
                    self.open.push(attempt);
                }
            }
            Step::Rebuild(members) => {
                self.pool.rebuild(subset(*members), self.now);
            }
            Step::Tick(nanos) => self.now = self.now + Duration::from_nanos(*nanos),
        }
    }

    fn choose(&mut self, model: u8, once: bool) {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let name = ["m", "n", "o"][usize::from(model)];
        let tried = Tried::default();
        let ask = Ask {
            body: if once { Body::Once } else { Body::Replayable },
            random: self.dice,
            ..ask(name, &tried)
        };
        match self.pool.choose(&ask, self.now) {
            Choice::Send(attempt) => {
                assert!(!self.disabled.contains(&attempt.key()), "a disabled key is never chosen");
                assert!(self.pool.key_name(attempt.key()).is_some(), "nor one that left");
                assert!(self.pool.group_name(attempt.group()).is_some());
                self.check_holds(&attempt, name);
                self.open.push(attempt);
                self.in_pool += 1;
            }
            Choice::Wait(wait) => {
                assert!(wait.until > self.now, "who waits, waits for something to come");
                let reasons = self.pool.explain(&ask, self.now);
                assert!(reasons.iter().any(|reason| reason.until == Some(wait.until)));
            }
            Choice::Nothing(nothing) => {
                assert!(!matches!(nothing, Nothing::AllTried(_)), "nothing was tried");
            }
        }
    }

    /// Nothing goes to a group that is held, and to a closed one only a probe.
    fn check_holds(&self, attempt: &Reservation, model: &str) {
        let status = self.pool.status(self.now);
        let group = status.groups.iter().find(|group| group.id == attempt.group()).unwrap();
        let model = group.models.iter().find(|m| &*m.model == model).unwrap();
        let shut = |state, until: Option<Moment>| {
            state != GroupState::Open && until.is_none_or(|until| until > self.now)
        };
        assert!(!shut(group.state, group.until), "{group:?}");
        assert!(!shut(model.state, model.until), "{model:?}");
        assert_ne!(model.breaker, BreakerState::Open);
        let closed = group.state != GroupState::Open
            || model.state != GroupState::Open
            || model.breaker != BreakerState::Closed;
        assert!(!closed || attempt.probe() == Probe::Yes);
    }

    fn check(&self) {
        assert_eq!(self.pool.in_flight(), self.in_pool);
        for group in self.pool.status(self.now).groups {
            let models = group.models.iter().flat_map(|model| &model.levels);
            for level in models.chain(&group.common) {
                assert!(level.level <= 1.0, "{level:?}");
            }
            for model in &group.models {
                assert!(model.in_flight <= self.in_pool);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_history_breaks_the_pool(steps in prop::collection::vec(any_step(), 0..150)) {
        let mut play = Play::new();
        for step in &steps {
            play.step(step);
            play.check();
        }
    }

    #[test]
    fn no_history_closes_a_group_for_ever(steps in prop::collection::vec(any_step(), 0..150)) {
        let mut play = Play::new();
        for step in &steps {
            play.step(step);
        }
        // All that is under way ends, the configuration brings one key nobody has met, and from
        // here on the provider carries everything.
        while let Some(attempt) = play.open.pop() {
            play.pool.settle(attempt, &Cost::REQUEST, play.now);
        }
        play.pool.rebuild(Spec { keys: [subset(255).keys, vec![key("new/x")]].concat(), ..subset(255) }, play.now);
        let end = play.now + Duration::from_hours(24 * 40);
        let mut carried = 0;
        let tried = Tried::default();
        for _ in 0..600 {
            play.dice = play.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
            match play.pool.choose(&Ask { random: play.dice, ..ask("m", &tried) }, play.now) {
                Choice::Send(attempt) => {
                    carried += 1;
                    play.now = play.now + SECOND;
                    play.pool.report(&attempt, &Judgement::of(Verdict::Ok), play.now, 0);
                    play.pool.settle(attempt, &Cost::REQUEST, play.now);
                }
                Choice::Wait(wait) => play.now = wait.until,
                Choice::Nothing(Nothing::Oversized(_)) => play.now = play.now + 10 * MINUTE,
                Choice::Nothing(nothing) => panic!("{nothing:?}"),
            }
        }
        prop_assert!(play.now < end);
        prop_assert!(carried > 100, "{carried}");
        play.now = play.now + Duration::from_hours(24 * 33);
        // With time, every group is used again.
        for _ in 0..200 {
            play.dice = play.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
            if let Choice::Send(attempt) = play.pool.choose(&Ask { random: play.dice, ..ask("m", &tried) }, play.now) {
                play.now = play.now + SECOND;
                play.pool.report(&attempt, &Judgement::of(Verdict::Ok), play.now, 0);
                play.pool.settle(attempt, &Cost::REQUEST, play.now);
            }
        }
        for group in play.pool.status(play.now).groups {
            let all_disabled = play.pool.status(play.now).keys.iter()
                .filter(|key| key.group == group.name)
                .all(|key| key.state == KeyState::Disabled);
            prop_assert!(all_disabled || group.state == GroupState::Open, "{:?}", group);
        }
    }

    #[test]
    fn a_choice_that_finds_capacity_costs_the_same_for_one_key_and_for_all(
        keys in 1..256_usize,
        closed in 0..200_usize,
        seed in any::<u64>(),
    ) {
        let names: Vec<_> = (0..keys).map(|n| format!("key-{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut rig = Rig::proven(&names);
        rig.dice = seed;
        let until = Some(rig.now + MINUTE);
        for _ in 0..closed.min(keys - 1) {
            let attempt = rig.send();
            let told = Judgement { retry_at: until, ..Judgement::of(Verdict::RateLimited) };
            rig.end(attempt, &told);
        }
        // The first finds out which are closed; from then on it is known.
        for warm in [true, false, false, false] {
            let attempt = rig.send();
            prop_assert!(warm || rig.pool.looked <= 4, "{} groups looked at", rig.pool.looked);
            rig.pool.cancel(attempt, rig.now);
        }
    }

    #[test]
    fn a_storm_of_cancellations_gives_back_what_was_taken_and_no_more(
        count in 1..50_usize,
        pause in 0..120_u64,
    ) {
        let mut rig = Rig::of(Spec {
            limits: vec![limit(&[per_minute(Dimension::Requests, 50)])],
            learning: Learning::Off,
            ..spec(&["a"])
        });
        let open: Vec<_> = (0..count).map(|_| rig.send()).collect();
        rig.pass(Duration::from_secs(pause));
        for attempt in open {
            rig.pool.cancel(attempt, rig.now);
        }
        let again: Vec<_> = (0..50).map(|_| rig.send()).collect();
        prop_assert_eq!(again.len(), 50);
        prop_assert_eq!(rig.wait().cause, Cause::Rate);
    }
}
