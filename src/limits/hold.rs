//! What a provider's refusals close, and until when.

use std::time::Duration;

use crate::clock::Moment;
use crate::formats::Dimension;

use super::rule::Cost;

/// A 429 without a hint closes for this long, and doubles up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_mins(1);
/// A rate limit said to be over later than this is absurd: it counts as one without a hint.
const ABSURD: Duration = Duration::from_hours(24);
/// Spread over which those who wait for one moment come back.
const JITTER: Duration = Duration::from_secs(1);

/// What refusals hold back: requests that cost some of a dimension, or all of them.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    all: Moment,
    of: [Moment; 4],
    /// When the latest hold without a hint was set, and for how long.
    since: Moment,
    wait: Duration,
}

impl Holds {
    /// A request sent at `sent` was refused: nothing that costs any of `dimension` passes until
    /// `retry_at`, or for a growing while if the provider did not say. The latest moment wins.
    pub fn set(
        &mut self,
        dimension: Option<Dimension>,
        retry_at: Option<Moment>,
        sent: Moment,
        now: Moment,
        random: u64,
    ) -> Moment {
        let told = retry_at.filter(|at| *at > now && at.since(now) <= ABSURD);
        let delay = told.map_or_else(|| self.unhinted(sent, now), |at| at.since(now));
        let until = now + delay + jitter(delay, random);
        let slot = self.slot(dimension);
        *slot = until.max(*slot);
        *slot
    }

    /// The wait grows with each refusal in turn, not with each of many requests that were under way
    /// together.
    fn unhinted(&mut self, sent: Moment, now: Moment) -> Duration {
        if self.wait.is_zero() || sent > self.since {
            self.wait = (self.wait * 2).clamp(FIRST, MOST);
            self.since = now;
        }
        (self.since + self.wait).since(now)
    }

    /// A request sent at `sent` was carried.
    pub fn carried(&mut self, sent: Moment) {
        if sent > self.since {
            self.wait = Duration::ZERO;
        }
    }

    /// Until when a request of that cost is held, and by which dimension.
    pub fn until(&self, cost: &Cost) -> (Moment, Option<Dimension>) {
        let mut latest = (self.all, None);
        for (dimension, until) in Dimension::ALL.into_iter().zip(self.of) {
            if until > latest.0 && cost.of(dimension) > 0 {
                latest = (until, Some(dimension));
            }
        }
        latest
    }

    fn slot(&mut self, dimension: Option<Dimension>) -> &mut Moment {
        let [requests, tokens, input, output] = &mut self.of;
        match dimension {
            None => &mut self.all,
            Some(Dimension::Requests) => requests,
            Some(Dimension::Tokens) => tokens,
            Some(Dimension::InputTokens) => input,
            Some(Dimension::OutputTokens) => output,
        }
    }
}

/// A random part of up to 30 % of `delay`, and of a second at most, so that those who were refused
/// together do not come back together.
pub fn jitter(delay: Duration, random: u64) -> Duration {
    let most = (delay * 3 / 10).min(JITTER);
    let share = (u128::from(random) * most.as_nanos()) >> 64;
    Duration::from_nanos(u64::try_from(share).unwrap_or(0))
}
