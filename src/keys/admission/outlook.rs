//! How long those who come now will wait.

use std::time::Duration;

use crate::clock::Moment;
use crate::limits::{Cost, PATIENCE, Priority};

/// What groups give in the time to come, worked out now and then.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    at: Option<Moment>,
    /// What can be taken from then until each of [`TIMES`].
    supply: [Cost; TIMES.len()],
    /// What had been taken by then.
    taken: Cost,
}

/// What has been asked for lately, by class.
#[derive(Debug, Default)]
pub(super) struct Demand {
    since: Moment,
    turned: Moment,
    before: [Cost; 3],
    lately: [Cost; 3],
}

/// An outlook holds for so long: as precise as anybody plans by.
const HOLDS: Duration = Duration::from_millis(50);
/// Demand is counted over twice this.
const PERIOD: Duration = Duration::from_secs(5);

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The times that an outlook looks ahead.
const TIMES: [Duration; 16] = [
    millis(0),
    millis(250),
    millis(500),
    millis(1_000),
    millis(2_000),
    millis(4_000),
    millis(8_000),
    millis(15_000),
    millis(30_000),
    millis(60_000),
    millis(120_000),
    millis(300_000),
    millis(900_000),
    millis(3_600_000),
    millis(21_600_000),
    millis(86_400_000),
];

impl Outlook {
    /// Whether it is too old to go by.
    pub(super) fn is_old(&self, now: Moment) -> bool {
        self.at.is_none_or(|at| now.since(at) >= HOLDS)
    }

    /// Looks ahead; `supply` tells what can be taken until a moment.
    pub(super) fn renew(&mut self, taken: Cost, now: Moment, supply: impl Fn(Moment) -> Cost) {
        (self.at, self.taken) = (Some(now), taken);
        for (slot, time) in self.supply.iter_mut().zip(TIMES) {
            *slot = supply(now + time);
        }
    }

    /// The moment at which `need` will have been given, where what is taken amounts to `taken` by now
    /// and `rival` is what others will take each second before.
    pub(super) fn given(&self, need: Cost, taken: Cost, rival: Cost) -> Moment {
        let at = self.at.unwrap_or_default();
        let need = need.plus(taken.minus(self.taken));
        let (mut before, mut best) = (Duration::ZERO, Cost::default());
        for (time, supply) in TIMES.into_iter().zip(self.supply) {
            // Others leave one part in so many; what was to be had sooner is still to be had.
            let theirs = rival.part(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), 1_000);
            let left = supply.minus(theirs).with(supply.part(1, PATIENCE), u64::max);
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
        let sums = above.flat_map(|other| [&self.before, &self.lately].map(|c| c.get(other as usize)));
        let sum = sums.flatten().fold(Cost::default(), |sum, more| sum.plus(*more));
        let time = now.since(self.since).max(millis(1_000));
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
    let waits = missing.with(given, |missing, given| {
        let product = u128::from(nanos) * u128::from(missing);
        let wait = product.checked_div(u128::from(given)).unwrap_or(0);
        u64::try_from(wait).unwrap_or(u64::MAX)
    });
    let Cost { requests, tokens, input, output } = waits;
    let longest = requests.max(tokens).max(input).max(output);
    before.0 + Duration::from_nanos(longest).min(span)
}
