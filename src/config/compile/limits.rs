//! `limits:` → amounts in windows, of providers and of callers.

use std::time::Duration;

use super::super::place::{At, Draft};
use super::super::raw::{self, OneOrMany};
use super::super::used::{Bound, KeySource, Limit, Measure};
use super::{Work, names, settings};
use crate::formats::Dimension;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// A caller's window refills continuously, so a month is thirty days.
const MONTH: Duration = Duration::from_hours(30 * 24);

/// What the provider at `at` grants.
pub(super) fn of_provider(
    work: &Work<'_>,
    at: &At<'_>,
    written: &raw::Provider,
    keys: &[KeySource],
) -> Vec<Limit> {
    let draft = work.draft;
    let at_limits = at.key("limits");
    let groups = groups(work, keys);
    let limits = written.limits.0.iter().enumerate();
    let read = |(index, limit): (usize, &raw::Limit)| {
        let at = at_limits.index(index);
        for (name, cost) in
            [("costPerDay", limit.cost_per_day), ("costPerMonth", limit.cost_per_month)]
        {
            if cost.is_some() {
                draft.error(&at.key(name), "only callers have limits of cost");
            }
        }
        if let Some(groups) = &groups {
            check_groups(draft, &at.key("quotaGroups"), limit, groups);
        }
        one(draft, &at, limit)
    };
    limits.filter_map(read).collect()
}

/// What the caller at `at` may use.
pub(super) fn check_caller(draft: &Draft<'_>, at: &At<'_>, written: &OneOrMany<raw::Limit>) {
    let at_limits = at.key("limits");
    for (index, limit) in written.0.iter().enumerate() {
        let at = at_limits.index(index);
        if !limit.quota_groups.is_empty() {
            draft.error(&at.key("quotaGroups"), "only a provider's limits have quota groups");
        }
        one(draft, &at, limit);
    }
}

/// The names of a provider's quota groups; `None` where they cannot be known yet, because every
/// entry of a Secret is a group of its own.
fn groups(work: &Work<'_>, keys: &[KeySource]) -> Option<Vec<Box<str>>> {
    let mut groups = Vec::new();
    for source in keys {
        match (&source.quota_group, &source.entries) {
            (Some(group), _) => groups.push(group.clone()),
            (None, Some(entries)) => groups.extend(entries.iter().cloned()),
            (None, None) => {
                let entries = work.inventory?.entries(&source.secret)?;
                groups.extend(entries.iter().map(|entry| entry.name.clone()));
            }
        }
    }
    Some(groups)
}

fn check_groups(draft: &Draft<'_>, at: &At<'_>, limit: &raw::Limit, groups: &[Box<str>]) {
    for (index, name) in limit.quota_groups.iter().enumerate() {
        if !groups.iter().any(|group| **group == **name) {
            let meant = draft.closest(name, groups.iter().map(|group| &**group));
            draft.slip(&at.index(index), "no key of this provider is in this quota group", meant);
        }
    }
}

/// One entry; `None` if it is wrong, or narrowed by something that is not in force.
pub(super) fn one(draft: &Draft<'_>, at: &At<'_>, written: &raw::Limit) -> Option<Limit> {
    let bounds = bounds(written);
    if bounds.is_empty() && !anything_written(draft, at) {
        draft.error(at, "it limits nothing: no amount is written");
    }
    warn_of_contradictions(draft, at, &bounds);
    let models = names::patterns(draft, &at.key("models"), &written.models);
    check_until(draft, &at.key("until"), written.until.as_deref());
    if let Some(schedule) = &written.schedule {
        check_schedule(draft, &at.key("schedule"), schedule);
    }
    let narrowed =
        written.until.is_some() || written.schedule.is_some() || !written.endpoints.is_empty();
    let quota_groups = written.quota_groups.iter().map(|group| group.as_str().into()).collect();
    let bounds = bounds.into_iter().map(|(_, bound)| bound).collect();
    (!narrowed).then_some(Limit { models, quota_groups, bounds })
}

/// Every amount that is written, with its field's name.
fn bounds(written: &raw::Limit) -> Vec<(&'static str, Bound)> {
    use Dimension::{InputTokens, OutputTokens, Requests, Tokens};
    let of = |name, dimension, window, amount: Option<raw::Amount>| {
        let measure = Measure::Of(dimension);
        Some((name, Bound { measure, amount: amount?.0, window }))
    };
    let cost = |name, window, amount: Option<raw::Dollars>| {
        Some((name, Bound { measure: Measure::Cost, amount: amount?.0, window }))
    };
    let l = written;
    let all = [
        of("requestsPerSecond", Requests, SECOND, l.requests_per_second),
        of("requestsPerMinute", Requests, MINUTE, l.requests_per_minute),
        of("requestsPerHour", Requests, HOUR, l.requests_per_hour),
        of("requestsPerDay", Requests, DAY, l.requests_per_day),
        of("tokensPerMinute", Tokens, MINUTE, l.tokens_per_minute),
        of("tokensPerHour", Tokens, HOUR, l.tokens_per_hour),
        of("tokensPerDay", Tokens, DAY, l.tokens_per_day),
        of("tokensPerMonth", Tokens, MONTH, l.tokens_per_month),
        of("inputTokensPerMinute", InputTokens, MINUTE, l.input_tokens_per_minute),
        of("inputTokensPerHour", InputTokens, HOUR, l.input_tokens_per_hour),
        of("inputTokensPerDay", InputTokens, DAY, l.input_tokens_per_day),
        of("inputTokensPerMonth", InputTokens, MONTH, l.input_tokens_per_month),
        of("outputTokensPerMinute", OutputTokens, MINUTE, l.output_tokens_per_minute),
        of("outputTokensPerHour", OutputTokens, HOUR, l.output_tokens_per_hour),
        of("outputTokensPerDay", OutputTokens, DAY, l.output_tokens_per_day),
        of("outputTokensPerMonth", OutputTokens, MONTH, l.output_tokens_per_month),
        l.concurrency.map(|amount| ("concurrency", concurrency(amount))),
        cost("costPerDay", DAY, l.cost_per_day),
        cost("costPerMonth", MONTH, l.cost_per_month),
    ];
    all.into_iter().flatten().collect()
}

const fn concurrency(amount: raw::Amount) -> Bound {
    Bound { measure: Measure::Concurrency, amount: amount.0, window: Duration::ZERO }
}

/// Whether an amount is written that could not be read, which is reported already.
fn anything_written(draft: &Draft<'_>, at: &At<'_>) -> bool {
    draft.keys(at).iter().any(|key| key.contains("Per") || key == "concurrency")
}

/// A longer window that grants less than a shorter one of the same measure makes that one idle.
fn warn_of_contradictions(draft: &Draft<'_>, at: &At<'_>, bounds: &[(&'static str, Bound)]) {
    for (longer, long) in bounds {
        let idle = bounds.iter().find(|(_, short)| {
            short.measure == long.measure
                && short.window < long.window
                && short.amount > long.amount
        });
        if let Some((shorter, _)) = idle {
            let message = format!("less than `{shorter}` grants, which therefore never binds");
            draft.warn(&at.key(longer), message);
        }
    }
}

fn check_until(draft: &Draft<'_>, at: &At<'_>, written: Option<&str>) {
    if written.is_some_and(|text| text.parse::<jiff::Timestamp>().is_err()) {
        draft.error(at, "not a moment like `2026-12-24T00:00:00Z`");
    }
}

fn check_schedule(draft: &Draft<'_>, at: &At<'_>, written: &raw::Schedule) {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let at_days = at.key("days");
    for (index, days) in written.days.iter().enumerate() {
        let mut ends = days.split('-');
        let good = ends.by_ref().take(2).all(|day| DAYS.contains(&day)) && ends.next().is_none();
        if !good {
            draft.error(&at_days.index(index), "not days like `mon` or `mon-fri`");
        }
    }
    let hours = written.hours.as_deref().map(|hours| {
        let (from, to) = hours.split_once('-')?;
        let (from, to) = (from.parse::<u8>().ok()?, to.parse::<u8>().ok()?);
        (from < to && to <= 24).then_some(())
    });
    if hours == Some(None) {
        draft.error(&at.key("hours"), "not hours like `8-18`");
    }
    if let Some(zone) = &written.time_zone {
        settings::check_time_zone(draft, &at.key("timeZone"), zone);
    }
}
