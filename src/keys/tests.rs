use std::time::Duration;

use crate::clock::Moment;
use crate::formats::{Dimension, Judgement, Sample, Verdict};
use crate::limits::{Cost, Learning, Measure, Rule};

use super::*;

mod choice;
mod laws;
mod reload;
mod table;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

fn secs(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

/// A key called `name`, whose value is its name, in a group of its own or the one behind a slash.
fn key(name: &str) -> KeySpec {
    let (name, group) = name.split_once('/').unwrap_or((name, name));
    KeySpec {
        name: name.into(),
        quota_group: group.into(),
        weight: 1,
        models: Vec::new(),
        callers: Vec::new(),
        fingerprint: Some(Secret::new(name).fingerprint()),
    }
}

fn spec(names: &[&str]) -> Spec {
    Spec { keys: names.iter().map(|name| key(name)).collect(), ..Spec::default() }
}

fn per_minute(dimension: Dimension, amount: u64) -> Rule {
    Rule { measure: Measure::Of(dimension), amount, window: MINUTE.into() }
}

fn limit(rules: &[Rule]) -> LimitSpec {
    LimitSpec {
        models: Vec::new(),
        quota_groups: Vec::new(),
        reach: Reach::EachModel,
        rules: rules.to_vec(),
    }
}

fn pattern(text: &str) -> Pattern {
    let open = text.ends_with('*');
    Pattern { text: text.trim_end_matches('*').into(), open }
}

/// A pool and its clock.
struct Rig {
    pool: Pool,
    now: Moment,
    dice: u64,
}

impl Rig {
    fn new(names: &[&str]) -> Self {
        Self::of(spec(names))
    }

    fn of(spec: Spec) -> Self {
        Self { pool: Pool::new(spec, secs(1)), now: secs(1), dice: 0 }
    }

    /// With every key proven good, so that no trial is in the way.
    fn proven(names: &[&str]) -> Self {
        let mut rig = Self::new(names);
        rig.prove();
        rig
    }

    fn prove(&mut self) {
        let mut tried = Tried::default();
        while let Choice::Send(attempt) = self.choose("m", &tried) {
            tried.note(&attempt, Verdict::Ok, 200);
            self.answer(attempt, Verdict::Ok);
        }
        self.now = self.now + SECOND;
    }

    fn choose(&mut self, model: &str, tried: &Tried) -> Choice {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let ask = Ask { random: self.dice, ..ask(model, tried) };
        self.pool.choose(&ask, self.now)
    }

    fn send(&mut self) -> Reservation {
        self.send_model("m", &Tried::default())
    }

    fn send_model(&mut self, model: &str, tried: &Tried) -> Reservation {
        match self.choose(model, tried) {
            Choice::Send(attempt) => attempt,
            other @ (Choice::Wait(_) | Choice::Nothing(_)) => panic!("no key: {other:?}"),
        }
    }

    /// Sends with the key of that name.
    fn send_with(&mut self, name: &str) -> Reservation {
        for _ in 0..1_000 {
            let attempt = self.send();
            if self.name(&attempt) == name {
                return attempt;
            }
            self.pool.cancel(attempt, self.now);
        }
        panic!("{name} is never chosen")
    }

    /// What becomes of a fresh request now: the moment it waits for.
    fn wait(&mut self) -> Wait {
        match self.choose("m", &Tried::default()) {
            Choice::Wait(wait) => wait,
            other @ (Choice::Send(_) | Choice::Nothing(_)) => panic!("does not wait: {other:?}"),
        }
    }

    fn nothing(&mut self, tried: &Tried) -> Nothing {
        match self.choose("m", tried) {
            Choice::Nothing(nothing) => nothing,
            other @ (Choice::Send(_) | Choice::Wait(_)) => panic!("something: {other:?}"),
        }
    }

    fn name(&self, attempt: &Reservation) -> String {
        self.pool.key_name(attempt.key()).unwrap().to_owned()
    }

    fn judge(&mut self, attempt: &Reservation, judgement: &Judgement) -> Option<Event> {
        self.pool.report(attempt, judgement, self.now, 0)
    }

    /// An attempt gets that verdict and is over.
    fn answer(&mut self, attempt: Reservation, verdict: Verdict) -> Option<Event> {
        self.end(attempt, &Judgement::of(verdict))
    }

    fn end(&mut self, attempt: Reservation, judgement: &Judgement) -> Option<Event> {
        let event = self.judge(&attempt, judgement);
        self.pool.settle(attempt, &Cost::REQUEST, self.now);
        event
    }

    /// Sends once, to meet that verdict.
    fn meet(&mut self, verdict: Verdict) -> Option<Event> {
        let attempt = self.send();
        self.answer(attempt, verdict)
    }

    /// Names of the keys that a hundred requests are sent with.
    fn used(&mut self) -> Vec<String> {
        let mut names: Vec<_> = (0..100)
            .map(|_| {
                let attempt = self.send();
                let name = self.name(&attempt);
                self.pool.cancel(attempt, self.now);
                name
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    fn key_state(&self, name: &str) -> KeyState {
        let status = self.pool.status(self.now);
        status.keys.iter().find(|key| &*key.name == name).unwrap().state
    }

    fn group_state(&self, name: &str) -> GroupState {
        let status = self.pool.status(self.now);
        status.groups.iter().find(|group| &*group.name == name).unwrap().state
    }

    fn breaker(&self, group: &str) -> BreakerState {
        let status = self.pool.status(self.now);
        let group = status.groups.iter().find(|g| &*g.name == group).unwrap();
        group.models.iter().find(|model| &*model.model == "m").unwrap().breaker
    }
}

fn ask<'a>(model: &'a str, tried: &'a Tried) -> Ask<'a> {
    Ask {
        model,
        caller: "default",
        cost: Cost { tokens: 100, input: 60, output: 40, ..Cost::REQUEST },
        tried,
        preferred: None,
        stored_in: None,
        body: Body::Replayable,
        random: 0,
    }
}
