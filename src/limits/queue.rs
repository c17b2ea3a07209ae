//! Who waits, and who is next.
//!
//! Three orders, one inside the other: the higher class before the lower; inside a class the caller
//! that was served the fewest tokens (virtual token counters, arXiv 2401.00588); inside a caller the
//! earliest deadline. A lower class that has been passed over by [`PATIENCE`] times what its next
//! request costs comes first once: the more it has waited, the more it counts, so that it never
//! starves, and those above it lose one part in [`PATIENCE`] at most.
//!
//! Who can be served by the same groups stands in one lane. Lanes keep those who need something
//! particular out of the others' way, and the order holds across them.
//!
//! Every operation is logarithmic in the number of those who wait.

mod class;
mod line;

use smallvec::SmallVec;

use super::claim::{Claim, Priority};
use super::rule::Cost;
use super::supply::part;
use class::{Class, Reranked};
use line::{Line, Rank};

/// Those who wait for limits that they share. `L` is what is known of a lane, `W` of who waits.
#[derive(Debug)]
pub struct Queue<L, W> {
    waiters: Vec<Option<Waiter<W>>>,
    vacant: Vec<u32>,
    lanes: Vec<Lane<L>>,
    /// One for each class, lowest first.
    classes: [Class; 3],
    number: u64,
    len: usize,
}

/// A place in a [`Queue`]. It means nobody else after its holder has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    slot: u32,
    number: u64,
}

/// A lane of a [`Queue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneId(u16);

/// Where somebody stands among all: the least is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order(u8, Rank);

/// What is served before somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// What those cost who wait already.
    pub cost: Cost,
    /// How many they are.
    pub count: u64,
}

/// Which of a caller's own waiting requests count as served before another of its.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// All: no wait is longer than that.
    All,
    /// Those with earlier deadlines.
    ByDeadline,
}

#[derive(Debug)]
struct Waiter<W> {
    number: u64,
    lane: LaneId,
    claim: Claim,
    work: u64,
    tag: W,
}

#[derive(Debug)]
struct Lane<L> {
    tag: L,
    waiting: usize,
    /// Its line for each class, lowest first.
    lines: [Line; 3],
}

/// A lower class comes first once it has been passed over by so many times its next request.
pub const PATIENCE: u64 = 32;
/// Those at the head of a lane that are looked at together.
const WINDOW: usize = 4;
/// The most that one request counts, so that sums never overflow.
const MOST: u64 = 1 << 48;

impl<L, W> Default for Queue<L, W> {
    fn default() -> Self {
        Self {
            waiters: Vec::new(),
            vacant: Vec::new(),
            lanes: Vec::new(),
            classes: Default::default(),
            number: 0,
            len: 0,
        }
    }
}

impl<L, W> Queue<L, W> {
    /// The lane that `is` describes, made where there is none. One in which nobody waits makes way.
    pub fn lane(&mut self, is: impl Fn(&L) -> bool, make: impl FnOnce() -> L) -> LaneId {
        let found = self.lanes.iter().position(|lane| is(&lane.tag));
        let index = found.unwrap_or_else(|| {
            let lane = Lane { tag: make(), waiting: 0, lines: Default::default() };
            if let Some((index, place)) =
                self.lanes.iter_mut().enumerate().find(|(_, lane)| lane.is_empty())
            {
                *place = lane;
                return index;
            }
            self.lanes.push(lane);
            self.lanes.len() - 1
        });
        LaneId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// Takes a place.
    pub fn push(&mut self, lane: LaneId, claim: Claim, tag: W) -> Ticket {
        self.number += 1;
        let bound = Cost { requests: MOST, tokens: MOST, input: MOST, output: MOST, money: MOST };
        let claim = Claim { cost: claim.cost.least(bound), ..claim };
        let work = claim.cost.work();
        let ticket = self.seat(Waiter { number: self.number, lane, claim, work, tag });
        let floor = self.floor(claim.priority);
        let (Some(class), Some(lane)) = (
            self.classes.get_mut(claim.priority as usize),
            self.lanes.get_mut(usize::from(lane.0)),
        ) else {
            return ticket;
        };
        let rank = class.enter(&claim, work, floor, self.number);
        if let Some(line) = lane.lines.get_mut(claim.priority as usize) {
            line.push(rank, (claim.deadline, self.number), ticket.slot);
        }
        lane.waiting += 1;
        self.len += 1;
        ticket
    }

    /// Gives a place up; `None` if its holder was served or had left before.
    pub fn leave(&mut self, ticket: Ticket) -> Option<W> {
        self.take(ticket).map(|waiter| waiter.tag)
    }

    /// Serves somebody: it counts for its caller, and against the classes that it passes over.
    pub fn serve(&mut self, ticket: Ticket) -> Option<W> {
        let Waiter { claim, work, .. } = self.waiters.get(ticket.slot as usize)?.as_ref()?;
        let (claim, work) = (*claim, *work);
        let due = self.is_due(claim.priority, work);
        let waiter = self.take(ticket)?;
        self.charge(claim.priority, claim.caller, |served| served.saturating_add(work));
        for class in Priority::ALL.into_iter().filter(|class| *class < claim.priority) {
            if let Some(class) = self.classes.get_mut(class as usize) {
                class.passed_over(work);
            }
        }
        if due && let Some(class) = self.classes.get_mut(claim.priority as usize) {
            class.came_first(work);
        }
        Some(waiter.tag)
    }

    /// What was served to a caller cost something else than it was served for.
    pub fn correct(&mut self, whose: (Priority, u64), reserved: &Cost, actual: &Cost) {
        let (reserved, actual) = (reserved.work().min(MOST), actual.work().min(MOST));
        if reserved != actual {
            let (priority, caller) = whose;
            let settle = |served: u64| served.saturating_add(actual).saturating_sub(reserved);
            self.charge(priority, caller, settle);
        }
    }

    /// Those at the head of a lane, the first of them first.
    pub fn window(&self, lane: LaneId) -> SmallVec<[Ticket; WINDOW]> {
        let mut window = SmallVec::new();
        let Some(lane) = self.lanes.get(usize::from(lane.0)) else { return window };
        for (_, priority) in self.turns(lane) {
            let Some(class) = lane.lines.get(priority as usize) else { continue };
            let slots = class.first(WINDOW - window.len());
            window.extend(slots.into_iter().filter_map(|slot| self.ticket(slot)));
            if window.len() >= WINDOW {
                break;
            }
        }
        window
    }

    /// Who is the first of a lane, and where it stands among all.
    pub fn first(&self, lane: LaneId) -> Option<(Order, Ticket)> {
        let lane = self.lanes.get(usize::from(lane.0))?;
        let (turn, priority) = self.turns(lane).into_iter().next()?;
        let class = lane.lines.get(priority as usize)?;
        Some((Order(turn, class.rank()?), self.ticket(class.head()?)?))
    }

    /// Whether one who waits may go before the first of its lane, which has to wait for longer: one
    /// of the same class, whose caller will not have been served more for that than the first's; one of
    /// a lower class, if nobody else of the first's waits.
    pub fn may_pass(&self, first: Ticket, other: Ticket) -> bool {
        let (Some(first), Some(other)) = (self.waiter(first), self.waiter(other)) else {
            return false;
        };
        let class = self.classes.get(first.claim.priority as usize);
        if first.claim.priority != other.claim.priority {
            return first.claim.priority > other.claim.priority
                && class.is_some_and(|class| class.waiting() == 1);
        }
        let served = |waiter: &Waiter<W>| Some(class?.caller(waiter.claim.caller)?.0.served);
        let (first_served, served) = (served(first), served(other));
        first_served
            .zip(served)
            .is_some_and(|(first_served, served)| served <= first_served.saturating_add(first.work))
    }

    /// What somebody claims who waits, and what is known of it.
    pub fn get(&self, ticket: Ticket) -> Option<(&Claim, &W)> {
        self.waiter(ticket).map(|waiter| (&waiter.claim, &waiter.tag))
    }

    /// The lane in which somebody waits.
    pub fn lane_of(&self, ticket: Ticket) -> Option<LaneId> {
        self.waiter(ticket).map(|waiter| waiter.lane)
    }

    /// What is known of a lane.
    pub fn tag(&self, lane: LaneId) -> Option<&L> {
        self.lanes.get(usize::from(lane.0)).map(|lane| &lane.tag)
    }

    /// The same, to be changed.
    pub fn tag_mut(&mut self, lane: LaneId) -> Option<&mut L> {
        self.lanes.get_mut(usize::from(lane.0)).map(|lane| &mut lane.tag)
    }

    /// The lanes in which somebody waits, and what is known of each.
    pub fn lanes(&self) -> impl Iterator<Item = (LaneId, &L)> {
        let lanes = (0..=u16::MAX).map(LaneId).zip(&self.lanes);
        lanes.filter(|(_, lane)| !lane.is_empty()).map(|(id, lane)| (id, &lane.tag))
    }

    /// The same, to be changed.
    pub fn lanes_mut(&mut self) -> impl Iterator<Item = &mut L> {
        self.lanes.iter_mut().filter(|lane| !lane.is_empty()).map(|lane| &mut lane.tag)
    }

    /// What would be served before somebody who came now: everything of the classes above, and of
    /// its own class what every caller gets until it has had as much.
    pub fn ahead(&self, claim: &Claim, own: Own) -> Ahead {
        let above = Priority::ALL.into_iter().filter(|class| *class > claim.priority);
        let above = above.filter_map(|class| self.classes.get(class as usize));
        let mut ahead = above.fold(Ahead::default(), |ahead, class| Ahead {
            cost: ahead.cost.plus(class.cost()),
            count: ahead.count + class.waiting() as u64,
        });
        if let Some(class) = self.classes.get(claim.priority as usize) {
            let (rank, work) = class.caller(claim.caller).unwrap_or_default();
            let before = match own {
                Own::All => work,
                Own::ByDeadline => self.before_deadline(claim, rank, work),
            };
            let (cost, count) = class.before(work, before);
            ahead.cost = ahead.cost.plus(cost);
            ahead.count += count;
        }
        ahead
    }

    /// Of a caller's work that waits, the part whose deadlines come before the claim's, as if they
    /// were evenly spread.
    fn before_deadline(&self, claim: &Claim, rank: Rank, work: u64) -> u64 {
        let lines = self.lanes.iter().filter_map(|lane| lane.lines.get(claim.priority as usize));
        let spans = lines.filter_map(|line| line.span(rank));
        let span = spans.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
        let Some((first, last)) = span.filter(|(first, _)| claim.deadline >= *first) else {
            return 0;
        };
        let mine = last.min(claim.deadline).as_nanos() - first.as_nanos();
        match last.as_nanos() - first.as_nanos() {
            0 => work,
            all => part(work, mine, all),
        }
    }

    /// Who is to make way when there are too many: of that class, the caller with the most that
    /// waits, and of its requests the one whose deadline is last.
    pub fn last(&self, priority: Priority) -> Option<(u64, Ticket)> {
        let (work, whose) = self.classes.get(priority as usize)?.heaviest()?;
        let lines = self.lanes.iter().filter_map(|lane| lane.lines.get(priority as usize));
        let last = lines.filter_map(|line| line.last(whose)).max()?;
        Some((work, self.ticket(last.1)?))
    }

    /// How many wait in that class.
    pub fn waiting(&self, priority: Priority) -> usize {
        self.classes.get(priority as usize).map_or(0, Class::waiting)
    }

    /// Whoever waits, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Ticket> {
        let slots = (0_u32..).zip(&self.waiters);
        slots.filter_map(|(slot, waiter)| Some(Ticket { slot, number: waiter.as_ref()?.number }))
    }

    /// How many wait in that lane.
    pub fn waiting_in(&self, lane: LaneId) -> usize {
        self.lanes.get(usize::from(lane.0)).map_or(0, |lane| lane.waiting)
    }

    /// How many wait.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn seat(&mut self, waiter: Waiter<W>) -> Ticket {
        let number = waiter.number;
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.waiters.push(None);
            u32::try_from(self.waiters.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.waiters.get_mut(slot as usize) {
            *place = Some(waiter);
        }
        Ticket { slot, number }
    }

    fn take(&mut self, ticket: Ticket) -> Option<Waiter<W>> {
        self.waiter(ticket)?;
        let waiter = self.waiters.get_mut(ticket.slot as usize)?.take()?;
        self.vacant.push(ticket.slot);
        self.len -= 1;
        let Claim { priority, deadline, .. } = waiter.claim;
        let class = self.classes.get_mut(priority as usize)?;
        let rank = class.exit(&waiter.claim, waiter.work)?;
        let lane = self.lanes.get_mut(usize::from(waiter.lane.0))?;
        lane.waiting -= 1;
        lane.lines.get_mut(priority as usize)?.remove(rank, (deadline, waiter.number));
        Some(waiter)
    }

    /// Changes what a caller has been served, and its rank with it wherever it waits.
    fn charge(&mut self, priority: Priority, caller: u64, change: impl FnOnce(u64) -> u64) {
        let Some(class) = self.classes.get_mut(priority as usize) else { return };
        let Some(Reranked { old, new }) = class.charge(caller, change) else { return };
        for lane in &mut self.lanes {
            if let Some(line) = lane.lines.get_mut(priority as usize) {
                line.rerank(old, new);
            }
        }
    }

    /// The classes of a lane in the order in which they are served.
    fn turns(&self, lane: &Lane<L>) -> SmallVec<[(u8, Priority); 3]> {
        let mut turns: SmallVec<[(u8, Priority); 3]> = SmallVec::new();
        for priority in Priority::ALL.into_iter().rev() {
            let head = lane.lines.get(priority as usize).and_then(Line::head);
            let head = head.and_then(|slot| self.waiters.get(slot as usize)?.as_ref());
            let Some(head) = head else { continue };
            let due = self.is_due(priority, head.work);
            turns.push((if due { 0 } else { 3 - priority as u8 }, priority));
        }
        turns.sort_unstable();
        turns
    }

    fn is_due(&self, priority: Priority, work: u64) -> bool {
        let class = self.classes.get(priority as usize);
        class.is_some_and(|class| class.passed() >= work.saturating_mul(PATIENCE))
    }

    /// The least that a caller of that class who waits has been served.
    fn floor(&self, priority: Priority) -> u64 {
        let lines = self.lanes.iter().filter_map(|lane| lane.lines.get(priority as usize));
        lines.filter_map(Line::rank).min().map_or(0, |rank| rank.served)
    }

    fn waiter(&self, ticket: Ticket) -> Option<&Waiter<W>> {
        let waiter = self.waiters.get(ticket.slot as usize)?.as_ref()?;
        (waiter.number == ticket.number).then_some(waiter)
    }

    fn ticket(&self, slot: u32) -> Option<Ticket> {
        let number = self.waiters.get(slot as usize)?.as_ref()?.number;
        Some(Ticket { slot, number })
    }
}

impl<L> Lane<L> {
    const fn is_empty(&self) -> bool {
        self.waiting == 0
    }
}

#[cfg(test)]
mod tests;
