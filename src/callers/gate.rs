//! Who waits for its own caller's limits, before anybody is asked for capacity.
//!
//! One [`Gate`] stands for one caller: its accounts, and the lines before them. It works as a
//! provider's admission does: [`arrive`](Gate::arrive) lets a request in, has it wait, or says at once
//! that waiting is no use; after everything that gives something back, and at the moment that
//! [`wake`](Gate::wake) names, [`next`](Gate::next) is asked until it has nothing to say.
//!
//! Inside a line higher classes come first, and inside a class the earliest deadline. Who is first is
//! not passed by smaller requests, so that no size starves.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::Priority;
use super::accounts::{Accounts, Key, Reservation, Scope, Warning};
use crate::clock::Moment;
use crate::limits::{Binding, Blocked, Cost, Mode};

/// Requests of one caller that may wait for its limits.
pub const MOST_WAITING: usize = 10_000;

/// The limits of one caller, and who waits for them. `W` is what is called when its turn has come.
#[derive(Debug)]
pub struct Gate<W> {
    /// What was used.
    accounts: Accounts,
    lines: BTreeMap<Scope, Line<W>>,
    /// When each line is to be looked at, where time alone lets its first one in.
    wakes: BTreeSet<(Moment, Scope)>,
    waiting: usize,
    number: u64,
}

/// Those for whom the same account and the same limits count.
#[derive(Debug)]
struct Line<W> {
    waiters: BTreeMap<Order, Waiter<W>>,
    /// What all of them will cost.
    cost: Cost,
    wake: Moment,
}

/// A place in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    class: Reverse<Priority>,
    deadline: Moment,
    number: u64,
}

#[derive(Debug)]
struct Waiter<W> {
    cost: Cost,
    tag: W,
}

/// A place before a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    scope: Scope,
    order: Order,
}

/// A request before a gate.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Its class.
    pub priority: Priority,
    /// The last moment at which it can be sent.
    pub deadline: Moment,
    /// What it will cost its caller.
    pub cost: Cost,
}

/// What becomes of a request that arrives.
#[derive(Debug)]
pub enum Decision {
    /// It goes in. The capacity is taken.
    Pass(Reservation),
    /// It waits and will be called.
    Waits(Place),
    /// It would have to wait longer than it can: until that moment, for that limit.
    Late(Moment, Binding),
    /// As many wait as may; the moment is that at which the first of them goes in.
    Full(Moment, Binding),
    /// It is larger than that limit can ever hold.
    Oversized(Binding),
}

/// What would become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// It would go in.
    Passes,
    /// It would wait.
    Waits,
    /// It would be refused.
    Refused,
}

impl<W> Gate<W> {
    /// A gate before these accounts.
    pub const fn new(accounts: Accounts) -> Self {
        Self { accounts, lines: BTreeMap::new(), wakes: BTreeSet::new(), waiting: 0, number: 0 }
    }

    /// The accounts, to look at.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The accounts, for whatever changes them: everybody's turn may have come then.
    pub fn accounts_mut(&mut self) -> &mut Accounts {
        for (scope, line) in &mut self.lines {
            line.rewake(&mut self.wakes, scope, Moment::ZERO);
        }
        &mut self.accounts
    }

    /// A request arrives. `waiter` is kept if it has to wait.
    pub fn arrive(
        &mut self,
        scope: &Scope,
        claim: &Claim,
        waiter: impl FnOnce() -> W,
        now: Moment,
    ) -> Decision {
        let order =
            Order { class: Reverse(claim.priority), deadline: claim.deadline, number: self.number };
        let ahead = self.lines.get(scope).map_or(Cost::default(), |line| line.before(&order));
        let first = self.lines.get(scope).is_none_or(|line| line.is_before_all(&order));
        let blocked = if first {
            match self.accounts.reserve(scope, &claim.cost, now) {
                Ok(reservation) => return Decision::Pass(reservation),
                Err(blocked) => blocked,
            }
        } else {
            self.accounts.blocked(scope, &claim.cost, &ahead, now)
        };
        let (until, binding) = match blocked {
            Blocked::Oversized(binding) => return Decision::Oversized(binding),
            Blocked::Until(until, binding) => (until, binding),
        };
        if until > claim.deadline || now >= claim.deadline {
            return Decision::Late(until, binding);
        }
        if self.waiting >= MOST_WAITING {
            return Decision::Full(until, binding);
        }
        self.number += 1;
        self.waiting += 1;
        let line = self.lines.entry(scope.clone()).or_insert_with(Line::empty);
        line.cost = both(&line.cost, &claim.cost, u64::saturating_add);
        line.waiters.insert(order, Waiter { cost: claim.cost, tag: waiter() });
        if first {
            line.rewake(&mut self.wakes, scope, until);
        }
        Decision::Waits(Place { scope: scope.clone(), order })
    }

    /// Calls the next of those who wait, if one can go in now: it waits no more, and the capacity is
    /// taken. To be asked again until there is none.
    pub fn next(&mut self, now: Moment) -> Option<(W, Reservation)> {
        while let Some((wake, scope)) = self.wakes.first().filter(|(wake, _)| *wake <= now).cloned()
        {
            self.wakes.remove(&(wake, scope.clone()));
            let Some(line) = self.lines.get_mut(&scope) else { continue };
            line.wake = Moment::NEVER;
            let Some((order, cost)) = line.head() else { continue };
            match self.accounts.reserve(&scope, &cost, now) {
                Ok(reservation) => {
                    let waiter = self.leave(&Place { scope, order });
                    return waiter.map(|waiter| (waiter, reservation));
                }
                Err(Blocked::Until(until, _)) => line.rewake(&mut self.wakes, &scope, until),
                // The limit has become smaller than the request: its deadline ends it.
                Err(Blocked::Oversized(_)) => line.rewake(&mut self.wakes, &scope, order.deadline),
            }
        }
        None
    }

    /// When [`next`](Self::next) is to be asked if nothing happens before.
    pub fn wake(&self) -> Option<Moment> {
        self.wakes.first().map(|(wake, _)| *wake).filter(|wake| *wake < Moment::NEVER)
    }

    /// Gives a place up; `None` if its holder was called before.
    pub fn leave(&mut self, place: &Place) -> Option<W> {
        let line = self.lines.get_mut(&place.scope)?;
        let was_first = line.head().is_some_and(|(order, _)| order == place.order);
        let waiter = line.waiters.remove(&place.order)?;
        line.cost = both(&line.cost, &waiter.cost, u64::saturating_sub);
        self.waiting -= 1;
        if line.waiters.is_empty() {
            self.wakes.remove(&(line.wake, place.scope.clone()));
            self.lines.remove(&place.scope);
        } else if was_first {
            line.rewake(&mut self.wakes, &place.scope, Moment::ZERO);
        }
        Some(waiter.tag)
    }

    /// What would become of a request if all limits of that mode were enforced; nothing is taken.
    pub fn foresee(&mut self, scope: &Scope, claim: &Claim, mode: Mode, now: Moment) -> Foreseen {
        match self.accounts.check(scope, &claim.cost, mode, now) {
            Ok(()) => Foreseen::Passes,
            Err(Blocked::Until(until, _)) if until <= claim.deadline => Foreseen::Waits,
            Err(Blocked::Until(..) | Blocked::Oversized(_)) => Foreseen::Refused,
        }
    }

    /// Takes without checking, into debt if need be.
    pub fn take(&mut self, scope: &Scope, cost: &Cost, now: Moment) -> Reservation {
        self.accounts.take(scope, cost, now)
    }

    /// The limits of that account of whose use somebody wants to know.
    pub fn warnings(&mut self, key: Key, now: Moment) -> SmallVec<[Warning; 1]> {
        self.accounts.warnings(key, now)
    }

    /// When a request that waited in vain would go in.
    pub fn blocked(&mut self, scope: &Scope, cost: &Cost, now: Moment) -> Blocked {
        self.accounts.blocked(scope, cost, &Cost::default(), now)
    }

    /// It was never sent: everything goes back.
    pub fn cancel(&mut self, reservation: Reservation, now: Moment) {
        self.touch(&reservation);
        self.accounts.cancel(reservation, now);
    }

    /// It ended, and cost that much.
    pub fn settle(&mut self, reservation: Reservation, actual: &Cost, now: Moment) {
        self.touch(&reservation);
        self.accounts.settle(reservation, actual, now);
    }

    /// It was sent, and nobody knows what it cost: all of it is charged.
    pub fn forfeit(&mut self, reservation: Reservation, now: Moment) {
        self.touch(&reservation);
        self.accounts.forfeit(reservation, now);
    }

    /// How many wait.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Something of that account comes back.
    fn touch(&mut self, reservation: &Reservation) {
        if self.waiting == 0 {
            return;
        }
        let of_account = self.lines.range_mut(Scope::first_of(reservation.key())..);
        for (scope, line) in of_account.take_while(|(scope, _)| scope.key() == reservation.key()) {
            line.rewake(&mut self.wakes, scope, Moment::ZERO);
        }
    }
}

impl<W> Line<W> {
    const fn empty() -> Self {
        let cost = Cost { requests: 0, tokens: 0, input: 0, output: 0, money: 0 };
        Self { waiters: BTreeMap::new(), cost, wake: Moment::NEVER }
    }

    fn head(&self) -> Option<(Order, Cost)> {
        self.waiters.first_key_value().map(|(order, waiter)| (*order, waiter.cost))
    }

    fn is_before_all(&self, order: &Order) -> bool {
        self.waiters.first_key_value().is_none_or(|(first, _)| order < first)
    }

    /// What those before that place will cost.
    fn before(&self, order: &Order) -> Cost {
        if self.waiters.last_key_value().is_some_and(|(last, _)| last < order) {
            return self.cost;
        }
        let before = self.waiters.range(..order).map(|(_, waiter)| waiter.cost);
        before.fold(Cost::default(), |sum, cost| both(&sum, &cost, u64::saturating_add))
    }

    fn rewake(&mut self, wakes: &mut BTreeSet<(Moment, Scope)>, scope: &Scope, wake: Moment) {
        wakes.remove(&(self.wake, scope.clone()));
        self.wake = wake;
        wakes.insert((wake, scope.clone()));
    }
}

fn both(one: &Cost, other: &Cost, each: fn(u64, u64) -> u64) -> Cost {
    Cost {
        requests: each(one.requests, other.requests),
        tokens: each(one.tokens, other.tokens),
        input: each(one.input, other.input),
        output: each(one.output, other.output),
        money: each(one.money, other.money),
    }
}

#[cfg(test)]
mod tests;
