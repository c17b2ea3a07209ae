//! How full a limit is, whatever the kind of its window.

use jiff::tz::TimeZone;

use crate::clock::{Moment, Now};

use super::bucket::Bucket;
use super::counter::{Counter, Turn};
use super::rolling::Rolling;
use super::window::Window;

/// What is left of a limit. All amounts are in its units, all times in nanoseconds.
#[derive(Clone, Debug)]
pub(super) enum Fill {
    Bucket(Bucket),
    Counter(Counter),
    Rolling(Box<Rolling>),
}

/// So many units in so many nanoseconds; neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) amount: u64,
    pub(super) window: u64,
}

/// What must be there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    /// So much; where that is more than it ever holds, all that it holds.
    Units(u64),
    /// Anything beyond so much.
    MoreThan(u64),
}

/// What the provider had left when it admitted a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// The charge of that request, and when it was sent.
    pub(super) seq: u64,
    pub(super) sent: Moment,
    /// The mark taken with that charge, if this limit was there.
    pub(super) mark: Option<u64>,
    /// Units that were sent after that request.
    pub(super) sent_after: u64,
    /// The newest charge of all.
    pub(super) latest: u64,
    /// Units that were left.
    pub(super) left: u64,
    /// How long until all would be there.
    pub(super) reset: Option<u64>,
}

impl Size {
    /// How long it takes until `units` have come back.
    pub(super) fn nanos(self, units: u64) -> u64 {
        if let Some(product) = units.checked_mul(self.window) {
            return product / self.amount.max(1);
        }
        let product = u128::from(units) * u128::from(self.window);
        u64::try_from(product / u128::from(self.amount.max(1))).unwrap_or(u64::MAX)
    }

    /// How many units come back in `nanos`, rounded down.
    pub(super) fn units_down(self, nanos: u64) -> u64 {
        let product = u128::from(nanos) * u128::from(self.amount);
        u64::try_from(product / u128::from(self.window.max(1))).unwrap_or(u64::MAX)
    }

    /// How many units come back in `nanos`, rounded up.
    pub(super) fn units(self, nanos: u64) -> u64 {
        let product = u128::from(nanos) * u128::from(self.amount);
        u64::try_from(product.div_ceil(u128::from(self.window.max(1)))).unwrap_or(u64::MAX)
    }
}

impl Fill {
    /// Nothing was taken yet.
    pub(super) fn full(window: &Window, size: Size, wall: Option<Now>) -> Self {
        match window {
            Window::Refill(_) => Self::Bucket(Bucket::full(size)),
            Window::Sliced { window, slice } => {
                Self::Rolling(Box::new(Rolling::empty(sliced(size, *window, *slice))))
            }
            Window::Rolling(_) => Self::Rolling(Box::new(Rolling::empty(size))),
            Window::Fixed(_) => Self::Counter(Counter::empty(size, Turn::AfterFirstUse)),
            Window::Calendar(period, zone) => {
                let turn = Turn::Calendar(*period, Box::<TimeZone>::new(zone.clone()), wall);
                Self::Counter(Counter::empty(size, turn))
            }
        }
    }

    /// Time has passed. To be called before anything else at that moment.
    pub(super) fn turn(&mut self, latest: u64, now: Moment) {
        match self {
            Self::Bucket(_) => {}
            Self::Counter(counter) => counter.turn(latest, now),
            Self::Rolling(rolling) => rolling.turn(now),
        }
    }

    /// What the wall's clock reads.
    pub(super) fn set_wall(&mut self, wall: Now) {
        if let Self::Counter(counter) = self {
            counter.set_wall(wall);
        }
    }

    /// When what is needed will be there, if `ahead` nanoseconds of refilling are gone already that
    /// nobody has told us of; the past if it is.
    pub(super) fn ready_at(&self, need: Need, ahead: u64) -> u64 {
        match self {
            Self::Bucket(bucket) => bucket.ready_at(need, ahead),
            Self::Counter(counter) => counter.ready_at(need, ahead),
            Self::Rolling(rolling) => rolling.ready_at(need, ahead),
        }
    }

    /// Takes units, into debt if need be.
    pub(super) fn charge(&mut self, units: u64, seq: u64, now: Moment) {
        if units == 0 {
            return;
        }
        match self {
            Self::Bucket(bucket) => bucket.charge(units, seq, now),
            Self::Counter(counter) => counter.charge(units, seq, now),
            Self::Rolling(rolling) => rolling.charge(units, now),
        }
    }

    /// Gives back units that were taken with charge `seq` at `at`, unless time has done so already.
    pub(super) fn refund(&mut self, units: u64, seq: u64, at: Moment) {
        match self {
            Self::Bucket(bucket) => bucket.refund(units, seq),
            Self::Counter(counter) => counter.refund(units, seq),
            Self::Rolling(rolling) => rolling.refund(units, at),
        }
    }

    /// What to remember of the charge just made, so that what the provider tells of it can be
    /// compared.
    pub(super) const fn mark(&self) -> u64 {
        match self {
            Self::Bucket(bucket) => bucket.mark(),
            Self::Counter(counter) => counter.mark(),
            Self::Rolling(_) => 0,
        }
    }

    /// The provider refused a request and said that at `at` just `units` will be there.
    pub(super) fn holds(&mut self, units: u64, at: Moment, now: Moment) {
        match self {
            Self::Bucket(bucket) => bucket.holds(units, at, now),
            Self::Counter(counter) => counter.emptied_at(at, now),
            Self::Rolling(rolling) => rolling.holds(units, at, now),
        }
    }

    /// The provider told what was left. Returns how much less that was than was believed, in
    /// nanoseconds of refilling, where the two can be compared.
    pub(super) fn observe(&mut self, sight: &Sight, now: Moment) -> Option<i64> {
        match self {
            Self::Bucket(bucket) => bucket.observe(sight, now),
            Self::Counter(counter) => counter.observe(sight, now),
            Self::Rolling(rolling) => rolling.observe(sight, now),
        }
    }

    /// Another amount or length: as many units are missing as before.
    pub(super) fn resize(&mut self, window: &Window, size: Size, latest: u64, now: Moment) {
        match (&mut *self, window) {
            (Self::Bucket(bucket), _) => bucket.resize(size, latest, now),
            (Self::Counter(counter), _) => counter.resize(size),
            (Self::Rolling(rolling), Window::Sliced { window, slice }) => {
                rolling.resize(sliced(size, *window, *slice), now);
            }
            (Self::Rolling(rolling), _) => rolling.resize(size, now),
        }
    }

    /// Nothing counts as taken; what was charged before means nothing any more.
    pub(super) fn empty(&mut self, latest: u64) {
        match self {
            Self::Bucket(bucket) => bucket.fill_up(latest),
            Self::Counter(counter) => counter.empty_out(latest),
            Self::Rolling(rolling) => rolling.empty_out(),
        }
    }

    /// Units that are missing.
    pub(super) fn used(&self, now: Moment) -> u64 {
        match self {
            Self::Bucket(bucket) => bucket.used(now),
            Self::Counter(counter) => counter.used(now),
            Self::Rolling(rolling) => rolling.used(now),
        }
    }

    /// All of it comes back then, where it comes back at once and nobody's calendar says when.
    pub(super) fn end_at(&mut self, ends: Moment) {
        if let Self::Counter(counter) = self {
            counter.end_at(ends);
        }
    }

    /// How much it holds and how much of that is missing, in nanoseconds of refilling.
    pub(super) fn gauge(&self, now: Moment) -> (u64, u64) {
        match self {
            Self::Bucket(bucket) => (bucket.depth(), bucket.missing(now)),
            Self::Counter(counter) => counter.gauge(now),
            Self::Rolling(rolling) => rolling.gauge(now),
        }
    }

    /// When all of it comes back at once, where it does.
    pub(super) fn ends(&self) -> Option<Moment> {
        match self {
            Self::Counter(counter) => counter.ends(),
            Self::Bucket(_) | Self::Rolling(_) => None,
        }
    }
}

/// A window enforced slice by slice: as much as comes back in one, in any stretch of that length.
/// That is within a bucket so deep, and within a counter of such slices whenever they begin. Where a
/// slice has less than one unit, it is as long as one takes.
fn sliced(size: Size, window: std::time::Duration, slice: std::time::Duration) -> Size {
    let nanos = |length: std::time::Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    let (window, slice) = (nanos(window).max(1), nanos(slice).clamp(1, size.window));
    let amount = u128::from(size.amount) * u128::from(slice) / u128::from(window);
    match u64::try_from(amount).unwrap_or(u64::MAX) {
        0 => Size { amount: 1, window: size.nanos(1).max(1) },
        amount => Size { amount, window: slice },
    }
}
