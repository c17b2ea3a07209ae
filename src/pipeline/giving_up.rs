//! Nothing can serve: what the client is told.

use std::time::Duration;

use super::attempt::{Carried, Trial};
use super::refusal::{Reason, Refusal};
use crate::clock::Moment;
use crate::formats::Verdict;
use crate::keys::{self, Cause, Obstacle, Refused, Why};
use crate::limits::Mode;

/// Why the keys of one target cannot serve.
struct Plight {
    provider: Box<str>,
    model: Box<str>,
    reasons: Vec<keys::Reason>,
    /// They could: it was given up for another reason.
    serves: bool,
    /// The target itself has said that trying again is no use.
    in_vain: bool,
    /// That waiting for it would have taken too long.
    refused: Option<Refused>,
}

/// The soonest that a client is told to come back after a failure.
const SOONEST: Duration = Duration::from_secs(1);

/// Quota groups of one target that a message names.
const MOST_NAMED: usize = 32;

/// The provider's own last answer where it is the truer word, else a refusal that names each
/// candidate, its limit and when it frees.
pub(super) fn decide(mut trial: Trial<'_>) -> Result<Carried, Refusal> {
    let plights = plights(&trial);
    let kept = trial.kept.take();
    if plights.is_empty()
        && let Some(unfit) = trial.legs.iter_mut().find_map(|leg| leg.unfit.take())
    {
        return kept.ok_or(unfit);
    }
    let reason = reason(&trial, &plights, kept.as_ref());
    let observes = trial.exchange.snapshot.mode == Mode::Observe;
    if let Some(carried) = kept
        && (observes || says_more(&trial, &carried, reason, &plights))
    {
        return Ok(carried);
    }
    if matches!(reason, Reason::KeysTemporarilyExhausted | Reason::RequestExceedsLimit) {
        for plight in &plights {
            plight.count(&trial);
        }
    }
    let now = trial.exchange.clock.now();
    let names: Vec<_> = plights.iter().map(|plight| plight.tell(now)).collect();
    let once = if trial.exchange.attempts > 0 && !trial.can_be_sent_again() {
        " (the body was too large to be kept for another try)"
    } else {
        ""
    };
    let message = format!("{}{once}: {}", opening(reason), names.join("; "));
    Err(Refusal::new(reason, message).until(until(reason, &plights, now.at)))
}

fn plights(trial: &Trial<'_>) -> Vec<Plight> {
    let fit = trial.legs.iter().enumerate().filter(|(_, leg)| leg.unfit.is_none());
    let told = fit.filter_map(|(target, leg)| {
        let provider = trial.provider(target)?;
        let ask = trial.ask(target);
        let look =
            |pool: &mut keys::Pool, now| (pool.explain(&ask, now), pool.can_carry(&ask, now));
        let (reasons, serves) = provider.desk.look(look);
        let (provider, model) = ((*provider.name).into(), ask.model.into());
        let (in_vain, refused) = (leg.in_vain, leg.refused);
        Some(Plight { provider, model, reasons, serves, in_vain, refused })
    });
    told.collect()
}

/// Capacity that comes back outweighs everything else, for then coming back helps.
fn reason(trial: &Trial<'_>, plights: &[Plight], kept: Option<&Carried>) -> Reason {
    let kept = kept.map(|kept| &kept.heard.judgement);
    let too_large = kept.is_some_and(|judgement| judgement.oversized);
    let exceeds = |plight: &Plight| {
        let mut reasons = plight.reasons.iter();
        too_large && plight.in_vain
            || !plight.reasons.is_empty() && reasons.all(|why| why.obstacle == Obstacle::Oversized)
    };
    if !plights.is_empty() && plights.iter().all(exceeds) {
        Reason::RequestExceedsLimit
    } else if plights.iter().any(|plight| plight.serves) {
        // Others come first, it is too late, or the body cannot be sent again.
        let refused = kept.is_some_and(|judgement| is_exhaustion(judgement.verdict));
        if refused || trial.exchange.attempts == 0 {
            Reason::KeysTemporarilyExhausted
        } else {
            Reason::ProvidersUnavailable
        }
    } else if any(plights, is_capacity) {
        Reason::KeysTemporarilyExhausted
    } else if any(plights, has_failed) {
        Reason::ProvidersUnavailable
    } else if any(plights, |obstacle| obstacle == Obstacle::Oversized) {
        Reason::RequestExceedsLimit
    } else if any(plights, is_invalid) || plights.iter().all(|plight| plight.reasons.is_empty()) {
        Reason::KeysInvalid
    } else {
        Reason::ProvidersUnavailable
    }
}

/// When coming back helps, if nothing else changes: when the first of what `reason` is about has
/// passed.
fn until(reason: Reason, plights: &[Plight], now: Moment) -> Option<Moment> {
    let wanted: fn(Obstacle) -> bool = match reason {
        Reason::KeysTemporarilyExhausted => is_capacity,
        Reason::ProvidersUnavailable => has_failed,
        Reason::CallerLimitExceeded
        | Reason::RequestExceedsLimit
        | Reason::KeysInvalid
        | Reason::ModelNotAllowed
        | Reason::UnknownProvider
        | Reason::UnknownPath
        | Reason::BodyTooLarge
        | Reason::InvalidRequest => return None,
    };
    let reasons = plights.iter().flat_map(|plight| &plight.reasons);
    let until = reasons.filter(|why| wanted(why.obstacle)).filter_map(|why| why.until);
    let until = until.filter(|until| *until != Moment::NEVER).min();
    let refused = || plights.iter().filter_map(|plight| plight.refused);
    if reason == Reason::KeysTemporarilyExhausted
        && let Some(predicted) = refused().map(|refused| refused.until).min()
    {
        // Where others wait, that capacity is there does not yet mean that it is one's turn.
        return Some(until.map_or(predicted, |until| until.max(predicted)));
    }
    if plights.iter().any(|plight| plight.serves) {
        return Some(now + SOONEST);
    }
    if reason == Reason::ProvidersUnavailable {
        return Some(until.unwrap_or(now).max(now + SOONEST));
    }
    until
}

fn any(plights: &[Plight], wanted: fn(Obstacle) -> bool) -> bool {
    plights.iter().flat_map(|plight| &plight.reasons).any(|why| wanted(why.obstacle))
}

const fn is_exhaustion(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::RateLimited | Verdict::QuotaExhausted | Verdict::BillingExhausted)
}

/// A key that another request is trying for the first time is as good as busy.
const fn is_capacity(obstacle: Obstacle) -> bool {
    matches!(obstacle, Obstacle::Closed(Cause::Rate | Cause::Quota | Cause::Billing | Cause::Trial))
}

const fn has_failed(obstacle: Obstacle) -> bool {
    matches!(obstacle, Obstacle::Closed(Cause::Breaker) | Obstacle::Tried)
}

/// A key whose account is on hold is no valid key: no waiting mends that.
const fn is_invalid(obstacle: Obstacle) -> bool {
    matches!(obstacle, Obstacle::Invalid | Obstacle::Closed(Cause::Resting | Cause::Suspended))
}

/// A single target without an alias speaks for itself: its own failure, its own "forbidden", its own
/// "not found" tell more than ours.
fn says_more(trial: &Trial<'_>, kept: &Carried, reason: Reason, plights: &[Plight]) -> bool {
    let status = kept.heard.head.status;
    if status.is_redirection() || status.is_informational() {
        // It would send the client past us, or nowhere.
        return false;
    }
    let alias = trial.errand.resolved.alias;
    match kept.heard.judgement.verdict {
        Verdict::RequestInvalid | Verdict::KeyForbidden => {
            // Unless somebody who may know better will be there again.
            let believed = trial.legs.get(kept.target).is_some_and(|leg| leg.tried.not_found());
            let others_down =
                alias && any(plights, |obstacle| obstacle == Obstacle::Closed(Cause::Breaker));
            believed || reason != Reason::KeysTemporarilyExhausted && !others_down
        }
        Verdict::Overloaded | Verdict::ServerError => {
            reason == Reason::ProvidersUnavailable && !alias
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
        | Reason::CallerLimitExceeded
        | Reason::ModelNotAllowed
        | Reason::UnknownProvider
        | Reason::UnknownPath
        | Reason::BodyTooLarge
        | Reason::InvalidRequest => "no provider can serve this just now",
    }
}

impl Plight {
    /// Counts that a limit could not meet the demand: of each target the one that frees first.
    fn count(&self, trial: &Trial<'_>) {
        let limits = self.reasons.iter().filter(|why| why.limit.is_some());
        let soonest = limits.min_by_key(|why| why.until.unwrap_or(Moment::NEVER));
        if let Some(limit) = soonest.and_then(|why| why.limit) {
            trial.exchange.snapshot.unmet(&self.provider, &self.model, limit);
        }
    }

    fn tell(&self, now: crate::clock::Now) -> String {
        let Self { provider, model, reasons, .. } = self;
        let target =
            if model.is_empty() { provider.to_string() } else { format!("{provider}/{model}") };
        let queue = self.refused.filter(|refused| refused.ahead > 0 || refused.why == Why::Full);
        let queue = queue.map(|refused| {
            let (ahead, wait) = (refused.ahead, refused.until.since(now.at).as_secs_f64());
            let full = if refused.why == Why::Full { "as many wait as may, " } else { "" };
            format!("{full}{ahead} others come first, its turn would come in {wait:.1} s")
        });
        if reasons.is_empty() {
            let none =
                if self.serves { "not sent in time" } else { "no key for this caller and model" };
            return format!("{target}: {}", queue.as_deref().unwrap_or(none));
        }
        let mut told: Vec<_> = reasons.iter().take(MOST_NAMED).map(|why| tell(why, now)).collect();
        let rest = reasons.len().saturating_sub(MOST_NAMED);
        if rest > 0 {
            told.push(format!("and {rest} more quota groups"));
        }
        told.extend(queue);
        format!("{target}: {}", told.join(", "))
    }
}

fn tell(why: &keys::Reason, now: crate::clock::Now) -> String {
    let what = match (why.obstacle, why.limit) {
        (Obstacle::Closed(Cause::Rate), Some(limit)) => match why.level {
            Some(level) => format!("rate limit ({limit}, {:.0} % left)", level * 100.0),
            None => format!("rate limit ({limit})"),
        },
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
