//! The desk of one provider: admission behind a lock that is held for one decision at a time, and the
//! credentials. It outlives the snapshots that lend it.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderName, HeaderValue};
use tokio::sync::Notify;

use super::exchange::Exchange;
use super::wait::{Standing, Waiter};
use crate::clock::{Moment, Now};
use crate::formats::meter::{self, Reading};
use crate::formats::{
    self, Dialect, Facts, Judgement, Samples, StoredId, StoredIds, Usage, Verdict,
};
use crate::keys::{
    Admission, Anyway, Ask, Decision, Event, GroupId, KeyId, LimitSpec, Nothing, Outcome, Place,
    Pool, Rebuilt, Refused, Reservation, RetryBudget, Spec,
};
use crate::lifecycle::{Clock, Tasks};
use crate::limits::{Binding, Claim, Cost, Demand, Estimates, Features};
use crate::upstream::Credential;

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
    ) -> Option<(Arc<Card>, Spending, Option<(Moment, Option<Binding>)>)> {
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
pub enum Arrival {
    /// That, at once.
    Found(Found),
    /// It waits.
    Waits(Standing),
}

/// What a desk can do for a request.
#[derive(Debug)]
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

/// Capacity that a request holds. Dropped, it is given back; once the request may have been sent, it
/// is charged whole.
#[derive(Debug)]
pub struct Spending {
    desk: Arc<Desk>,
    reservation: Option<Reservation>,
    begun: AtomicBool,
    /// What the estimate went by, and how many answers were asked for.
    about: (Features, u32),
}

impl Spending {
    fn of(desk: &Arc<Desk>, reservation: Reservation) -> Self {
        let begun = AtomicBool::new(false);
        let about = (Features::default(), 1);
        Self { desk: Arc::clone(desk), reservation: Some(reservation), begun, about }
    }

    /// This is the request that it is for: what it turns out to use is learned from.
    #[must_use]
    pub fn about(mut self, facts: &Facts) -> Self {
        self.about = (Features::of(facts), facts.choices);
        self
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
        let noticed = state.admission.observe(reservation, answer.samples, now);
        let random = fastrand::u64(..);
        let event = state.admission.report(reservation, answer.judgement, now, random);
        let waited_for = state.admission.waiting() > 0;
        drop(state);
        // What it told (a probe's success, a level) may be what somebody waits for, and the end of a
        // stream may be far away.
        if waited_for {
            self.desk.call();
        }
        for event in event.into_iter().chain(noticed) {
            self.desk.tell(event, answer.judgement.code.as_deref());
        }
    }

    /// The first byte of a streamed answer came: how long that took may tell how busy the provider is.
    pub fn began(&self) {
        let Some(reservation) = &self.reservation else { return };
        let now = self.desk.clock.moment();
        self.desk.lock().admission.pool_mut().first_byte(reservation, now);
    }

    /// So many bytes of output have flowed so far: what goes beyond the reservation is charged at
    /// once. Returns how many tokens that is, as far as can be told.
    pub fn flow(&mut self, bytes: u64) -> u64 {
        let Some(reservation) = &mut self.reservation else { return 0 };
        let now = self.desk.clock.moment();
        let mut state = self.desk.lock();
        let State { admission, estimates, .. } = &mut *state;
        let tokens = estimates.output_tokens(admission.pool().model_of(reservation), bytes);
        admission.flow(reservation, tokens, now);
        tokens
    }

    /// It was never sent: everything goes back.
    pub fn cancel(mut self) {
        self.give_back(|state, reservation, now| state.admission.cancel(reservation, now));
    }

    /// It was refused: providers count the request, and no tokens.
    pub fn refused(mut self) {
        self.give_back(|state, reservation, now| {
            state.admission.settle(reservation, &Cost::REQUEST, now);
        });
    }

    /// It was answered, whole or in part: what the answer told is charged, and what the provider
    /// stored is remembered with its group.
    pub fn settle(mut self, reading: &Reading, exchange: &mut Exchange) {
        if let meter::Outcome::Error { code } = &reading.outcome {
            let judgement = formats::judge_event(self.desk.dialect, code.as_deref());
            let met = Judgement { verdict: Verdict::MidStream, ..judgement.clone() };
            exchange.judged(&met, None, &[]);
            self.answered(&Verdicted { judgement: &judgement, samples: &Samples::new() });
        }
        self.remember(reading.stored.iter());
        let (features, choices) = self.about;
        self.give_back(|state, reservation, now| {
            let State { admission, estimates, .. } = state;
            let pool = admission.pool();
            let model = pool.model_of(&reservation);
            let flowed = estimates.output_tokens(model, reading.output);
            exchange.flowed = flowed;
            let complete = reading.outcome == meter::Outcome::Complete;
            let actual = match &reading.usage {
                Some(usage) => {
                    estimates.learn_input(model, &features, usage);
                    if complete {
                        estimates.learn_output(model, choices, reading.output, usage);
                    }
                    // Of an answer that was cut, its input may be all that was told.
                    let least = if complete { 0 } else { flowed };
                    let output = usage.output.max(least);
                    pool.charged(&reservation, &Usage { output, ..*usage })
                }
                // Nobody told: what was reserved, and what flowed beyond it.
                None => pool.flowed(&reservation, flowed).max(reservation.cost()),
            };
            admission.settle(reservation, &actual, now);
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
            state.admission.remember(id.as_str(), reservation.group());
        }
    }

    fn give_back(&mut self, end: impl FnOnce(&mut State, Reservation, Moment)) {
        let Some(reservation) = self.reservation.take() else { return };
        let now = self.desk.clock.moment();
        let mut state = self.desk.lock();
        end(&mut state, reservation, now);
        let waited_for = state.admission.waiting() > 0;
        drop(state);
        if waited_for {
            self.desk.call();
        }
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        if *self.begun.get_mut() {
            self.give_back(|state, reservation, now| state.admission.forfeit(reservation, now));
        } else {
            self.give_back(|state, reservation, now| state.admission.cancel(reservation, now));
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

    fn arrive_under(
        tasks: &Tasks,
        desk: &Arc<Desk>,
        deadline: Moment,
        bell: &Arc<Bell>,
    ) -> Arrival {
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
}
