//! The IETF's `RateLimit` and `RateLimit-Policy` fields (draft-ietf-httpapi-ratelimit-headers).
//!
//! Drafts from 8 on write lists of named policies, `"burst";r=50;t=30` beside `"burst";q=100;w=60`;
//! draft 7 wrote one dictionary, `limit=100, remaining=50, reset=5`.

use std::time::Duration;

use http::HeaderMap;

use super::{MAX_SAMPLES, Samples, amount};
use crate::formats::{Dimension, Sample, delay};

/// Adds a sample for each policy whose level is told in requests.
pub(super) fn read(headers: &HeaderMap, samples: &mut Samples) {
    let mut whole = requests();
    for item in lists(headers, "ratelimit") {
        if let Some((key, value)) = member(item) {
            match key {
                "limit" => whole.limit = amount(value),
                "remaining" => whole.remaining = amount(value),
                "reset" => whole.reset_in = seconds(value),
                _ => {}
            }
        } else if samples.len() < MAX_SAMPLES {
            samples.extend(level(headers, item));
        }
    }
    if whole.remaining.is_some() && samples.len() < MAX_SAMPLES {
        samples.push(whole);
    }
}

/// The level that one item of `RateLimit` tells, with the policy of the same name.
fn level(headers: &HeaderMap, item: &str) -> Option<Sample> {
    let name = name_of(item);
    let policy = lists(headers, "ratelimit-policy").find(|policy| name_of(policy) == name);
    let told = |key| policy.and_then(|policy| parameter(policy, key));
    if told("qu").is_some_and(|unit| unit.trim_matches('"') != "requests") {
        return None;
    }
    Some(Sample {
        limit: told("q").and_then(amount),
        remaining: Some(parameter(item, "r").and_then(amount)?),
        reset_in: parameter(item, "t").and_then(seconds),
        window: told("w").and_then(seconds).filter(|window| !window.is_zero()),
        ..requests()
    })
}

fn requests() -> Sample {
    Sample {
        dimension: Dimension::Requests,
        limit: None,
        remaining: None,
        reset_in: None,
        window: None,
    }
}

fn seconds(text: &str) -> Option<Duration> {
    amount(text).map(Duration::from_secs).filter(|length| *length <= delay::LONGEST)
}

/// The items of a list header, over all its lines.
fn lists<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| split_unquoted(line, ',')).map(str::trim)
}

/// `key=value` without parameters: a member of draft 7's dictionary.
fn member(item: &str) -> Option<(&str, &str)> {
    if item.contains([';', '"']) { None } else { item.split_once('=') }
}

fn name_of(item: &str) -> &str {
    split_unquoted(item, ';').next().unwrap_or_default().trim()
}

fn parameter<'a>(item: &'a str, key: &str) -> Option<&'a str> {
    split_unquoted(item, ';').skip(1).find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// Splits at `separator` wherever it stands outside double quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}
