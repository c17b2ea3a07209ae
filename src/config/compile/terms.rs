//! `until` and `schedule` → when a limit holds.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::super::place::{At, Draft};
use super::super::raw;
use super::super::used::{Days, Schedule, Term};
use super::settings;

/// When the limit at `at` holds.
pub(super) fn compile(draft: &Draft<'_>, at: &At<'_>, written: &raw::Limit) -> Term {
    let until = until(draft, &at.key("until"), written.until.as_deref());
    if let Some(until) = until {
        let message = format!("ended on {until}: nothing comes of this limit any more");
        draft.warn_from(until, &at.key("until"), message);
    }
    let schedule = written.schedule.as_ref();
    Term { until, schedule: schedule.map(|it| schedule_of(draft, &at.key("schedule"), it)) }
}

fn until(draft: &Draft<'_>, at: &At<'_>, written: Option<&str>) -> Option<Timestamp> {
    let until = written?.parse().ok();
    if until.is_none() {
        draft.error(at, "not a moment like `2026-12-24T00:00:00Z`");
    }
    until
}

fn schedule_of(draft: &Draft<'_>, at: &At<'_>, written: &raw::Schedule) -> Schedule {
    let zone = written.time_zone.as_deref();
    let zone = zone.and_then(|name| settings::time_zone(draft, &at.key("timeZone"), name));
    let (from, to) = hours(draft, &at.key("hours"), written.hours.as_deref());
    if written.days.is_empty() && written.hours.is_none() && !draft.is_written(&at.key("hours")) {
        draft.error(at, "it says neither `days` nor `hours`");
    }
    Schedule {
        days: days(draft, &at.key("days"), &written.days),
        from,
        to,
        zone: zone.unwrap_or(TimeZone::UTC),
    }
}

fn days(draft: &Draft<'_>, at: &At<'_>, written: &[String]) -> Days {
    let mut all = if written.is_empty() { Days::ALL } else { Days::NONE };
    for (index, text) in written.iter().enumerate() {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (day(first), day(last)) {
            (Some(first), Some(last)) => all = all.and(first, last),
            _ => draft.error(&at.index(index), "not days like `mon` or `mon-fri`"),
        }
    }
    all
}

fn day(name: &str) -> Option<Weekday> {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let at = NAMES.iter().position(|known| *known == name)?;
    Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok()
}

/// `8-18`, `8:30-17:30`, `22-6`; the whole day where nothing is written.
fn hours(draft: &Draft<'_>, at: &At<'_>, written: Option<&str>) -> (Time, Time) {
    let Some(text) = written else { return (Time::midnight(), Time::midnight()) };
    let hours = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
    if hours.is_none_or(|(from, to)| from == to) {
        draft.error(at, "not hours like `8-18`, `8:30-17:30` or `22-6`");
    }
    hours.unwrap_or((Time::midnight(), Time::midnight()))
}

/// `8`, `08:30`; `24` is midnight.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':').unwrap_or_else(|| (text.trim(), "0"));
    let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
    if (hour, minute) == (24, 0) {
        Some(Time::midnight())
    } else {
        Time::new(hour, minute, 0, 0).ok()
    }
}
