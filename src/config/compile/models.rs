//! `models:` → aliases and their targets.

use super::super::diagnostic::shown;
use super::super::place::{At, Draft};
use super::super::raw::{self, Ordered};
use super::super::used::{Alias, Fallback, MovesOn, Pattern, Price, Strategy, Target};
use super::providers::{Roster, Seat};
use super::{Work, names, settings};
use crate::formats::{self, known};

/// Compiles all aliases. A target may name a provider that is known but not written: it joins the
/// roster, with the environment's keys.
pub(super) fn compile(
    work: &Work<'_>,
    written: &Ordered<raw::Alias>,
    roster: &mut Roster,
) -> Vec<Alias> {
    let at_models = At::ROOT.key("models");
    let mut aliases = Vec::new();
    for (name, alias) in &written.0 {
        let at = at_models.key(name);
        if !names::is_model(name) {
            work.draft.error(&at, "not a model name: no white space, at most 256 characters");
        }
        let targets = targets(work, &at, alias, written, roster);
        let fallback = fallback(work, &at, alias, written, roster);
        let strategy = strategy(alias.strategy);
        if !targets.is_empty() {
            let next = |written: Option<raw::Next>| matches!(written, Some(raw::Next::Next));
            let moves_on = MovesOn {
                context_too_long: next(alias.on_context_too_long),
                content_filter: next(alias.on_content_filter),
            };
            let name = name.as_str().into();
            aliases.push(Alias { name, strategy, targets, moves_on, fallback });
        }
    }
    aliases
}

/// What a caller's cost limit does not count is worth knowing where a model is named.
pub(super) fn warn_of_unpriced(
    draft: &Draft<'_>,
    written: &Ordered<raw::Alias>,
    prices: &[(Pattern, Price)],
) {
    let at_models = At::ROOT.key("models");
    for (name, alias) in &written.0 {
        let at = at_models.key(name);
        let at_targets = at.key("targets");
        for (index, target) in alias.targets.iter().enumerate() {
            let Some((_, model)) = target.model.as_deref().and_then(|it| it.split_once('/')) else {
                continue;
            };
            let is_known = prices.iter().any(|(pattern, _)| pattern.matches(model));
            if !is_known && formats::models::find(model).is_none() {
                let message = "no price is known for it: limits of cost do not count it";
                draft.warn(&at_targets.index(index).key("model"), message);
            }
        }
    }
}

const fn strategy(written: Option<raw::Strategy>) -> Strategy {
    match written {
        None | Some(raw::Strategy::Priority) => Strategy::Priority,
        Some(raw::Strategy::Weighted) => Strategy::Weighted,
        Some(raw::Strategy::Cheapest) => Strategy::Cheapest,
        Some(raw::Strategy::Fastest) => Strategy::Fastest,
        Some(raw::Strategy::LeastBusy) => Strategy::LeastBusy,
    }
}

fn targets(
    work: &Work<'_>,
    at: &At<'_>,
    alias: &raw::Alias,
    aliases: &Ordered<raw::Alias>,
    roster: &mut Roster,
) -> Vec<Target> {
    let draft = work.draft;
    let at_targets = at.key("targets");
    if draft.is_empty_list(&at_targets) {
        draft.error(&at_targets, "no target is listed");
    } else if alias.targets.is_empty() {
        draft.missing(at, "targets", "its `targets` are missing");
    }
    let mut targets: Vec<Target> = Vec::new();
    for (index, written) in alias.targets.iter().enumerate() {
        let at = at_targets.index(index);
        let weight = settings::weight(draft, &at, written.weight);
        let at_model = at.key("model");
        let Some(text) = &written.model else {
            draft.missing(&at, "model", "its `model` is missing");
            continue;
        };
        let Some((provider, model)) = resolve(work, &at_model, text, aliases, roster) else {
            continue;
        };
        if targets.iter().any(|held| held.provider == provider && *held.model == *model) {
            draft.warn(&at_model, "the same target twice");
        }
        targets.push(Target { provider, model: model.into(), weight });
    }
    targets
}

/// `provider/model` → the provider's index and the model; models may hold further slashes.
fn resolve<'a>(
    work: &Work<'_>,
    at: &At<'_>,
    text: &'a str,
    aliases: &Ordered<raw::Alias>,
    roster: &mut Roster,
) -> Option<(usize, &'a str)> {
    let draft = work.draft;
    let Some((provider, model)) = text.split_once('/') else {
        report_no_slash(draft, at, text, aliases);
        return None;
    };
    if !names::is_model(model) {
        draft.error(at, "not a model name after the `/`");
        return None;
    }
    match roster.seat(provider) {
        Seat::Taken(index) => Some((index, model)),
        Seat::LeftOut => None,
        Seat::Unknown => match known::named(provider) {
            Some(known) if known.base_url.is_some() => {
                roster.add_known(work, known).map(|index| (index, model))
            }
            _ => {
                let message = format!("there is no provider `{}`", shown(provider));
                let meant = roster.closest(draft, provider);
                let meant = meant.map(|name| format!("{name}/{model}"));
                draft.slip(at, message, meant);
                None
            }
        },
    }
}

fn report_no_slash(draft: &Draft<'_>, at: &At<'_>, text: &str, aliases: &Ordered<raw::Alias>) {
    if aliases.0.iter().any(|(name, _)| name == text) {
        let message = "this is an alias; a target is `provider/model`, so that aliases cannot go \
                       round in circles";
        draft.error(at, message);
    } else {
        draft.error(at, format!("`{}` names no provider: write `provider/model`", shown(text)));
    }
}

fn fallback(
    work: &Work<'_>,
    at: &At<'_>,
    alias: &raw::Alias,
    aliases: &Ordered<raw::Alias>,
    roster: &mut Roster,
) -> Option<Fallback> {
    let fallback = alias.fallback.as_ref()?;
    let at = at.key("fallback");
    match (&fallback.model, &fallback.text) {
        (Some(model), None) => {
            let (provider, model) = resolve(work, &at.key("model"), model, aliases, roster)?;
            Some(Fallback::Model(Target { provider, model: model.into(), weight: 1 }))
        }
        (None, Some(text)) => Some(Fallback::Text(text.as_str().into())),
        (Some(_), Some(_)) => {
            work.draft.error(&at, "either a `model` or a `text`, not both");
            None
        }
        (None, None) => {
            work.draft.error(&at, "a `model` or a `text` is missing");
            None
        }
    }
}
