//! Leave to send: capacity at once or after a wait, or none before the deadline.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Admitted, Trial};
use super::desk::{Arrival, Found};
use super::entry::InBody;
use super::wait::{Bell, Waiter};
use crate::clock::Moment;
use crate::formats::{Facts, models};
use crate::keys::{Ask, Backoff, Body, Nothing, Tried};
use crate::limits::{Binding, Claim, Cost, Mode};
use crate::telemetry::Would;

/// Moving on takes no waiting: so long after its arrival even a request that does not wait at all may
/// be sent once more, to find a key that works.
const MOVING_ON: Duration = Duration::from_secs(1);

/// What can be done now.
#[expect(clippy::large_enum_variant, reason = "taken apart as soon as it is made")]
enum View {
    Go(Admitted),
    /// Nothing before that moment, unless it is called.
    Wait(Moment),
    Stuck,
}

impl Trial<'_> {
    /// Takes capacity for one try, waiting for it if need be; `None` if there is none to be had
    /// before the deadline.
    pub(super) async fn admit(&mut self) -> Option<Admitted> {
        let admitted = loop {
            let now = self.exchange.clock.moment();
            if self.is_over(now) {
                break None;
            }
            if self.exchange.snapshot.mode == Mode::Observe
                && let Some(admitted) = self.observe(now)
            {
                break Some(admitted);
            }
            match self.look(now) {
                View::Go(admitted) => break Some(admitted),
                View::Wait(until) => self.wait(until).await,
                View::Stuck => break None,
            }
        };
        // Called by several targets at once, it goes to one, and the others have theirs back.
        self.bell = None;
        for leg in &mut self.legs {
            leg.place = None;
        }
        admitted
    }

    /// Takes capacity at once, of the first target that has a key, whatever limits say; what would have
    /// been done otherwise is counted.
    fn observe(&mut self, now: Moment) -> Option<Admitted> {
        for target in 0..self.legs.len() {
            let desk = Arc::clone(&self.provider(target)?.desk);
            let ask = self.ask(target);
            let claim = self.claim(&ask, self.exchange.deadline);
            let Some((card, spending, held)) = desk.send_anyway(&ask, &claim, now) else {
                continue;
            };
            let (spending, model) = (spending.about(&self.errand.facts), ask.model.to_owned());
            if let Some((until, binding)) = held {
                self.foresee((target, &model), (until, binding), now);
            }
            return Some(Admitted { target, card, spending });
        }
        None
    }

    /// Counts what would have been done to a request that a limit of its first target would not have
    /// carried before that moment.
    fn foresee(
        &mut self,
        (target, model): (usize, &str),
        (until, binding): (Moment, Option<Binding>),
        now: Moment,
    ) {
        let elsewhere = (target + 1..self.legs.len()).any(|other| {
            let ask = self.ask(other);
            let desk = self.provider(other).map(|provider| &provider.desk);
            desk.is_some_and(|desk| desk.look(|pool, _| pool.can_carry(&ask, now)))
        });
        if elsewhere {
            self.exchange.would(Would::Moved);
        } else if until <= self.exchange.deadline {
            self.exchange.would(Would::Waited);
        } else {
            self.exchange.would(Would::Refused);
            if let (Some(provider), Some(binding)) = (self.provider(target), binding) {
                self.exchange.snapshot.unmet(&provider.name, model, binding.name());
            }
        }
    }

    fn claim(&self, ask: &Ask<'_>, deadline: Moment) -> Claim {
        let caller = u64::try_from(self.exchange.caller).unwrap_or(u64::MAX);
        Claim { priority: self.exchange.terms.priority, caller, deadline, cost: ask.cost }
    }

    /// Whether what was sent once may not be sent again: it is too late, or a part of its body is
    /// gone.
    fn is_over(&self, now: Moment) -> bool {
        let last = self.exchange.deadline.max(self.exchange.arrived.at + MOVING_ON);
        self.exchange.attempts > 0 && (now > last || !self.can_be_sent_again())
    }

    /// What it was called for, else what the desk of every target says, in order: a target that has no
    /// capacity yields to the next one, and waiting comes last.
    fn look(&mut self, now: Moment) -> View {
        if let Some(admitted) = self.answer_calls(now) {
            return View::Go(admitted);
        }
        let late = now >= self.exchange.deadline;
        let several = self.legs.len() > 1;
        for target in 0..self.legs.len() {
            if !self.is_fit(target) {
                continue;
            }
            self.pay_for_again(target, now);
            let until = if several || late { now } else { self.exchange.deadline };
            if let Some(admitted) = self.arrive(target, until, now) {
                return View::Go(admitted);
            }
        }
        for target in 0..self.legs.len() {
            if several
                && !late
                && self.is_fit(target)
                && let Some(admitted) = self.arrive(target, self.exchange.deadline, now)
            {
                return View::Go(admitted);
            }
        }
        self.soonest(now).map_or(View::Stuck, View::Wait)
    }

    /// Takes what it was called for. Only the first capacity is of use.
    fn answer_calls(&mut self, now: Moment) -> Option<Admitted> {
        let calls = self.bell.as_ref()?.take();
        let mut admitted = None;
        for (target, found) in calls {
            if let Some(leg) = self.legs.get_mut(target) {
                leg.place = None;
            }
            admitted = admitted.or_else(|| self.settle_for(target, found, now));
        }
        admitted
    }

    /// When to look again: what was tried may be tried again then, or the deadline has come for who
    /// has a place.
    fn soonest(&self, now: Moment) -> Option<Moment> {
        let deadline = self.exchange.deadline;
        let again = self.legs.iter().filter(|leg| !leg.in_vain).filter_map(|leg| leg.again_at);
        let place = self.legs.iter().any(|leg| leg.place.is_some()).then_some(deadline);
        let soonest = again.chain(place).min()?;
        (soonest <= deadline && now < deadline).then_some(soonest)
    }

    /// What was tried is tried again once its moment has come and the budget pays for it.
    fn pay_for_again(&mut self, target: usize, now: Moment) {
        let again_at = self.legs.get(target).and_then(|leg| leg.again_at);
        if again_at.is_none_or(|again_at| again_at > now) {
            return;
        }
        let paid = self.provider(target).map(|provider| provider.desk.retry(now));
        let Some(leg) = self.legs.get_mut(target) else { return };
        if let Some(Err(next)) = paid {
            leg.again_at = Some(next);
        } else {
            leg.again_at = None;
            leg.place = None;
            leg.tried.again();
            self.exchange.snapshot.sheet.metrics().retries.inc();
        }
    }

    /// Asks the desk of a target for leave to send, and stands there until the deadline where it has
    /// no place yet.
    fn arrive(&mut self, target: usize, deadline: Moment, now: Moment) -> Option<Admitted> {
        let late = now >= self.exchange.deadline;
        let leg = self.legs.get_mut(target)?;
        if late {
            leg.place = None;
        } else if leg.place.is_some() {
            return None;
        }
        let desk = Arc::clone(&self.provider(target)?.desk);
        let mut bell = self.bell.as_ref().map(Arc::clone);
        let ask = self.ask(target);
        let claim = self.claim(&ask, deadline);
        // Made only for those who have to wait.
        let waiter = || {
            let bell = Arc::clone(bell.get_or_insert_with(Arc::<Bell>::default));
            Waiter { bell, target }
        };
        let arrival = desk.arrive(&ask, &claim, waiter, &self.hall.tasks, now);
        self.bell = bell;
        match arrival {
            Arrival::Found(found) => self.settle_for(target, found, now),
            Arrival::Waits(standing) => {
                let again = standing.again();
                let leg = self.legs.get_mut(target)?;
                leg.place = Some(standing);
                leg.refused = None;
                self.plan_again(target, again, now);
                None
            }
        }
    }

    fn settle_for(&mut self, target: usize, found: Found, now: Moment) -> Option<Admitted> {
        let (refused, again) = match found {
            Found::Send(card, spending) => {
                let spending = spending.about(&self.errand.facts);
                return Some(Admitted { target, card, spending });
            }
            Found::Refused(refused) => (Some(refused), refused.again),
            Found::Nothing(Nothing::AllTried(told)) => (None, Some(told)),
            Found::Nothing(_) => (None, None),
        };
        if let Some(leg) = self.legs.get_mut(target) {
            leg.refused = refused;
        }
        self.plan_again(target, again, now);
        None
    }

    pub(super) fn ask(&self, target: usize) -> Ask<'_> {
        let (provider, leg) = (self.provider(target), self.legs.get(target));
        let model = self.model(target).unwrap_or_default();
        Ask {
            model,
            caller: self.caller(),
            cost: provider
                .map_or(Cost::REQUEST, |provider| provider.desk.cost(model, &self.errand.facts)),
            tried: leg.map_or(&Tried::NOTHING, |leg| &leg.tried),
            prefix: cached_prefix(model, &self.errand.facts),
            stored_in: leg.and_then(|leg| leg.stored_in),
            body: match &self.errand.body {
                InBody::Streams(replay) if replay.may_spill() => Body::Once,
                InBody::Empty | InBody::Whole(_) | InBody::Streams(_) => Body::Replayable,
            },
            random: fastrand::u64(..),
        }
    }

    fn caller(&self) -> &str {
        let caller = self.exchange.snapshot.callers.all().nth(self.exchange.caller);
        caller.map_or("", |rule| &*rule.name)
    }

    /// Notes when a target may be tried again that was tried: never sooner than the provider said, and
    /// after a wait that grows.
    fn plan_again(&mut self, target: usize, told: Option<Moment>, now: Moment) {
        let provider = self.provider(target);
        let backoff = provider.map_or_else(Backoff::default, |provider| provider.backoff);
        let Some(leg) = self.legs.get_mut(target).filter(|leg| !leg.in_vain) else { return };
        if let Some(told) = told
            && leg.again_at.is_none()
        {
            leg.backoff = backoff.next(leg.backoff, fastrand::u64(..));
            leg.again_at = Some(told.max(now + leg.backoff));
        }
    }

    /// Waits until that moment, or until it is called.
    async fn wait(&mut self, until: Moment) {
        let clock = self.exchange.clock;
        let since = clock.moment();
        let waiting = self.exchange.waiting();
        let time = tokio::time::sleep_until(clock.instant(until));
        let stands = self.legs.iter().any(|leg| leg.place.is_some());
        match self.bell.as_ref().filter(|_| stands) {
            Some(bell) => tokio::select! { () = time => {} () = bell.rung() => {} },
            None => time.await,
        }
        drop(waiting);
        self.exchange.has_waited(since);
    }
}

/// What tells a request's prefix from others, if it is long enough for its provider to cache.
fn cached_prefix(model: &str, facts: &Facts) -> Option<u64> {
    /// The usual rule of thumb for English and code (OpenAI's help page on tokens).
    const BYTES_PER_TOKEN: u64 = 4;
    let tokens = facts.text.bytes() / BYTES_PER_TOKEN;
    facts.prefix.filter(|_| tokens >= models::smallest_cached_prefix(model))
}
