//! In what time an amount is granted, and how what was used comes back.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// How a limit gives back what was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// Evenly: a bucket that is empty is full again after this time (OpenAI, Anthropic, callers).
    Refill(Duration),
    /// Evenly, but the bucket holds no more than what comes back in one `slice`: a minute's limit
    /// that is enforced second by second (OpenAI's rate-limit guide: "60,000 requests/minute may be
    /// enforced as 1,000 requests/second").
    Sliced {
        /// The time in which the whole amount comes back.
        window: Duration,
        /// The time whose share is the most that is there at once.
        slice: Duration,
    },
    /// All at once, this long after the first use (Azure's minute of tokens).
    Fixed(Duration),
    /// Each use for itself, this long after it: no stretch of that length ever sees more than the
    /// amount (Gemini's ten minutes of spending).
    Rolling(Duration),
    /// All at once, when a day or month ends at a place.
    Calendar(Period, TimeZone),
}

/// A stretch of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

/// A longer window is absurd: a month and a day.
pub(super) const LONGEST: Duration = Duration::from_hours(32 * 24);
pub(super) const SHORTEST: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);
const MONTH: Duration = Duration::from_hours(30 * 24);

impl Window {
    /// Its length, between a millisecond and 32 days; of a month thirty days.
    pub fn length(&self) -> Duration {
        match self {
            Self::Refill(length)
            | Self::Sliced { window: length, .. }
            | Self::Fixed(length)
            | Self::Rolling(length) => (*length).clamp(SHORTEST, LONGEST),
            Self::Calendar(Period::Day, _) => DAY,
            Self::Calendar(Period::Month, _) => MONTH,
        }
    }
}

impl From<Duration> for Window {
    /// What is not said to be otherwise refills evenly.
    fn from(length: Duration) -> Self {
        Self::Refill(length)
    }
}

impl Period {
    /// When the period in which `wall` lies began and when it ends, at that place.
    pub fn around(self, wall: Timestamp, zone: &TimeZone) -> (Timestamp, Timestamp) {
        let here = wall.to_zoned(zone.clone());
        let bounds = match self {
            Self::Day => here.start_of_day().and_then(|from| Ok((from, next_day(&here)?))),
            Self::Month => here.first_of_month().and_then(|first| {
                let next = first.checked_add(1.month())?.start_of_day()?;
                Ok((first.start_of_day()?, next))
            }),
        };
        // Only at the ends of time has a day no beginning or no end.
        bounds.map_or((wall, Timestamp::MAX), |(from, to)| (from.timestamp(), to.timestamp()))
    }
}

fn next_day(here: &Zoned) -> Result<Zoned, jiff::Error> {
    here.tomorrow()?.start_of_day()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(period: Period, wall: &str, zone: &str) -> (String, String) {
        let zone = TimeZone::get(zone).unwrap();
        let (from, to) = period.around(wall.parse().unwrap(), &zone);
        (from.to_string(), to.to_string())
    }

    fn pair(from: &str, to: &str) -> (String, String) {
        (from.into(), to.into())
    }

    #[test]
    fn a_day_ends_at_midnight_of_its_place() {
        let day = around(Period::Day, "2026-07-01T05:00:00Z", "America/Los_Angeles");
        assert_eq!(day, pair("2026-06-30T07:00:00Z", "2026-07-01T07:00:00Z"));
    }

    #[test]
    fn the_days_on_which_clocks_change_are_shorter_or_longer() {
        let spring = around(Period::Day, "2026-03-08T12:00:00Z", "America/Los_Angeles");
        assert_eq!(spring, pair("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z"), "23 hours");
        let autumn = around(Period::Day, "2026-11-01T12:00:00Z", "America/Los_Angeles");
        assert_eq!(autumn, pair("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"), "25 hours");
    }

    #[test]
    fn a_month_is_the_calendars() {
        let month = around(Period::Month, "2028-02-29T23:59:59Z", "UTC");
        assert_eq!(month, pair("2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"));
        let month = around(Period::Month, "2026-12-31T23:30:00Z", "Europe/Berlin");
        assert_eq!(month, pair("2026-12-31T23:00:00Z", "2027-01-31T23:00:00Z"));
    }

    #[test]
    fn the_ends_of_time_are_survived() {
        for wall in [Timestamp::MIN, Timestamp::MAX] {
            for period in [Period::Day, Period::Month] {
                let (from, to) = period.around(wall, &TimeZone::UTC);
                assert!(from <= wall && wall <= to);
            }
        }
    }

    #[test]
    fn absurd_lengths_are_bounded() {
        assert_eq!(Window::Refill(Duration::ZERO).length(), SHORTEST);
        assert_eq!(Window::Rolling(Duration::MAX).length(), LONGEST);
    }
}
