//! `limits:` → amounts in windows, of providers and of callers.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::place::{At, Draft};
use super::super::raw::{self, OneOrMany};
use super::super::used::{
    Caller, Callers, Clause, Dimension, EndpointKind, KeySource, Limit, Measure, Mode, Rule,
};
use super::{Work, names, settings, terms};
use crate::limits::{self, Share};

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
        granted(draft, &at, limit)
    };
    limits.map(read).collect()
}

/// What is granted to some quota groups, or to each.
pub(super) fn granted(draft: &Draft<'_>, at: &At<'_>, written: &raw::Limit) -> Limit {
    let quota_groups = written.quota_groups.iter().map(|group| group.as_str().into()).collect();
    Limit { quota_groups, clause: clause(draft, at, written) }
}

/// What the caller at `at` may use.
pub(super) fn of_caller(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &OneOrMany<raw::Limit>,
    replicas: Option<NonZeroU32>,
) -> Vec<Clause> {
    let at_limits = at.key("limits");
    let read = |(index, limit): (usize, &raw::Limit)| {
        let at = at_limits.index(index);
        if !limit.quota_groups.is_empty() {
            draft.error(&at.key("quotaGroups"), "only a provider's limits have quota groups");
        }
        for (name, rule) in rules(limit) {
            warn_of_crumbs(draft, &at.key(name), &rule, replicas);
        }
        clause(draft, &at, limit)
    };
    written.0.iter().enumerate().map(read).collect()
}

/// Each sidecar has a share of a caller's limit, and one at least.
fn warn_of_crumbs(draft: &Draft<'_>, at: &At<'_>, rule: &Rule, replicas: Option<NonZeroU32>) {
    if let Some(replicas) = replicas.filter(|replicas| u64::from(replicas.get()) > rule.amount) {
        let message =
            format!("less than the {replicas} sidecars: each of them may use 1 all the same");
        draft.warn(at, message);
    }
}

/// The limit of which a sidecar's share can never hold a request as large as the caller's own bound
/// allows.
pub(super) fn too_narrow(caller: &Caller, replicas: Option<NonZeroU32>) -> Option<&'static str> {
    let most = caller.max_input?;
    let share = replicas.map_or(Share::WHOLE, Share::one_of);
    let clauses = caller.limits.iter().filter(|clause| clause.mode == Mode::Enforce);
    let counts_input = |rule: &&Rule| {
        matches!(rule.measure, Measure::Of(Dimension::Tokens | Dimension::InputTokens))
    };
    let mut rules = clauses.flat_map(|clause| &clause.rules).filter(counts_input);
    let narrow = rules.find(|rule| share.part_of(rule.amount) < most)?;
    Some(limits::limit_name(narrow.measure, narrow.window.length()))
}

/// Whether anybody's cost is limited.
pub(super) fn count_cost(callers: &Callers) -> bool {
    let clauses = callers.all().flat_map(|caller| &caller.limits);
    clauses.flat_map(|clause| &clause.rules).any(|rule| rule.measure == Measure::Cost)
}

/// Kinds of requests.
pub(super) fn endpoints(written: &[raw::Endpoint]) -> Vec<EndpointKind> {
    written.iter().map(|endpoint| kind(*endpoint)).collect()
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

/// One entry.
fn clause(draft: &Draft<'_>, at: &At<'_>, written: &raw::Limit) -> Clause {
    let rules = rules(written);
    if rules.is_empty() && !anything_written(draft, at) {
        draft.error(at, "it limits nothing: no amount is written");
    }
    warn_of_contradictions(draft, at, &rules);
    Clause {
        models: names::patterns(draft, &at.key("models"), &written.models),
        endpoints: endpoints(&written.endpoints),
        term: terms::compile(draft, at, written),
        mode: settings::mode(written.mode),
        warn_at: written.warn_at.map(|share| share.0),
        rules: rules.into_iter().map(|(_, rule)| rule).collect(),
    }
}

/// Every amount that is written, with its field's name.
fn rules(written: &raw::Limit) -> Vec<(&'static str, Rule)> {
    use Dimension::{InputTokens, OutputTokens, Requests, Tokens};
    let of = |name, dimension, window, amount: Option<raw::Amount>| {
        let measure = Measure::Of(dimension);
        Some((name, Rule::new(measure, amount?.0, window)))
    };
    let cost = |name, window, amount: Option<raw::Dollars>| {
        Some((name, Rule::new(Measure::Cost, amount?.0, window)))
    };
    let l = written;
    let all = [
        of("requestsPerSecond", Requests, SECOND, l.requests_per_second),
        of("requestsPerMinute", Requests, MINUTE, l.requests_per_minute),
        of("requestsPerHour", Requests, HOUR, l.requests_per_hour),
        of("requestsPerDay", Requests, DAY, l.requests_per_day),
        of("requestsPerMonth", Requests, MONTH, l.requests_per_month),
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
        l.concurrency.map(|amount| ("concurrency", Rule::concurrency(amount.0))),
        cost("costPerDay", DAY, l.cost_per_day),
        cost("costPerMonth", MONTH, l.cost_per_month),
    ];
    all.into_iter().flatten().collect()
}

/// Whether an amount is written that could not be read, which is reported already.
fn anything_written(draft: &Draft<'_>, at: &At<'_>) -> bool {
    draft.keys(at).iter().any(|key| key.contains("Per") || key == "concurrency")
}

/// What can never bind because something else always binds before it is probably a slip: a longer
/// window that grants less than a shorter one, or all tokens together less than a part of them.
fn warn_of_contradictions(draft: &Draft<'_>, at: &At<'_>, rules: &[(&'static str, Rule)]) {
    for (name, rule) in rules {
        let idle = rules.iter().find(|(_, other)| {
            let (shorter, window) = (other.window.length(), rule.window.length());
            let longer = other.measure == rule.measure && shorter < window;
            let wider = counts_part_of(other.measure, rule.measure) && shorter == window;
            (longer || wider) && other.amount > rule.amount
        });
        if let Some((idle, _)) = idle {
            let message = format!("less than `{idle}` grants, which therefore never binds");
            draft.warn(&at.key(name), message);
        }
    }
}

const fn counts_part_of(part: Measure, whole: Measure) -> bool {
    matches!(
        (part, whole),
        (
            Measure::Of(Dimension::InputTokens | Dimension::OutputTokens),
            Measure::Of(Dimension::Tokens)
        )
    )
}

const fn kind(written: raw::Endpoint) -> EndpointKind {
    match written {
        raw::Endpoint::Chat => EndpointKind::Chat,
        raw::Endpoint::Completions => EndpointKind::Completions,
        raw::Endpoint::Embeddings => EndpointKind::Embeddings,
        raw::Endpoint::CountTokens => EndpointKind::CountTokens,
        raw::Endpoint::Models => EndpointKind::Models,
        raw::Endpoint::Images => EndpointKind::Images,
        raw::Endpoint::Audio => EndpointKind::Audio,
        raw::Endpoint::Files => EndpointKind::Files,
        raw::Endpoint::Batches => EndpointKind::Batches,
        raw::Endpoint::Moderations => EndpointKind::Moderations,
        raw::Endpoint::Rerank => EndpointKind::Rerank,
        raw::Endpoint::Realtime => EndpointKind::Realtime,
        raw::Endpoint::Other => EndpointKind::Other,
    }
}
