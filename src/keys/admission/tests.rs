#![expect(clippy::cast_precision_loss, reason = "the counts of a test are small")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::*;
use crate::formats::{Dimension, Verdict};
use crate::keys::{Body, KeySpec, LimitSpec, Reach, Secret, Tried};
use crate::limits::{Learning, Measure, Rule, Window};

mod laws;
mod order;
mod turning_away;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

fn secs(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn millis(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn tokens(tokens: u64) -> Cost {
    Cost { requests: 1, tokens, input: tokens, output: 0, money: 0 }
}

/// Keys in groups of their own, each with so many tokens a minute; what is written holds.
fn spec(groups: &[(&str, u64)]) -> Spec {
    let keys = groups.iter().map(|(name, _)| KeySpec {
        name: (*name).into(),
        quota_group: (*name).into(),
        weight: 1,
        models: Vec::new(),
        callers: Vec::new(),
        fingerprint: Some(Secret::new(name).fingerprint()),
    });
    let limits = groups.iter().map(|(name, amount)| LimitSpec {
        models: Vec::new(),
        quota_groups: vec![(*name).into()],
        reach: Reach::EachModel,
        rules: vec![Rule {
            measure: Measure::Of(Dimension::Tokens),
            amount: *amount,
            window: Window::Refill(MINUTE),
        }],
    });
    Spec {
        keys: keys.collect(),
        limits: limits.collect(),
        learning: Learning::Off,
        ..Spec::default()
    }
}

/// A request of a made-up world.
#[derive(Clone, Debug)]
struct Wish {
    at: Moment,
    caller: u64,
    priority: Priority,
    patience: Duration,
    cost: Cost,
    model: &'static str,
    stored_in: Option<&'static str>,
    /// How long it is under way.
    takes: Duration,
}

impl Wish {
    fn new(at: Moment, cost: u64) -> Self {
        Self {
            at,
            caller: 1,
            priority: Priority::Normal,
            patience: Duration::from_secs(30),
            cost: tokens(cost),
            model: "m",
            stored_in: None,
            takes: SECOND,
        }
    }

    fn by(self, caller: u64) -> Self {
        Self { caller, ..self }
    }

    fn class(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    Unborn,
    Waits(Place),
    Sent {
        at: Moment,
        group: String,
    },
    Refused {
        at: Moment,
        refused: Refused,
    },
    /// It waited until its deadline.
    Late(Moment),
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    End(usize),
    Arrive(usize),
    Deadline(usize),
}

/// Wishes come, wait, are sent and end, in virtual time.
struct World {
    admission: Admission<usize>,
    wishes: Vec<Wish>,
    fates: Vec<Fate>,
    open: Vec<Option<Reservation>>,
    events: BinaryHeap<Reverse<(Moment, Event)>>,
    now: Moment,
    /// How often it was woken, and for nobody.
    woken: (usize, usize),
    dice: u64,
}

impl World {
    fn new(spec: Spec, wishes: Vec<Wish>) -> Self {
        let mut admission = Admission::new(RetryBudget::new(100, 1_000, Moment::ZERO));
        admission.rebuild(spec, Moment::ZERO);
        let events = wishes.iter().enumerate();
        let events = events.map(|(index, wish)| Reverse((wish.at, Event::Arrive(index)))).collect();
        let fates = vec![Fate::Unborn; wishes.len()];
        let open = wishes.iter().map(|_| None).collect();
        let (now, woken, dice) = (Moment::ZERO, (0, 0), 1);
        let mut world = Self { admission, wishes, fates, open, events, now, woken, dice };
        world.prove();
        world
    }

    /// Every key works, as an answer has shown, and every bucket is full.
    fn prove(&mut self) {
        let claim = Claim {
            priority: Priority::High,
            caller: 0,
            deadline: Moment::ZERO,
            cost: Cost::REQUEST,
        };
        let tried = Tried::NOTHING;
        let ask = Ask { cost: Cost::REQUEST, ..ask(&tried, "m", 1) };
        let first = (0..self.admission.pool().groups()).map(|_| {
            #[expect(clippy::wildcard_enum_match_arm, reason = "anything else fails the test")]
            match self.admission.arrive(&ask, &claim, || 0, self.now) {
                Decision::Now(Outcome::Send(sent)) => sent,
                other => panic!("{other:?}"),
            }
        });
        for sent in first.collect::<Vec<_>>() {
            self.admission.report(&sent, &Judgement::of(Verdict::Ok), self.now, 0);
            self.admission.cancel(sent, self.now);
        }
    }

    fn run(&mut self) -> &mut Self {
        self.run_until(Moment::NEVER)
    }

    /// Lets everything happen until that moment.
    fn run_until(&mut self, end: Moment) -> &mut Self {
        loop {
            let event = self.events.peek().map(|Reverse((at, _))| *at);
            let wake = self.admission.wake().map(|wake| wake.max(self.now));
            let Some(next) = event.into_iter().chain(wake).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = next;
            if event.is_none_or(|event| wake.is_some_and(|wake| wake <= event)) {
                let called = self.call();
                self.woken.0 += 1;
                self.woken.1 += usize::from(called == 0);
            } else if let Some(Reverse((_, event))) = self.events.pop() {
                self.happen(event);
                self.call();
            }
        }
        self
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(index) => self.arrive(index),
            Event::End(index) => {
                if let Some(sent) = self.open[index].take() {
                    let cost = *sent.cost();
                    self.admission.settle(sent, &cost, self.now);
                }
            }
            Event::Deadline(index) => {
                if let Fate::Waits(place) = self.fates[index] {
                    assert_eq!(self.admission.leave(place), Some(index));
                    self.fates[index] = Fate::Late(self.now);
                }
            }
        }
    }

    fn arrive(&mut self, index: usize) {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let wish = &self.wishes[index];
        let deadline = wish.at + wish.patience;
        let Wish { caller, priority, cost, .. } = *wish;
        let claim = Claim { priority, caller, deadline, cost };
        let tried = Tried::NOTHING;
        let stored_in = wish.stored_in.map(|name| self.group(name));
        let ask = Ask { cost, stored_in, ..ask(&tried, wish.model, self.dice) };
        match self.admission.arrive(&ask, &claim, || index, self.now) {
            Decision::Now(outcome) => self.settle(index, outcome),
            Decision::Waits(place) => {
                self.fates[index] = Fate::Waits(place);
                self.events.push(Reverse((deadline, Event::Deadline(index))));
            }
        }
    }

    /// Calls all whose turn has come.
    fn call(&mut self) -> usize {
        let mut called = 0;
        while let Some((index, outcome)) = self.admission.next(self.now) {
            self.settle(index, outcome);
            called += 1;
        }
        assert!(self.admission.wake().is_none_or(|wake| wake > self.now), "nobody is forgotten");
        called
    }

    fn settle(&mut self, index: usize, outcome: Outcome) {
        let at = self.now;
        self.fates[index] = match outcome {
            Outcome::Send(sent) => {
                let group = self.admission.pool().group_name(sent.group()).unwrap().to_owned();
                self.open[index] = Some(sent);
                self.events.push(Reverse((at + self.wishes[index].takes, Event::End(index))));
                Fate::Sent { at, group }
            }
            Outcome::Refused(refused) => Fate::Refused { at, refused },
            Outcome::Nothing(_) => Fate::Nothing,
        };
    }

    fn group(&self, name: &str) -> GroupId {
        let status = self.admission.pool().status(self.now);
        status.groups.iter().find(|group| &*group.name == name).unwrap().id
    }

    /// How long a wish waited that was sent.
    fn waited(&self, index: usize) -> Option<Duration> {
        if let Fate::Sent { at, .. } = &self.fates[index] {
            Some(at.since(self.wishes[index].at))
        } else {
            None
        }
    }

    /// Tokens of all that were sent and fit a description.
    fn served(&self, fits: impl Fn(&Wish) -> bool) -> u64 {
        let all = self.wishes.iter().zip(&self.fates);
        let sent = all.filter(|(wish, fate)| matches!(fate, Fate::Sent { .. }) && fits(wish));
        sent.map(|(wish, _)| wish.cost.tokens).sum()
    }

    /// How many were turned away, at once or late, and fit a description.
    fn turned_away(&self, fits: impl Fn(&Wish) -> bool) -> usize {
        let away = |fate: &Fate| matches!(fate, Fate::Refused { .. } | Fate::Late(_));
        let all = self.wishes.iter().zip(&self.fates);
        all.filter(|(wish, fate)| away(fate) && fits(wish)).count()
    }
}

fn ask<'a>(tried: &'a Tried, model: &'a str, random: u64) -> Ask<'a> {
    Ask {
        model,
        caller: "default",
        cost: tokens(0),
        tried,
        prefix: None,
        stored_in: None,
        body: Body::Replayable,
        random,
    }
}

/// Wishes that come evenly, so many a second.
fn steady(
    from: Moment,
    time: Duration,
    each_second: u64,
    wish: impl Fn(Moment) -> Wish,
) -> Vec<Wish> {
    let count = time.as_secs() * each_second;
    let gap = SECOND / u32::try_from(each_second).unwrap();
    (0..u32::try_from(count).unwrap()).map(|nth| wish(from + gap * nth)).collect()
}
