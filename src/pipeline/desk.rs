//! The desk of one provider: its pool of keys behind a lock that is held for one decision at a time,
//! the credentials, and the lines before it. It outlives the snapshots that lend it.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderName, HeaderValue};

use super::charge;
use super::exchange::Exchange;
use super::wait::Lines;
use crate::clock::{Moment, Now};
use crate::formats::meter::{Outcome, Reading};
use crate::formats::{self, Dialect, Facts, Judgement, Samples, StoredId, StoredIds, Verdict};
use crate::keys::{
    Ask, Choice, Event, GroupId, KeyId, LimitSpec, Pool, Rebuilt, Reservation, RetryBudget, Spec,
    Stored,
};
use crate::lifecycle::Clock;
use crate::limits::Cost;
use crate::upstream::Credential;

/// Ids of stored things that are remembered for one provider.
const REMEMBERED: usize = 65_536;

/// A provider's keys, limits and waiters.
#[derive(Debug)]
pub struct Desk {
    name: Arc<str>,
    dialect: Dialect,
    place: Box<str>,
    clock: Clock,
    state: Mutex<State>,
    /// Who waits before it.
    pub lines: Arc<Lines>,
}

#[derive(Debug)]
struct State {
    pool: Pool,
    cards: HashMap<KeyId, Arc<Card>>,
    budget: RetryBudget,
    stored: Stored,
}

/// What is put on a request that goes out under one key.
#[derive(Debug)]
pub struct Card {
    /// The key's name.
    pub name: Arc<str>,
    /// Its name as a header's value.
    pub name_header: HeaderValue,
    /// Its place among the names that metrics carry.
    pub label: u16,
    /// The credential; `None` where the provider needs none.
    pub credential: Option<Credential>,
    /// What the key declares for itself.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// How often requests may be sent again.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Retries for a thousand requests.
    pub permille: u32,
    /// Thousandths of a retry a second, however few the requests.
    pub floor: u64,
}

/// An upstream answer, as the desk has to know it.
#[derive(Debug)]
pub struct Verdicted<'a> {
    /// What it means.
    pub judgement: &'a Judgement,
    /// What its headers tell of limits.
    pub samples: &'a Samples,
}

impl Desk {
    /// An empty desk before that place, `scheme://host:port`.
    pub fn new(
        name: Arc<str>,
        (dialect, place): (Dialect, &str),
        clock: Clock,
        budget: Budget,
    ) -> Self {
        let now = clock.moment();
        let state = State {
            pool: Pool::default(),
            cards: HashMap::new(),
            budget: RetryBudget::new(budget.permille, budget.floor, now),
            stored: Stored::new(REMEMBERED),
        };
        Self {
            name,
            dialect,
            place: place.into(),
            clock,
            state: Mutex::new(state),
            lines: Arc::default(),
        }
    }

    /// Whether it can go on serving a provider of that dialect at that place. At another place other
    /// limits hold; and whoever still waits to be sent to the old one must not be given the keys of the
    /// new one.
    pub fn suits(&self, dialect: Dialect, place: &str) -> bool {
        self.dialect == dialect && *self.place == *place
    }

    /// Takes new keys, limits and a new retry budget in; `cards` in the order of the spec's keys. Who
    /// waits looks again.
    pub fn renew(&self, spec: Spec, cards: Vec<Card>, budget: Budget) -> Rebuilt {
        let now = self.clock.now();
        let mut state = self.lock();
        state.budget.revise(budget.permille, budget.floor, now.at);
        state.pool.set_wall(now);
        let rebuilt = state.pool.rebuild(spec, now.at);
        let taken = rebuilt.keys.iter().zip(cards);
        state.cards = taken.filter_map(|(key, card)| Some(((*key)?, Arc::new(card)))).collect();
        drop(state);
        self.lines.call();
        rebuilt
    }

    /// Time has passed: the wall's clock reads that, and these limits hold. Who waits looks again.
    pub fn turn(&self, limits: Vec<LimitSpec>, now: Now) {
        let mut state = self.lock();
        state.pool.set_wall(now);
        state.pool.set_limits(limits, now.at);
        drop(state);
        self.lines.call();
    }

    /// Chooses a key for a request and takes the capacity, or says until when to wait, or why not.
    pub fn choose(self: &Arc<Self>, ask: &Ask<'_>, now: Moment) -> Found {
        let mut state = self.lock();
        match state.pool.choose(ask, now) {
            Choice::Send(reservation) => {
                if ask.tried.nothing() {
                    state.budget.deposit(now);
                }
                let card = state.cards.get(&reservation.key()).map(Arc::clone);
                drop(state);
                let spending = Spending::of(self, reservation);
                card.map_or(Found::Nothing(crate::keys::Nothing::NoKey), |card| {
                    Found::Send(card, spending)
                })
            }
            Choice::Wait(wait) => Found::Wait(wait),
            Choice::Nothing(nothing) => Found::Nothing(nothing),
        }
    }

    /// What that request of that model will take from the provider's limits.
    pub fn cost(&self, model: &str, facts: &Facts) -> Cost {
        self.lock().pool.cost(model, &charge::demand(facts))
    }

    /// Asks the retry budget for one more try; the moment at which to ask again, if it has none.
    pub fn retry(&self, now: Moment) -> Result<(), Moment> {
        let mut state = self.lock();
        if state.budget.withdraw(now) { Ok(()) } else { Err(state.budget.next(now)) }
    }

    /// The group that made one of these, if that is remembered and the group is still there.
    pub fn maker(&self, ids: &StoredIds) -> Option<GroupId> {
        let mut state = self.lock();
        let State { stored, pool, .. } = &mut *state;
        let mut makers = ids.iter().filter_map(|id| stored.find(id.as_str()));
        makers.find(|group| pool.group_name(*group).is_some())
    }

    /// Whether some key is for that caller and no other.
    pub fn has_keys_of(&self, caller: &str) -> bool {
        self.lock().pool.has_keys_of(caller)
    }

    /// Looks at the pool, for status and metrics.
    pub fn look<T>(&self, look: impl FnOnce(&mut Pool, Moment) -> T) -> T {
        let now = self.clock.moment();
        look(&mut self.lock().pool, now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says aloud what somebody should know. Not under the lock: a log line may take its time.
    fn tell(&self, event: Event, code: Option<&str>) {
        let name = match event {
            Event::KeyResting(id) | Event::KeyDisabled(id) | Event::KeyRecovered(id) => {
                self.lock().pool.key_name(id).map(str::to_owned)
            }
            Event::GroupClosed(id, ..)
            | Event::SharedQuota(id, _)
            | Event::GroupReopened(id)
            | Event::BreakerOpened(id, _)
            | Event::BreakerClosed(id) => self.lock().pool.group_name(id).map(str::to_owned),
        };
        let (provider, name, now) = (&*self.name, name.unwrap_or_default(), self.clock.now());
        let code = code.unwrap_or_default();
        match event {
            Event::KeyResting(_) => {
                tracing::warn!(provider, key = name, code, "Key refused, it rests");
            }
            Event::KeyDisabled(_) => tracing::error!(
                provider,
                key = name,
                code,
                "Key refused again, it is not used until it changes"
            ),
            Event::KeyRecovered(_) => tracing::info!(provider, key = name, "Key works again"),
            Event::GroupClosed(_, cause, until) => tracing::warn!(
                provider,
                quota_group = name,
                ?cause,
                code,
                until = %now.wall_at(until),
                "Quota group closed"
            ),
            Event::GroupReopened(_) => {
                tracing::info!(provider, quota_group = name, "Quota group works again");
            }
            Event::BreakerOpened(_, until) => tracing::warn!(
                provider,
                quota_group = name,
                until = %now.wall_at(until),
                "Breaker opened"
            ),
            Event::BreakerClosed(_) => {
                tracing::info!(provider, quota_group = name, "Breaker closed");
            }
            Event::SharedQuota(_, other) => {
                let other = self.lock().pool.group_name(other).unwrap_or_default().to_owned();
                tracing::warn!(
                    provider,
                    quota_group = name,
                    other,
                    "Two quota groups draw on the same limits, give their keys one `quotaGroup`"
                );
            }
        }
    }
}

/// What a desk can do for a request now.
#[derive(Debug)]
pub enum Found {
    /// Send it under this card.
    Send(Arc<Card>, Spending),
    /// Nothing now, but later.
    Wait(crate::keys::Wait),
    /// Nothing, and waiting does not help.
    Nothing(crate::keys::Nothing),
}

/// Capacity that a request holds. Dropped, it is given back; once the request may have been sent, it
/// is charged whole.
#[derive(Debug)]
pub struct Spending {
    desk: Arc<Desk>,
    reservation: Option<Reservation>,
    begun: AtomicBool,
}

impl Spending {
    fn of(desk: &Arc<Desk>, reservation: Reservation) -> Self {
        let begun = AtomicBool::new(false);
        Self { desk: Arc::clone(desk), reservation: Some(reservation), begun }
    }

    /// To be set when something of the request may have left.
    pub const fn begun(&self) -> &AtomicBool {
        &self.begun
    }

    /// The attempt, for what the request remembers of it.
    pub const fn attempt(&self) -> Option<&Reservation> {
        self.reservation.as_ref()
    }

    /// Takes an upstream answer in.
    pub fn answered(&self, answer: &Verdicted<'_>) {
        let Some(reservation) = &self.reservation else { return };
        let now = self.desk.clock.moment();
        let mut state = self.desk.lock();
        let noticed = state.pool.observe(reservation, answer.samples, now);
        let random = fastrand::u64(..);
        let event = state.pool.report(reservation, answer.judgement, now, random);
        drop(state);
        // What it told (a probe's success, a level) may be what somebody waits for, and the end of a
        // stream may be far away.
        self.desk.lines.call();
        for event in event.into_iter().chain(noticed) {
            self.desk.tell(event, answer.judgement.code.as_deref());
        }
    }

    /// It was never sent: everything goes back.
    pub fn cancel(mut self) {
        self.give_back(Pool::cancel);
    }

    /// It was refused: providers count the request, and no tokens.
    pub fn refused(mut self) {
        self.give_back(|pool, reservation, now| pool.settle(reservation, &Cost::REQUEST, now));
    }

    /// It was answered, whole or in part: what the answer told is charged, and what the provider
    /// stored is remembered with its group.
    pub fn settle(mut self, reading: &Reading, exchange: &mut Exchange) {
        if let Outcome::Error { code } = &reading.outcome {
            let judgement = formats::judge_event(self.desk.dialect, code.as_deref());
            let met = Judgement { verdict: Verdict::MidStream, ..judgement.clone() };
            exchange.judged(&met, None, &[]);
            self.answered(&Verdicted { judgement: &judgement, samples: &Samples::new() });
        }
        self.remember(reading.stored.iter());
        let flowed = reading.output / 4;
        self.give_back(|pool, reservation, now| {
            let actual = match &reading.usage {
                Some(usage) => pool.charged(&reservation, usage),
                // Nobody told: what was reserved, and what flowed beyond it.
                None => {
                    Cost { output: reservation.cost().output.max(flowed), ..*reservation.cost() }
                }
            };
            pool.settle(reservation, &actual, now);
        });
    }

    /// The group that is being spent made these.
    pub fn remember<'i>(&self, made: impl IntoIterator<Item = &'i StoredId>) {
        let Some(reservation) = &self.reservation else { return };
        let mut made = made.into_iter().peekable();
        if made.peek().is_none() {
            return;
        }
        let mut state = self.desk.lock();
        for id in made {
            state.stored.remember(id.as_str(), reservation.group());
        }
    }

    fn give_back(&mut self, end: impl FnOnce(&mut Pool, Reservation, Moment)) {
        let Some(reservation) = self.reservation.take() else { return };
        let now = self.desk.clock.moment();
        end(&mut self.desk.lock().pool, reservation, now);
        self.desk.lines.call();
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        if *self.begun.get_mut() {
            self.give_back(Pool::forfeit);
        } else {
            self.give_back(Pool::cancel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;
    use crate::formats::Dimension;
    use crate::keys::{Body, Breaker, KeySpec, Reach, Tried};
    use crate::limits::{Learning, Measure, Rule};

    /// One key without a credential, and a limit of a hundred tokens an hour.
    fn desk() -> Arc<Desk> {
        let budget = Budget { permille: 100, floor: 1_000 };
        let at = (Dialect::OpenAi, "http://127.0.0.1:1");
        let desk = Arc::new(Desk::new("p".into(), at, Clock::start(), budget));
        let rule = Rule {
            measure: Measure::Of(Dimension::Tokens),
            amount: 100,
            window: Duration::from_hours(1).into(),
        };
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

    fn take(desk: &Arc<Desk>) -> Option<Spending> {
        let ask = Ask {
            model: "m",
            caller: "",
            cost: Cost { tokens: 80, input: 80, ..Cost::REQUEST },
            tried: &Tried::NOTHING,
            preferred: None,
            stored_in: None,
            body: Body::Replayable,
            random: 0,
        };
        match desk.choose(&ask, desk.clock.moment()) {
            Found::Send(_, spending) => Some(spending),
            Found::Wait(_) | Found::Nothing(_) => None,
        }
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

    #[test]
    fn an_answer_calls_whoever_waits_before_its_stream_has_ended() {
        let desk = desk();
        let called = Arc::<tokio::sync::Notify>::default();
        let _place = desk.lines.join("m", Moment::NEVER, &called).unwrap();
        let spending = take(&desk).unwrap();
        let judgement = Judgement::of(Verdict::Ok);
        spending.answered(&Verdicted { judgement: &judgement, samples: &Samples::new() });
        assert!(futures_util::FutureExt::now_or_never(called.notified()).is_some());
    }

    #[test]
    fn a_provider_that_moves_is_not_served_by_the_same_desk() {
        let desk = desk();
        assert!(desk.suits(Dialect::OpenAi, "http://127.0.0.1:1"));
        assert!(!desk.suits(Dialect::OpenAi, "https://127.0.0.1:1"));
        assert!(!desk.suits(Dialect::Anthropic, "http://127.0.0.1:1"));
    }
}
