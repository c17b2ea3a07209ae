//! How long those who come now will wait.

use std::time::Duration;

use crate::clock::Moment;
use crate::limits::{AHEAD, Cost, PATIENCE, Priority, Supply};

/// What groups give in the time to come, worked out now and then.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    at: Option<Moment>,
    /// What can be taken from then on.
    supply: Supply,
    /// What had been taken by then.
    taken: Cost,
    /// How many groups give that.
    groups: u32,
}

/// What has been asked for lately, by class.
#[derive(Debug, Default)]
pub(super) struct Demand {
    since: Moment,
    turned: Moment,
    before: [Cost; 3],
    lately: [Cost; 3],
}

/// An outlook holds for so long; what is taken meanwhile is reckoned with.
const HOLDS: Duration = Duration::from_millis(250);
/// Demand is counted over twice this.
const PERIOD: Duration = Duration::from_secs(5);

impl Outlook {
    /// Whether it is too old to go by.
    pub(super) fn is_old(&self, now: Moment) -> bool {
        self.at.is_none_or(|at| now.since(at) >= HOLDS)
    }

    /// Looks ahead: so many groups give that from now on.
    pub(super) const fn renew(&mut self, taken: Cost, now: Moment, groups: u32, supply: &Supply) {
        (self.at, self.taken, self.groups, self.supply) = (Some(now), taken, groups, *supply);
    }

    /// How many groups it is an outlook on.
    pub(super) const fn groups(&self) -> u32 {
        self.groups
    }

    /// What must have been given for a request of that cost to be carried for certain: each group but
    /// one may have a little less left than it needs.
    pub(super) fn at_worst(&self, cost: Cost) -> Cost {
        cost.part(self.groups.max(1).into(), 1)
    }

    /// The moment at which `need` will have been given, where what is taken amounts to `taken` by now
    /// and `rival` is what others will take each second before.
    pub(super) fn given(&self, need: Cost, taken: Cost, rival: Cost) -> Moment {
        let at = self.at.unwrap_or_default();
        let need = need.plus(taken.minus(self.taken)).part(1_000, 1);
        let (mut before, mut best) = (Duration::ZERO, Cost::default());
        for (time, supply) in AHEAD.into_iter().zip(self.supply) {
            // Others leave one part in so many; what was to be had sooner is still to be had.
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let left = supply.with(rival, |supply, rival| {
                let theirs = rival.saturating_mul(millis);
                supply.saturating_sub(theirs).max(supply / PATIENCE)
            });
            let reach = left.with(best, u64::max);
            if reach.covers(&need) {
                return at + between((before, best), (time, reach), need);
            }
            (before, best) = (time, reach);
        }
        at + before
    }
}

impl Demand {
    /// A request of that class came.
    pub(super) fn note(&mut self, class: Priority, cost: Cost, now: Moment) {
        if self.since == Moment::ZERO {
            (self.since, self.turned) = (now, now);
        }
        if now.since(self.turned) >= PERIOD {
            let stale = now.since(self.turned) >= 2 * PERIOD;
            self.before = if stale { Default::default() } else { self.lately };
            self.since = if stale { now } else { self.turned };
            (self.turned, self.lately) = (now, Default::default());
        }
        if let Some(sum) = self.lately.get_mut(class as usize) {
            *sum = sum.plus(cost);
        }
    }

    /// What the classes above that one ask for in a second.
    pub(super) fn above(&self, class: Priority, now: Moment) -> Cost {
        let above = Priority::ALL.into_iter().filter(|other| *other > class);
        let sums =
            above.flat_map(|other| [&self.before, &self.lately].map(|c| c.get(other as usize)));
        let sum = sums.flatten().fold(Cost::default(), |sum, more| sum.plus(*more));
        let time = now.since(self.since).max(Duration::from_secs(1));
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        sum.part(1_000, millis)
    }
}

/// When between two times, by which so much will have been given, `need` will have.
fn between(before: (Duration, Cost), after: (Duration, Cost), need: Cost) -> Duration {
    let span = after.0.saturating_sub(before.0);
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let missing = need.minus(before.1);
    let given = after.1.minus(before.1);
    let waits = missing.with(given, |missing, given| match missing {
        0 => 0,
        _ => Cost { requests: nanos, ..Cost::default() }.part(missing, given).requests,
    });
    let Cost { requests, tokens, input, output, money } = waits;
    let longest = requests.max(tokens).max(input).max(output).max(money);
    before.0 + Duration::from_nanos(longest).min(span)
}
