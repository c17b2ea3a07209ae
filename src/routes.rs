//! The signposts: what a model name may resolve to.
//!
//! Pure: names in, targets out.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::formats::Wire;
use crate::formats::models::Price;

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
    /// Its targets, in the order written.
    pub targets: Vec<Candidate>,
    /// When a refusal of the request itself goes on to the next target.
    pub moves_on: MovesOn,
    /// What answers when no target can.
    pub fallback: Option<Fallback>,
}

/// What answers when no target of an alias can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Another target, smaller or worse.
    Model(Target),
    /// A fixed text.
    Text(Arc<str>),
}

/// A target of an alias, and what it is chosen by.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The target.
    pub target: Target,
    /// Its share under `weighted`, at least 1.
    pub weight: u32,
    /// What its tokens cost, where that is known.
    pub price: Option<Price>,
    /// The largest input in tokens, where that is known.
    pub context: Option<u32>,
}

/// When a refusal of the request itself goes on to an alias's next target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovesOn {
    /// Where it is too long for the model.
    pub context_too_long: bool,
    /// Where a content filter refused it.
    pub content_filter: bool,
}

/// What a request is weighed by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weight {
    /// Decides between weights.
    pub random: u64,
    /// Input tokens, as estimated.
    pub input: u64,
    /// Output tokens that are reckoned with.
    pub output: u64,
}

/// How an alias orders its targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// As written.
    #[default]
    Priority,
    /// One by weight first, the others as written behind it.
    Weighted,
    /// By price times estimated tokens; those without a known price last.
    Cheapest,
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
    /// The targets, in the order in which they are tried; empty only where a list of models is asked
    /// for that no provider has.
    pub targets: SmallVec<[Target; 1]>,
    /// Whether an alias was asked for: then a failing target yields to the next, and what the
    /// client gets in the end is Keyweir's word, not one provider's.
    pub alias: bool,
    /// When a refusal of the request itself goes on to the next target.
    pub moves_on: MovesOn,
    /// What answers when none of them can.
    pub fallback: Option<Fallback>,
}

/// The wire formats in which a request can be put.
#[derive(Clone, Copy, Debug)]
pub struct Wires<'w> {
    /// That of its path.
    pub own: Wire,
    /// Those into which it can be translated.
    pub reach: &'w [Wire],
}

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Astray {
    /// No provider speaks the path's wire format, nor any into which the request can be translated.
    NoProvider(Wire),
    /// The targets speak other wire formats than the path's, into which the request cannot be
    /// translated.
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

    fn takes(&self, provider: usize, wires: Wires<'_>) -> bool {
        self.speaks(provider, wires.own)
            || wires.reach.iter().any(|wire| self.speaks(provider, *wire))
    }

    /// Every alias's name.
    pub fn aliases(&self) -> impl Iterator<Item = &Alias> {
        self.aliases.values()
    }

    /// Where a request for `model` goes that can be put in these formats.
    ///
    /// A name is an alias, or `provider/model`; anything else, or no name at all, goes to the first
    /// provider of the path's own wire format, whose own answer then tells the caller. Where there is
    /// none, it goes to the first for which the request can be translated. An alias's target whose
    /// model the request is far too long for is left out, unless no other is there.
    pub fn resolve(
        &self,
        model: Option<&Arc<str>>,
        wires: Wires<'_>,
        weight: impl FnOnce() -> Weight,
    ) -> Result<Resolved, Astray> {
        if let Some(alias) = model.and_then(|name| self.aliases.get(&**name)) {
            let weight = weight();
            let mut candidates = alias.ordered(weight);
            candidates.retain(|candidate| self.takes(candidate.target.provider, wires));
            if candidates.iter().any(|candidate| candidate.holds(weight)) {
                candidates.retain(|candidate| candidate.holds(weight));
            }
            if candidates.is_empty() {
                return Err(Astray::OtherWire(wires.own));
            }
            let targets = candidates.into_iter().map(|it| it.target.clone()).collect();
            let (moves_on, fallback) = (alias.moves_on, alias.fallback.clone());
            return Ok(Resolved { targets, alias: true, moves_on, fallback });
        }
        let target = match model.and_then(|name| self.direct(name)) {
            Some(target) if self.takes(target.provider, wires) => target,
            Some(_) => return Err(Astray::OtherWire(wires.own)),
            None => Target { provider: self.first(wires)?, model: model.map(Arc::clone) },
        };
        Ok(Resolved::to(smallvec![target]))
    }

    /// `provider/model`: a model's own name may hold further slashes.
    fn direct(&self, name: &str) -> Option<Target> {
        let (provider, model) = name.split_once('/')?;
        let provider = self.provider(provider)?;
        Some(Target { provider, model: Some(model.into()) })
    }

    fn first(&self, wires: Wires<'_>) -> Result<usize, Astray> {
        let first = |speaks: fn(&[Wire], &Wire) -> bool| {
            self.providers.iter().position(|(_, spoken)| speaks(spoken, &wires.own))
        };
        let own = first(|spoken, wire| spoken.first() == Some(wire));
        let also = || first(<[Wire]>::contains);
        let any = || (0..self.providers.len()).find(|provider| self.takes(*provider, wires));
        own.or_else(also).or_else(any).ok_or(Astray::NoProvider(wires.own))
    }
}

impl Resolved {
    /// These targets, which no alias stands for.
    pub fn to(targets: SmallVec<[Target; 1]>) -> Self {
        Self { targets, alias: false, moves_on: MovesOn::default(), fallback: None }
    }
}

impl Candidate {
    /// Whether the model can take a request of that size, for all that an estimate can tell: a quarter
    /// more than its context is let pass.
    fn holds(&self, weight: Weight) -> bool {
        self.context.is_none_or(|context| weight.input <= u64::from(context) * 5 / 4)
    }

    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    fn cost(&self, weight: Weight) -> f64 {
        self.price.map_or(f64::INFINITY, |price| {
            price.input * weight.input as f64 + price.output * weight.output as f64
        })
    }
}

impl Alias {
    fn ordered(&self, weight: Weight) -> Vec<&Candidate> {
        let mut targets: Vec<_> = self.targets.iter().collect();
        match self.strategy {
            Strategy::Priority => {}
            Strategy::Weighted => {
                let first = self.weighted(weight.random).min(targets.len().saturating_sub(1));
                if let Some(head) = targets.get_mut(..=first) {
                    head.rotate_right(1);
                }
            }
            Strategy::Cheapest => {
                targets.sort_by(|a, b| a.cost(weight).total_cmp(&b.cost(weight)));
            }
        }
        targets
    }

    fn weighted(&self, random: u64) -> usize {
        let total: u64 = self.targets.iter().map(|candidate| u64::from(candidate.weight)).sum();
        let mut rest = random % total.max(1);
        for (index, candidate) in self.targets.iter().enumerate() {
            match rest.checked_sub(u64::from(candidate.weight)) {
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

    fn candidate(target: Target, weight: u32) -> Candidate {
        Candidate { target, weight, price: None, context: None }
    }

    fn drawn(random: u64) -> Weight {
        Weight { random, ..Weight::default() }
    }

    /// A request that cannot be translated.
    const fn only(own: Wire) -> Wires<'static> {
        Wires { own, reach: &[] }
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
                candidate(target(0, "gpt-4o"), 1),
                candidate(target(1, "claude-sonnet-5"), 1),
                candidate(target(2, "llama-3.3-70b"), 1),
            ],
            moves_on: MovesOn::default(),
            fallback: None,
        };
        let claude = Alias {
            name: "claude".into(),
            strategy: Strategy::Priority,
            targets: vec![candidate(target(1, "claude-sonnet-5"), 1)],
            moves_on: MovesOn::default(),
            fallback: None,
        };
        Routes::new(providers, vec![chat, claude])
    }

    #[test]
    fn an_alias_leads_to_its_targets_of_the_path_s_own_wire_format() {
        let resolved =
            routes().resolve(Some(&"chat".into()), only(Wire::OpenAi), Weight::default).unwrap();
        assert_eq!(resolved.targets[..], [target(0, "gpt-4o"), target(2, "llama-3.3-70b")]);
        assert!(resolved.alias);
        let astray = routes().resolve(Some(&"claude".into()), only(Wire::OpenAi), Weight::default);
        assert_eq!(astray, Err(Astray::OtherWire(Wire::OpenAi)));
    }

    #[test]
    fn a_request_that_can_be_translated_goes_to_every_target_of_a_format_in_reach() {
        let wires = Wires { own: Wire::OpenAi, reach: &[Wire::OpenAi, Wire::Anthropic] };
        let resolved = routes().resolve(Some(&"chat".into()), wires, Weight::default).unwrap();
        assert_eq!(resolved.targets.len(), 3);
        let direct =
            routes().resolve(Some(&"anthropic/claude-x".into()), wires, Weight::default).unwrap();
        assert_eq!(direct.targets[..], [target(1, "claude-x")]);
        let gemini = Wires { own: Wire::Gemini, reach: &[Wire::Anthropic] };
        let first = routes().resolve(Some(&"claude-x".into()), gemini, Weight::default).unwrap();
        assert_eq!(first.targets[..], [target(1, "claude-x")], "nobody speaks the caller's own");
    }

    #[test]
    fn a_provider_s_name_before_a_slash_leads_straight_to_it() {
        let resolved = routes()
            .resolve(Some(&"local/meta/llama".into()), only(Wire::OpenAi), Weight::default)
            .unwrap();
        assert_eq!(resolved.targets[..], [target(2, "meta/llama")]);
        assert!(!resolved.alias);
    }

    #[test]
    fn any_other_name_goes_to_the_first_provider_of_the_path_s_wire_format() {
        let resolved = routes()
            .resolve(Some(&"meta-llama/Llama-3".into()), only(Wire::OpenAi), Weight::default)
            .unwrap();
        assert_eq!(resolved.targets[..], [target(0, "meta-llama/Llama-3")]);
        let nobody =
            routes().resolve(Some(&"gemini-3".into()), only(Wire::Gemini), Weight::default);
        assert_eq!(nobody, Err(Astray::NoProvider(Wire::Gemini)));
        let resolved = routes().resolve(None, only(Wire::Anthropic), Weight::default).unwrap();
        assert_eq!(resolved.targets[..], [Target { provider: 1, model: None }]);
    }

    #[test]
    fn weights_decide_who_is_first_and_the_others_stand_behind() {
        let alias = Alias {
            name: "w".into(),
            strategy: Strategy::Weighted,
            targets: vec![
                candidate(target(0, "a"), 1),
                candidate(target(1, "b"), 3),
                candidate(target(2, "c"), 1),
            ],
            moves_on: MovesOn::default(),
            fallback: None,
        };
        let firsts: Vec<_> =
            (0..5).map(|random| alias.ordered(drawn(random))[0].target.provider).collect();
        assert_eq!(firsts, [0, 1, 1, 1, 2]);
        let order: Vec<_> = alias.ordered(drawn(4)).iter().map(|it| it.target.provider).collect();
        assert_eq!(order, [2, 0, 1]);
    }

    #[test]
    fn the_cheapest_comes_first_for_this_request_and_what_has_no_price_last() {
        let priced = |provider, input, output| {
            let price = Price { input, output, ..Price::default() };
            Candidate { price: Some(price), ..candidate(target(provider, "m"), 1) }
        };
        let alias = Alias {
            name: "cheap".into(),
            strategy: Strategy::Cheapest,
            targets: vec![candidate(target(0, "m"), 1), priced(1, 5.0, 1.0), priced(2, 1.0, 9.0)],
            moves_on: MovesOn::default(),
            fallback: None,
        };
        let order = |input, output| -> Vec<usize> {
            let weight = Weight { random: 0, input, output };
            alias.ordered(weight).iter().map(|it| it.target.provider).collect()
        };
        assert_eq!(order(1_000, 10), [2, 1, 0]);
        assert_eq!(order(10, 1_000), [1, 2, 0]);
    }

    #[test]
    fn a_model_that_a_request_is_far_too_long_for_is_left_out_unless_there_is_no_other() {
        let mut routes = routes();
        let chat = routes.aliases.get_mut("chat").unwrap();
        chat.targets[0].context = Some(1_000);
        let providers = |routes: &Routes, input| -> Vec<usize> {
            let weight = Weight { input, ..Weight::default() };
            let resolved =
                routes.resolve(Some(&"chat".into()), only(Wire::OpenAi), || weight).unwrap();
            resolved.targets.iter().map(|target| target.provider).collect()
        };
        assert_eq!(providers(&routes, 1_250), [0, 2], "an estimate may be wrong");
        assert_eq!(providers(&routes, 1_251), [2]);
        routes.aliases.get_mut("chat").unwrap().targets[2].context = Some(10);
        assert_eq!(providers(&routes, 5_000), [0, 2]);
    }
}
