//! The desk of one provider: admission behind a lock that is held for one decision at a time, and the
//! credentials. It outlives the snapshots that lend it.

mod spending;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderName, HeaderValue};
use tokio::sync::Notify;

use super::wait::{Standing, Waiter};
use crate::clock::{Moment, Now};
use crate::formats::{Dialect, Facts, Judgement, Samples, StoredId, StoredIds};
use crate::keys::{
    Admission, Anyway, Ask, Decision, Event, GroupId, Held, KeyId, LimitSpec, Nothing, Outcome,
    Place, Pool, Rebuilt, Refused, RetryBudget, Spec,
};
use crate::lifecycle::{Clock, Tasks};
use crate::limits::{Claim, Cost, Demand, Estimates};
use crate::upstream::Credential;

pub(super) use spending::Spending;

/// Models whose requests are learned from: a kilobyte each.
const MODELS: usize = 512;

/// A provider's keys, limits and waiters.
#[derive(Debug)]
pub struct Desk {
    name: Arc<str>,
    dialect: Dialect,
    place: Box<str>,
    clock: Clock,
    state: Mutex<State>,
    /// Wakes who keeps the time before its moment.
    sooner: Notify,
}

#[derive(Debug)]
struct State {
    admission: Admission<Waiter>,
    estimates: Estimates,
    cards: HashMap<KeyId, Arc<Card>>,
    /// Until when the one who keeps the time sleeps; `None` if there is none.
    keeper: Option<Moment>,
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
        let budget = RetryBudget::new(budget.permille, budget.floor, clock.moment());
        let admission = Admission::new(budget);
        let estimates = Estimates::new(MODELS);
        let state = State { admission, estimates, cards: HashMap::new(), keeper: None };
        let (state, sooner) = (Mutex::new(state), Notify::new());
        Self { name, dialect, place: place.into(), clock, state, sooner }
    }

    /// Whether it can go on serving a provider of that dialect at that place. At another place other
    /// limits hold; and whoever still waits to be sent to the old one must not be given the keys of the
    /// new one.
    pub fn suits(&self, dialect: Dialect, place: &str) -> bool {
        self.dialect == dialect && *self.place == *place
    }

    /// Takes new keys, limits and a new retry budget in; `cards` in the order of the spec's keys. For
    /// who waits, everything is looked at anew.
    pub fn renew(self: &Arc<Self>, spec: Spec, cards: Vec<Card>, budget: Budget) -> Rebuilt {
        let now = self.clock.now();
        let mut state = self.lock();
        state.admission.budget_mut().revise(budget.permille, budget.floor, now.at);
        state.admission.set_wall(now);
        let rebuilt = state.admission.rebuild(spec, now.at);
        let taken = rebuilt.keys.iter().zip(cards);
        state.cards = taken.filter_map(|(key, card)| Some(((*key)?, Arc::new(card)))).collect();
        drop(state);
        self.call();
        rebuilt
    }

    /// Time has passed: the wall's clock reads that, and these limits hold. For who waits, everything
    /// is looked at anew.
    pub fn turn(self: &Arc<Self>, limits: Vec<LimitSpec>, now: Now) {
        let mut state = self.lock();
        state.admission.set_wall(now);
        state.admission.set_limits(limits, now.at);
        drop(state);
        self.call();
    }

    /// A request arrives: it is given a key and the capacity, or a place, or is told why not. The time
    /// of those who wait is kept by a task on this runtime if nobody keeps it yet.
    pub fn arrive(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        claim: &Claim,
        waiter: impl FnOnce() -> Waiter,
        tasks: &Tasks,
        now: Moment,
    ) -> Arrival {
        let mut state = self.lock();
        let decision = state.admission.arrive(ask, claim, waiter, now);
        let card = state.card_for(&decision);
        let waited_for = state.admission.waiting() > 0;
        let unkept = waited_for && state.keeper.is_none();
        if unkept {
            state.keeper = Some(Moment::ZERO);
        }
        drop(state);
        if unkept {
            drop(tasks.spawn(Keeper(Arc::clone(self)).keep()));
        } else if waited_for {
            self.call();
        }
        match decision {
            Decision::Now(outcome) => Arrival::Found(Found::of(self, outcome, card)),
            Decision::Waits(place) => Arrival::Waits(Standing::new(self, place)),
        }
    }

    /// A request is given a key and the capacity at once, whatever limits say; with until when it
    /// would have had to wait, and for which limit.
    pub fn send_anyway(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        claim: &Claim,
        now: Moment,
    ) -> Option<(Arc<Card>, Spending, Option<Held>)> {
        let mut state = self.lock();
        let Anyway { reservation, held } = state.admission.send_anyway(ask, claim, now)?;
        let card = state.cards.get(&reservation.key()).map(Arc::clone);
        drop(state);
        let spending = Spending::of(self, reservation);
        Some((card?, spending, held))
    }

    /// Gives a place up.
    pub(super) fn leave(self: &Arc<Self>, place: Place) {
        let left = self.lock().admission.leave(place);
        if left.is_some() {
            drop(left);
            self.call();
        }
    }

    /// Calls everybody whose turn has come. To be done after anything that happens.
    fn call(self: &Arc<Self>) {
        loop {
            let mut state = self.lock();
            let Some((waiter, outcome)) = state.admission.next(self.clock.moment()) else {
                // Who keeps the time may have to wake up sooner than it thinks.
                let wake = state.admission.wake();
                let sooner = wake.zip(state.keeper).is_some_and(|(wake, until)| wake < until);
                drop(state);
                if sooner {
                    self.sooner.notify_one();
                }
                return;
            };
            let card = state.card(&outcome);
            drop(state);
            waiter.call(Found::of(self, outcome, card));
        }
    }

    /// What that request of that model will take from the provider's limits.
    pub fn cost(&self, model: &str, facts: &Facts) -> Cost {
        let mut state = self.lock();
        let demand = state.estimates.demand(model, facts);
        state.admission.pool().cost(model, &demand)
    }

    /// What that request of that model will need, as far as can be told.
    pub fn demand(&self, model: &str, facts: &Facts) -> Demand {
        self.lock().estimates.demand(model, facts)
    }

    /// How much input that request of that model most likely has, in tokens.
    pub fn input(&self, model: &str, facts: &Facts) -> u64 {
        self.lock().estimates.input(model, facts)
    }

    /// Asks the retry budget for one more try; the moment at which to ask again, if it has none.
    pub fn retry(&self, now: Moment) -> Result<(), Moment> {
        self.lock().admission.retry(now)
    }

    /// The group that made one of these, if that is remembered and the group is still there.
    pub fn maker(&self, ids: &StoredIds) -> Option<GroupId> {
        self.lock().admission.maker(ids.iter().map(StoredId::as_str))
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lock().admission.waiting()
    }

    /// Looks at the pool, for status and metrics.
    pub fn look<T>(&self, look: impl FnOnce(&mut Pool, Moment) -> T) -> T {
        let now = self.clock.moment();
        look(self.lock().admission.pool_mut(), now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says aloud what somebody should know. Not under the lock: a log line may take its time.
    fn tell(&self, event: Event, code: Option<&str>) {
        let name = match event {
            Event::KeyResting(id) | Event::KeyDisabled(id) | Event::KeyRecovered(id) => {
                self.lock().admission.pool().key_name(id).map(str::to_owned)
            }
            Event::GroupClosed(id, ..)
            | Event::SharedQuota(id, _)
            | Event::GroupReopened(id)
            | Event::BreakerOpened(id, _)
            | Event::BreakerClosed(id) => {
                self.lock().admission.pool().group_name(id).map(str::to_owned)
            }
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
                let state = self.lock();
                let other = state.admission.pool().group_name(other).unwrap_or_default().to_owned();
                drop(state);
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

impl State {
    fn card_for(&self, decision: &Decision) -> Option<Arc<Card>> {
        if let Decision::Now(outcome) = decision { self.card(outcome) } else { None }
    }

    /// What is put on a request that is sent.
    fn card(&self, outcome: &Outcome) -> Option<Arc<Card>> {
        let Outcome::Send(reservation) = outcome else { return None };
        self.cards.get(&reservation.key()).map(Arc::clone)
    }
}

/// Keeps the time for those who wait before a desk, for as long as anybody does. Dropped before, with
/// its runtime, it makes way for another.
struct Keeper(Arc<Desk>);

impl Keeper {
    async fn keep(self) {
        let desk = &self.0;
        loop {
            desk.call();
            let Some(until) = self.rest() else { return };
            let time = tokio::time::sleep_until(desk.clock.instant(until));
            tokio::select! { () = time => {} () = desk.sooner.notified() => {} }
        }
    }

    /// Until when to sleep; `None` if nobody waits.
    fn rest(&self) -> Option<Moment> {
        let mut state = self.0.lock();
        let waits = state.admission.waiting() > 0;
        state.keeper = waits.then(|| state.admission.wake().unwrap_or(Moment::NEVER));
        state.keeper
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.lock().keeper = None;
    }
}

/// What becomes of a request that arrives.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart as soon as it is made")]
pub enum Arrival {
    /// That, at once.
    Found(Found),
    /// It waits.
    Waits(Standing),
}

/// What a desk can do for a request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart as soon as it is made")]
pub enum Found {
    /// Send it under this card.
    Send(Arc<Card>, Spending),
    /// There is no capacity before its deadline.
    Refused(Refused),
    /// Nothing can serve it, and waiting does not help.
    Nothing(Nothing),
}

impl Found {
    fn of(desk: &Arc<Desk>, outcome: Outcome, card: Option<Arc<Card>>) -> Self {
        match (outcome, card) {
            (Outcome::Send(reservation), Some(card)) => {
                Self::Send(card, Spending::of(desk, reservation))
            }
            (Outcome::Send(reservation), None) => {
                // Every key has its card, for they come together.
                drop(Spending::of(desk, reservation));
                Self::Nothing(Nothing::NoKey)
            }
            (Outcome::Refused(refused), _) => Self::Refused(refused),
            (Outcome::Nothing(nothing), _) => Self::Nothing(nothing),
        }
    }
}

#[cfg(test)]
mod tests;
