//! One class: what each caller has been served, and what waits.

use std::collections::{BTreeSet, HashMap};

use super::super::claim::Claim;
use super::super::rule::Cost;
use super::super::supply::part;
use super::line::Rank;

/// One class. What a caller was served is remembered while anybody of the class waits.
#[derive(Debug, Default)]
pub(super) struct Class {
    callers: HashMap<u64, Caller>,
    /// Those who wait, by the magnitude of the work that does.
    by_work: BTreeSet<(usize, u64)>,
    spread: Spread,
    waiting: usize,
    cost: Cost,
    work: u64,
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
pub(super) struct Reranked {
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
        let before = caller.work;
        if before == 0 {
            caller.rank = Rank { served: caller.rank.served.max(floor), since: number };
        }
        caller.work += work;
        let (rank, after) = (caller.rank, caller.work);
        self.waiting += 1;
        self.cost = self.cost.plus(claim.cost);
        self.work += work;
        self.file(claim.caller, before, after);
        rank
    }

    /// A request leaves its place; the rank under which its caller waited.
    pub(super) fn exit(&mut self, claim: &Claim, work: u64) -> Option<Rank> {
        let caller = self.callers.get_mut(&claim.caller)?;
        let before = caller.work;
        caller.work = before.saturating_sub(work);
        let (rank, after) = (caller.rank, caller.work);
        self.waiting -= 1;
        self.cost = self.cost.minus(claim.cost);
        self.work = self.work.saturating_sub(work);
        self.file(claim.caller, before, after);
        if self.waiting == 0 {
            self.callers.clear();
            self.passed = 0;
        } else if self.callers.len() > self.by_work.len() + REMEMBERED {
            self.callers.retain(|_, caller| caller.work > 0);
        }
        Some(rank)
    }

    /// A caller has another amount of work waiting.
    fn file(&mut self, id: u64, before: u64, after: u64) {
        self.spread.remove(before);
        self.spread.insert(after);
        if digits(before) != digits(after) {
            self.by_work.remove(&(digits(before), id));
            if after > 0 {
                self.by_work.insert((digits(after), id));
            }
        }
    }

    /// Changes what a caller has been served; its rank before and after, if it is known.
    pub(super) fn charge(&mut self, id: u64, change: impl FnOnce(u64) -> u64) -> Option<Reranked> {
        let caller = self.callers.get_mut(&id)?;
        let old = caller.rank;
        caller.rank.served = change(old.served);
        Some(Reranked { old, new: caller.rank })
    }

    /// The rank and the work of a caller that waits.
    pub(super) fn caller(&self, id: u64) -> Option<(Rank, u64)> {
        let caller = self.callers.get(&id).filter(|caller| caller.work > 0)?;
        Some((caller.rank, caller.work))
    }

    /// What of this class is served before a request of a caller's, and how many those are: of each of
    /// the others as much as of it, which has `own` waiting and `ahead` of that before this, and one
    /// request more.
    pub(super) fn before(&self, own: u64, ahead: u64) -> (Cost, u64) {
        let one = self.work.checked_div(self.waiting as u64).unwrap_or(0);
        let level = ahead.saturating_add(one);
        let others = self.spread.fair(level).saturating_sub(own.min(level));
        let before = others.saturating_add(ahead).min(self.work);
        let of = |amount| part(amount, before, self.work);
        (self.cost.part(before, self.work), of(self.waiting as u64))
    }

    /// The caller with the most work waiting, to within a factor of two.
    pub(super) fn heaviest(&self) -> Option<(u64, Rank)> {
        let caller = self.callers.get(&self.by_work.last()?.1)?;
        Some((caller.work, caller.rank))
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
        let most = self.work.saturating_mul(super::PATIENCE);
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

    /// The sum over all callers of the smaller of its work and `level`; of callers whose work has as
    /// many digits as `level`, as if they all had the same.
    fn fair(&self, level: u64) -> u64 {
        let turn = digits(level);
        let each = self.bins.iter().enumerate().skip(1).map(|(digits, (count, sum))| {
            let most = count.saturating_mul(level);
            if digits < turn { *sum } else { most.min(*sum) }
        });
        each.fold(0, u64::saturating_add)
    }
}

fn digits(work: u64) -> usize {
    usize::try_from(u64::BITS - work.leading_zeros()).unwrap_or(0)
}
