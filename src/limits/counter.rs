//! A counter that is emptied when its window ends.
//!
//! What was used beyond the amount is debt until then and no longer: the window's end is what such a
//! limit means by giving back.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::{Moment, Now};

use super::bucket::signed;
use super::fill::{Need, Sight, Size};
use super::window::Period;

/// Units used in the present window.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    size: Size,
    turn: Turn,
    used: u64,
    /// The wrapping sum of all corrections of `used` that were no charge.
    moved: u64,
    /// When it is emptied; zero if nothing was used since it was.
    ends: u64,
    /// When the present period of the calendar began, on the wall.
    since: Timestamp,
    /// The last charge before it was emptied: what belongs to one before is over and done with.
    turned_seq: u64,
}

/// When a window ends.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// A window's length after the first use.
    AfterFirstUse,
    /// With a period of the calendar, at a place. Until somebody says what the wall's clock reads,
    /// nobody knows when that is, and it is the same as after the first use.
    Calendar(Period, Box<TimeZone>, Option<Now>),
}

/// A reset so near to the end that is believed is the same.
const SAME: u64 = 2_000_000_000;

impl Counter {
    pub(super) fn empty(size: Size, turn: Turn) -> Self {
        Self { size, turn, used: 0, moved: 0, ends: 0, since: Timestamp::MIN, turned_seq: 0 }
    }

    /// Empties it if its window is over. A calendar's window is always the present one.
    pub(super) fn turn(&mut self, latest: u64, now: Moment) {
        if now.as_nanos() < self.ends || (self.ends == 0 && self.used == 0 && !self.is_dated()) {
            return;
        }
        if self.ends > 0 {
            (self.used, self.ends, self.turned_seq) = (0, 0, latest);
        }
        self.date(now);
    }

    const fn is_dated(&self) -> bool {
        matches!(self.turn, Turn::Calendar(_, _, Some(_)))
    }

    /// Looks up in the calendar when the present period ends.
    fn date(&mut self, now: Moment) {
        if let Turn::Calendar(period, zone, Some(wall)) = &self.turn {
            let (since, ends) = period.around(wall.wall_at(now), zone);
            self.since = since;
            self.ends = wall.moment_of(ends).as_nanos().max(now.as_nanos() + 1);
        }
    }

    /// What the wall's clock reads. One that was put back does not give back what was used in a
    /// period twice, unless it had been far ahead: then nothing may wait for a day that far away.
    pub(super) fn set_wall(&mut self, now: Now) {
        let Turn::Calendar(period, zone, wall) = &mut self.turn else { return };
        let first = wall.replace(now).is_none();
        let (since, ends) = period.around(now.wall, zone);
        let ends = now.moment_of(ends).as_nanos().max(now.at.as_nanos() + 1);
        if first || since == self.since {
            (self.since, self.ends) = (since, ends);
        } else if since < self.since {
            // Put back over the beginning of the period: the one it counted already goes on.
            let next = ends.saturating_add(self.size.window / 8 * 9);
            if self.ends > next {
                (self.since, self.ends) = (since, ends);
            }
        } else {
            self.ends = now.at.as_nanos().max(1);
        }
    }

    /// When what is needed will be there; the past if it is.
    pub(super) fn ready_at(&self, need: Need, ahead: u64) -> u64 {
        let used = self.used.saturating_add(self.size.units(ahead));
        let fits = match need {
            Need::Units(units) => used == 0 || used.saturating_add(units) <= self.size.amount,
            Need::MoreThan(units) => used.saturating_add(units) < self.size.amount,
        };
        if fits { 0 } else { self.ends }
    }

    pub(super) fn charge(&mut self, units: u64, seq: u64, now: Moment) {
        self.turn(seq.saturating_sub(1), now);
        if self.ends == 0 {
            self.ends = now.as_nanos().saturating_add(self.size.window);
        }
        self.used = self.used.saturating_add(units);
    }

    pub(super) const fn refund(&mut self, units: u64, seq: u64) {
        if seq > self.turned_seq {
            let back = if units < self.used { units } else { self.used };
            self.used -= back;
            self.moved = self.moved.wrapping_sub(back);
        }
    }

    pub(super) const fn mark(&self) -> u64 {
        self.used.wrapping_sub(self.moved)
    }

    /// The provider refused a request and said when it would carry it: until then nothing is left.
    /// Of a whole period of the calendar one refusal says too little.
    pub(super) fn emptied_at(&mut self, at: Moment, now: Moment) {
        if !matches!(self.turn, Turn::AfterFirstUse) {
            return;
        }
        let more = self.size.amount.saturating_sub(self.used);
        self.used = self.used.saturating_add(more);
        self.moved = self.moved.wrapping_add(more);
        self.ends = at.max(now).as_nanos().max(1);
    }

    /// The provider told what was left in its window.
    pub(super) fn observe(&mut self, sight: &Sight, now: Moment) -> Option<i64> {
        if self.ends > 0 && sight.seq <= self.turned_seq {
            return None; // it speaks of the window before
        }
        if let Some(reset) = sight.reset.filter(|reset| *reset <= self.size.window)
            && matches!(self.turn, Turn::AfterFirstUse)
        {
            let ends = sight.sent.as_nanos().saturating_add(reset).max(now.as_nanos() + 1);
            if ends.abs_diff(self.ends) > SAME {
                self.ends = ends;
            }
        }
        if self.ends == 0 {
            self.ends = now.as_nanos().saturating_add(self.size.window);
        }
        let told = self.size.amount.saturating_sub(sight.left);
        let Some(mark) = sight.mark else {
            self.used = told.saturating_add(sight.sent_after);
            return None;
        };
        let believed = mark.wrapping_add(self.moved);
        let (more, less) = (told.saturating_sub(believed), believed.saturating_sub(told));
        let used = self.used.saturating_add(more).saturating_sub(less);
        self.moved = self.moved.wrapping_add(used.wrapping_sub(self.used));
        self.used = used;
        Some(signed(self.size.nanos(more), self.size.nanos(less)))
    }

    pub(super) const fn empty_out(&mut self, latest: u64) {
        (self.used, self.turned_seq) = (0, latest);
    }

    pub(super) const fn resize(&mut self, size: Size) {
        self.size = size;
    }

    pub(super) fn gauge(&self, now: Moment) -> (u64, u64) {
        let over = self.ends > 0 && now.as_nanos() >= self.ends;
        (self.size.window, if over { 0 } else { self.size.nanos(self.used) })
    }

    pub(super) fn ends(&self) -> Option<Moment> {
        (self.ends > 0).then(|| Moment::from_nanos(self.ends))
    }

    /// Units used in the present window.
    pub(super) const fn used(&self, now: Moment) -> u64 {
        if self.ends > 0 && now.as_nanos() >= self.ends { 0 } else { self.used }
    }

    pub(super) fn end_at(&mut self, ends: Moment) {
        if matches!(self.turn, Turn::AfterFirstUse) {
            self.ends = ends.as_nanos().max(1);
        }
    }
}
