//! The signposts: what a model name may resolve to.
//!
//! Pure: names in, targets out.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::formats::Wire;

/// Provider and model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Index of the provider, in the order configured.
    pub provider: usize,
    /// What the provider calls the model; `None` where the request names none.
    pub model: Option<Arc<str>>,
}

/// A model name that stands for targets.
#[derive(Clone, Debug)]
pub struct Alias {
    /// What an application asks for.
    pub name: Box<str>,
    /// How its targets are ordered for a request.
    pub strategy: Strategy,
    /// Its targets with their weights (at least 1), in the order written.
    pub targets: Vec<(Target, u32)>,
}

/// How an alias orders its targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// As written.
    #[default]
    Priority,
    /// One by weight first, the others as written behind it.
    Weighted,
}

/// Every way from a name to a provider.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// Few, and found sooner by comparing than by hashing.
    providers: Vec<(Box<str>, Vec<Wire>)>,
    aliases: HashMap<Box<str>, Alias>,
}

/// Where a request of the unified door may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The targets, in the order in which they are tried; never empty.
    pub targets: SmallVec<[Target; 1]>,
    /// Whether an alias was asked for: then a failing target yields to the next, and what the
    /// client gets in the end is Keyweir's word, not one provider's.
    pub alias: bool,
}

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Astray {
    /// No provider speaks the path's wire format.
    NoProvider(Wire),
    /// The targets speak other wire formats than the path's.
    OtherWire(Wire),
}

impl Routes {
    /// The routes over these providers: name and wire formats, its own first, in the order
    /// configured.
    pub fn new<'n>(
        providers: impl IntoIterator<Item = (&'n str, Vec<Wire>)>,
        aliases: Vec<Alias>,
    ) -> Self {
        let providers = providers.into_iter().map(|(name, wires)| (name.into(), wires)).collect();
        let aliases = aliases.into_iter().map(|alias| (alias.name.clone(), alias)).collect();
        Self { providers, aliases }
    }

    /// The index of the provider of that name.
    pub fn provider(&self, name: &str) -> Option<usize> {
        self.providers.iter().position(|(known, _)| **known == *name)
    }

    /// Whether that provider speaks that wire format.
    pub fn speaks(&self, provider: usize, wire: Wire) -> bool {
        self.providers.get(provider).is_some_and(|(_, wires)| wires.contains(&wire))
    }

    /// Every alias's name.
    pub fn aliases(&self) -> impl Iterator<Item = &Alias> {
        self.aliases.values()
    }

    /// Where a request for `model` on a path of `wire` goes; `random` decides between weights.
    ///
    /// A name is an alias, or `provider/model`; anything else, or no name at all, goes to the first
    /// provider of the path's own wire format, whose own answer then tells the caller.
    pub fn resolve(
        &self,
        model: Option<&Arc<str>>,
        wire: Wire,
        random: u64,
    ) -> Result<Resolved, Astray> {
        if let Some(alias) = model.and_then(|name| self.aliases.get(&**name)) {
            let targets = alias.ordered(random);
            let targets: SmallVec<_> = targets
                .into_iter()
                .filter(|target| self.speaks(target.provider, wire))
                .cloned()
                .collect();
            let empty = targets.is_empty();
            return if empty {
                Err(Astray::OtherWire(wire))
            } else {
                Ok(Resolved { targets, alias: true })
            };
        }
        let target = match model.and_then(|name| self.direct(name)) {
            Some(target) if self.speaks(target.provider, wire) => target,
            Some(_) => return Err(Astray::OtherWire(wire)),
            None => Target { provider: self.first(wire)?, model: model.map(Arc::clone) },
        };
        Ok(Resolved { targets: smallvec![target], alias: false })
    }

    /// `provider/model`: a model's own name may hold further slashes.
    fn direct(&self, name: &str) -> Option<Target> {
        let (provider, model) = name.split_once('/')?;
        let provider = self.provider(provider)?;
        Some(Target { provider, model: Some(model.into()) })
    }

    fn first(&self, wire: Wire) -> Result<usize, Astray> {
        let first = |speaks: fn(&[Wire], &Wire) -> bool| {
            self.providers.iter().position(|(_, wires)| speaks(wires, &wire))
        };
        let own = first(|wires, wire| wires.first() == Some(wire));
        let also = || first(<[Wire]>::contains);
        own.or_else(also).ok_or(Astray::NoProvider(wire))
    }
}

impl Alias {
    fn ordered(&self, random: u64) -> Vec<&Target> {
        let mut targets: Vec<_> = self.targets.iter().map(|(target, _)| target).collect();
        if self.strategy == Strategy::Weighted {
            let first = self.weighted(random).min(targets.len().saturating_sub(1));
            if let Some(head) = targets.get_mut(..=first) {
                head.rotate_right(1);
            }
        }
        targets
    }

    fn weighted(&self, random: u64) -> usize {
        let total: u64 = self.targets.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut rest = random % total.max(1);
        for (index, (_, weight)) in self.targets.iter().enumerate() {
            match rest.checked_sub(u64::from(*weight)) {
                Some(less) => rest = less,
                None => return index,
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(provider: usize, model: &str) -> Target {
        Target { provider, model: Some(model.into()) }
    }

    fn routes() -> Routes {
        let providers = [
            ("openai", vec![Wire::OpenAi]),
            ("anthropic", vec![Wire::Anthropic]),
            ("local", vec![Wire::OpenAi, Wire::Anthropic]),
        ];
        let chat = Alias {
            name: "chat".into(),
            strategy: Strategy::Priority,
            targets: vec![
                (target(0, "gpt-4o"), 1),
                (target(1, "claude-sonnet-5"), 1),
                (target(2, "llama-3.3-70b"), 1),
            ],
        };
        let claude = Alias {
            name: "claude".into(),
            strategy: Strategy::Priority,
            targets: vec![(target(1, "claude-sonnet-5"), 1)],
        };
        Routes::new(providers, vec![chat, claude])
    }

    #[test]
    fn an_alias_leads_to_its_targets_of_the_path_s_own_wire_format() {
        let resolved = routes().resolve(Some(&"chat".into()), Wire::OpenAi, 0).unwrap();
        assert_eq!(resolved.targets[..], [target(0, "gpt-4o"), target(2, "llama-3.3-70b")]);
        assert!(resolved.alias);
        let astray = routes().resolve(Some(&"claude".into()), Wire::OpenAi, 0);
        assert_eq!(astray, Err(Astray::OtherWire(Wire::OpenAi)));
    }

    #[test]
    fn a_provider_s_name_before_a_slash_leads_straight_to_it() {
        let resolved = routes().resolve(Some(&"local/meta/llama".into()), Wire::OpenAi, 0).unwrap();
        assert_eq!(resolved.targets[..], [target(2, "meta/llama")]);
        assert!(!resolved.alias);
    }

    #[test]
    fn any_other_name_goes_to_the_first_provider_of_the_path_s_wire_format() {
        let resolved =
            routes().resolve(Some(&"meta-llama/Llama-3".into()), Wire::OpenAi, 0).unwrap();
        assert_eq!(resolved.targets[..], [target(0, "meta-llama/Llama-3")]);
        let nobody = routes().resolve(Some(&"gemini-3".into()), Wire::Gemini, 0);
        assert_eq!(nobody, Err(Astray::NoProvider(Wire::Gemini)));
        let resolved = routes().resolve(None, Wire::Anthropic, 0).unwrap();
        assert_eq!(resolved.targets[..], [Target { provider: 1, model: None }]);
    }

    #[test]
    fn weights_decide_who_is_first_and_the_others_stand_behind() {
        let alias = Alias {
            name: "w".into(),
            strategy: Strategy::Weighted,
            targets: vec![(target(0, "a"), 1), (target(1, "b"), 3), (target(2, "c"), 1)],
        };
        let firsts: Vec<_> = (0..5).map(|random| alias.ordered(random)[0].provider).collect();
        assert_eq!(firsts, [0, 1, 1, 1, 2]);
        let order: Vec<_> = alias.ordered(4).iter().map(|target| target.provider).collect();
        assert_eq!(order, [2, 0, 1]);
    }
}
