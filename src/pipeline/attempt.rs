//! Carrying an errand to a provider: choose a key or wait for one, send, judge, and try elsewhere,
//! until there is an answer for the client or nothing more to try.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use smallvec::SmallVec;

use super::desk::{Card, Spending, Verdicted};
use super::entry::{Errand, InBody};
use super::exchange::{Exchange, awaited};
use super::giving_up;
use super::refusal::{Reason, Refusal};
use super::snapshot::Provider;
use super::verdicts::{self, Heard};
use super::wait::{Bell, Standing};
use super::{Hall, outbound};
use crate::clock::Moment;
use crate::formats::{self, Judgement, Samples, Verdict};
use crate::keys::{GroupId, Refused, Tried};
use crate::limits::Mode;
use crate::telemetry::LaneId;
use crate::upstream::{Fault, Phase, ResponseBody, SendError, Sent, Tunnel, Tunnelled};

/// An answer on its way to the client.
#[derive(Debug)]
pub(super) struct Carried {
    /// Its head and body, of which [`Heard::read`] was read already.
    pub heard: Box<Heard>,
    /// Who gave it: the place of the target among the errand's.
    pub target: usize,
    /// Under which key.
    pub card: Arc<Card>,
    /// What it holds of the limits; `None` if that is settled.
    pub spending: Option<Spending>,
}

/// What an errand brought back.
#[expect(clippy::large_enum_variant, reason = "nearly every request ends in the large one")]
#[derive(Debug)]
pub(super) enum Answered {
    /// An answer.
    Whole(Carried),
    /// The provider's agreement to another protocol, and the bytes.
    Upgraded(Box<(Response<()>, Tunnel)>),
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
            return giving_up::decide(trial).map(Answered::Whole);
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
    pub(super) hall: &'a Hall,
    pub(super) exchange: &'a mut Exchange,
    parts: &'a Parts,
    pub(super) errand: &'a Errand,
    /// What was tried of each target.
    pub(super) legs: SmallVec<[Leg; 2]>,
    /// Through which it is called while it waits.
    pub(super) bell: Option<Arc<Bell>>,
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
    /// Its place among those who wait for that target.
    pub(super) place: Option<Standing>,
    /// That waiting for it would take too long.
    pub(super) refused: Option<Refused>,
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
        let (bell, last_provider, kept) = (None, None, None);
        Self { hall, exchange, parts, errand, legs, bell, last_provider, unsent: 0, kept }
    }

    /// One try. An answer for the client, or nothing yet.
    async fn attempt(&mut self, admitted: Admitted) -> Result<Option<Answered>, Refusal> {
        let Admitted { target, card, spending } = admitted;
        let snapshot = Arc::clone(&self.exchange.snapshot);
        let index = self.errand.resolved.targets.get(target).map_or(0, |target| target.provider);
        let Some(provider) = snapshot.providers.get(index) else { return Ok(None) };
        self.turn_to(index, provider, target, &card);
        let model = model(self.errand, provider, target);
        let what = (self.parts, self.errand);
        let sending = send(self.hall, what, (provider, model), (&card, spending.begun()));
        let (sent, span) = awaited(self.exchange.clock, sending).await;
        self.exchange.was_away(span);
        let heard = match sent? {
            Ok(Tunnelled::Refused(response)) => {
                verdicts::hear(provider, response, model, self.exchange).await
            }
            Ok(Tunnelled::Open(agreed, tunnel)) => {
                self.agreed(provider, &agreed, spending);
                return Ok(Some(Answered::Upgraded(Box::new((agreed, tunnel)))));
            }
            Err(error) => return self.unanswered(target, &error, spending),
        };
        let carried = Carried { heard, target, card, spending: Some(spending) };
        Ok(self.weigh(carried).map(Answered::Whole))
    }

    /// The provider agreed to another protocol: it counts a request, and tells no tokens.
    fn agreed(&mut self, provider: &Provider, agreed: &Response<()>, spending: Spending) {
        let now = self.exchange.wall();
        let samples = formats::levels(provider.dialect, agreed.headers(), now);
        let judgement = Judgement::of(Verdict::Ok);
        self.exchange.judged(&judgement, Some(agreed.status().as_u16()), &samples);
        spending.answered(&Verdicted { judgement: &judgement, samples: &samples });
        spending.refused();
    }

    fn turn_to(&mut self, index: usize, provider: &Provider, target: usize, card: &Card) {
        let snapshot = Arc::clone(&self.exchange.snapshot);
        let model = self.model(target).unwrap_or_default();
        let price = snapshot.price(model);
        let id = LaneId {
            provider: u16::try_from(index).unwrap_or(u16::MAX),
            key: card.label,
            model: snapshot.models.slot(model),
            caller: u16::try_from(self.exchange.caller).unwrap_or_default(),
        };
        if let Some(last) = self.last_provider.replace(index).filter(|last| *last != index)
            && let Some(from) = snapshot.providers.get(last)
        {
            let labels = [&*from.name, &*provider.name];
            snapshot.sheet.metrics().failovers.with_label_values(&labels).inc();
        }
        self.exchange.turn_to(id, &card.name, price);
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
        let limited = judgement.verdict == Verdict::RateLimited && !judgement.oversized;
        if limited && self.exchange.snapshot.mode == Mode::Enforce {
            // After a plain rate limit the scales say when to come back, and coming back then is
            // no retry: the group was never at fault.
            return;
        }
        let no_such_model =
            judgement.verdict == Verdict::KeyForbidden && status == StatusCode::NOT_FOUND;
        // Who only observes does not wait for a limit, so there is no coming back.
        leg.in_vain = elsewhere || judgement.oversized || no_such_model || limited;
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
        model(self.errand, self.provider(target)?, target)
    }
}

/// Sends a request to `provider`, where the model is called `model`, under the key on `card`.
async fn send(
    hall: &Hall,
    (parts, errand): (&Parts, &Errand),
    (provider, model): (&Provider, Option<&str>),
    (card, begun): (&Card, &AtomicBool),
) -> Result<Result<Tunnelled, SendError>, Refusal> {
    let headers = outbound::headers(provider, card, parts, errand);
    let outbound = outbound::build(provider, model, (card, &headers), parts, errand)?;
    if errand.upgrade {
        begun.store(true, Ordering::Relaxed);
        // Rare and large: boxed, so that every other request's future stays small.
        return Ok(Box::pin(hall.upstream.tunnel(&provider.destination, outbound)).await);
    }
    let sent = hall.upstream.send_telling(&provider.destination, outbound, begun).await;
    Ok(sent.map(Tunnelled::Refused))
}

/// What that provider, the target's, calls the model.
fn model<'e>(errand: &'e Errand, provider: &'e Provider, target: usize) -> Option<&'e str> {
    let named = errand.resolved.targets.get(target)?.model.as_deref()?;
    let deployed = provider.deployments.get(named);
    Some(deployed.map_or(named, |deployment| &**deployment))
}

/// The head and body of an upstream answer.
pub(super) type Answer = Response<ResponseBody>;
