//! A window that moves on with the time: each use counts for its whole length.
//!
//! Uses are remembered by slots, a thirty-first of the window each; one counts until all of its slot
//! is a window old, so no stretch of that length ever sees more than the amount.

use crate::clock::Moment;

use super::bucket::signed;
use super::fill::{Need, Sight, Size};

const SLOTS: usize = 32;
const BEHIND: u64 = 31;

#[derive(Clone, Debug)]
pub(super) struct Rolling {
    size: Size,
    /// Units used in each slot of time; a slot's place is its number modulo their count.
    slots: [u64; SLOTS],
    /// The number of the newest slot since the beginning.
    newest: u64,
    total: u64,
}

impl Rolling {
    pub(super) const fn empty(size: Size) -> Self {
        Self { size, slots: [0; SLOTS], newest: 0, total: 0 }
    }

    /// Lets go of what is a window old.
    pub(super) fn turn(&mut self, now: Moment) {
        let number = self.number(now);
        if number <= self.newest {
            return;
        }
        if self.total > 0 {
            let first = number.saturating_sub(BEHIND).max(self.newest + 1);
            for gone in first..=number {
                self.take_out(gone, u64::MAX);
            }
        }
        self.newest = number;
    }

    pub(super) fn ready_at(&self, need: Need, ahead: u64) -> u64 {
        let units = match need {
            Need::Units(units) => units.min(self.size.amount),
            Need::MoreThan(units) => units.saturating_add(1),
        };
        let room = self.size.amount.saturating_sub(units);
        let total = self.total.saturating_add(self.size.units(ahead));
        let Some(mut excess) = total.checked_sub(room).filter(|excess| *excess > 0) else {
            return 0;
        };
        let mut ready = 0;
        for number in self.newest.saturating_sub(BEHIND)..=self.newest {
            let used = self.slots.get(place(number)).copied().unwrap_or(0);
            if used == 0 {
                continue;
            }
            ready = self.gone_at(number);
            excess = excess.saturating_sub(used);
            if excess == 0 {
                break;
            }
        }
        ready
    }

    pub(super) fn charge(&mut self, units: u64, now: Moment) {
        self.turn(now);
        // A sum that cannot be told from debt for ever is as good as any larger one.
        let most = self.size.amount.saturating_mul(16).max(self.total);
        let units = units.min(most - self.total);
        if let Some(slot) = self.slots.get_mut(place(self.newest)) {
            *slot = slot.saturating_add(units);
            self.total = self.total.saturating_add(units);
        }
    }

    pub(super) fn refund(&mut self, units: u64, at: Moment) {
        let number = self.number(at);
        if number + BEHIND >= self.newest && number <= self.newest {
            self.take_out(number, units);
        }
    }

    /// At `at` just `units` will be there: what is too much has been used by somebody else.
    pub(super) fn holds(&mut self, units: u64, at: Moment, now: Moment) {
        self.turn(now);
        let more = self.size.amount.saturating_sub(self.total.saturating_add(units));
        // Somebody's use that is over at that moment was a window before it.
        let number = self.number(at).saturating_sub(BEHIND + 1);
        let number = number.clamp(self.newest.saturating_sub(BEHIND), self.newest);
        if let Some(slot) = self.slots.get_mut(place(number)) {
            *slot = slot.saturating_add(more);
            self.total = self.total.saturating_add(more);
        }
    }

    pub(super) fn observe(&mut self, sight: &Sight, now: Moment) -> Option<i64> {
        self.turn(now);
        let told = self.size.amount.saturating_sub(sight.left);
        let truth = told.saturating_add(sight.sent_after);
        let (more, mut less) = (truth.saturating_sub(self.total), self.total.saturating_sub(truth));
        let drift = signed(self.size.nanos(more), self.size.nanos(less));
        self.charge(more, now);
        for number in self.newest.saturating_sub(BEHIND)..=self.newest {
            less -= self.take_out(number, less);
        }
        Some(drift)
    }

    pub(super) const fn empty_out(&mut self) {
        (self.slots, self.total) = ([0; SLOTS], 0);
    }

    pub(super) fn resize(&mut self, size: Size, now: Moment) {
        if size.window == self.size.window {
            self.size = size;
            return;
        }
        self.turn(now);
        let total = self.total;
        *self = Self::empty(size);
        self.charge(total, now);
    }

    pub(super) fn used(&self, now: Moment) -> u64 {
        self.size.units(self.gauge(now).1)
    }

    pub(super) fn gauge(&self, now: Moment) -> (u64, u64) {
        let gone = self.number(now) > self.newest.saturating_add(BEHIND);
        (self.size.window, if gone { 0 } else { self.size.nanos(self.total) })
    }

    fn take_out(&mut self, number: u64, units: u64) -> u64 {
        let Some(slot) = self.slots.get_mut(place(number)) else { return 0 };
        let out = units.min(*slot);
        *slot -= out;
        self.total -= out;
        out
    }

    /// A slot is rounded up to whole nanoseconds, so that a window never has more than 31.
    const fn slot(&self) -> u64 {
        self.size.window.div_ceil(BEHIND)
    }

    const fn number(&self, at: Moment) -> u64 {
        at.as_nanos() / self.slot()
    }

    const fn gone_at(&self, number: u64) -> u64 {
        (number + BEHIND + 1).saturating_mul(self.slot())
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % SLOTS as u64).unwrap_or(0)
}
