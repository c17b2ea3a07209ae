//! How durations, amounts, sizes and shares are written.

use std::time::Duration;

use super::diagnostic::shown;

/// The longest duration that can be written: beyond a year it is a slip.
const LONGEST: Duration = Duration::from_hours(366 * 24);
/// The largest amount: far above any provider's limit, far below what arithmetic could not hold.
const LARGEST: u64 = 1_000_000_000_000_000;
/// Every integer up to it is exact as an `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// `250ms`, `30s`, `10m`, `1h`, `7d`, and several together: `1h30m`. Zero is allowed.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{}` is not a duration like `250ms`, `30s`, `10m`, `1h` or `7d`", shown(text));
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    if is_plain(rest) {
        return Err(format!("`{rest}` has no unit: write `{rest}s` for seconds"));
    }
    while !rest.is_empty() {
        let (number, unit, after) = piece(rest).ok_or_else(wrong)?;
        let unit = seconds_in(unit).ok_or_else(wrong)?;
        let part = Duration::try_from_secs_f64(number * unit).unwrap_or(Duration::MAX);
        total = total.saturating_add(part);
        rest = after;
    }
    if total > LONGEST {
        return Err(format!("`{}` is longer than a year", shown(text)));
    }
    Ok(total)
}

fn seconds_in(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3_600.0),
        "d" => Some(86_400.0),
        _ => None,
    }
}

/// A whole number of at least 1, also as `200k`, `2M`, `1.5M` or `1G` (thousands).
pub(super) fn amount(text: &str) -> Result<u64, String> {
    let factor = |unit: &str| match unit {
        "" => Some(1.0),
        "k" | "K" => Some(1e3),
        "M" => Some(1e6),
        "G" => Some(1e9),
        _ => None,
    };
    whole(text, factor, "an amount like `500`, `200k` or `2M`")
}

/// A number that may have a fraction: `0.5`, `800`, `20k`; or a duration, which counts in seconds.
pub(super) fn quantity(text: &str) -> Result<f64, String> {
    let (number, unit, rest) = piece(text.trim()).unwrap_or((0.0, "", "?"));
    let factor = match unit {
        _ if !rest.is_empty() => None,
        "" => Some(1.0),
        "k" | "K" => Some(1e3),
        "M" => Some(1e6),
        "G" => Some(1e9),
        _ => None,
    };
    match factor {
        Some(factor) if number * factor <= as_float(LARGEST) => Ok(number * factor),
        Some(_) => Err(format!("`{}` is larger than anything can be", shown(text))),
        None => duration(text).map(|duration| duration.as_secs_f64()).map_err(|_| {
            format!("`{}` is not a number like `0.5`, `800` or `20k`, or a duration", shown(text))
        }),
    }
}

/// Bytes: `4096`, `512k`, `32M`, `1G` (powers of 1,024; `Ki`, `Mi`, `Gi` mean the same).
pub(super) fn size(text: &str) -> Result<u64, String> {
    let factor = |unit: &str| match unit {
        "" => Some(1.0),
        "k" | "K" | "Ki" => Some(1_024.0),
        "M" | "Mi" => Some(1_048_576.0),
        "G" | "Gi" => Some(1_073_741_824.0),
        _ => None,
    };
    whole(text, factor, "a size like `512k` or `32M`")
}

/// A share as a percentage: `10%`, `0.5%`. What comes back is 0 to 1.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').map(str::trim).filter(|number| is_plain(number));
    let number = number.and_then(|number| number.parse::<f64>().ok());
    match number {
        Some(number) if number <= 100.0 => Ok(number / 100.0),
        Some(_) => Err(format!("`{}` is more than 100 %", shown(text))),
        None => Err(format!("`{}` is not a share like `10%`", shown(text))),
    }
}

/// An amount of money in millionths of a US dollar, from dollars.
pub(super) fn micro_dollars(dollars: f64) -> Result<u64, String> {
    let micros = (dollars * 1e6).round();
    if !(1.0..=EXACT).contains(&micros) {
        return Err("must be more than zero dollars, and an amount that exists".to_owned());
    }
    Ok(to_whole(micros))
}

fn whole(text: &str, factor: impl Fn(&str) -> Option<f64>, like: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is not {like}", shown(text));
    let (number, unit, rest) = piece(text.trim()).ok_or_else(wrong)?;
    let number = number * factor(unit).filter(|_| rest.is_empty()).ok_or_else(wrong)?;
    if number < 1.0 {
        return Err(format!("`{}` must be at least 1", shown(text)));
    }
    // An `f64` holds every amount up to the largest exactly.
    if number > as_float(LARGEST) {
        return Err(format!("`{}` is larger than anything can be", shown(text)));
    }
    if (number - number.round()).abs() > 1e-6 {
        return Err(format!("`{}` is not a whole number", shown(text)));
    }
    Ok(to_whole(number))
}

/// `1.5M rest` → number, unit, rest. The unit is all letters that follow, the number never negative.
fn piece(text: &str) -> Option<(f64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(digits)?;
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(letters)?;
    let number = Some(number).filter(|number| is_plain(number))?.parse().ok()?;
    Some((number, unit, rest))
}

/// Digits with at most one point: no sign, no exponent, no `inf`, no `nan`.
fn is_plain(number: &str) -> bool {
    number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || c == '.')
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "callers have checked that it is between 1 and what an f64 holds exactly"
)]
fn to_whole(number: f64) -> u64 {
    number.round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "amounts stay below what an f64 holds exactly")]
const fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_units() {
        for (text, millis) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "-1s",
            "1",
            "1.5",
            "1x",
            "1 s",
            "s1",
            "nan",
            "infs",
            "1e3s",
            "1..5s",
            "400d",
            "9".repeat(400).as_str(),
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("30").unwrap_err().contains("write `30s`"));
        assert!(duration(&format!("{}d", "9".repeat(400))).is_err());
    }

    #[test]
    fn amounts_count_in_thousands_and_sizes_in_1024() {
        assert_eq!(amount("500"), Ok(500));
        assert_eq!(amount("200k"), Ok(200_000));
        assert_eq!(amount("1.5M"), Ok(1_500_000));
        assert_eq!(amount("2G"), Ok(2_000_000_000));
        assert_eq!(size("32M"), Ok(32 * 1024 * 1024));
        assert_eq!(size("512Ki"), Ok(512 * 1024));
        for text in
            ["0", "-5", "1.5", "0.0001k", "2m", "10 k", "1e9", "nan", "", "k", "99999999G", "1k1"]
        {
            assert!(amount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quantities_are_numbers_or_durations() {
        for (text, number) in [
            ("0.5", 0.5),
            ("800", 800.0),
            ("20k", 2e4),
            ("0", 0.0),
            ("500ms", 0.5),
            ("1m30s", 90.0),
        ] {
            assert_eq!(quantity(text), Ok(number), "{text}");
        }
        for text in ["", "k", "-1", "nan", "1e9", "1 2", "10x", "99999999G"] {
            assert!(quantity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!(percent("10%"), Ok(0.1));
        assert_eq!(percent("0%"), Ok(0.0));
        assert_eq!(percent("100 %"), Ok(1.0));
        for text in ["10", "0.1", "101%", "-1%", "nan%", "inf%", "%", ""] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn money_is_counted_in_millionths() {
        assert_eq!(micro_dollars(300.0), Ok(300_000_000));
        assert_eq!(micro_dollars(0.5), Ok(500_000));
        for dollars in [0.0, -1.0, 1e-9, 1e30, f64::NAN, f64::INFINITY] {
            assert!(micro_dollars(dollars).is_err(), "{dollars}");
        }
    }
}
