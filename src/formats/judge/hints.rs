//! When the provider says to come back, in the order in which its hints deserve trust.

use std::time::Duration;

use super::Case;
use super::problem::{seconds, text};
use crate::formats::levels::levels;
use crate::formats::{Dialect, Dimension, Sample, delay};

/// A bucket of the minute is whole again within a minute. A refilling bucket that takes longer is
/// one of a day, and its next request fits long before it is whole.
const LONGEST_REFILL: Duration = Duration::from_mins(1);

/// How long a limit holds, and in which dimension.
pub(super) struct Hold {
    pub(super) delay: Option<Duration>,
    pub(super) dimension: Option<Dimension>,
}

impl Hold {
    /// Nothing is told.
    pub(super) const NONE: Self = Self { delay: None, dimension: None };
}

/// What the answer says in so many words: `retry-after-ms`, then `retry-after`, then the body. A
/// zero or a past moment tells nothing, for who refuses now and says "now" has not looked.
pub(super) fn told(case: &Case<'_>) -> Option<Duration> {
    let ahead = |delay: &Duration| !delay.is_zero();
    delay::millis(case.header("retry-after-ms"))
        .filter(ahead)
        .or_else(|| retry_after(case).filter(ahead))
        .or_else(|| in_body(case).filter(ahead))
}

/// How long a limit holds: until the latest of the exhausted dimensions.
///
/// What the answer says in words speaks for the dimension that refused. Another that is empty as
/// well may hold longer, except at Anthropic, whose resets tell when a bucket is *full* again. With
/// no words at all the resets of the exhausted dimensions are all there is.
pub(super) fn limit(case: &Case<'_>) -> Hold {
    let samples = levels(case.dialect, case.headers, case.now);
    let is_empty = |sample: &&Sample| sample.remaining == Some(0);
    let mut empty = samples.iter().filter(is_empty);
    let first = empty.next();
    let only = first.filter(|_| empty.next().is_none()).map(|sample| sample.dimension);
    let refused = case.problem.dimension().or_else(|| super::gemini::dimension(case)).or(only);

    // What refused may have a little left, less than was asked for; unless a limit of it is empty.
    let is_refused = |sample: &&Sample| Some(sample.dimension) == refused;
    let has_empty = samples.iter().filter(is_refused).any(|sample| is_empty(&sample));
    let exhausted = samples.iter().filter(|s| is_empty(s) || is_refused(s) && !has_empty);
    let told = told(case);
    let latest = match told {
        Some(_) if case.dialect == Dialect::Anthropic => None,
        Some(_) => exhausted
            .filter(|sample| Some(sample.dimension) != refused)
            .filter_map(|sample| Some((next_room(case.dialect, sample)?, sample.dimension)))
            .max_by_key(|(delay, _)| *delay),
        None => exhausted
            .filter_map(|sample| Some((sample.reset_in?, sample.dimension)))
            .max_by_key(|(delay, _)| *delay),
    };
    let (reset, dimension) = latest.unzip();
    let delay = told.max(reset).filter(|delay| !delay.is_zero());
    Hold { delay, dimension: dimension.filter(|_| reset > told).or(refused).or(dimension) }
}

/// When an empty bucket has room for one more.
fn next_room(dialect: Dialect, sample: &Sample) -> Option<Duration> {
    let reset = sample.reset_in?;
    let refills = matches!(dialect, Dialect::OpenAi | Dialect::Groq);
    if !refills || reset <= LONGEST_REFILL {
        return Some(reset);
    }
    let limit = u32::try_from(sample.limit?).unwrap_or(u32::MAX);
    reset.checked_div(limit)
}

/// `retry-after`. A date is measured against the provider's own clock where the answer tells it, so
/// that two clocks that differ do not lengthen or lose a wait.
fn retry_after(case: &Case<'_>) -> Option<Duration> {
    let value = case.header("retry-after");
    match (delay::http_date(value), delay::http_date(case.header("date"))) {
        (Some(when), Some(theirs)) => {
            Some(delay::ahead(when, theirs)).filter(|delay| *delay <= delay::LONGEST)
        }
        _ => delay::header(value, case.wall()),
    }
}

/// Google's `RetryInfo`, Hugging Face's `estimated_time`, or what the message says.
fn in_body(case: &Case<'_>) -> Option<Duration> {
    let problem = &case.problem;
    let info = problem.details("RetryInfo").next().map(|info| text(info, "retryDelay"));
    info.and_then(delay::go_duration)
        .or_else(|| seconds(problem.outer("estimated_time")))
        .or_else(|| delay::in_text(problem.message()))
}
