//! Carrying an errand to a provider: choose a key or wait for one, send, judge, and try elsewhere,
//! until there is an answer for the client or nothing more to try.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::desk::{Card, Spending, Verdicted};
use super::entry::{Errand, InBody};
use super::exchange::Exchange;
use super::giving_up;
use super::refusal::{Reason, Refusal};
use super::snapshot::Provider;
use super::verdicts::{self, Heard};
use super::wait::Place;
use super::{Hall, outbound};
use crate::clock::Moment;
use crate::formats::{Judgement, Samples, Verdict};
use crate::keys::{GroupId, Tried};
use crate::telemetry::LaneId;
use crate::upstream::{
    Destination, Fault, Outbound, Phase, ResponseBody, SendError, Sent, Tunnel, Tunnelled, Upstream,
};

/// An answer on its way to the client.
#[derive(Debug)]
pub(super) struct Carried {
    /// Its head and body, of which [`Heard::read`] was read already.
    pub heard: Heard,
    /// Who gave it: the place of the target among the errand's.
    pub target: usize,
    /// Under which key.
    pub card: Arc<Card>,
    /// What it holds of the limits; `None` if that is settled.
    pub spending: Option<Spending>,
}

/// What an errand brought back.
#[derive(Debug)]
pub(super) enum Answered {
    /// An answer.
    Whole(Box<Carried>),
    /// The provider's agreement to another protocol, and the bytes.
    Upgraded(Response<()>, Tunnel),
}

/// Carries an errand until there is an answer for the client.
pub(super) async fn carry(
    hall: &Hall,
    exchange: &mut Exchange,
    parts: &Parts,
    errand: &Errand,
) -> Result<Answered, Refusal> {
    let mut trial = Trial::new(hall, exchange, parts, errand);
    loop {
        let Some(admitted) = trial.admit().await else {
            return giving_up::decide(trial).map(|carried| Answered::Whole(Box::new(carried)));
        };
        if let Some(answered) = trial.attempt(admitted).await? {
            return Ok(answered);
        }
    }
}

/// Connections that may close on a request, one after the other, before that is a failure.
const UNSENT: u32 = 3;

/// One request's tries.
pub(super) struct Trial<'a> {
    hall: &'a Hall,
    pub(super) exchange: &'a mut Exchange,
    parts: &'a Parts,
    pub(super) errand: &'a Errand,
    /// What was tried of each target.
    pub(super) legs: SmallVec<[Leg; 2]>,
    /// Through which it is called while it stands in a line.
    pub(super) called: Option<Arc<Notify>>,
    last_provider: Option<usize>,
    /// Tries of which nothing was sent, because the connection was being closed.
    unsent: u32,
    /// The last upstream answer, for when nothing better comes.
    pub(super) kept: Option<Carried>,
}

/// What was tried of one target.
#[derive(Debug, Default)]
pub(super) struct Leg {
    pub(super) tried: Tried,
    /// The group that made what the request names.
    pub(super) stored_in: Option<GroupId>,
    /// When what was tried may be tried again.
    pub(super) again_at: Option<Moment>,
    /// Trying again cannot help: what the request names is not known there, or it is too large.
    pub(super) in_vain: bool,
    pub(super) backoff: Duration,
    /// Its place in the target's line, while it waits there.
    pub(super) place: Option<Place>,
}

/// Capacity taken for one try.
pub(super) struct Admitted {
    pub(super) target: usize,
    pub(super) card: Arc<Card>,
    pub(super) spending: Spending,
}

impl<'a> Trial<'a> {
    fn new(
        hall: &'a Hall,
        exchange: &'a mut Exchange,
        parts: &'a Parts,
        errand: &'a Errand,
    ) -> Self {
        let mut legs = SmallVec::new();
        for target in &errand.resolved.targets {
            let provider = exchange.snapshot.providers.get(target.provider);
            let stored = &errand.facts.stored;
            let maker = provider.filter(|_| !stored.is_empty());
            let stored_in = maker.and_then(|provider| provider.desk.maker(stored));
            legs.push(Leg { stored_in, ..Leg::default() });
        }
<<<<<<< HEAD
        let (place, last_provider, kept) = (None, None, None);
        Self { hall, exchange, parts, errand, legs, place, last_provider, unsent: 0, kept }
    }

    /// Takes capacity for one try, waiting for it if need be; `None` if there is none to be had
    /// before the deadline.
    async fn admit(&mut self) -> Option<Admitted> {
        loop {
            let now = self.exchange.clock.now();
            match self.look(now) {
                View::Go(admitted) => {
                    self.place = None;
                    return Some(admitted);
                }
                View::Wait(until, line) if until <= self.exchange.deadline => {
                    if now.at >= self.exchange.deadline || !self.wait(until, line).await {
                        return None;
                    }
                }
                View::Wait(..) | View::Stuck => return None,
            }
        }
    }

    /// Asks the desk of every target, in order.
    fn look(&mut self, now: Now) -> View {
        let mut soonest: Option<(Moment, Option<usize>)> = None;
        for target in 0..self.legs.len() {
            let view = if self.must_stand_behind(target, now.at) {
                // Called when the line moves; whoever stands before has the earlier deadline.
                View::Wait(self.exchange.deadline, Some(target))
            } else {
                self.look_at(target, now.at)
            };
            match view {
                View::Go(admitted) => return View::Go(admitted),
                View::Wait(until, line) if soonest.is_none_or(|(at, _)| until < at) => {
                    soonest = Some((until, line));
                }
                View::Wait(..) | View::Stuck => {}
            }
        }
        soonest.map_or(View::Stuck, |(until, line)| View::Wait(until, line))
    }

    /// Whether others wait for that target who came first. At its deadline a request tries its luck
    /// once more wherever it stands.
    fn must_stand_behind(&self, target: usize, now: Moment) -> bool {
        match &self.place {
            Some((line, place)) if *line == target => {
                !place.is_first() && now < self.exchange.deadline
            }
            _ => self.provider(target).is_some_and(|provider| {
                provider.desk.lines.has_line(self.model(target).unwrap_or_default())
            }),
        }
    }

    fn look_at(&mut self, target: usize, now: Moment) -> View {
        let Some(provider) = self.provider(target) else { return View::Stuck };
        let desk = Arc::clone(&provider.desk);
        let mut ask = self.ask(target);
        // What was tried is tried again once its moment has come and the budget pays for it.
        if let Some(again_at) = self.legs.get(target).and_then(|leg| leg.again_at)
            && again_at <= now
        {
            match desk.retry(now) {
                Ok(()) => self.try_again(target),
                Err(next) => self.postpone(target, next),
            }
            ask = self.ask(target);
        }
        let found = desk.choose(&ask, now);
        match found {
            Found::Send(card, spending) => View::Go(Admitted { target, card, spending }),
            Found::Wait(keys::Wait { until, again: None, .. }) => View::Wait(until, Some(target)),
            Found::Wait(keys::Wait { until, again: Some(again), .. }) => {
                let again = self.again_at(target, again, now);
                if again < until {
                    View::Wait(again, None)
                } else {
                    View::Wait(until, Some(target))
                }
            }
            Found::Nothing(Nothing::AllTried(again)) if !self.is_in_vain(target) => {
                View::Wait(self.again_at(target, again, now), None)
            }
            Found::Nothing(_) => View::Stuck,
        }
    }

    pub(super) fn ask(&self, target: usize) -> Ask<'_> {
        let (dialect, leg) = (self.provider(target).map(|p| p.dialect), self.legs.get(target));
        let dialect = dialect.unwrap_or(crate::formats::Dialect::Generic);
        let caller = self.exchange.snapshot.callers.all().nth(self.exchange.caller);
        Ask {
            model: self.model(target).unwrap_or_default(),
            caller: caller.map_or("", |rule| &*rule.name),
            cost: charge::estimate(dialect, &self.errand.facts),
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

    /// Waits until that moment, or until something changes that may help. False if the line is as
    /// long as it may be.
    async fn wait(&mut self, until: Moment, line: Option<usize>) -> bool {
        if let Some(target) = line
            && self.place.as_ref().is_none_or(|(at, _)| *at != target)
        {
            self.place = None;
            let lines = self.provider(target).map(|provider| Arc::clone(&provider.desk.lines));
            let model = self.model(target).unwrap_or_default();
            let place = lines.and_then(|lines| lines.join(model, self.exchange.deadline));
            let Some(place) = place else { return false };
            let is_first = place.is_first();
            self.place = Some((target, place));
            if is_first {
                // What it would be called for may have happened before it stood here, and whoever
                // was called for it then stands behind now.
                return true;
            }
        }
        let clock = self.exchange.clock;
        let since = clock.moment();
        let waiting = self.exchange.waiting();
        let time = tokio::time::sleep_until(clock.instant(until));
        match self.place.as_ref().filter(|_| line.is_some()) {
            Some((_, place)) => tokio::select! { () = time => {} () = place.called() => {} },
            None => time.await,
        }
        drop(waiting);
        self.exchange.has_waited(since);
        true
=======
        let (called, last_provider, kept) = (None, None, None);
        Self { hall, exchange, parts, errand, legs, called, last_provider, unsent: 0, kept }
>>>>>>> review
    }

    /// One try. An answer for the client, or nothing yet.
    async fn attempt(&mut self, admitted: Admitted) -> Result<Option<Answered>, Refusal> {
        let Admitted { target, card, spending } = admitted;
        let snapshot = Arc::clone(&self.exchange.snapshot);
        let index = self.errand.resolved.targets.get(target).map_or(0, |target| target.provider);
        let Some(provider) = snapshot.providers.get(index) else { return Ok(None) };
        self.turn_to(index, provider, target, &card);
        let model = self.model(target);
        let outbound = outbound::build(provider, model, &card, self.parts, self.errand)?;
        let since = self.exchange.clock.moment();
        let sent = send(&self.hall.upstream, self.errand, &provider.destination, outbound).await;
        let heard = match sent {
            Ok(Tunnelled::Refused(response)) => {
                verdicts::hear(provider, response, model, &self.exchange.clock).await
            }
            Ok(Tunnelled::Open(agreed, tunnel)) => {
                self.exchange.was_away(since);
                spending.refused();
                return Ok(Some(Answered::Upgraded(agreed, tunnel)));
            }
            Err(error) => {
                self.exchange.was_away(since);
                return self.unanswered(target, &error, spending);
            }
        };
        self.exchange.was_away(since);
        let carried = Carried { heard, target, card, spending: Some(spending) };
        Ok(self.weigh(carried).map(|carried| Answered::Whole(Box::new(carried))))
    }

    fn turn_to(&mut self, index: usize, provider: &Provider, target: usize, card: &Card) {
        let snapshot = &self.exchange.snapshot;
        let id = LaneId {
            provider: u16::try_from(index).unwrap_or(u16::MAX),
            key: card.label,
            model: snapshot.models.slot(self.model(target).unwrap_or_default()),
            caller: u16::try_from(self.exchange.caller).unwrap_or_default(),
        };
        if let Some(last) = self.last_provider.replace(index).filter(|last| *last != index)
            && let Some(from) = snapshot.providers.get(last)
        {
            let labels = [&*from.name, &*provider.name];
            snapshot.sheet.metrics().failovers.with_label_values(&labels).inc();
        }
        self.exchange.turn_to(id, &card.name);
    }

    /// What follows from an answer: it goes to the client, or another try is made.
    fn weigh(&mut self, mut carried: Carried) -> Option<Carried> {
        let heard = &carried.heard;
        let status = heard.head.status;
        let elsewhere = self.may_be_elsewhere(&carried);
        self.exchange.judged(&heard.judgement, Some(status.as_u16()), &heard.samples);
        let spending = carried.spending.take()?;
        if elsewhere {
            let known = Judgement::of(Verdict::RequestInvalid);
            spending.answered(&Verdicted { judgement: &known, samples: &heard.samples });
        } else {
            spending.answered(&Verdicted { judgement: &heard.judgement, samples: &heard.samples });
        }
        if heard.judgement.verdict == Verdict::Ok {
            carried.spending = Some(spending);
            return Some(carried);
        }
        let final_word = heard.judgement.verdict == Verdict::RequestInvalid && !elsewhere;
        self.note(carried.target, &spending, &carried.heard.judgement, status, elsewhere);
        spending.refused();
        if final_word {
            return Some(carried);
        }
        // The first 404 of a thing that nobody knows is the one to return.
        if !(elsewhere && self.kept.is_some()) {
            self.kept = Some(carried);
        }
        None
    }

    /// Whether the answer says that this group does not know what the request names, and another
    /// may: ids belong to the organisation that made them.
    fn may_be_elsewhere(&self, carried: &Carried) -> bool {
        let known_maker = self.legs.get(carried.target).is_some_and(|leg| leg.stored_in.is_some());
        let names_stored = !self.errand.facts.stored.is_empty();
        let status = carried.heard.head.status;
        let unknown = matches!(
            carried.heard.judgement.verdict,
            Verdict::RequestInvalid | Verdict::KeyForbidden
        ) && matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST
        );
        let code = carried.heard.judgement.code.as_deref().unwrap_or_default();
        let of_body = status != StatusCode::BAD_REQUEST || code.ends_with("not_found");
        names_stored && !known_maker && unknown && of_body
    }

    fn note(
        &mut self,
        target: usize,
        spending: &Spending,
        judgement: &Judgement,
        status: StatusCode,
        elsewhere: bool,
    ) {
        let Some(leg) = self.legs.get_mut(target) else { return };
        let Some(attempt) = spending.attempt() else { return };
        if judgement.verdict == Verdict::RateLimited && !judgement.oversized {
            // After a plain rate limit the scales say when to come back, and coming back then is
            // no retry: the group was never at fault.
            return;
        }
        let no_such_model =
            judgement.verdict == Verdict::KeyForbidden && status == StatusCode::NOT_FOUND;
        leg.in_vain = elsewhere || judgement.oversized || no_such_model;
        // After another failure, another wait.
        leg.again_at = None;
        if elsewhere {
            leg.tried.note_unknown(attempt);
        } else {
            leg.tried.note(attempt, judgement.verdict, status.as_u16());
        }
    }

    /// No answer came at all.
    fn unanswered(
        &mut self,
        target: usize,
        error: &SendError,
        spending: Spending,
    ) -> Result<Option<Answered>, Refusal> {
        tracing::debug!(%error, "No answer");
        if error.sent() == Sent::No && error.fault() == Fault::Broken && self.unsent < UNSENT {
            // A server that closes its connections from time to time: nobody's failure.
            self.unsent += 1;
            spending.cancel();
            return Ok(None);
        }
        if error.fault() == Fault::Timeout(Phase::Place) {
            // Our own bound on connections, for which no group is to be blamed. Other targets have
            // other connections.
            if self.legs.len() > 1 {
                self.note_unanswered(target, &spending, Verdict::ConnectFailed);
            }
            spending.cancel();
            return Ok(None);
        }
        let judgement = Judgement::of(error.verdict());
        self.exchange.judged(&judgement, None, &[]);
        if matches!(error.fault(), Fault::RequestBody | Fault::Request) {
            spending.cancel();
            let message = if error.fault() == Fault::Request {
                "the request cannot be forwarded"
            } else {
                "the request's body ended, or stopped arriving, before it was complete"
            };
            return Err(Refusal::new(Reason::InvalidRequest, message));
        }
        spending.answered(&Verdicted { judgement: &judgement, samples: &Samples::new() });
        self.note_unanswered(target, &spending, judgement.verdict);
        match error.sent() {
            Sent::No => spending.cancel(),
            // It was, or may have been, sent whole: charged as spent.
            Sent::Maybe | Sent::Yes => drop(spending),
        }
        Ok(None)
    }

    fn note_unanswered(&mut self, target: usize, spending: &Spending, verdict: Verdict) {
        if let (Some(leg), Some(attempt)) = (self.legs.get_mut(target), spending.attempt()) {
            leg.tried.note(attempt, verdict, 0);
            (leg.again_at, leg.in_vain) = (None, false);
        }
    }

    pub(super) fn can_be_sent_again(&self) -> bool {
        match &self.errand.body {
            InBody::Streams(replay) => replay.whole(),
            InBody::Empty | InBody::Whole(_) => true,
        }
    }

    pub(super) fn provider(&self, target: usize) -> Option<&Provider> {
        let target = self.errand.resolved.targets.get(target)?;
        self.exchange.snapshot.providers.get(target.provider)
    }

    /// What the provider of that target calls the model.
    pub(super) fn model(&self, target: usize) -> Option<&str> {
        let named = self.errand.resolved.targets.get(target)?.model.as_deref()?;
        let deployed = self.provider(target)?.deployments.get(named);
        Some(deployed.map_or(named, |deployment| &**deployment))
    }
}

async fn send(
    upstream: &Upstream,
    errand: &Errand,
    destination: &Arc<Destination>,
    outbound: Outbound<'_>,
) -> Result<Tunnelled, SendError> {
    if errand.upgrade {
        // Rare and large: boxed, so that every other request's future stays small.
        return Box::pin(upstream.tunnel(destination, outbound)).await;
    }
    upstream.send(destination, outbound).await.map(Tunnelled::Refused)
}

/// The head and body of an upstream answer.
pub(super) type Answer = Response<ResponseBody>;
