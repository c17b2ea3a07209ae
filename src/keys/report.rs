//! What an answer's verdict does to key, quota group and breaker.

use std::time::Duration;

use crate::clock::Moment;
use crate::formats::{Judgement, Scope, Verdict};

use super::gate::{Cause, News, Waits};
use super::pool::{GroupId, KeyId, Pool, Reservation};
use super::rack::KeyState;

/// Something worth a log line, a metric, or waking somebody up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The provider refused a key for the first time; it rests for seconds.
    KeyResting(KeyId),
    /// The provider refused a key for the second time; it is not used until its value changes.
    KeyDisabled(KeyId),
    /// A key that had been refused works.
    KeyRecovered(KeyId),
    /// A group, or one model of it, is closed until that moment.
    GroupClosed(GroupId, Cause, Moment),
    /// A group, or one model of it, works again.
    GroupReopened(GroupId),
    /// The breaker of a group and model opened until that moment.
    BreakerOpened(GroupId, Moment),
    /// It closed.
    BreakerClosed(GroupId),
    /// What the second group spends is missing in the first: the two seem to draw on the same limits,
    /// and ought to be one group.
    SharedQuota(GroupId, GroupId),
}

/// A quota that says no reset is looked at again after this.
const QUOTA: Waits = Waits(Duration::from_mins(10), Duration::from_mins(10));
/// Only a person ends these: they are looked at less and less often.
const BENCH: Waits = Waits(Duration::from_mins(10), Duration::from_hours(1));
/// A key that may not use a model is not asked for it again for this long.
const FORBIDDEN: Duration = Duration::from_mins(10);

impl Pool {
    /// Takes the verdict on an attempt in: once for its answer, and once more if its stream broke.
    pub fn report(
        &mut self,
        attempt: &Reservation,
        judgement: &Judgement,
        now: Moment,
        random: u64,
    ) -> Option<Event> {
        let sent = attempt.at();
        let news = News { sent, told: judgement.retry_at, now, random };
        match judgement.verdict {
            Verdict::Ok | Verdict::RequestInvalid => {
                self.carried(attempt, now);
                self.worked(attempt, now)
            }
            Verdict::RateLimited => {
                if !judgement.oversized {
                    self.hold(attempt, judgement, &news);
                }
                self.worked(attempt, now)
            }
            Verdict::QuotaExhausted => {
                self.answered(attempt, now);
                self.close(attempt, judgement.scope, Cause::Quota, QUOTA, &news)
            }
            Verdict::BillingExhausted => {
                self.answered(attempt, now);
                self.close(attempt, Scope::Group, Cause::Billing, BENCH, &news)
            }
            Verdict::Suspended => self.close(attempt, Scope::Group, Cause::Suspended, BENCH, &news),
            Verdict::KeyInvalid => self.refused(attempt, now, random),
            Verdict::KeyForbidden => {
                let event = self.answered(attempt, now);
                if self.has_key(attempt.key)
                    && let Some(model) = self.models.live(attempt.model)
                {
                    model.forbid(attempt.key.slot, now + FORBIDDEN);
                }
                event
            }
            Verdict::Overloaded | Verdict::ServerError => {
                self.strain(attempt, judgement.verdict, now);
                self.failed(attempt, &news)
            }
            Verdict::Timeout | Verdict::ConnectFailed | Verdict::MidStream => {
                self.strain(attempt, judgement.verdict, now);
                self.failed(attempt, &News { told: None, ..news })
            }
        }
    }

    /// No rate limit stood in the way.
    fn carried(&mut self, attempt: &Reservation, now: Moment) {
        let known = self.models.live(attempt.model).is_some();
        let Some(group) = self.groups.live(attempt.group) else { return };
        group.holds.carried(attempt.at());
        if let Some(cell) = group.cell_mut(attempt.model.slot).filter(|_| known) {
            cell.ledger.carried(&attempt.own, now);
        }
    }

    /// The provider would do what is asked but for its rate: key, group and model work.
    fn worked(&mut self, attempt: &Reservation, now: Moment) -> Option<Event> {
        let answered = self.answered(attempt, now);
        let sent = attempt.at();
        let id = attempt.group;
        let known = self.models.live(attempt.model).is_some();
        let group = self.groups.live(id)?;
        let mut reopened = group.gate.passed(sent);
        if let Some(cell) = group.cell_mut(attempt.model.slot).filter(|_| known) {
            reopened |= cell.quota.passed(sent);
        }
        if reopened {
            self.models.reopen(id.slot);
            return Some(Event::GroupReopened(id));
        }
        answered
    }

    /// The provider answered, and knew the key.
    fn answered(&mut self, attempt: &Reservation, now: Moment) -> Option<Event> {
        let recovered =
            self.has_key(attempt.key) && self.rack.took(attempt.key.slot, attempt.at(), now);
        let closed = self.alive(attempt, now);
        if recovered {
            return Some(Event::KeyRecovered(attempt.key));
        }
        closed
    }

    /// The provider answered: its breaker can close.
    fn alive(&mut self, attempt: &Reservation, now: Moment) -> Option<Event> {
        let model = self.models.live(attempt.model)?;
        let group = self.groups.live(attempt.group)?;
        let cell = group.cell_mut(attempt.model.slot)?;
        if !cell.circuit.answered(&self.spec.breaker, attempt.at(), now) {
            return None;
        }
        model.closed.remove(attempt.group.slot);
        Some(Event::BreakerClosed(attempt.group))
    }

    fn hold(&mut self, attempt: &Reservation, judgement: &Judgement, news: &News) {
        let slot = attempt.group.slot;
        let Some(group) = self.groups.live(attempt.group) else { return };
        let (dimension, retry_at) = (judgement.dimension, judgement.retry_at);
        if judgement.scope == Scope::Group {
            let until = group.holds.set(dimension, retry_at, news.sent, news.now, news.random);
            if dimension.is_none() {
                self.models.shut(slot, until);
            }
            return;
        }
        let Some(model) = self.models.live(attempt.model) else { return };
        let Some(cell) = group.cell_mut(attempt.model.slot) else { return };
        let until = cell.ledger.refuse(&attempt.own, dimension, retry_at, news.now, news.random);
        if dimension.is_none() {
            model.shut(slot, until);
        }
    }

    fn close(
        &mut self,
        attempt: &Reservation,
        scope: Scope,
        cause: Cause,
        waits: Waits,
        news: &News,
    ) -> Option<Event> {
        let slot = attempt.group.slot;
        let group = self.groups.live(attempt.group)?;
        self.models.reopen(slot);
        let (new, until) = if scope == Scope::Group {
            let new = group.gate.close(cause, waits, news);
            let until = group.gate.closure()?.until();
            self.models.shut(slot, until);
            (new, until)
        } else {
            let model = self.models.live(attempt.model)?;
            let quota = &mut group.cell_mut(attempt.model.slot)?.quota;
            let new = quota.close(cause, waits, news);
            let until = quota.closure()?.until();
            model.shut(slot, until);
            (new, until)
        };
        new.then_some(Event::GroupClosed(attempt.group, cause, until))
    }

    fn refused(&mut self, attempt: &Reservation, now: Moment, random: u64) -> Option<Event> {
        let closed = self.alive(attempt, now);
        if !self.has_key(attempt.key) {
            return closed;
        }
        match self.rack.refused(attempt.key.slot, attempt.at(), now, random) {
            Some(KeyState::Resting) => Some(Event::KeyResting(attempt.key)),
            Some(KeyState::Disabled) => Some(Event::KeyDisabled(attempt.key)),
            _ => closed,
        }
    }

    /// It may be that the provider has too many of our requests at once.
    fn strain(&mut self, attempt: &Reservation, verdict: Verdict, now: Moment) {
        let known = self.models.live(attempt.model).is_some();
        let Some(group) = self.groups.live(attempt.group) else { return };
        let Some(cell) = group.cell_mut(attempt.model.slot).filter(|_| known) else { return };
        if verdict == Verdict::Overloaded {
            cell.ledger.overloaded(&attempt.own, now);
        } else if verdict != Verdict::ConnectFailed {
            cell.ledger.failed(&attempt.own, now);
        }
    }

    fn failed(&mut self, attempt: &Reservation, news: &News) -> Option<Event> {
        if self.has_key(attempt.key) {
            self.rack.release(attempt.key.slot, news.sent, news.now);
        }
        let slot = attempt.group.slot;
        let model = self.models.live(attempt.model)?;
        model.closed.remove(slot);
        let group = self.groups.live(attempt.group)?;
        let circuit = &mut group.cell_mut(attempt.model.slot)?.circuit;
        let opened = circuit.failed(&self.spec.breaker, news);
        let until = circuit.gate.closure()?.until();
        model.shut(slot, until);
        opened.then_some(Event::BreakerOpened(attempt.group, until))
    }
}
