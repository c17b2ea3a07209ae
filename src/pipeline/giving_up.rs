//! Nothing can serve: what the client is told.

use super::attempt::{Carried, Trial};
use super::refusal::{Reason, Refusal};
use crate::clock::Moment;
use crate::formats::Verdict;
use crate::keys::{self, Cause, Obstacle};

/// Why the keys of one target cannot serve.
struct Plight {
    provider: Box<str>,
    model: Box<str>,
    reasons: Vec<keys::Reason>,
}

/// The provider's own last answer where it is the truer word, else a refusal that names each
/// candidate, its limit and when it frees.
pub(super) fn decide(mut trial: Trial<'_>) -> Result<Carried, Refusal> {
    let plights = plights(&trial);
    let kept = trial.kept.take();
    let reason = reason(&plights, kept.as_ref());
    if let Some(carried) = kept
        && says_more(&trial, &carried, reason)
    {
        return Ok(carried);
    }
    let now = trial.exchange.clock.now();
    let until = plights.iter().flat_map(|plight| &plight.reasons).filter_map(|why| why.until).min();
    let names: Vec<_> = plights.iter().map(|plight| plight.tell(now)).collect();
    let message = format!("{}: {}", opening(reason), names.join("; "));
    Err(Refusal::new(reason, message).until(until))
}

fn plights(trial: &Trial<'_>) -> Vec<Plight> {
    let told = (0..trial.legs.len()).filter_map(|target| {
        let provider = trial.provider(target)?;
        let ask = trial.ask(target);
        let reasons = provider.desk.look(|pool, now| pool.explain(&ask, now));
        Some(Plight { provider: (*provider.name).into(), model: ask.model.into(), reasons })
    });
    told.collect()
}

/// Capacity that comes back outweighs everything else, for then coming back helps.
fn reason(plights: &[Plight], kept: Option<&Carried>) -> Reason {
    let obstacles: Vec<_> =
        plights.iter().flat_map(|plight| &plight.reasons).map(|why| why.obstacle).collect();
    let any = |wanted: fn(Obstacle) -> bool| obstacles.iter().any(|it| wanted(*it));
    let rate_limited =
        kept.is_some_and(|kept| kept.heard.judgement.verdict == Verdict::RateLimited);
    if any(is_capacity) {
        Reason::KeysTemporarilyExhausted
    } else if any(|it| it == Obstacle::Oversized) || rate_limited {
        Reason::RequestExceedsLimit
    } else if any(|it| matches!(it, Obstacle::Closed(Cause::Breaker) | Obstacle::Tried)) {
        Reason::ProvidersUnavailable
    } else if any(is_invalid) || plights.iter().any(|plight| plight.reasons.is_empty()) {
        if kept.is_some_and(|kept| kept.heard.judgement.verdict == Verdict::KeyForbidden) {
            Reason::ProvidersUnavailable
        } else {
            Reason::KeysInvalid
        }
    } else {
        Reason::ProvidersUnavailable
    }
}

const fn is_capacity(obstacle: Obstacle) -> bool {
    matches!(obstacle, Obstacle::Closed(Cause::Rate | Cause::Quota | Cause::Billing))
}

/// A key whose account is on hold is no valid key: no waiting mends that.
const fn is_invalid(obstacle: Obstacle) -> bool {
    matches!(
        obstacle,
        Obstacle::Invalid | Obstacle::Closed(Cause::Resting | Cause::Trial | Cause::Suspended)
    )
}

/// A single target without an alias speaks for itself: its own failure, its own "forbidden", its own
/// "not found" tell more than ours.
fn says_more(trial: &Trial<'_>, kept: &Carried, reason: Reason) -> bool {
    if kept.heard.head.status.is_redirection() {
        // It would send the client past us.
        return false;
    }
    match kept.heard.judgement.verdict {
        Verdict::RequestInvalid | Verdict::KeyForbidden => true,
        Verdict::Overloaded | Verdict::ServerError => {
            reason == Reason::ProvidersUnavailable && !trial.errand.resolved.alias
        }
        Verdict::Ok
        | Verdict::RateLimited
        | Verdict::QuotaExhausted
        | Verdict::BillingExhausted
        | Verdict::KeyInvalid
        | Verdict::Suspended
        | Verdict::Timeout
        | Verdict::ConnectFailed
        | Verdict::MidStream => false,
    }
}

const fn opening(reason: Reason) -> &'static str {
    match reason {
        Reason::KeysTemporarilyExhausted => "no key has capacity within the time to wait",
        Reason::RequestExceedsLimit => "the request is larger than its limits can ever hold",
        Reason::KeysInvalid => "no key is left that the provider accepts",
        Reason::ProvidersUnavailable
        | Reason::ModelNotAllowed
        | Reason::UnknownProvider
        | Reason::UnknownPath
        | Reason::BodyTooLarge
        | Reason::InvalidRequest => "no provider can serve this just now",
    }
}

impl Plight {
    fn tell(&self, now: crate::clock::Now) -> String {
        let Self { provider, model, reasons } = self;
        let target =
            if model.is_empty() { provider.to_string() } else { format!("{provider}/{model}") };
        if reasons.is_empty() {
            return format!("{target}: no key for this caller and model");
        }
        let told: Vec<_> = reasons.iter().map(|why| tell(why, now)).collect();
        format!("{target}: {}", told.join(", "))
    }
}

fn tell(why: &keys::Reason, now: crate::clock::Now) -> String {
    let what = match (why.obstacle, why.limit) {
        (Obstacle::Closed(Cause::Rate), Some(limit)) => format!("rate limit ({limit})"),
        (Obstacle::Oversized, Some(limit)) => format!("larger than its limit ({limit})"),
        (obstacle, _) => words(obstacle).to_owned(),
    };
    let group = &why.group;
    match why.until.filter(|until| *until != Moment::NEVER) {
        Some(until) => {
            let wait = until.since(now.at).as_secs_f64();
            format!("quota group {group:?}: {what}, free in {wait:.1} s")
        }
        None => format!("quota group {group:?}: {what}"),
    }
}

const fn words(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::Closed(Cause::Rate) => "rate limit",
        Obstacle::Closed(Cause::Quota) => "quota used up",
        Obstacle::Closed(Cause::Billing) => "credit used up",
        Obstacle::Closed(Cause::Suspended) => "account suspended",
        Obstacle::Closed(Cause::Breaker) => "breaker open",
        Obstacle::Closed(Cause::Resting) => "key refused once and resting",
        Obstacle::Closed(Cause::Trial) => "key being tried for the first time",
        Obstacle::Oversized => "larger than its limit",
        Obstacle::Forbidden => "model forbidden",
        Obstacle::Invalid => "keys refused",
        Obstacle::Tried => "tried and failed",
    }
}
