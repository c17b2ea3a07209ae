//! One class: what each caller has been served, and what waits.

use std::collections::{BTreeSet, HashMap};

use super::super::claim::Claim;
use super::super::rule::Cost;
use super::line::Rank;

/// One class. What a caller was served is remembered while anybody of the class waits.
#[derive(Debug, Default)]
pub(super) struct Class {
    callers: HashMap<u64, Caller>,
    /// Those who wait, by the work that does.
    by_work: BTreeSet<(u64, u64)>,
    spread: Spread,
    waiting: usize,
    cost: Cost,
    /// Work that was served to higher classes while this one waited.
    passed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Caller {
    rank: Rank,
    /// The work that waits; none if nothing does.
    work: u64,
}

/// A caller's rank before and after.
pub(super) struct Whose {
    pub(super) old: Rank,
    pub(super) new: Rank,
}

/// Callers that wait no more are remembered, as long as they are no more than this.
const REMEMBERED: usize = 4_096;

impl Class {
    /// A request takes its place. A caller that did not wait begins at `floor`, the least that those
    /// who wait have been served, or where it stood if that is more: being away saves nothing up.
    pub(super) fn enter(&mut self, claim: &Claim, work: u64, floor: u64, number: u64) -> Rank {
        let fresh = Caller { rank: Rank { served: floor, since: number }, work: 0 };
        let caller = self.callers.entry(claim.caller).or_insert(fresh);
        if caller.work == 0 {
            caller.rank = Rank { served: caller.rank.served.max(floor), since: number };
        }
        let rank = caller.rank;
        self.waiting += 1;
        self.cost = self.cost.plus(claim.cost);
        self.change_work(claim.caller, |before| before + work);
        rank
    }

    /// A request has left its place.
    pub(super) fn exit(&mut self, claim: &Claim, work: u64) {
        self.waiting -= 1;
        self.cost = self.cost.minus(claim.cost);
        self.change_work(claim.caller, |before| before.saturating_sub(work));
        if self.waiting == 0 {
            self.callers.clear();
            self.passed = 0;
        } else if self.callers.len() > self.by_work.len() + REMEMBERED {
            self.callers.retain(|_, caller| caller.work > 0);
        }
    }

    fn change_work(&mut self, id: u64, change: impl FnOnce(u64) -> u64) {
        let Some(caller) = self.callers.get_mut(&id) else { return };
        let (old, new) = (caller.work, change(caller.work));
        caller.work = new;
        if old > 0 {
            self.by_work.remove(&(old, id));
            self.spread.remove(old);
        }
        if new > 0 {
            self.by_work.insert((new, id));
            self.spread.insert(new);
        }
    }

    /// Changes what a caller has been served; its rank before and after, if it is known.
    pub(super) fn charge(&mut self, id: u64, change: impl FnOnce(u64) -> u64) -> Option<Whose> {
        let caller = self.callers.get_mut(&id)?;
        let old = caller.rank;
        caller.rank.served = change(old.served);
        Some(Whose { old, new: caller.rank })
    }

    pub(super) fn rank(&self, caller: u64) -> Option<Rank> {
        self.callers.get(&caller).filter(|caller| caller.work > 0).map(|caller| caller.rank)
    }

    /// What of this class is served before a claim, and how many those are: of every caller as much
    /// as the claim's own has before it and with it, `own` thousandths of what it has waiting.
    pub(super) fn before(&self, claim: &Claim, own: u64) -> (Cost, u64) {
        let all = self.spread.sum();
        let mine = self.work_of(claim.caller);
        let ahead = share(mine, own, 1_000);
        let level = ahead.saturating_add(claim.cost.work());
        let others = self.spread.fair(level).saturating_sub(mine.min(level));
        let part = others.saturating_add(ahead).min(all);
        (self.cost.part(part, all), share(self.waiting as u64, part, all))
    }

    pub(super) fn heaviest(&self) -> Option<(u64, Rank)> {
        let (work, id) = self.by_work.last()?;
        Some((*work, self.callers.get(id)?.rank))
    }

    pub(super) fn work_of(&self, caller: u64) -> u64 {
        self.callers.get(&caller).map_or(0, |caller| caller.work)
    }

    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) const fn cost(&self) -> Cost {
        self.cost
    }

    /// A request of a higher class was served. What that counts for is never more than lets all
    /// through that waits.
    pub(super) fn passed_over(&mut self, work: u64) {
        let most = self.spread.sum().saturating_mul(super::PATIENCE);
        self.passed = self.passed.saturating_add(work).min(most);
    }

    /// This class came first for having been passed over.
    pub(super) const fn came_first(&mut self, work: u64) {
        self.passed = self.passed.saturating_sub(work.saturating_mul(super::PATIENCE));
    }

    pub(super) const fn passed(&self) -> u64 {
        self.passed
    }
}

/// `part` of `whole` of an amount.
fn share(amount: u64, part: u64, whole: u64) -> u64 {
    let product = u128::from(amount) * u128::from(part);
    let share = product.checked_div(u128::from(whole)).unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// How work is spread over callers, by its magnitude: what all of them get until one has had so much
/// is known without asking each.
#[derive(Debug)]
struct Spread {
    /// How many callers have work of that many binary digits, and how much.
    bins: [(u64, u64); 65],
}

impl Default for Spread {
    fn default() -> Self {
        Self { bins: [(0, 0); 65] }
    }
}

impl Spread {
    fn insert(&mut self, work: u64) {
        if let Some((count, sum)) = self.bins.get_mut(digits(work)) {
            *count += 1;
            *sum = sum.saturating_add(work);
        }
    }

    fn remove(&mut self, work: u64) {
        if let Some((count, sum)) = self.bins.get_mut(digits(work)) {
            *count = count.saturating_sub(1);
            *sum = sum.saturating_sub(work);
        }
    }

    fn sum(&self) -> u64 {
        self.bins.iter().fold(0, |sum, (_, work)| sum.saturating_add(*work))
    }

    /// The sum over all callers of the smaller of its work and `level`; of callers whose work has as
    /// many digits as `level`, as if they all had the same.
    fn fair(&self, level: u64) -> u64 {
        let turn = digits(level);
        let each = self.bins.iter().enumerate().map(|(digits, (count, sum))| {
            let most = count.saturating_mul(level);
            if digits < turn { *sum } else { most.min(*sum) }
        });
        each.fold(0, u64::saturating_add)
    }
}

fn digits(work: u64) -> usize {
    usize::try_from(u64::BITS - work.leading_zeros()).unwrap_or(0)
}
