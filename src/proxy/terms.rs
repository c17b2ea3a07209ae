//! What changes with time alone: limits that hold at certain times, and end.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::callers::{Accounts, Callers};
use crate::clock::{Moment, Now};
use crate::config::used::{Config, Term};
use crate::config::{Diagnostic, used};
use crate::lifecycle::Clock;
use crate::limits::{Share, Sharing};
use crate::pipeline::Purse;
use crate::sources::environment;

/// Wall clocks are put right now and then, so nobody relies on one for longer.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How many sidecars share limits, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fleet {
    /// The number; `None` if nobody says.
    pub(super) replicas: Option<NonZeroU32>,
}

impl Fleet {
    /// What the configuration says, else the environment.
    pub(super) fn of(config: &Config) -> Self {
        Self { replicas: config.replicas.or_else(|| environment::replicas().ok().flatten()) }
    }

    /// How many are assumed.
    pub(super) fn assumed(self) -> NonZeroU32 {
        self.replicas.unwrap_or(NonZeroU32::MIN)
    }

    /// A caller's limits are for all sidecars together.
    pub(super) fn of_callers(self) -> Sharing {
        Sharing::Part(Share::one_of(self.assumed()))
    }

    /// A provider's are drawn on by all of them, and its headers tell what the others leave.
    pub(super) fn of_providers(self) -> Sharing {
        let known = self.replicas.filter(|replicas| replicas.get() > 1);
        known.map_or(Sharing::Learned, |replicas| Sharing::Floor(Share::one_of(replicas)))
    }
}

/// What each caller may spend, by the rule's name, the default's by none; it outlives snapshots.
#[derive(Debug, Default)]
pub(super) struct Purses(HashMap<Option<Box<str>>, Arc<Purse>>);

impl Purses {
    /// Those of these callers, in their order; `None` for who has no limits. What was used stays used.
    pub(super) fn fill(
        &mut self,
        callers: &Callers,
        fleet: Fleet,
        clock: Clock,
    ) -> Vec<Option<Arc<Purse>>> {
        let mut before = std::mem::take(&mut self.0);
        let (sharing, now) = (fleet.of_callers(), clock.now());
        let rules = callers.rules.iter().map(|rule| (Some(rule.name.clone()), rule));
        let all = std::iter::once((None, &callers.default)).chain(rules);
        let purses = all.map(|(name, caller)| {
            let (per, limits) = (caller.per, &caller.limits);
            if limits.is_empty() {
                return None;
            }
            let purse = before.remove(&name).unwrap_or_else(|| {
                let accounts = Accounts::new(per, limits, sharing, now.wall);
                Arc::new(Purse::new(Arc::from(&*caller.name), accounts, clock))
            });
            purse.change(|accounts, at| accounts.revise(per, limits, sharing, (at, now.wall)));
            self.0.insert(name, Arc::clone(&purse));
            Some(purse)
        });
        purses.collect()
    }

    /// Time has passed: other limits may hold.
    pub(super) fn turn(&self, wall: Timestamp) {
        for purse in self.0.values() {
            purse.change(|accounts, _| accounts.turn(wall));
        }
    }
}

/// Every limit's term.
fn terms(config: &Config) -> impl Iterator<Item = &Term> {
    let of_providers = config.providers.iter().flat_map(|provider| &provider.limits);
    let of_providers = of_providers.map(|limit: &used::Limit| &limit.clause);
    let of_callers = config.callers.all().flat_map(|caller| &caller.limits);
    of_providers.chain(of_callers).map(|clause| &clause.term)
}

/// When to look again which limits hold.
pub(super) fn next_turn(config: &Config, now: Now) -> Moment {
    let next = terms(config).filter_map(|term| term.next_change(now.wall)).min();
    next.map_or(Moment::NEVER, |next| now.moment_of(next)).min(now.at + LONGEST_WAIT)
}

/// What is to be told of limits that have ended.
pub(super) fn ended(config: &Config, wall: Timestamp) -> Vec<Diagnostic> {
    let ended = config.endings.iter().filter(|(when, _)| *when <= wall);
    ended.map(|(_, told)| told.clone()).collect()
}
