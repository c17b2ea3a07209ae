//! When to come back, in each of the ways in which providers write it.
//!
//! Everything here is a length of time ahead of the wall clock that is handed in. What is past is
//! zero; what is further ahead than [`LONGEST`] is nonsense and is no value at all, so that a broken
//! header cannot put a key away for years.

use std::time::Duration;

use jiff::civil::Weekday;
use jiff::fmt::{rfc2822, strtime::BrokenDownTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, Zoned};

/// The longest delay that is believed: no provider's quota is longer than a month.
pub const LONGEST: Duration = Duration::from_hours(31 * 24);

/// A bare number from here on is a Unix time in seconds (2001 and later), not a delay.
const EPOCH_SECONDS: u64 = 1_000_000_000;
/// A bare number from here on is a Unix time in milliseconds.
const EPOCH_MILLIS: u64 = 1_000_000_000_000;

/// What announces a delay in a message, in lower case.
const LEADS: [&str; 4] = ["try again in ", "retry in ", "retry after ", "wait "];

/// Reads a header's value, whatever its form: seconds (`2`, `1.5`), a Go duration (`6m0s`, `20ms`),
/// an RFC 3339 time, a Unix time in seconds or milliseconds, or an HTTP date.
pub fn header(text: &str, wall: Timestamp) -> Option<Duration> {
    let text = text.trim_ascii();
    let delay = match decimal(text) {
        Some((amount, "")) => number(amount, wall),
        Some((_, rest)) if rest.starts_with('-') => Some(ahead(text.parse().ok()?, wall)),
        Some(_) => go_duration(text),
        None => Some(ahead(http_date(text)?, wall)),
    };
    delay.filter(|delay| *delay <= LONGEST)
}

/// Reads milliseconds, whole or decimal: `retry-after-ms`.
pub fn millis(text: &str) -> Option<Duration> {
    match decimal(text.trim_ascii())? {
        (amount, "") => Some(amount / 1000).filter(|delay| *delay <= LONGEST),
        _ => None,
    }
}

/// Reads a Go duration (`1h2m3.5s`), or Protobuf's, which is one of seconds only (`34.07s`).
pub fn go_duration(text: &str) -> Option<Duration> {
    match span(text.trim_ascii())? {
        (delay, "") => Some(delay).filter(|delay| *delay <= LONGEST),
        _ => None,
    }
}

/// Finds what a message says: "Please try again in 6m0s.", "Please retry after 26 seconds." The text
/// is in lower case.
pub fn in_text(text: &str) -> Option<Duration> {
    let delay = LEADS.iter().find_map(|lead| span(text.split_once(lead)?.1));
    delay.map(|(delay, _)| delay).filter(|delay| *delay <= LONGEST)
}

/// Finds the day named in "regain access on 2026-12-01 at 00:00 UTC": Anthropic's spend limits. The
/// text is in lower case.
pub fn day_in_text(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once("regain access on ")?;
    let day: jiff::civil::Date = rest.get(..10)?.parse().ok()?;
    let time = rest.get(10..).and_then(|rest| rest.strip_prefix(" at ")?.get(..5)?.parse().ok());
    let moment = day.to_datetime(time.unwrap_or_else(jiff::civil::Time::midnight));
    Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Reads an HTTP date in any of RFC 9110's three forms.
pub fn http_date(text: &str) -> Option<Timestamp> {
    const PARSER: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    const OBSOLETE: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    PARSER.parse_timestamp(text).ok().or_else(|| {
        OBSOLETE.iter().find_map(|format| {
            let date = BrokenDownTime::parse(format, text).ok()?.to_datetime().ok()?;
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        })
    })
}

/// How far ahead `when` is; zero if it is past.
pub fn ahead(when: Timestamp, wall: Timestamp) -> Duration {
    Duration::try_from(when.duration_since(wall)).unwrap_or(Duration::ZERO)
}

/// The next midnight in California, where Gemini's daily quotas reset (Gemini rate-limit guide).
pub fn midnight_pacific(wall: Timestamp) -> Option<Timestamp> {
    let zone = TimeZoneDatabase::bundled().get("America/Los_Angeles").ok()?;
    Some(start_of_tomorrow(&wall.to_zoned(zone))?.timestamp())
}

/// The next midnight UTC.
pub fn midnight_utc(wall: Timestamp) -> Option<Timestamp> {
    Some(start_of_tomorrow(&wall.to_zoned(TimeZone::UTC))?.timestamp())
}

/// The next midnight UTC that begins a Monday.
pub fn monday_utc(wall: Timestamp) -> Option<Timestamp> {
    let day = wall.to_zoned(TimeZone::UTC).date().nth_weekday(1, Weekday::Monday).ok()?;
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The first of the next month, 00:00 UTC, where monthly spend limits reset.
pub fn next_month_utc(wall: Timestamp) -> Option<Timestamp> {
    let day = wall.to_zoned(TimeZone::UTC).date().last_of_month().tomorrow().ok()?;
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn start_of_tomorrow(today: &Zoned) -> Option<Zoned> {
    today.tomorrow().ok()?.start_of_day().ok()
}

/// A bare number: a delay in seconds, or a Unix time.
fn number(amount: Duration, wall: Timestamp) -> Option<Duration> {
    let since_epoch = match amount.as_secs() {
        EPOCH_MILLIS.. => amount / 1000,
        EPOCH_SECONDS.. => amount,
        _ => return Some(amount),
    };
    let when = Timestamp::from_duration(SignedDuration::try_from(since_epoch).ok()?).ok()?;
    Some(ahead(when, wall))
}

/// The run of `<number><unit>` at the front (spaces allowed in between), and what follows it.
fn span(mut text: &str) -> Option<(Duration, &str)> {
    let mut total: Option<Duration> = None;
    while let Some((piece, rest)) = measure(text) {
        total = Some(total.unwrap_or_default().checked_add(piece)?);
        text = rest;
    }
    Some((total?, text))
}

/// One `<number><unit>`.
fn measure(text: &str) -> Option<(Duration, &str)> {
    let (amount, rest) = decimal(text.trim_ascii_start())?;
    let rest = rest.trim_ascii_start();
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(end)?;
    let length = match unit {
        "ns" => amount / 1_000_000_000,
        "us" | "µs" => amount / 1_000_000,
        "ms" | "millisecond" | "milliseconds" => amount / 1_000,
        "s" | "sec" | "secs" | "second" | "seconds" => amount,
        "m" | "min" | "mins" | "minute" | "minutes" => amount.checked_mul(60)?,
        "h" | "hr" | "hrs" | "hour" | "hours" => amount.checked_mul(3_600)?,
        "d" | "day" | "days" => amount.checked_mul(86_400)?,
        _ => return None,
    };
    Some((length, rest))
}

/// The decimal number at the front, as that many seconds, and what follows it. No sign, no exponent:
/// `-1`, `NaN` and `1e9` are not numbers here.
fn decimal(text: &str) -> Option<(Duration, &str)> {
    let (seconds, rest) = whole(text)?;
    let Some((fraction, rest)) = rest.strip_prefix('.').and_then(digits) else {
        return Some((Duration::from_secs(seconds), rest));
    };
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some((Duration::new(seconds, nanos), rest))
}

/// The whole number at the front, and what follows it. None that is beyond all measure.
pub(super) fn whole(text: &str) -> Option<(u64, &str)> {
    let (mut number, mut length) = (0_u64, 0);
    for byte in text.bytes().take_while(u8::is_ascii_digit) {
        number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
        length += 1;
    }
    Some((number, text.get(length..)?)).filter(|_| length > 0)
}

/// The digits at the front, at least one, and what follows them.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn noon() -> Timestamp {
        at("2026-11-20T12:00:00Z")
    }

    #[expect(clippy::unnecessary_wraps, reason = "the tables below hold delays that may be none")]
    fn secs(seconds: f64) -> Option<Duration> {
        Some(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn a_header_is_read_in_every_form_that_providers_use() {
        for (text, expected) in [
            ("2", secs(2.0)),
            (" 1.5 ", secs(1.5)),
            ("0", secs(0.0)),
            ("1s", secs(1.0)),
            ("6m0s", secs(360.0)),
            ("20ms", secs(0.02)),
            ("8.64s", secs(8.64)),
            ("1h2m3s", secs(3723.0)),
            ("2m59.56s", secs(179.56)),
            ("1d2h", secs(93_600.0)),
            ("2026-11-20T12:01:00Z", secs(60.0)),
            ("2026-11-20T14:01:00+02:00", secs(60.0)),
            ("2026-11-20T11:00:00Z", secs(0.0)),
            ("1795176030", secs(30.0)),
            ("1795176030500", secs(30.5)),
            ("1600000000", secs(0.0)),
            ("Fri, 20 Nov 2026 12:00:07 GMT", secs(7.0)),
            ("Friday, 20-Nov-26 12:00:07 GMT", secs(7.0)),
            ("Fri Nov 20 12:00:07 2026", secs(7.0)),
            ("Thu, 01 Jan 2026 00:00:00 GMT", secs(0.0)),
        ] {
            assert_eq!(header(text, noon()), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_delay() {
        for text in [
            "",
            " ",
            "-5",
            "-1s",
            "NaN",
            "inf",
            "1e9",
            "soon",
            "5 parsecs",
            "s",
            "1.2.3",
            "12x",
            "3000-01-01T00:00:00Z",
            "Fri, 01 Jan 3000 00:00:00 GMT",
            "32503680000",
            "40d",
            "999999999",
            "99999999999999999999999",
            "9999999999999999h9999999999999999h",
            "１s",
            "\u{0}",
            "18446744073709551615",
            "18446744073709551615h",
        ] {
            assert_eq!(header(text, noon()), None, "{text}");
        }
        assert_eq!(millis("1234.5"), secs(1.2345));
        assert_eq!(millis("12s"), None);
        assert_eq!(millis("-1"), None);
        assert_eq!(millis("99999999999999999"), None);
    }

    #[test]
    fn a_message_tells_its_delay() {
        for (text, expected) in [
            ("please try again in 29ms. visit", secs(0.029)),
            ("please try again in 1.5s.", secs(1.5)),
            ("please try again in 6m0s.", secs(360.0)),
            ("please retry in 12.3s.", secs(12.3)),
            ("please retry after 26 seconds. please go to", secs(26.0)),
            ("please retry after 1 minute.", secs(60.0)),
            ("please wait 2 minutes 30 seconds", secs(150.0)),
            ("try again later", None),
            ("please try again in a while", None),
            ("please try again in 4000 days", None),
        ] {
            assert_eq!(in_text(text), expected, "{text}");
        }
    }

    #[test]
    fn a_message_tells_the_day_on_which_access_returns() {
        let told = "you will regain access on 2026-12-01 at 00:00 utc.";
        assert_eq!(day_in_text(told), Some(at("2026-12-01T00:00:00Z")));
        assert_eq!(day_in_text("regain access on 2026-12-01"), Some(at("2026-12-01T00:00:00Z")));
        let later = "regain access on 2026-12-01 at 06:30 utc";
        assert_eq!(day_in_text(later), Some(at("2026-12-01T06:30:00Z")));
        assert_eq!(day_in_text("regain access on 2026-13-41"), None);
        assert_eq!(day_in_text("regain access on ééééééééééé"), None);
    }

    #[test]
    fn a_pacific_day_ends_when_californians_say_so_in_winter_and_in_summer() {
        assert_eq!(midnight_pacific(noon()), Some(at("2026-11-21T08:00:00Z")));
        assert_eq!(midnight_pacific(at("2026-07-01T06:59:59Z")), Some(at("2026-07-01T07:00:00Z")));
        let day_of_change = at("2026-11-01T08:30:00Z");
        assert_eq!(midnight_pacific(day_of_change), Some(at("2026-11-02T08:00:00Z")));
    }

    #[test]
    fn calendars_turn_at_midnight_utc() {
        assert_eq!(next_month_utc(noon()), Some(at("2026-12-01T00:00:00Z")));
        assert_eq!(next_month_utc(at("2026-12-31T23:59:59Z")), Some(at("2027-01-01T00:00:00Z")));
        assert_eq!(midnight_utc(noon()), Some(at("2026-11-21T00:00:00Z")));
        assert_eq!(monday_utc(noon()), Some(at("2026-11-23T00:00:00Z")));
        assert_eq!(monday_utc(at("2026-11-23T00:00:00Z")), Some(at("2026-11-30T00:00:00Z")));
    }
}
