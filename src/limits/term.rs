//! Amounts that are written together, and when they hold: until a moment, and at certain hours of
//! certain days.

use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::formats::{EndpointKind, Pattern};

use super::rule::Rule;

/// One entry of a `limits:`: amounts that hold together, for what and when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clause {
    /// Models it counts; empty for any.
    pub models: Vec<Pattern>,
    /// Kinds of requests it counts; empty for any.
    pub endpoints: Vec<EndpointKind>,
    /// When it holds.
    pub term: Term,
    /// Whether anything comes of it but a warning.
    pub mode: Mode,
    /// The share of a limit, 0 to 1, whose use is worth a warning.
    pub warn_at: Option<f64>,
    /// The amounts.
    pub rules: Vec<Rule>,
}

/// Whether limits are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// What would have been done is counted, and nothing changed.
    Observe,
}

/// When a limit holds; always, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// When it ends.
    pub until: Option<Timestamp>,
    /// At which times it holds before that.
    pub schedule: Option<Schedule>,
}

/// Hours of days of the week, at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The days on which those hours begin.
    pub days: Days,
    /// From when on, local time.
    pub from: Time,
    /// Until when, local time; at or before `from`, it is on the next day. Midnight is the end of
    /// the day that began.
    pub to: Time,
    /// The place.
    pub zone: TimeZone,
}

/// Days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

/// A schedule says something else within this time, or never.
const LONGEST: i64 = 9;

impl Clause {
    /// Whether it counts such a request; one without a model only where it counts every model.
    pub fn counts(&self, model: Option<&str>, kind: EndpointKind) -> bool {
        let any_model = self.models.is_empty();
        let named = |model| self.models.iter().any(|pattern| pattern.matches(model));
        (any_model || model.is_some_and(named))
            && (self.endpoints.is_empty() || self.endpoints.contains(&kind))
    }
}

impl Term {
    /// Whether it holds at that moment.
    pub fn holds(&self, at: Timestamp) -> bool {
        !self.is_over(at) && self.schedule.as_ref().is_none_or(|schedule| schedule.holds(at))
    }

    /// Whether it has ended for good.
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= at)
    }

    /// Whether it holds at all times.
    pub const fn is_always(&self) -> bool {
        self.until.is_none() && self.schedule.is_none()
    }

    /// When it holds no longer, or holds again, for the first time after `at`; `None` if that stays.
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        if self.is_over(at) {
            return None;
        }
        let now = self.holds(at);
        let turns = self.schedule.iter().flat_map(|schedule| schedule.edges(at));
        let mut turns: Vec<_> = turns.chain(self.until).filter(|turn| *turn > at).collect();
        turns.sort_unstable();
        turns.into_iter().find(|turn| self.holds(*turn) != now)
    }
}

impl Schedule {
    /// Whether it holds at that moment.
    pub fn holds(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.zone.clone()).datetime();
        let (today, time) = (local.date(), local.time());
        let yesterday = today.yesterday().unwrap_or(today);
        if self.from < self.to {
            return self.days.contains(today.weekday()) && (self.from..self.to).contains(&time);
        }
        self.days.contains(today.weekday()) && time >= self.from
            || self.days.contains(yesterday.weekday()) && time < self.to
    }

    /// The moments around `at` and after it at which its hours begin and end.
    fn edges(&self, at: Timestamp) -> impl Iterator<Item = Timestamp> {
        let today = at.to_zoned(self.zone.clone()).date();
        let dates =
            (-1..=LONGEST).filter_map(move |days| today.checked_add(Span::new().days(days)).ok());
        dates.flat_map(|date| [self.moment(date, self.from), self.moment(date, self.to)]).flatten()
    }

    /// A local time that a change of the clocks skips comes when it would have come before.
    fn moment(&self, date: Date, time: Time) -> Option<Timestamp> {
        date.to_datetime(time).to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp())
    }
}

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0x7f);
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether that day is among them.
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }

    /// The same, and the days from `first` to `last`, over the end of the week where need be.
    #[must_use]
    pub fn and(self, first: Weekday, last: Weekday) -> Self {
        let mut days = self.0;
        for day in first.cycle_forward().take(7) {
            days |= 1 << day.to_monday_zero_offset();
            if day == last {
                break;
            }
        }
        Self(days)
    }
}

impl fmt::Display for Schedule {
    /// `mon,tue 08:00-18:00 Europe/Berlin`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let days = Weekday::Monday.cycle_forward().zip(NAMES);
        let named: Vec<_> =
            days.filter(|(day, _)| self.days.contains(*day)).map(|(_, name)| name).collect();
        let (from, to) = (self.from, self.to);
        let place = self.zone.iana_name().unwrap_or("UTC");
        let days = if self.days == Days::ALL { "daily".to_owned() } else { named.join(",") };
        write!(
            f,
            "{days} {:02}:{:02}-{:02}:{:02} {place}",
            from.hour(),
            from.minute(),
            to.hour(),
            to.minute()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;
    use jiff::tz::TimeZoneDatabase;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn office(days: Days, from: i8, to: i8, zone: &str) -> Term {
        let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
        let schedule = Schedule { days, from: time(from, 0, 0, 0), to: time(to, 0, 0, 0), zone };
        Term { until: None, schedule: Some(schedule) }
    }

    fn weekdays() -> Days {
        Days::NONE.and(Weekday::Monday, Weekday::Friday)
    }

    #[test]
    fn office_hours_are_those_of_the_place() {
        let term = office(weekdays(), 8, 18, "Europe/Berlin");
        // A Monday in winter: Berlin is an hour ahead of UTC.
        assert!(!term.holds(at("2026-11-23T06:59:59Z")));
        assert!(term.holds(at("2026-11-23T07:00:00Z")));
        assert!(term.holds(at("2026-11-23T16:59:59Z")));
        assert!(!term.holds(at("2026-11-23T17:00:00Z")));
        assert!(term.holds(at("2026-07-20T06:00:00Z")), "and two ahead in summer");
        assert!(!term.holds(at("2026-11-22T10:00:00Z")), "not on a Sunday");
        let friday_night = at("2026-11-20T17:00:00Z");
        assert_eq!(term.next_change(friday_night), Some(at("2026-11-23T07:00:00Z")));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let term = office(Days::NONE.and(Weekday::Friday, Weekday::Friday), 22, 6, "UTC");
        assert!(!term.holds(at("2026-11-20T05:00:00Z")), "the night of Thursday");
        assert!(term.holds(at("2026-11-20T22:00:00Z")));
        assert!(term.holds(at("2026-11-21T05:59:59Z")));
        assert!(!term.holds(at("2026-11-21T06:00:00Z")));
        assert!(!term.holds(at("2026-11-21T23:00:00Z")));
        let whole = office(Days::ALL, 0, 0, "UTC");
        assert!(whole.holds(at("2026-11-21T23:00:00Z")));
        assert_eq!(whole.next_change(at("2026-11-21T23:00:00Z")), None);
    }

    #[test]
    fn a_limit_ends_for_good() {
        let mut term = office(Days::ALL, 8, 18, "UTC");
        term.until = Some(at("2026-11-23T10:00:00Z"));
        assert!(term.holds(at("2026-11-23T09:59:59Z")));
        assert_eq!(term.next_change(at("2026-11-23T09:00:00Z")), term.until);
        assert!(
            !term.holds(at("2026-11-23T10:00:00Z")) && term.is_over(at("2026-11-23T10:00:00Z"))
        );
        assert_eq!(term.next_change(at("2026-11-23T10:00:00Z")), None);
        assert_eq!(Term::default().next_change(at("2026-11-23T10:00:00Z")), None);
    }

    #[test]
    fn a_change_of_the_clocks_moves_an_edge_and_loses_none() {
        // 2:30 does not exist in Berlin on that day.
        let term = office(Days::ALL, 2, 3, "Europe/Berlin");
        let before = at("2026-03-28T12:00:00Z");
        let turn = term.next_change(before).unwrap();
        assert!(turn > before && turn < at("2026-03-30T12:00:00Z"));
        assert_ne!(term.holds(turn), term.holds(before));
    }

    proptest! {
        #[test]
        fn nothing_changes_before_the_next_change(
            second in 1_780_000_000_i64..1_800_000_000,
            (from, to) in (0_i8..24, 0_i8..24),
            days in 1_u8..0x7f,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
        ) {
            let term = office(Days(days), from, to, zone);
            let now = Timestamp::from_second(second).unwrap();
            let Some(turn) = term.next_change(now) else { return Ok(()) };
            prop_assert!(turn > now);
            prop_assert_ne!(term.holds(turn), term.holds(now));
            let span = turn.as_second() - second;
            for part in 0..20 {
                let between = Timestamp::from_second(second + span * part / 20).unwrap();
                if between < turn {
                    prop_assert_eq!(term.holds(between), term.holds(now));
                }
            }
        }
    }
}
