//! A world in which minutes pass: replicas that come and go, hear of things late, and lose races.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tokio::sync::watch;

use super::{Act, Entries, Keeper, NotReady, Observed, Seen, Shown, Terms, Write};

const MINUTE: Duration = Duration::from_mins(1);
/// In minutes.
const SETTLE: usize = 6;
const LEAF: u32 = 60;
const AUTHORITY: u32 = 600;
/// How late anybody hears of anything: less than what everybody is given time for.
const MOST_LATE: usize = SETTLE / 2;
const NAMES: [&str; 2] = ["mutating", "validating"];

/// One state of the cluster.
#[derive(Clone, Default)]
struct State {
    secret: Option<(u64, Entries)>,
    /// By the webhook configuration's name; its version and its bundle.
    bundles: BTreeMap<&'static str, (u64, String)>,
}

struct Replica {
    keeper: Keeper,
    shown: watch::Receiver<Option<Shown>>,
    /// The versions that it acted on.
    saw: State,
}

struct World {
    now: Timestamp,
    terms: Terms,
    /// Every state since the beginning, one a minute.
    past: Vec<State>,
    state: State,
    version: u64,
    replicas: Vec<Replica>,
    /// Chance, seeded.
    chance: u64,
    /// Until when a bundle that somebody broke may be missed.
    excused: usize,
    promotions: usize,
}

#[derive(Clone, Copy, Debug)]
enum Mishap {
    Restart(usize),
    DeleteSecret,
    SpoilSecret,
    WipeBundle,
    SpoilBundle,
}

impl World {
    fn new(replicas: usize, seed: u64) -> Self {
        let terms = Terms {
            authority: MINUTE * AUTHORITY,
            leaf: MINUTE * LEAF,
            settle: MINUTE * u32::try_from(SETTLE).unwrap(),
        };
        let mut world = Self {
            now: "2026-11-20T12:00:00Z".parse().unwrap(),
            terms,
            past: Vec::new(),
            state: State::default(),
            version: 1,
            replicas: Vec::new(),
            chance: seed,
            excused: 0,
            promotions: 0,
        };
        for name in NAMES {
            world.state.bundles.insert(name, (0, String::new()));
        }
        world.replicas = (0..replicas).map(|_| world.replica()).collect();
        world
    }

    fn replica(&self) -> Replica {
        let (keeper, shown) = Keeper::new(self.terms, vec!["injector.keyweir.svc".to_owned()]);
        Replica { keeper, shown, saw: State::default() }
    }

    /// A number below `bound`.
    fn draw(&mut self, bound: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.chance >> 33).unwrap() % bound
    }

    /// The cluster as it was so many minutes ago.
    fn before(&self, minutes: usize) -> &State {
        self.past.len().checked_sub(minutes).and_then(|at| self.past.get(at)).unwrap_or(&self.state)
    }

    fn minute(&mut self) {
        self.past.push(self.state.clone());
        for index in 0..self.replicas.len() {
            let late = self.draw(MOST_LATE);
            let seen = self.before(late).clone();
            self.turn(index, seen);
        }
        self.now += SignedDuration::from_mins(1);
    }

    fn turn(&mut self, index: usize, seen: State) {
        let now = self.now;
        let replica = &mut self.replicas[index];
        // Nobody sees an older state after a newer one.
        let newer = |seen: u64, saw: Option<u64>| saw.is_none_or(|saw| seen > saw);
        match &seen.secret {
            Some((version, entries)) => {
                if newer(*version, replica.saw.secret.as_ref().map(|(version, _)| *version)) {
                    replica.keeper.saw_secret(Observed::read(version.to_string(), entries));
                }
            }
            None => replica.keeper.saw_secret(Observed::Missing),
        }
        for (name, (version, pem)) in &seen.bundles {
            if newer(*version, replica.saw.bundles.get(name).map(|(version, _)| *version)) {
                let bundle = Seen::read([pem.as_bytes(), pem.as_bytes()]);
                replica.keeper.saw_bundle(now, name, Some(bundle));
            }
        }
        replica.saw = seen;
        for act in replica.keeper.step(now).unwrap() {
            self.apply(index, act);
        }
    }

    /// As the API server would: only what was said about the present version holds.
    fn apply(&mut self, index: usize, act: Act) {
        self.version += 1;
        let version = self.version;
        match act {
            Act::Write(Write { replaces, entries }) => {
                let present = self.state.secret.as_ref().map(|(version, _)| version.to_string());
                if replaces == present {
                    let promotes = !entries.0.contains_key("next.crt") && present.is_some();
                    self.promotions += usize::from(promotes);
                    self.state.secret = Some((version, entries));
                }
            }
            Act::Trust { name, pem } => {
                let saw = self.replicas[index].saw.bundles.get(name.as_str()).unwrap().0;
                let present = NAMES.iter().find(|present| **present == name).unwrap();
                let held = self.state.bundles.get_mut(present).unwrap();
                if held.0 == saw {
                    *held = (version, pem);
                }
            }
        }
    }

    fn suffer(&mut self, mishap: Mishap) {
        self.version += 1;
        match mishap {
            Mishap::Restart(index) => {
                let index = index % self.replicas.len();
                self.replicas[index] = self.replica();
            }
            Mishap::DeleteSecret => self.state.secret = None,
            Mishap::SpoilSecret => {
                if let Some((version, entries)) = &mut self.state.secret {
                    *version = self.version;
                    entries.0.remove("ca.key");
                }
            }
            Mishap::WipeBundle => {
                self.state.bundles.insert(NAMES[0], (self.version, String::new()));
                self.excused = self.past.len() + 4 * SETTLE;
            }
            Mishap::SpoilBundle => {
                let (version, pem) = self.state.bundles.get_mut(NAMES[1]).unwrap();
                *version = self.version;
                pem.push_str("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
            }
        }
    }

    /// Whoever is ready is trusted by every API server, however late that hears of things.
    fn check(&mut self) {
        if self.past.len() < self.excused {
            return;
        }
        for index in 0..self.replicas.len() {
            let late = self.draw(MOST_LATE);
            let replica = &self.replicas[index];
            if replica.keeper.readiness(self.now).is_err() {
                continue;
            }
            let leaf = replica.keeper.leaf.as_ref().unwrap();
            let shown = replica.shown.borrow().clone().unwrap();
            assert!(Arc::ptr_eq(&shown.key, &leaf.shown.key));
            assert!(shown.until > self.now, "{} shows what is no longer valid", self.now);
            for (name, (_, pem)) in &self.before(late).bundles {
                let minute = self.past.len();
                assert!(pem.contains(&leaf.issuer.pem()), "{name} at minute {minute}");
            }
        }
    }

    fn ready(&self) -> usize {
        let ready = |replica: &&Replica| replica.keeper.readiness(self.now).is_ok();
        self.replicas.iter().filter(ready).count()
    }

    fn trusted(&self) -> Vec<usize> {
        let bundles = self.state.bundles.values();
        bundles.map(|(_, pem)| Seen::read([pem.as_bytes()]).certificates.len()).collect()
    }

    fn pass(&mut self, minutes: usize) {
        for _ in 0..minutes {
            self.minute();
            self.check();
        }
    }
}

#[test]
fn replicas_that_start_together_agree_on_one_authority_and_are_ready_once_it_is_trusted() {
    let mut world = World::new(3, 7);
    world.pass(SETTLE - 1);
    assert_eq!(world.ready(), 0, "nobody can have heard of it everywhere");
    world.pass(3 * SETTLE);
    assert_eq!(world.ready(), 3);
    assert_eq!(world.trusted(), [1, 1]);
}

#[test]
fn an_authority_follows_another_with_nobody_unready_and_the_old_one_is_forgotten() {
    let mut world = World::new(3, 1);
    world.pass(4 * SETTLE);
    let mut most = 1;
    for _ in 0..3 * AUTHORITY {
        world.pass(1);
        assert_eq!(world.ready(), 3, "minute {}", world.past.len());
        most = most.max(*world.trusted().iter().max().unwrap());
    }
    assert!((3..=5).contains(&world.promotions), "{}", world.promotions);
    assert_eq!(most, 2);
    world.pass(100);
    assert_eq!(world.trusted(), [1, 1], "nothing is left of the old ones");
}

#[test]
fn a_secret_that_is_deleted_comes_back_with_another_authority_and_nobody_is_unready() {
    let mut world = World::new(2, 3);
    world.pass(10 * SETTLE);
    let before = world.replicas[0].keeper.leaf.as_ref().unwrap().issuer.clone();
    world.suffer(Mishap::DeleteSecret);
    for _ in 0..10 * SETTLE {
        world.pass(1);
        assert_eq!(world.ready(), 2);
    }
    let after = world.replicas[0].keeper.leaf.as_ref().unwrap().issuer.clone();
    assert_ne!(before, after);
}

#[test]
fn a_replica_that_starts_late_is_ready_at_once() {
    let mut world = World::new(2, 5);
    world.pass(10 * SETTLE);
    world.suffer(Mishap::Restart(0));
    world.pass(1);
    assert_eq!(world.ready(), 2);
}

#[test]
fn without_a_webhook_configuration_nobody_is_ready() {
    let mut world = World::new(1, 9);
    world.state.bundles.clear();
    world.pass(2 * usize::try_from(AUTHORITY).unwrap());
    let readiness = world.replicas[0].keeper.readiness(world.now);
    assert_eq!(readiness, Err(NotReady::NoWebhook));
}

#[test]
fn nothing_is_shown_of_a_key() {
    let mut world = World::new(1, 2);
    world.pass(2);
    let entries = &world.state.secret.as_ref().unwrap().1;
    let observed = Observed::read("1".to_owned(), entries);
    let shown = format!("{observed:?} {entries:?} {:?}", world.replicas[0].keeper);
    let key = String::from_utf8(entries.0["ca.key"].to_vec()).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert!(!shown.contains(line) && !shown.contains("PRIVATE"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whoever_is_ready_is_trusted_whatever_happens_and_all_are_ready_in_the_end(
        seed: u64,
        replicas in 1_usize..4,
        mishaps in prop::collection::vec((0_usize..200, mishap()), 0..12),
    ) {
        let mut world = World::new(replicas, seed);
        world.pass(4 * SETTLE);
        for (minutes, mishap) in mishaps {
            world.pass(minutes);
            world.suffer(mishap);
        }
        world.pass(8 * SETTLE);
        prop_assert_eq!(world.ready(), replicas);
        world.pass(usize::try_from(LEAF).unwrap() + 4 * SETTLE);
        let last: Vec<_> = world.trusted();
        prop_assert!(last.iter().all(|count| (1..=2).contains(count)), "{:?}", last);
    }
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        4 => (0_usize..3).prop_map(Mishap::Restart),
        2 => Just(Mishap::DeleteSecret),
        1 => Just(Mishap::SpoilSecret),
        1 => Just(Mishap::WipeBundle),
        1 => Just(Mishap::SpoilBundle),
    ]
}
