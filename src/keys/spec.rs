//! What a pool is built from.

use std::time::Duration;

pub use crate::formats::Pattern;
use crate::limits::{Charging, Learning, Rule, Sharing};

use super::secret::Fingerprint;

/// A whole pool: the keys of one provider, and what the provider grants.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// The keys; none makes a pool that can serve nobody.
    pub keys: Vec<KeySpec>,
    /// What the provider grants to its quota groups, as far as it is written.
    pub limits: Vec<LimitSpec>,
    /// Whether what is written is only the prior.
    pub learning: Learning,
    /// How the provider charges.
    pub charging: Charging,
    /// Who else draws on the same limits.
    pub sharing: Sharing,
    /// When a model of a quota group is given a rest.
    pub breaker: Breaker,
}

/// One key.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// Its name, for people.
    pub name: Box<str>,
    /// The quota group it draws on, by name.
    pub quota_group: Box<str>,
    /// Share of the traffic relative to others, 1 to 1,023. A group weighs what its heaviest key
    /// does, because further keys add no capacity.
    pub weight: u32,
    /// Models it may be used for; empty for any.
    pub models: Vec<Pattern>,
    /// Callers that may use it; empty for any.
    pub callers: Vec<Box<str>>,
    /// What tells its value from others; `None` where no credential is needed.
    pub fingerprint: Option<Fingerprint>,
}

/// What the provider grants to a quota group.
#[derive(Clone, Debug)]
pub struct LimitSpec {
    /// Models it holds for; empty for any.
    pub models: Vec<Pattern>,
    /// Quota groups it holds for, by name; empty for any.
    pub quota_groups: Vec<Box<str>>,
    /// Whether those models have it each or share it.
    pub reach: Reach,
    /// The amounts. Where several limits give one measure and window to a model, that of the more
    /// exactly named model holds, then that of named groups, then the one written last.
    pub rules: Vec<Rule>,
}

/// Who draws on a limit that holds for several models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Each model has it for itself.
    #[default]
    EachModel,
    /// All of them together.
    Together,
}

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// The window in which half of at least twenty open it too.
    pub window: Duration,
    /// How long it is open the first time; doubled each time its probe fails.
    pub open: Duration,
    /// How long it is open at most.
    pub max_open: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            window: Duration::from_secs(10),
            open: Duration::from_secs(1),
            max_open: Duration::from_secs(30),
        }
    }
}

impl LimitSpec {
    pub(super) fn holds_for(&self, group: &str) -> bool {
        self.quota_groups.is_empty() || self.quota_groups.iter().any(|name| &**name == group)
    }

    pub(super) fn counts(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model))
    }

    /// How exactly it names this model and group; the most exact one holds.
    fn exactness(&self, model: &str) -> (usize, bool) {
        let patterns = self.models.iter().filter(|pattern| pattern.matches(model));
        let named = patterns.map(|p| if p.open { p.text.len() + 1 } else { usize::MAX }).max();
        (named.unwrap_or(0), !self.quota_groups.is_empty())
    }
}

/// The rules that one model of one group has for itself.
pub fn rules_for(limits: &[LimitSpec], group: &str, model: &str) -> Vec<Rule> {
    let mut chosen: Vec<((usize, bool), Rule)> = Vec::new();
    let mine = limits.iter().filter(|limit| limit.reach == Reach::EachModel);
    for limit in mine.filter(|limit| limit.holds_for(group) && limit.counts(model)) {
        let exactness = limit.exactness(model);
        for rule in &limit.rules {
            let same = |(_, other): &&mut (_, Rule)| {
                other.measure == rule.measure && other.window == rule.window
            };
            match chosen.iter_mut().find(same) {
                Some(held) if held.0 <= exactness => *held = (exactness, rule.clone()),
                Some(_) => {}
                None => chosen.push((exactness, rule.clone())),
            }
        }
    }
    chosen.into_iter().map(|(_, rule)| rule).collect()
}
