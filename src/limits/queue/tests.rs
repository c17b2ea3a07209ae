#![expect(clippy::cast_precision_loss, reason = "the counts of a test are small")]

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::clock::Moment;

fn secs(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn claim(priority: Priority, caller: u64, deadline: u64, tokens: u64) -> Claim {
    let cost = Cost { requests: 1, tokens, ..Cost::default() };
    Claim { priority, caller, deadline: secs(deadline), cost }
}

fn normal(caller: u64, deadline: u64, tokens: u64) -> Claim {
    claim(Priority::Normal, caller, deadline, tokens)
}

/// One lane, in which all stand whose names are told.
struct Row {
    queue: Queue<(), &'static str>,
    lane: LaneId,
}

impl Row {
    fn new() -> Self {
        let mut queue = Queue::default();
        let lane = queue.lane(|()| true, || ());
        Self { queue, lane }
    }

    fn push(&mut self, claim: Claim, name: &'static str) -> Ticket {
        self.queue.push(self.lane, claim, name)
    }

    fn serve(&mut self) -> Option<&'static str> {
        let (_, first) = self.queue.first(self.lane)?;
        self.queue.serve(first)
    }

    fn serve_all(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.serve()).collect()
    }
}

#[test]
fn the_higher_class_comes_first() {
    let mut row = Row::new();
    row.push(claim(Priority::Batch, 1, 1, 10), "batch");
    row.push(claim(Priority::High, 1, 9, 10), "high");
    row.push(claim(Priority::Normal, 1, 5, 10), "normal");
    assert_eq!(row.serve_all(), ["high", "normal", "batch"]);
}

#[test]
fn inside_a_caller_the_earliest_deadline_comes_first_and_of_equal_ones_the_first_to_come() {
    let mut row = Row::new();
    for (deadline, name) in [(30, "late"), (10, "first"), (20, "mid"), (10, "second")] {
        row.push(normal(1, deadline, 10), name);
    }
    assert_eq!(row.serve_all(), ["first", "second", "mid", "late"]);
}

#[test]
fn inside_a_class_callers_take_turns_by_tokens() {
    let mut row = Row::new();
    for name in ["a", "a", "a", "a"] {
        row.push(normal(1, 9, 100), name);
    }
    for name in ["b", "b", "b"] {
        row.push(normal(2, 99, 200), name);
    }
    assert_eq!(row.serve_all(), ["a", "b", "a", "a", "b", "a", "b"]);
}

#[test]
fn a_newcomer_begins_where_those_are_who_had_least_and_being_away_saves_nothing_up() {
    let mut row = Row::new();
    for _ in 0..20 {
        row.push(normal(1, 9, 100), "a");
    }
    for _ in 0..10 {
        row.serve();
    }
    for _ in 0..3 {
        row.push(normal(2, 9, 100), "b");
    }
    let next: Vec<_> = (0..6).filter_map(|_| row.serve()).collect();
    assert_eq!(next, ["a", "b", "a", "b", "a", "b"], "it does not catch up on what it missed");
}

#[test]
fn what_was_served_is_corrected_by_what_it_cost() {
    let mut row = Row::new();
    for name in ["a", "a", "b", "b"] {
        row.push(normal(u64::from(name == "b"), 9, 100), name);
    }
    assert_eq!(row.serve(), Some("a"));
    let cost = |tokens| Cost { requests: 1, tokens, ..Cost::default() };
    row.queue.correct((Priority::Normal, 0), &cost(100), &cost(1_000));
    assert_eq!(row.serve_all(), ["b", "b", "a"]);
}

#[test]
fn a_lower_class_gets_its_part_however_much_comes_above_it() {
    let mut row = Row::new();
    row.push(claim(Priority::Batch, 1, 900, 10), "batch");
    let mut before = 0;
    loop {
        row.push(claim(Priority::High, 1, 9, 10), "high");
        match row.serve() {
            Some("high") => before += 1,
            other => break assert_eq!(other, Some("batch")),
        }
        assert!(before < 100, "it never comes");
    }
    assert_eq!(before, PATIENCE);
}

#[test]
fn who_leaves_frees_a_place_once() {
    let mut row = Row::new();
    let a = row.push(normal(1, 1, 10), "a");
    row.push(normal(1, 2, 10), "b");
    assert_eq!(row.queue.leave(a), Some("a"));
    assert_eq!(row.queue.leave(a), None, "a ticket is used once");
    row.push(normal(1, 1, 10), "c");
    assert_eq!(row.queue.leave(a), None, "nor does it mean a later one in the same place");
    assert_eq!(row.queue.len(), 2);
    assert_eq!(row.serve_all(), ["c", "b"]);
    assert!(row.queue.is_empty());
}

#[test]
fn a_lane_in_which_nobody_waits_makes_way() {
    let mut queue: Queue<u32, ()> = Queue::default();
    let first = queue.lane(|tag| *tag == 1, || 1);
    let ticket = queue.push(first, normal(1, 1, 1), ());
    let second = queue.lane(|tag| *tag == 2, || 2);
    assert_ne!(first, second);
    queue.leave(ticket);
    assert_eq!(queue.lane(|tag| *tag == 3, || 3), first);
}

#[test]
fn the_order_holds_across_lanes() {
    let mut queue: Queue<u32, ()> = Queue::default();
    let lanes = [1, 2].map(|tag| {
        let lane = queue.lane(|it| *it == tag, || tag);
        queue.push(lane, normal(tag.into(), 9, 100), ());
        lane
    });
    let order = |queue: &Queue<u32, ()>, lane: usize| queue.first(lanes[lane]).unwrap().0;
    assert!(order(&queue, 0) < order(&queue, 1), "who came first");
    let (_, first) = queue.first(lanes[0]).unwrap();
    queue.push(lanes[0], normal(1, 1, 100), ());
    queue.serve(first);
    assert!(order(&queue, 1) < order(&queue, 0), "now it is the other's turn");
}

#[test]
fn who_has_to_make_way_is_the_last_of_the_caller_with_the_most() {
    let mut row = Row::new();
    row.push(normal(1, 99, 100), "little");
    for (deadline, name) in [(10, "x"), (30, "last"), (20, "y")] {
        row.push(normal(2, deadline, 500), name);
    }
    let (_, ticket) = row.queue.last(Priority::Normal).unwrap();
    assert_eq!(row.queue.leave(ticket), Some("last"));
    assert!(row.queue.last(Priority::High).is_none());
}

#[test]
fn ahead_of_a_claim_is_what_the_others_get_until_it_has_as_much() {
    let mut row = Row::new();
    row.push(claim(Priority::High, 9, 9, 1_000), "high");
    row.push(claim(Priority::Batch, 9, 9, 1_000), "batch");
    for _ in 0..100 {
        row.push(normal(1, 9, 100), "greedy");
    }
    row.push(normal(2, 9, 100), "modest");
    let newcomer = row.queue.ahead(&normal(3, 9, 100), Own::All);
    assert_eq!(newcomer.cost.tokens, 1_200, "the higher class, and one of each caller's");
    assert_eq!(newcomer.count, 3);
    let greedy = row.queue.ahead(&normal(1, 9, 100), Own::All);
    assert_eq!(greedy.cost.tokens, 11_100, "all of its own, and the other's one");
    let hurried = row.queue.ahead(&normal(1, 1, 100), Own::ByDeadline);
    assert_eq!(hurried.cost.tokens, 1_100, "none of its own comes before its deadline");
    let top = row.queue.ahead(&claim(Priority::High, 3, 9, 10), Own::All);
    assert_eq!(top.cost.tokens, 1_000, "the other's request may be first");
}

#[derive(Clone, Debug)]
enum Step {
    Push { lane: usize, priority: usize, caller: u64, deadline: u64, tokens: u64 },
    Serve(usize),
    Leave(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let push = (0..3_usize, 0..3_usize, 0..5_u64, 1..50_u64, 1..2_000_u64);
    prop_oneof![
        3 => push.prop_map(|(lane, priority, caller, deadline, tokens)| Step::Push {
            lane, priority, caller, deadline, tokens
        }),
        2 => (0..3_usize).prop_map(Step::Serve),
        1 => any::<usize>().prop_map(Step::Leave),
    ]
}

/// The queue as it would be written if it were never long.
#[derive(Default)]
struct Plain {
    waiting: Vec<(Ticket, usize, Claim)>,
    served: HashMap<(Priority, u64), u64>,
    passed: HashMap<Priority, u64>,
}

impl Plain {
    fn count(&self, priority: Priority) -> usize {
        self.waiting.iter().filter(|(.., claim)| claim.priority == priority).count()
    }

    fn push(&mut self, ticket: Ticket, lane: usize, claim: Claim) {
        let whose = (claim.priority, claim.caller);
        let of = |(.., other): &&(Ticket, usize, Claim)| (other.priority, other.caller);
        if !self.waiting.iter().any(|other| of(&other) == whose) {
            let mine = self.waiting.iter().filter(|(.., other)| other.priority == claim.priority);
            let floor = mine.map(|other| self.served[&of(&other)]).min().unwrap_or(0);
            let served = self.served.entry(whose).or_default();
            *served = floor.max(*served);
        }
        self.waiting.push((ticket, lane, claim));
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Claim> {
        let at = self.waiting.iter().position(|(other, ..)| *other == ticket)?;
        let (.., claim) = self.waiting.remove(at);
        if self.count(claim.priority) == 0 {
            self.served.retain(|(priority, _), _| *priority != claim.priority);
            self.passed.remove(&claim.priority);
        }
        Some(claim)
    }

    /// The served tokens and the deadline of who may be first in a lane.
    fn first(&self, lane: usize) -> Option<(Priority, u64)> {
        let mine = || self.waiting.iter().filter(|(_, other, _)| *other == lane);
        let best = |priority: Priority| {
            let served = |claim: &Claim| self.served[&(claim.priority, claim.caller)];
            let claims = mine().map(|(.., claim)| claim).filter(|c| c.priority == priority);
            claims.map(served).min()
        };
        Priority::ALL.into_iter().rev().find_map(|priority| Some((priority, best(priority)?)))
    }
}

proptest! {
    #[test]
    fn no_history_disturbs_the_order(steps in prop::collection::vec(any_step(), 1..200)) {
        let mut queue: Queue<usize, ()> = Queue::default();
        let mut plain = Plain::default();
        for step in steps {
            match step {
                Step::Push { lane, priority, caller, deadline, tokens } => {
                    let claim = claim(Priority::ALL[priority], caller, deadline, tokens);
                    let id = queue.lane(|tag| *tag == lane, || lane);
                    plain.push(queue.push(id, claim, ()), lane, claim);
                }
                Step::Serve(lane) => {
                    let id = queue.lane(|tag| *tag == lane, || lane);
                    let Some((_, ticket)) = queue.first(id) else {
                        prop_assert_eq!(plain.first(lane), None);
                        continue;
                    };
                    let claim = *queue.get(ticket).unwrap().0;
                    let (highest, least) = plain.first(lane).unwrap();
                    let whose = (claim.priority, claim.caller);
                    if claim.priority == highest {
                        prop_assert_eq!(plain.served[&whose], least, "who had least is first");
                    } else {
                        prop_assert!(plain.passed[&claim.priority] >= PATIENCE * claim.cost.work());
                    }
                    let sooner = plain.waiting.iter().filter(|(_, other, c)| {
                        *other == lane && (c.priority, c.caller) == whose && c.deadline < claim.deadline
                    });
                    prop_assert_eq!(sooner.count(), 0, "of its own, the earliest deadline");
                    prop_assert_eq!(queue.window(id)[0], ticket);
                    queue.serve(ticket);
                    plain.remove(ticket);
                    if let Some(served) = plain.served.get_mut(&whose) {
                        *served += claim.cost.work();
                    }
                    for lower in Priority::ALL.into_iter().filter(|it| *it < claim.priority) {
                        if plain.count(lower) > 0 {
                            *plain.passed.entry(lower).or_default() += claim.cost.work();
                        }
                    }
                }
                Step::Leave(index) => {
                    if !plain.waiting.is_empty() {
                        let (ticket, ..) = plain.waiting[index % plain.waiting.len()];
                        prop_assert!(queue.leave(ticket).is_some());
                        plain.remove(ticket);
                    }
                }
            }
            prop_assert_eq!(queue.len(), plain.waiting.len());
            for priority in Priority::ALL {
                prop_assert_eq!(queue.waiting(priority), plain.count(priority));
            }
        }
    }

    #[test]
    fn whatever_they_ask_for_callers_who_always_wait_get_the_same(
        sizes in prop::collection::vec(1..3_000_u64, 2..8),
        counts in prop::collection::vec(1..20_usize, 8),
    ) {
        let mut queue: Queue<(), usize> = Queue::default();
        let lane = queue.lane(|()| true, || ());
        let mut served = vec![0_u64; sizes.len()];
        let come = |queue: &mut Queue<(), usize>, caller: usize| {
            let tokens = sizes[caller];
            queue.push(lane, normal(caller as u64, 9, tokens), caller);
        };
        for (caller, count) in counts.into_iter().take(sizes.len()).enumerate() {
            (0..count).for_each(|_| come(&mut queue, caller));
        }
        while served.iter().sum::<u64>() < 400_000 {
            let (_, first) = queue.first(lane).unwrap();
            let caller = *queue.get(first).unwrap().1;
            come(&mut queue, caller);
            queue.serve(first);
            served[caller] += sizes[caller];
        }
        let sum: f64 = served.iter().map(|it| *it as f64).sum();
        let squares: f64 = served.iter().map(|it| (*it as f64).powi(2)).sum();
        prop_assert!(sum * sum / (served.len() as f64 * squares) >= 0.97, "{:?}", served);
    }
}
