//! Leave to send: capacity at once or after a wait, or none before the deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::attempt::{Admitted, Trial};
use super::desk::Found;
use super::entry::InBody;
use crate::clock::Moment;
use crate::keys::{Ask, Backoff, Body, Nothing, Tried};
use crate::limits::Cost;

/// Moving on takes no waiting: so long after its arrival even a request that does not wait at all may
/// be sent once more, to find a key that works.
const MOVING_ON: Duration = Duration::from_secs(1);

/// What can be done now.
enum View {
    Go(Admitted),
    /// Nothing before that moment, when what was tried may be tried again.
    Again(Moment),
    /// Nothing before that moment, unless something changes, for whoever is the first in line.
    Line(Moment),
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
            match self.look(now) {
                View::Go(admitted) => break Some(admitted),
                View::Again(until) | View::Line(until) if self.has_time(until, now) => {
                    self.wait(until).await;
                }
                View::Again(_) | View::Line(_) | View::Stuck => break None,
            }
        };
        for leg in &mut self.legs {
            leg.place = None;
        }
        admitted
    }

    /// Whether what was sent once may not be sent again: it is too late, or a part of its body is
    /// gone.
    fn is_over(&self, now: Moment) -> bool {
        let last = self.exchange.deadline.max(self.exchange.arrived.at + MOVING_ON);
        self.exchange.attempts > 0 && (now > last || !self.can_be_sent_again())
    }

    fn has_time(&self, until: Moment, now: Moment) -> bool {
        until <= self.exchange.deadline && now < self.exchange.deadline
    }

    /// Asks the desk of every target, in order.
    fn look(&mut self, now: Moment) -> View {
        let mut soonest: Option<Moment> = None;
        for target in 0..self.legs.len() {
            match self.look_in_turn(target, now) {
                View::Go(admitted) => return View::Go(admitted),
                View::Again(until) | View::Line(until) => {
                    soonest = Some(soonest.map_or(until, |at| at.min(until)));
                }
                View::Stuck => {}
            }
        }
        soonest.map_or(View::Stuck, View::Line)
    }

    /// Looks at a target, and stands in its line for as long as that is what it waits for.
    fn look_in_turn(&mut self, target: usize, now: Moment) -> View {
        let mut view = self.look_if_first(target, now);
        if let View::Line(until) = view
            && !self.has_place(target)
            && self.has_time(until, now)
        {
            if !self.join(target) {
                return View::Stuck;
            }
            // Nobody tells it what changed before it had its place: that others have left, or that it
            // stands before them.
            view = self.look_if_first(target, now);
        }
        if !matches!(view, View::Line(_))
            && let Some(leg) = self.legs.get_mut(target)
        {
            leg.place = None;
        }
        view
    }

    fn look_if_first(&mut self, target: usize, now: Moment) -> View {
        if self.must_stand_behind(target, now) {
            // Called when the line moves; whoever stands before has the earlier deadline.
            return View::Line(self.exchange.deadline);
        }
        self.look_at(target, now)
    }

    /// Whether others wait for that target who come first. At its deadline a request tries its luck
    /// once more wherever it stands.
    fn must_stand_behind(&self, target: usize, now: Moment) -> bool {
        if now >= self.exchange.deadline {
            return false;
        }
        match self.legs.get(target).and_then(|leg| leg.place.as_ref()) {
            Some(place) => !place.is_first(),
            None => self
                .provider(target)
                .is_some_and(|provider| provider.desk.lines.has_line(|| self.line(target))),
        }
    }

    fn look_at(&mut self, target: usize, now: Moment) -> View {
        let Some(provider) = self.provider(target) else { return View::Stuck };
        let desk = Arc::clone(&provider.desk);
        // What was tried is tried again once its moment has come and the budget pays for it.
        if let Some(again_at) = self.legs.get(target).and_then(|leg| leg.again_at)
            && again_at <= now
        {
            match desk.retry(now) {
                Ok(()) => self.try_again(target),
                Err(next) => self.postpone(target, next),
            }
        }
        match desk.choose(&self.ask(target), now) {
            Found::Send(card, spending) => View::Go(Admitted { target, card, spending }),
            Found::Wait(wait) => {
                let told = wait.again.filter(|_| !self.is_in_vain(target));
                let again = told.map(|told| self.again_at(target, told, now));
                match again.filter(|again| *again < wait.until) {
                    Some(again) => View::Again(again),
                    None => View::Line(wait.until),
                }
            }
            Found::Nothing(Nothing::AllTried(told)) if !self.is_in_vain(target) => {
                View::Again(self.again_at(target, told, now))
            }
            Found::Nothing(_) => View::Stuck,
        }
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
            preferred: None,
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

    /// When that target may be tried again: never sooner than the provider said, and after a wait
    /// that grows.
    fn again_at(&mut self, target: usize, told: Moment, now: Moment) -> Moment {
        let provider = self.provider(target);
        let backoff = provider.map_or_else(Backoff::default, |provider| provider.backoff);
        let Some(leg) = self.legs.get_mut(target) else { return Moment::NEVER };
        *leg.again_at.get_or_insert_with(|| {
            leg.backoff = backoff.next(leg.backoff, fastrand::u64(..));
            told.max(now + leg.backoff)
        })
    }

    fn is_in_vain(&self, target: usize) -> bool {
        self.legs.get(target).is_none_or(|leg| leg.in_vain)
    }

    fn try_again(&mut self, target: usize) {
        if let Some(leg) = self.legs.get_mut(target) {
            leg.again_at = None;
            leg.tried.again();
            self.exchange.snapshot.sheet.metrics().retries.inc();
        }
    }

    fn postpone(&mut self, target: usize, until: Moment) {
        if let Some(leg) = self.legs.get_mut(target) {
            leg.again_at = Some(until);
        }
    }

    fn has_place(&self, target: usize) -> bool {
        self.legs.get(target).is_some_and(|leg| leg.place.is_some())
    }

    /// Takes a place in the line of that target. False if the line is as long as it may be.
    fn join(&mut self, target: usize) -> bool {
        let line = self.line(target);
        let deadline = self.exchange.deadline;
        let called = Arc::clone(self.called.get_or_insert_with(Arc::<Notify>::default));
        let lines = self.provider(target).map(|provider| Arc::clone(&provider.desk.lines));
        let place = lines.and_then(|lines| lines.join(&line, deadline, &called));
        let joined = place.is_some();
        if let Some(leg) = self.legs.get_mut(target) {
            leg.place = place;
        }
        joined
    }

    /// The line for that target. Who has keys of its own, needs the group that made what it names, or
    /// has been refused by some group waits for something else than everybody, and neither holds the
    /// others up nor is held up.
    fn line(&self, target: usize) -> String {
        let mut line = self.model(target).unwrap_or_default().to_owned();
        let caller = self.caller();
        if self.provider(target).is_some_and(|provider| provider.desk.has_keys_of(caller)) {
            line.extend(["\ncaller ", caller]);
        }
        if let Some(group) = self.legs.get(target).and_then(|leg| leg.stored_in) {
            line.extend(["\nstored in ", &group.index().to_string()]);
        }
        if self.legs.get(target).is_some_and(|leg| !leg.tried.nothing()) {
            line.push_str("\nagain");
        }
        line
    }

    /// Waits until that moment, or until something changes in a line where it stands.
    async fn wait(&mut self, until: Moment) {
        let clock = self.exchange.clock;
        let since = clock.moment();
        let waiting = self.exchange.waiting();
        let time = tokio::time::sleep_until(clock.instant(until));
        let stands = self.legs.iter().any(|leg| leg.place.is_some());
        match self.called.as_ref().filter(|_| stands) {
            Some(called) => tokio::select! { () = time => {} () = called.notified() => {} },
            None => time.await,
        }
        drop(waiting);
        self.exchange.has_waited(since);
    }
}
