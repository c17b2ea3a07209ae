//! A gate that closes on bad news, and is tried by one request at a time before it opens again.

use std::time::Duration;

use crate::clock::Moment;
use crate::limits::jitter;

/// Why something cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// A rate limit: its level is too low, or the provider said to wait.
    Rate,
    /// A long quota is used up.
    Quota,
    /// Credit or payment is missing.
    Billing,
    /// The account is on hold.
    Suspended,
    /// Too many failures: the breaker is open.
    Breaker,
    /// The provider refused the credential, and it rests before its second and last chance.
    Resting,
    /// Another request is finding out whether the credential is any good.
    Trial,
}

/// Open, closed until some moment, or being tried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Gate {
    #[default]
    Open,
    Closed(Closure),
    /// A request sent at that moment is finding out.
    Probing(Closure, Moment),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Closure {
    pub(super) cause: Cause,
    since: Moment,
    until: Moment,
    wait: Duration,
}

/// How a gate is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    Closed(Moment, Cause),
    /// One request may try.
    Due,
}

/// Bad news about a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// When the request was sent.
    pub(super) sent: Moment,
    /// When the provider says that it will be over.
    pub(super) told: Option<Moment>,
    pub(super) now: Moment,
    pub(super) random: u64,
}

/// How long to stay closed where nobody says: the first time, and at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits(pub(super) Duration, pub(super) Duration);

/// A probe that nobody ends is forgotten after this.
const LEASE: Duration = Duration::from_mins(1);
/// What a probe finds is known when it is answered, and nobody knows when that is. It is expected this
/// soon: whoever could wait for it must not be turned away for how long it might take at worst.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// A moment further away than a month and a day is absurd, and counts as none.
const ABSURD: Duration = Duration::from_hours(32 * 24);

impl Gate {
    pub(super) fn door(&self, now: Moment) -> Door {
        let (until, cause) = match self {
            Self::Open => return Door::Open,
            Self::Closed(closure) => (closure.until, closure.cause),
            Self::Probing(closure, since) => ((*since + LEASE).min(now + SOON), closure.cause),
        };
        if now < until { Door::Closed(until, cause) } else { Door::Due }
    }

    /// The request sent at this moment is the one that tries.
    pub(super) fn probe(&mut self, at: Moment) {
        if let Self::Closed(closure) | Self::Probing(closure, _) = *self {
            *self = Self::Probing(closure, at);
        }
    }

    /// Bad news: it closes, or stays closed for longer. News of requests that were already under
    /// way when it closed are the same news. Returns whether it is closed for a reason that is new.
    pub(super) fn close(&mut self, cause: Cause, waits: Waits, news: &News) -> bool {
        let told = news.told.filter(|at| *at > news.now && at.since(news.now) <= ABSURD);
        let wait = match *self {
            Self::Closed(ref mut closure) | Self::Probing(ref mut closure, _)
                if news.sent <= closure.since && closure.cause == cause =>
            {
                closure.until = told.unwrap_or(closure.until).max(closure.until);
                return false;
            }
            Self::Closed(closure) | Self::Probing(closure, _) if closure.cause == cause => {
                (closure.wait * 2).min(waits.1)
            }
            Self::Open | Self::Closed(_) | Self::Probing(..) => waits.0,
        };
        let delay = told.map_or(wait, |at| at.since(news.now));
        let until = news.now + delay + jitter(delay, news.random);
        let new = self.closure().is_none_or(|closure| closure.cause != cause);
        *self = Self::Closed(Closure { cause, since: news.now, until, wait });
        new
    }

    /// A request sent at that moment got through. Returns whether that opened it.
    pub(super) fn passed(&mut self, sent: Moment) -> bool {
        match self {
            Self::Closed(closure) | Self::Probing(closure, _) if sent > closure.since => {
                *self = Self::Open;
                true
            }
            Self::Open | Self::Closed(_) | Self::Probing(..) => false,
        }
    }

    /// The request sent at that moment found nothing out. Returns whether it was the one that
    /// tried, so that another may.
    pub(super) fn release(&mut self, sent: Moment) -> bool {
        match *self {
            Self::Probing(closure, since) if since == sent => {
                *self = Self::Closed(closure);
                true
            }
            Self::Open | Self::Closed(_) | Self::Probing(..) => false,
        }
    }

    /// Whether a request is finding out if it can open.
    pub(super) const fn is_probing(&self) -> bool {
        matches!(self, Self::Probing(..))
    }

    pub(super) const fn closure(&self) -> Option<&Closure> {
        match self {
            Self::Open => None,
            Self::Closed(closure) | Self::Probing(closure, _) => Some(closure),
        }
    }
}

impl Closure {
    pub(super) const fn until(&self) -> Moment {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits(Duration::from_secs(1), Duration::from_secs(4));

    fn secs(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    fn news(sent: u64, now: u64) -> News {
        News { sent: secs(sent), told: None, now: secs(now), random: 0 }
    }

    #[test]
    fn it_stays_closed_for_longer_each_time_its_probe_fails() {
        let mut gate = Gate::default();
        assert!(gate.close(Cause::Breaker, WAITS, &news(0, 1)));
        let mut waits = Vec::new();
        let mut now = secs(1);
        for _ in 0..4 {
            let Door::Closed(until, Cause::Breaker) = gate.door(now) else { panic!("closed") };
            waits.push(until.since(now).as_secs());
            assert_eq!(gate.door(until), Door::Due);
            gate.probe(until);
            assert!(matches!(gate.door(until), Door::Closed(..)), "one request tries");
            now = until;
            gate.close(Cause::Breaker, WAITS, &News { sent: now, told: None, now, random: 0 });
        }
        assert_eq!(waits, [1, 2, 4, 4]);
        gate.probe(now + WAITS.1);
        assert!(gate.passed(now + WAITS.1));
        assert_eq!(gate.door(now), Door::Open);
    }

    #[test]
    fn what_was_under_way_when_it_closed_neither_opens_it_nor_keeps_it_closed() {
        let mut gate = Gate::default();
        gate.close(Cause::Billing, WAITS, &news(5, 10));
        assert!(!gate.close(Cause::Billing, WAITS, &news(6, 11)));
        assert!(!gate.passed(secs(7)));
        assert_eq!(gate.door(secs(10)), Door::Closed(secs(11), Cause::Billing));
    }

    #[test]
    fn a_probe_that_finds_nothing_out_or_never_ends_makes_way_for_another() {
        let mut gate = Gate::default();
        gate.close(Cause::Billing, WAITS, &news(0, 1));
        gate.probe(secs(3));
        gate.release(secs(2));
        assert!(matches!(gate.door(secs(3)), Door::Closed(..)), "another request's end");
        gate.release(secs(3));
        assert_eq!(gate.door(secs(3)), Door::Due);
        gate.probe(secs(3));
        assert_eq!(gate.door(secs(3) + LEASE), Door::Due);
    }

    #[test]
    fn what_a_probe_finds_is_expected_soon_however_long_it_may_take() {
        let mut gate = Gate::default();
        gate.close(Cause::Breaker, WAITS, &news(0, 1));
        gate.probe(secs(3));
        for now in [3, 20, 61] {
            assert_eq!(gate.door(secs(now)), Door::Closed(secs(now) + SOON, Cause::Breaker));
        }
        let last = secs(3) + LEASE;
        assert_eq!(gate.door(secs(62)), Door::Closed(last, Cause::Breaker));
        assert_eq!(gate.door(last), Door::Due);
    }

    #[test]
    fn a_stated_moment_is_honoured_and_an_absurd_one_is_not() {
        let mut gate = Gate::default();
        gate.close(Cause::Quota, WAITS, &News { told: Some(secs(90_000)), ..news(0, 1) });
        assert_eq!(gate.door(secs(1)), Door::Closed(secs(90_000), Cause::Quota));
        let mut gate = Gate::default();
        gate.close(Cause::Quota, WAITS, &News { told: Some(Moment::NEVER), ..news(0, 1) });
        assert_eq!(gate.door(secs(1)), Door::Closed(secs(2), Cause::Quota));
    }
}
