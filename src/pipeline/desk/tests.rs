use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::formats::Dimension;
use crate::keys::{Body, Breaker, KeySpec, Reach, Tried};
use crate::limits::{Learning, Measure, Priority, Rule};
use crate::pipeline::wait::Bell;

/// One key without a credential, and a limit of a hundred tokens an hour.
fn desk() -> Arc<Desk> {
    desk_of(Duration::from_hours(1))
}

/// The same with a limit of a hundred tokens in that time.
fn desk_of(window: Duration) -> Arc<Desk> {
    let budget = Budget { permille: 100, floor: 1_000 };
    let at = (Dialect::OpenAi, "http://127.0.0.1:1");
    let desk = Arc::new(Desk::new("p".into(), at, Clock::start(), budget));
    let rule = Rule::new(Measure::Of(Dimension::Tokens), 100, window);
    let limit = LimitSpec {
        models: Vec::new(),
        quota_groups: Vec::new(),
        reach: Reach::EachModel,
        rules: vec![rule],
    };
    let key = KeySpec {
        name: "k".into(),
        quota_group: "g".into(),
        weight: 1,
        models: Vec::new(),
        callers: Vec::new(),
        fingerprint: None,
    };
    let card = Card {
        name: "k".into(),
        name_header: HeaderValue::from_static("k"),
        label: 0,
        credential: None,
        headers: Vec::new(),
    };
    let spec = Spec {
        keys: vec![key],
        limits: vec![limit],
        learning: Learning::Off,
        breaker: Breaker::default(),
        ..Spec::default()
    };
    desk.renew(spec, vec![card], budget);
    desk
}

fn arrive(desk: &Arc<Desk>, deadline: Moment, bell: &Arc<Bell>) -> Arrival {
    arrive_under(&Tasks::default(), desk, deadline, bell)
}

fn arrive_under(tasks: &Tasks, desk: &Arc<Desk>, deadline: Moment, bell: &Arc<Bell>) -> Arrival {
    let cost = Cost { tokens: 80, input: 80, ..Cost::REQUEST };
    let ask = Ask {
        model: "m",
        caller: "",
        cost,
        tried: &Tried::NOTHING,
        prefix: None,
        stored_in: None,
        body: Body::Replayable,
        random: 0,
    };
    let claim = Claim { priority: Priority::Normal, caller: 0, deadline, cost };
    let waiter = || Waiter { bell: Arc::clone(bell), target: 0 };
    desk.arrive(&ask, &claim, waiter, tasks, desk.clock.moment())
}

fn take(desk: &Arc<Desk>) -> Option<Spending> {
    match arrive(desk, Moment::ZERO, &Arc::default()) {
        Arrival::Found(Found::Send(_, spending)) => Some(spending),
        Arrival::Found(Found::Refused(_) | Found::Nothing(_)) | Arrival::Waits(_) => None,
    }
}

/// A day, in which the limit of an hour comes back.
fn patient(desk: &Desk) -> Moment {
    desk.clock.moment() + Duration::from_hours(24)
}

#[test]
fn what_is_dropped_before_anything_was_sent_is_given_back_and_charged_after_that() {
    let desk = desk();
    for _ in 0..3 {
        let spending = take(&desk).expect("everything came back");
        assert!(take(&desk).is_none(), "it is held meanwhile");
        drop(spending);
    }
    let spending = take(&desk).unwrap();
    spending.begun().store(true, Ordering::Relaxed);
    drop(spending);
    assert!(take(&desk).is_none(), "it may have been sent");
}

#[tokio::test]
async fn what_is_given_back_is_given_to_who_waits_and_back_again_if_that_one_has_left() {
    let desk = desk();
    let spending = take(&desk).unwrap();
    let bell = Arc::<Bell>::default();
    let Arrival::Waits(place) = arrive(&desk, patient(&desk), &bell) else { panic!("full") };
    assert_eq!(desk.waiting(), 1);
    drop(spending);
    bell.rung().await;
    assert_eq!(desk.waiting(), 0);
    let found = bell.take();
    assert!(matches!(found[0], (0, Found::Send(..))), "{found:?}");
    assert!(take(&desk).is_none(), "it has been taken for it");
    drop((place, found));
    assert!(take(&desk).is_some());
}

#[tokio::test]
async fn who_gives_its_place_up_is_not_called() {
    let desk = desk();
    let spending = take(&desk).unwrap();
    let bell = Arc::<Bell>::default();
    let Arrival::Waits(place) = arrive(&desk, patient(&desk), &bell) else { panic!("full") };
    drop(place);
    drop(spending);
    assert!(bell.take().is_empty());
    assert!(take(&desk).is_some());
}

#[tokio::test]
async fn time_alone_calls_who_waits_and_keeping_it_ends_with_the_last() {
    let desk = desk_of(Duration::from_millis(200));
    take(&desk).unwrap().begun().store(true, Ordering::Relaxed);
    let (bell, tasks) = (Arc::<Bell>::default(), Tasks::default());
    let arrival = arrive_under(&tasks, &desk, patient(&desk), &bell);
    let Arrival::Waits(_place) = arrival else { panic!("full") };
    bell.rung().await;
    assert!(matches!(bell.take()[0], (0, Found::Send(..))));
    tasks.drained().await;
}

#[test]
fn a_provider_that_moves_is_not_served_by_the_same_desk() {
    let desk = desk();
    assert!(desk.suits(Dialect::OpenAi, "http://127.0.0.1:1"));
    assert!(!desk.suits(Dialect::OpenAi, "https://127.0.0.1:1"));
    assert!(!desk.suits(Dialect::Anthropic, "http://127.0.0.1:1"));
}
