//! The sections that are only numbers, and the checks that several sections share.

use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::super::place::{At, Draft};
use super::super::raw::{self, Ordered};
use super::super::used::{AccessLog, Breaker, Mode, Pattern, Price, Retry, Server, Telemetry};
use super::names;

/// More threads than any node has.
const MOST_WORKERS: u32 = 256;
/// A smaller one could not hold a question.
const SMALLEST_BODY: u64 = 1024;
/// A larger one would not fit a sidecar's memory.
const LARGEST_BODY: u64 = 1024 * 1024 * 1024;
const HEAVIEST: u32 = 1_000_000;

pub(super) const fn mode(written: Option<raw::Mode>) -> Mode {
    match written {
        None | Some(raw::Mode::Enforce) => Mode::Enforce,
        Some(raw::Mode::Observe) => Mode::Observe,
    }
}

pub(super) fn retry(draft: &Draft<'_>, written: &raw::Retry) -> Retry {
    let at = At::ROOT.key("retry");
    let usual = Retry::default();
    let base_delay = positive(draft, &at.key("baseDelay"), written.base_delay, usual.base_delay);
    let max_delay = positive(draft, &at.key("maxDelay"), written.max_delay, usual.max_delay);
    if base_delay > max_delay {
        let field = if written.max_delay.is_some() { "maxDelay" } else { "baseDelay" };
        draft.error(&at.key(field), "`baseDelay` is longer than `maxDelay`");
    }
    let floor = written.floor.unwrap_or(usual.floor);
    if !(0.0..=1_000.0).contains(&floor) {
        draft.error(&at.key("floor"), "not a number from 0 to 1000");
    }
    Retry {
        budget_permille: written.budget.map_or(usual.budget_permille, permille),
        floor,
        base_delay,
        max_delay,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is between 0 and 1"
)]
fn permille(share: raw::Share) -> u32 {
    (share.0 * 1_000.0).round() as u32
}

pub(super) fn breaker(draft: &Draft<'_>, written: &raw::Breaker) -> Breaker {
    let at = At::ROOT.key("breaker");
    let usual = Breaker::default();
    let open = positive(draft, &at.key("open"), written.open, usual.open);
    let max_open = positive(draft, &at.key("maxOpen"), written.max_open, usual.max_open);
    if open > max_open {
        let field = if written.max_open.is_some() { "maxOpen" } else { "open" };
        draft.error(&at.key(field), "`open` is longer than `maxOpen`");
    }
    if written.failures == Some(0) {
        draft.error(&at.key("failures"), "must be at least 1");
    }
    Breaker {
        failures: written.failures.unwrap_or(usual.failures),
        window: positive(draft, &at.key("window"), written.window, usual.window),
        open,
        max_open,
    }
}

pub(super) fn telemetry(written: &raw::Telemetry) -> Telemetry {
    let usual = Telemetry::default();
    Telemetry {
        response_headers: written.response_headers.unwrap_or(usual.response_headers),
        log_level: written.log_level.map(|level| match level {
            raw::LogLevel::Error => "error",
            raw::LogLevel::Warn => "warn",
            raw::LogLevel::Info => "info",
            raw::LogLevel::Debug => "debug",
            raw::LogLevel::Trace => "trace",
        }),
        access_log: written.access_log.map_or(usual.access_log, |log| match log {
            raw::AccessLog::Off => AccessLog::Off,
            raw::AccessLog::Failures => AccessLog::Failures,
            raw::AccessLog::All => AccessLog::All,
            raw::AccessLog::Sample(share) => AccessLog::Sample(share.0),
        }),
    }
}

pub(super) fn server(draft: &Draft<'_>, written: &raw::Server) -> Server {
    let at = At::ROOT.key("server");
    if written.workers.is_some_and(|workers| !(1..=MOST_WORKERS).contains(&workers)) {
        draft.error(&at.key("workers"), format!("not a number from 1 to {MOST_WORKERS}"));
    }
    let usual = Server::default();
    let max_body = body(draft, &at.key("maxBody"), written.max_body);
    Server {
        workers: written.workers.and_then(NonZeroU32::new),
        max_body: max_body.unwrap_or(usual.max_body),
    }
}

/// The bound of a body.
pub(super) fn body(draft: &Draft<'_>, at: &At<'_>, written: Option<raw::Size>) -> Option<u64> {
    let size = written?.0;
    if !(SMALLEST_BODY..=LARGEST_BODY).contains(&size) {
        draft.error(at, "a body's bound is from 1k to 1G");
    }
    Some(size)
}

pub(super) fn replicas(draft: &Draft<'_>, written: &raw::Fleet) -> Option<NonZeroU32> {
    if written.replicas == Some(0) {
        draft.error(&At::ROOT.key("fleet").key("replicas"), "must be at least 1");
    }
    written.replicas.and_then(NonZeroU32::new)
}

pub(super) fn prices(draft: &Draft<'_>, written: &Ordered<raw::Price>) -> Vec<(Pattern, Price)> {
    let at_prices = At::ROOT.key("prices");
    let mut prices = Vec::new();
    for (name, written) in &written.0 {
        let at = at_prices.key(name);
        let pattern = names::pattern(draft, &at, name);
        let price = |field: &str, value: Option<f64>| {
            if value.is_some_and(|value| !(0.0..1e9).contains(&value)) {
                draft.error(&at.key(field), "not a price in US dollars per million tokens");
            }
            value
        };
        let input = price("input", written.input).unwrap_or_default();
        let price = Price {
            input,
            cached_input: price("cachedInput", written.cached_input).unwrap_or(input),
            cache_write: price("cacheWrite", written.cache_write).unwrap_or(input),
            output: price("output", written.output).unwrap_or_default(),
        };
        prices.extend(pattern.map(|pattern| (pattern, price)));
    }
    prices
}

/// A duration of more than nothing.
pub(super) fn positive(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: Option<raw::Span>,
    usual: Duration,
) -> Duration {
    if written.is_some_and(|span| span.0.is_zero()) {
        draft.error(at, "must be longer than nothing");
    }
    written.map_or(usual, |span| span.0)
}

/// The `weight` of what is written at `at`.
pub(super) fn weight(draft: &Draft<'_>, at: &At<'_>, written: Option<u32>) -> u32 {
    let weight = written.unwrap_or(1);
    if !(1..=HEAVIEST).contains(&weight) {
        draft.error(&at.key("weight"), format!("not a number from 1 to {HEAVIEST}"));
    }
    weight
}

/// A header's name.
pub(super) fn header_name(draft: &Draft<'_>, at: &At<'_>, text: &str) -> Option<HeaderName> {
    HeaderName::try_from(text).map_err(|_| draft.error(at, "not a header's name")).ok()
}

/// A header's value.
pub(super) fn header_value(draft: &Draft<'_>, at: &At<'_>, text: &str) -> Option<HeaderValue> {
    let value = HeaderValue::try_from(text).ok().filter(|_| !text.is_empty());
    if value.is_none() {
        draft.error(at, "not a header's value");
    }
    value
}

/// A time zone of the IANA database that is built in.
pub(super) fn time_zone(draft: &Draft<'_>, at: &At<'_>, name: &str) -> Option<TimeZone> {
    let zones = TimeZoneDatabase::bundled();
    let zone = zones.get(name).ok();
    if zone.is_none() {
        let names: Vec<String> = zones.available().map(|zone| zone.as_str().to_owned()).collect();
        draft.slip(at, "not a time zone", draft.closest(name, names.iter().map(String::as_str)));
    }
    zone
}
