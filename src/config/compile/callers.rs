//! `callers:` → who may ask for what.

use http::{HeaderName, HeaderValue};

use super::super::place::{At, Draft};
use super::super::raw::{self, Ordered};
use super::super::used::{Caller, Callers, Priority};
use super::{limits, names, settings};

/// Compiles the default and the rules, which inherit from it.
pub(super) fn compile(draft: &Draft<'_>, written: &raw::Callers) -> Callers {
    let at = At::ROOT.key("callers");
    check_tiers(draft, &at, &written.tiers);
    let at_default = at.key("default");
    for field in ["name", "match"] {
        if draft.is_written(&at_default.key(field)) {
            draft.error(&at_default.key(field), "only a rule has it; `default` is for everyone");
        }
    }
    check_tier(draft, &at_default, &written.default, &written.tiers);
    let default = one(draft, &at_default, &written.default, &Caller::default());
    let at_rules = at.key("rules");
    let mut rules: Vec<Caller> = Vec::new();
    for (index, rule) in written.rules.iter().enumerate() {
        let at = at_rules.index(index);
        check_name(draft, &at, rule, &written.rules, index);
        check_tier(draft, &at, rule, &written.tiers);
        let mut caller = one(draft, &at, rule, &default);
        caller.name = rule.name.as_deref().unwrap_or_default().into();
        let understood = matches(draft, &at, rule, &mut caller);
        if understood {
            rules.push(caller);
        }
    }
    Callers { default, rules }
}

fn check_tiers(draft: &Draft<'_>, at: &At<'_>, tiers: &Ordered<raw::Caller>) {
    let at_tiers = at.key("tiers");
    for (name, tier) in &tiers.0 {
        let at = at_tiers.key(name);
        names::check_label(draft, &at, name);
        for field in ["name", "match", "tier", "per"] {
            if draft.is_written(&at.key(field)) {
                draft.error(&at.key(field), "only a rule has it, not a tier");
            }
        }
        one(draft, &at, tier, &Caller::default());
    }
}

fn check_tier(draft: &Draft<'_>, at: &At<'_>, written: &raw::Caller, tiers: &Ordered<raw::Caller>) {
    let Some(tier) = &written.tier else { return };
    if !tiers.0.iter().any(|(name, _)| name == tier) {
        let meant = draft.closest(tier, tiers.0.iter().map(|(name, _)| name.as_str()));
        draft.slip(&at.key("tier"), "there is no such tier", meant);
    }
}

fn check_name(
    draft: &Draft<'_>,
    at: &At<'_>,
    rule: &raw::Caller,
    rules: &[raw::Caller],
    index: usize,
) {
    let at_name = at.key("name");
    let Some(name) = &rule.name else {
        draft.missing(at, "name", "its `name` is missing");
        return;
    };
    names::check_label(draft, &at_name, name);
    if rules.iter().take(index).any(|earlier| earlier.name.as_ref() == Some(name)) {
        draft.error(&at_name, "another rule has this name");
    }
}

/// Whom the rule is for. False if it asks for what cannot be told in this version.
fn matches(draft: &Draft<'_>, at: &At<'_>, rule: &raw::Caller, caller: &mut Caller) -> bool {
    let at_match = at.key("match");
    let Some(written) = &rule.matches else {
        if !draft.is_written(&at_match) {
            draft.warn(at, "no `match`: it holds for everyone, and no later rule is reached");
        }
        return true;
    };
    let at = at_match;
    let at_header = at.key("header");
    let read = |(name, value): &(String, String)| header(draft, &at_header.key(name), name, value);
    caller.headers = written.header.0.iter().filter_map(read).collect();
    names::patterns(draft, &at.key("model"), &written.model);
    written.model.is_empty() && written.endpoint.is_empty()
}

fn header(
    draft: &Draft<'_>,
    at: &At<'_>,
    name: &str,
    value: &str,
) -> Option<(HeaderName, HeaderValue)> {
    let name = settings::header_name(draft, at, name);
    let value = settings::header_value(draft, at, value);
    name.zip(value)
}

/// What is written, and the rest from `base`.
fn one(draft: &Draft<'_>, at: &At<'_>, written: &raw::Caller, base: &Caller) -> Caller {
    let models = match &written.models {
        Some(models) => names::patterns(draft, &at.key("models"), models),
        None => base.models.clone(),
    };
    if let Some(limits) = &written.limits {
        limits::check_caller(draft, at, limits);
    }
    let priority = written.priority.map_or(base.priority, priority);
    let max_priority = written.max_priority.map_or(base.max_priority, self::priority);
    let own = written.priority.is_some() || written.max_priority.is_some();
    if own && priority > max_priority {
        let field = if written.max_priority.is_some() { "maxPriority" } else { "priority" };
        draft.error(&at.key(field), "`priority` is higher than `maxPriority`");
    }
    let at_body = at.key("maxBody");
    Caller {
        name: base.name.clone(),
        headers: Vec::new(),
        priority,
        max_priority,
        max_wait: written.max_wait.map_or(base.max_wait, |span| span.0),
        models,
        max_body: settings::body(draft, &at_body, written.max_body).or(base.max_body),
    }
}

const fn priority(written: raw::Priority) -> Priority {
    match written {
        raw::Priority::High => Priority::High,
        raw::Priority::Normal => Priority::Normal,
        raw::Priority::Batch => Priority::Batch,
    }
}
