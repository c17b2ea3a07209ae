//! Two hours of certificates coming and going, in virtual time and over real TLS: replicas that
//! start and stop, hear of things late and lose races, and an API server that asks whichever is
//! ready while pods come and go. Not one admission fails.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keyweir::injector::certificates::{Act, Entries, Keeper, Observed, Seen, Terms, Write};
use serde_json::json;

use crate::case::patched;
use crate::kit::{ApiServer, NAME, Served, patch, serve};

/// One tick of the world.
const TICK: Duration = Duration::from_secs(10);
const TICKS: usize = 720;
/// The most ticks by which anybody hears of anything late; everybody is given six.
const LATE: usize = 3;
const TERMS: Terms = Terms {
    authority: Duration::from_mins(30),
    leaf: Duration::from_mins(6),
    settle: Duration::from_mins(1),
};
const WEBHOOK: &str = "mutating";

#[derive(Clone, Default)]
struct State {
    secret: Option<(usize, Entries)>,
    bundle: (usize, String),
}

struct Replica {
    keeper: Keeper,
    served: Served,
    saw: State,
}

struct World {
    now: Timestamp,
    past: Vec<State>,
    state: State,
    version: usize,
    replicas: Vec<Replica>,
    chance: u64,
    promotions: usize,
    admissions: usize,
}

impl World {
    /// A number below `bound`.
    fn draw(&mut self, bound: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.chance >> 33).unwrap() % bound
    }

    fn late(&mut self) -> State {
        let late = self.draw(LATE);
        let then = self.past.len().checked_sub(late).and_then(|tick| self.past.get(tick));
        then.unwrap_or(&self.state).clone()
    }

    async fn start(&mut self) -> Replica {
        let (keeper, shown) = Keeper::new(TERMS, vec![NAME.to_owned()]);
        Replica { keeper, served: serve(shown).await, saw: State::default() }
    }

    fn turn(&mut self, index: usize) {
        let seen = self.late();
        let now = self.now;
        let replica = &mut self.replicas[index];
        let version = |state: &State| state.secret.as_ref().map(|(version, _)| *version);
        if let Some((version_seen, entries)) = &seen.secret {
            if version(&replica.saw) < Some(*version_seen) {
                let observed = Observed::read(version_seen.to_string(), entries);
                replica.keeper.saw_secret(observed);
                replica.saw.secret.clone_from(&seen.secret);
            }
        } else {
            replica.keeper.saw_secret(Observed::Missing);
            replica.saw.secret = None;
        }
        if replica.saw.bundle.0 <= seen.bundle.0 {
            let bundle = Seen::read([seen.bundle.1.as_bytes()]);
            replica.keeper.saw_bundle(now, WEBHOOK, Some(bundle));
            replica.saw.bundle = seen.bundle;
        }
        for act in replica.keeper.step(now).unwrap() {
            self.apply(index, act);
        }
    }

    /// As the API server would: only what was said about the present version holds.
    fn apply(&mut self, index: usize, act: Act) {
        self.version += 1;
        match act {
            Act::Write(Write { replaces, entries }) => {
                let present = self.state.secret.as_ref().map(|(version, _)| version.to_string());
                if replaces == present {
                    let promotes = present.is_some() && !entries.0.contains_key("next.crt");
                    self.promotions += usize::from(promotes);
                    self.state.secret = Some((self.version, entries));
                }
            }
            Act::Trust { pem, .. } => {
                if self.replicas[index].saw.bundle.0 == self.state.bundle.0 {
                    self.state.bundle = (self.version, pem);
                }
            }
        }
    }

    /// The API server hears of the bundle late, and asks a replica that is ready.
    async fn admit(&mut self) {
        let ready: Vec<_> = self
            .replicas
            .iter()
            .filter(|replica| replica.keeper.readiness(self.now).is_ok())
            .map(|replica| replica.served.address)
            .collect();
        assert!(!ready.is_empty(), "nobody is ready at tick {}", self.past.len());
        let address = ready[self.draw(ready.len())];
        let bundle = self.late().bundle.1;
        let api = ApiServer::new(&bundle, self.now);
        let name = format!("web-{}", self.admissions);
        let pod = json!({
            "metadata": {"name": name, "annotations": {"keyweir.dev/inject": "true"}},
            "spec": {"containers": [{"name": "app"}]},
        });
        let request = json!({"object": pod.clone()});
        let response = api.review(address, "/inject", request).await;
        let tick = self.past.len();
        let response = response.unwrap_or_else(|error| panic!("tick {tick}: {error}"));
        let pod = patched(&pod, &patch(&response));
        assert_eq!(pod["spec"]["initContainers"][0]["env"][0]["value"], name);
        self.admissions += 1;
    }
}

#[tokio::test]
async fn two_hours_of_rotation_under_churn_fail_no_admission() {
    let mut world = World {
        now: "2026-11-20T12:00:00Z".parse().unwrap(),
        past: Vec::new(),
        state: State::default(),
        version: 0,
        replicas: Vec::new(),
        chance: 42,
        promotions: 0,
        admissions: 0,
    };
    for _ in 0..3 {
        let replica = world.start().await;
        world.replicas.push(replica);
    }
    let mut mishaps = BTreeMap::from([(200, "delete"), (430, "delete"), (555, "spoil")]);
    for tick in 0..TICKS {
        world.past.push(world.state.clone());
        for index in 0..world.replicas.len() {
            world.turn(index);
        }
        // Until then nobody can be trusted: the cluster has just been told of the webhook.
        if tick >= 12 {
            world.admit().await;
            world.admit().await;
        }
        if tick % 37 == 36 {
            let index = world.draw(world.replicas.len());
            world.replicas[index] = world.start().await;
        }
        match mishaps.remove(&tick) {
            Some("delete") => world.state.secret = None,
            Some(_) => {
                world.version += 1;
                let (version, entries) = world.state.secret.as_mut().unwrap();
                *version = world.version;
                entries.0.remove("ca.key");
            }
            None => {}
        }
        world.now += SignedDuration::try_from(TICK).unwrap();
    }
    assert!(world.promotions >= 5, "authorities followed one another {} times", world.promotions);
    assert!(world.admissions > 1_400);
}
