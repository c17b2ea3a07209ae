//! `callers:` → who may ask for what.

use std::num::NonZeroU32;

use http::{HeaderName, HeaderValue};

use super::super::place::{At, Draft};
use super::super::raw::{self, Ordered};
use super::super::used::{Caller, Callers, Match, Per, Priority};
use super::{limits, names, settings};

/// What every caller is compiled with.
struct Desk<'a> {
    draft: &'a Draft<'a>,
    tiers: &'a Ordered<raw::Caller>,
    at_tiers: At<'a>,
    replicas: Option<NonZeroU32>,
}

/// What is written of a caller, and where.
type Layer<'a> = (&'a raw::Caller, &'a At<'a>);

/// Compiles the default and the rules, which inherit from their tiers and from it.
pub(super) fn compile(
    draft: &Draft<'_>,
    written: &raw::Callers,
    replicas: Option<NonZeroU32>,
) -> Callers {
    let at = At::ROOT.key("callers");
    let desk = Desk { draft, tiers: &written.tiers, at_tiers: at.key("tiers"), replicas };
    check_tiers(&desk, written);
    let at_default = at.key("default");
    for field in ["name", "match"] {
        if draft.is_written(&at_default.key(field)) {
            draft.error(&at_default.key(field), "only a rule has it; `default` is for everyone");
        }
    }
    let default = desk.one(&at_default, &written.default, &Caller::default());
    let at_rules = at.key("rules");
    let mut rules: Vec<Caller> = Vec::new();
    for (index, rule) in written.rules.iter().enumerate() {
        let at = at_rules.index(index);
        check_name(draft, &at, rule, &written.rules, index);
        let mut caller = desk.one(&at, rule, &default);
        caller.name = rule.name.as_deref().unwrap_or_default().into();
        caller.matches = matches(draft, &at, rule);
        rules.push(caller);
    }
    Callers { default, rules }
}

fn check_tiers(desk: &Desk<'_>, written: &raw::Callers) {
    let draft = desk.draft;
    for (name, tier) in &desk.tiers.0 {
        let at = desk.at_tiers.key(name);
        names::check_label(draft, &at, name);
        for field in ["name", "match", "tier", "per"] {
            if draft.is_written(&at.key(field)) {
                draft.error(&at.key(field), "only a rule has it, not a tier");
            }
        }
        desk.layered(None, (tier, &at), &Caller::default());
        let mut callers = written.rules.iter().chain([&written.default]);
        if !callers.any(|caller| caller.tier.as_ref() == Some(name)) {
            draft.warn(&at, "nobody is of this tier");
        }
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

/// Whom the rule is for.
fn matches(draft: &Draft<'_>, at: &At<'_>, rule: &raw::Caller) -> Match {
    let at_match = at.key("match");
    let Some(written) = &rule.matches else {
        if !draft.is_written(&at_match) {
            draft.warn(at, "no `match`: it holds for everyone, and no later rule is reached");
        }
        return Match::default();
    };
    let at = at_match;
    let at_header = at.key("header");
    let read = |(name, value): &(String, String)| header(draft, &at_header.key(name), name, value);
    Match {
        headers: written.header.0.iter().filter_map(read).collect(),
        models: names::patterns(draft, &at.key("model"), &written.model),
        endpoints: limits::endpoints(&written.endpoint),
    }
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

impl Desk<'_> {
    /// What is written, over what its tier says, over `base`.
    fn one(&self, at: &At<'_>, written: &raw::Caller, base: &Caller) -> Caller {
        let tier = self.tier(at, written);
        self.layered(tier.as_ref().map(|(tier, at)| (*tier, at)), (written, at), base)
    }

    fn layered(&self, tier: Option<Layer<'_>>, own: Layer<'_>, base: &Caller) -> Caller {
        let mut caller = base.clone();
        let mut limits = Vec::new();
        let mut limited = false;
        for (written, at) in tier.into_iter().chain([own]) {
            overlay(self.draft, at, written, &mut caller);
            if let Some(written) = &written.limits {
                limits.extend(limits::of_caller(self.draft, at, written, self.replicas));
                limited = true;
            }
        }
        if limited {
            caller.limits = limits;
        }
        check(self.draft, own, &caller);
        self.check_room(own, &caller);
        caller
    }

    /// A bound on requests is of no use where a limit never holds one that large.
    fn check_room(&self, (written, at): Layer<'_>, caller: &Caller) {
        let field = match (&written.max_input_tokens, &written.limits) {
            (Some(_), _) => "maxInputTokens",
            (None, Some(_)) => "limits",
            (None, None) => return,
        };
        if let Some(limit) = limits::too_narrow(caller, self.replicas) {
            let message = format!("a request of `maxInputTokens` is more than `{limit}` can hold");
            self.draft.warn(&at.key(field), message);
        }
    }

    fn tier(&self, at: &At<'_>, written: &raw::Caller) -> Option<(&raw::Caller, At<'_>)> {
        let name = written.tier.as_ref()?;
        let found = self.tiers.0.iter().find(|(tier, _)| tier == name);
        if found.is_none() {
            let meant = self.tiers.0.iter().map(|(name, _)| name.as_str());
            let meant = self.draft.closest(name, meant);
            self.draft.slip(&at.key("tier"), "there is no such tier", meant);
        }
        found.map(|(name, tier)| (tier, self.at_tiers.key(name)))
    }
}

/// Puts what is written over what holds without it.
fn overlay(draft: &Draft<'_>, at: &At<'_>, written: &raw::Caller, caller: &mut Caller) {
    if let Some(per) = written.per {
        caller.per = self::per(per);
    }
    if let Some(priority) = written.priority {
        caller.priority = self::priority(priority);
    }
    if let Some(priority) = written.max_priority {
        caller.max_priority = self::priority(priority);
    }
    if let Some(span) = written.max_wait {
        caller.max_wait = span.0;
    }
    if let Some(models) = &written.models {
        caller.models = names::patterns(draft, &at.key("models"), models);
    }
    caller.max_input = written.max_input_tokens.map(|most| most.0).or(caller.max_input);
    caller.max_output = written.max_output_tokens.map(|most| most.0).or(caller.max_output);
    let max_body = settings::body(draft, &at.key("maxBody"), written.max_body);
    caller.max_body = max_body.or(caller.max_body);
}

/// What concerns several of its fields.
fn check(draft: &Draft<'_>, (written, at): Layer<'_>, caller: &Caller) {
    let own = written.priority.is_some() || written.max_priority.is_some();
    if own && caller.priority > caller.max_priority {
        let field = if written.max_priority.is_some() { "maxPriority" } else { "priority" };
        draft.error(&at.key(field), "`priority` is higher than `maxPriority`");
    }
    if written.per.is_some() && caller.limits.is_empty() {
        draft.warn(&at.key("per"), "nothing is counted: it has no `limits`");
    }
}

const fn priority(written: raw::Priority) -> Priority {
    match written {
        raw::Priority::High => Priority::High,
        raw::Priority::Normal => Priority::Normal,
        raw::Priority::Batch => Priority::Batch,
    }
}

const fn per(written: raw::Per) -> Per {
    match written {
        raw::Per::Caller => Per::Caller,
        raw::Per::User => Per::User,
        raw::Per::Model => Per::Model,
    }
}
