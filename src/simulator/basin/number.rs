//! Between whole numbers and fractions, in one place: what is counted here stays far below what a
//! fraction holds exactly.

use std::time::Duration;

/// As a fraction.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(super) const fn float(number: u64) -> f64 {
    number as f64
}

/// As a fraction.
#[expect(clippy::cast_precision_loss, reason = "lengths stay below 2^53")]
pub(super) const fn float_len(number: usize) -> f64 {
    number as f64
}

/// The nearest whole number; zero for what is negative or no number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a fraction saturates, and that is meant"
)]
pub(super) fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// A number of seconds; zero for what is negative or no number, ten years for what is more.
pub(super) fn seconds(number: f64) -> Duration {
    const MOST: f64 = 10.0 * 365.0 * 86_400.0;
    Duration::from_nanos(whole(number.clamp(0.0, MOST) * 1e9))
}

/// `part` of `all`; zero of nothing.
pub(super) fn ratio(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { float(part) / float(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_nothing() {
        assert_eq!([whole(-1.0), whole(f64::NAN), whole(2.5)], [0, 0, 3]);
        assert_eq!(seconds(f64::NAN), Duration::ZERO);
        assert_eq!(seconds(1.5), Duration::from_millis(1_500));
        assert!(seconds(f64::INFINITY) < Duration::from_hours(24 * 3_651));
    }
}
