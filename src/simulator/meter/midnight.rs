//! When a provider's day and month end.

use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

use super::DAY;
use crate::clock::{Moment, Now};

/// Where Gemini's days end.
const PACIFIC: &str = "America/Los_Angeles";

/// The moment at which the day ends in California.
pub(super) fn next_midnight(now: Now) -> Moment {
    let zone = TimeZone::get(PACIFIC).unwrap_or(TimeZone::UTC);
    let midnight = now
        .wall
        .to_zoned(zone)
        .checked_add(1.day())
        .and_then(|tomorrow: Zoned| tomorrow.start_of_day());
    midnight.map_or(now.at + DAY, |midnight| now.moment_of(midnight.timestamp()))
}

/// The moment at which the next month begins in UTC.
pub(super) fn next_month(now: Now) -> Moment {
    let first = now
        .wall
        .to_zoned(TimeZone::UTC)
        .first_of_month()
        .and_then(|first| first.checked_add(1.month()))
        .and_then(|next| next.start_of_day());
    first.map_or(now.at + DAY * 30, |first| now.moment_of(first.timestamp()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now(wall: &str) -> Now {
        Now { at: Moment::ZERO, wall: wall.parse().unwrap() }
    }

    #[test]
    fn a_day_in_which_clocks_change_has_its_own_length() {
        // 00:30 in California on the day in which summer time ends: 24.5 hours are left.
        let midnight = next_midnight(now("2026-11-01T07:30:00Z"));
        assert_eq!(midnight.since(Moment::ZERO), Duration::from_mins(24 * 60 + 30));
    }

    #[test]
    fn a_month_ends_with_its_last_day() {
        let first = next_month(now("2026-12-31T23:00:00Z"));
        assert_eq!(first.since(Moment::ZERO), Duration::from_hours(1));
    }
}
