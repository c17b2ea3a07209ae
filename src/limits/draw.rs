//! Who draws on a limit, how fast, and what of it is ours to draw.

use std::time::Duration;

use crate::clock::Moment;

use super::credit::{Credit, Seen};
use super::drain::{Drain, Pace, WHOLE, empty_in};
use super::fill::{Fill, Need, Size};
use super::share::{Share, Sharing};

/// The draw on one limit. Amounts are in nanoseconds of its refill.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    sharing: Sharing,
    /// What may be sent while others draw on it too.
    credit: Option<Box<Credit>>,
    drain: Drain,
    pace: Pace,
}

/// Longer windows are not shared out by rates: their level says it all.
const LONGEST_SHARED: u64 = 3_600_000_000_000;
/// A level that was told so long ago, while others draw on it too, may be quite another by now.
const STALE: Duration = Duration::from_secs(3);

impl Draw {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            sharing: Sharing::Learned,
            credit: None,
            drain: Drain::default(),
            pace: Pace::new(window),
        }
    }

    /// Others draw on it too, or do not any more. Returns whether that changes what is ours.
    pub(super) fn set_sharing(&mut self, sharing: Sharing) -> bool {
        let before = self.part();
        self.sharing = sharing;
        self.part() != before
    }

    /// What is ours and nobody else's.
    pub(super) const fn part(&self) -> Share {
        match self.sharing {
            Sharing::Part(share) => share,
            Sharing::Learned | Sharing::Floor(_) => Share::WHOLE,
        }
    }

    /// Sidecars that it is taken to be shared by, this one included.
    pub(super) fn replicas(&self) -> u32 {
        match self.sharing {
            Sharing::Part(share) | Sharing::Floor(share) => share.replicas(),
            Sharing::Learned => self.credit.as_ref().map_or(1, |credit| credit.replicas()),
        }
    }

    /// Begins to keep to our part, or stops, as many as there are now.
    pub(super) fn share_out(&mut self, size: Size, depth: u64, now: Moment) {
        let replicas = match self.sharing {
            _ if size.window > LONGEST_SHARED => 1,
            Sharing::Part(_) => 1,
            Sharing::Floor(share) => share.replicas(),
            Sharing::Learned => self.drain.replicas(),
        };
        match &mut self.credit {
            _ if replicas < 2 => self.credit = None,
            Some(credit) => credit.set_replicas(replicas),
            None => self.credit = Some(Box::new(Credit::new(replicas, depth, now))),
        }
    }

    /// When a request may be sent for which that much must be there, and which takes `cost`. Where the
    /// provider tells the level, `asked` is when it was last asked.
    pub(super) fn ready_at(
        &mut self,
        fill: &Fill,
        need: Need,
        cost: u64,
        asked: Option<Moment>,
        now: Moment,
    ) -> u64 {
        let Some(credit) = &mut self.credit else { return fill.ready_at(need, 0) };
        let likely = self.drain.ahead(now.as_nanos());
        let mut until = fill.ready_at(need, likely);
        if until > now.as_nanos() {
            until = fill.ready_at(need, self.drain.ahead(until));
            if let Some(asked) = asked {
                // A level told long ago, and low, must not keep us from ever hearing another.
                let stale = (self.drain.seen() + STALE).as_nanos();
                let due = asked.as_nanos().saturating_add(credit.floor_time(cost));
                until = until.min(stale.max(due));
            }
        }
        credit.return_if_stale(fill.gauge(now).0, now);
        until.max(credit.ready_at(now))
    }

    /// We took some.
    pub(super) fn take(&mut self, nanos: u64, now: Moment) {
        self.pace.take(nanos, now);
        if let Some(credit) = &mut self.credit {
            credit.take(nanos, now);
        }
    }

    /// We did not use some after all.
    pub(super) fn give(&mut self, nanos: u64) {
        self.pace.give(nanos);
        if let Some(credit) = &mut self.credit {
            credit.give(nanos);
        }
    }

    /// Nobody tells a level: borrow more for as long as nobody refuses.
    pub(super) fn grow_blindly(&mut self, depth: u64, now: Moment) {
        if let Some(credit) = &mut self.credit {
            credit.grow_blindly(depth, now);
        }
    }

    /// The provider refused a request: what is borrowed goes back.
    pub(super) fn recede(&mut self, depth: u64, now: Moment) {
        if let Some(credit) = &mut self.credit {
            credit.refused(depth, now);
        }
    }

    /// A level was told for a request sent at `sent`. Since the one before, `own` was spent here, and
    /// `drift` is missing beyond that, where the two can be compared.
    pub(super) fn observed(&mut self, sent: Moment, drift: Option<i64>, own: u64) {
        self.drain.observed(sent, drift, own);
    }

    /// That much of the limit's depth is there now.
    pub(super) fn level_is(&mut self, level: u64, depth: u64, now: Moment) {
        let seen = Seen { depth, level, foreign: self.drain.foreign() };
        if let Some(credit) = &mut self.credit {
            credit.observed(&seen, now);
        }
    }

    /// All that was learned of others is forgotten.
    pub(super) fn forget(&mut self) {
        self.drain = Drain::default();
        if self.sharing == Sharing::Learned {
            self.credit = None;
        }
    }

    /// How long until what is left is gone at the present rate; `None` if it never is.
    pub(super) fn empty_in(
        &self,
        left: u64,
        ends: Option<Moment>,
        now: Moment,
    ) -> Option<Duration> {
        let drain = self.pace.rate_at(now).saturating_add(self.drain.foreign());
        match ends {
            None => empty_in(left, drain, WHOLE),
            Some(ends) => empty_in(left, drain, 0).filter(|time| now + *time < ends),
        }
    }
}
