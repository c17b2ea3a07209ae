//! What a caller may spend: its own limits, shared by all workers, and those who wait for them.
//!
//! A request goes through its caller's gate before any provider is asked, and holds what it took there
//! for all its tries, until it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;
use tokio::sync::{Notify, oneshot};

use crate::callers::gate::{Claim, Decision, Foreseen, Place};
use crate::callers::{Accounts, Asked, Gate, Reservation, Scope, Warning};
use crate::clock::Moment;
use crate::lifecycle::{Clock, Tasks};
use crate::limits::{Binding, Blocked, Cost, Mode};

/// The limits of one caller. It outlives the snapshots that lend it.
#[derive(Debug)]
pub struct Purse {
    name: Arc<str>,
    clock: Clock,
    state: Mutex<State>,
    /// Called when the next moment at which somebody can go in may be another.
    news: Notify,
}

#[derive(Debug)]
struct State {
    gate: Gate<Waiter>,
    /// Whether somebody looks at the clock for those who wait.
    is_kept: bool,
}

/// Through which one who waits is called.
type Waiter = oneshot::Sender<Reservation>;

/// Why a caller's own limits do not let a request in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// Not before that moment, which is too late for it.
    Until(Moment, Binding),
    /// It is larger than that limit can ever hold.
    Oversized(Binding),
}

/// What becomes of a request at its caller's gate.
#[derive(Debug)]
pub enum Arrival {
    /// It goes in.
    Passed(Held),
    /// It waits.
    Waits(Seat),
    /// Waiting is no use.
    Refused(Short),
}

/// What a request took of its caller's limits. Dropped, it is given back; once the request may have
/// been sent, it is charged whole.
#[derive(Debug)]
pub struct Held {
    purse: Arc<Purse>,
    reservation: Option<Reservation>,
    /// What was reserved.
    cost: Cost,
    /// Whether something of the request may have left.
    sent: bool,
    /// The limits of whose use somebody wants to know.
    pub warnings: SmallVec<[Warning; 1]>,
}

impl Purse {
    /// The purse of that caller.
    pub fn new(name: Arc<str>, accounts: Accounts, clock: Clock) -> Self {
        let state = State { gate: Gate::new(accounts), is_kept: false };
        Self { name, clock, state: Mutex::new(state), news: Notify::new() }
    }

    /// The caller's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Changes its limits, or which of them hold now. Who waits is looked at again.
    pub fn change<T>(&self, change: impl FnOnce(&mut Accounts, Moment) -> T) -> T {
        let now = self.clock.moment();
        let mut state = self.lock();
        let changed = change(state.gate.accounts_mut(), now);
        self.call(state, now);
        changed
    }

    /// Looks at its accounts, for status and metrics.
    pub fn look<T>(&self, look: impl FnOnce(&Accounts, Moment) -> T) -> T {
        let now = self.clock.moment();
        look(self.lock().gate.accounts(), now)
    }

    /// How many wait before it.
    pub fn waiting(&self) -> usize {
        self.lock().gate.waiting()
    }

    /// What of its limits counts such a request; `None` if nothing does now.
    pub fn scope(&self, asked: &Asked<'_>) -> Option<Scope> {
        self.lock().gate.accounts().scope(asked)
    }

    /// Takes what the request will cost, or gives it a place to wait, or says why that is no use.
    pub fn arrive(self: &Arc<Self>, scope: &Scope, claim: &Claim, tasks: &Tasks) -> Arrival {
        let (sender, receiver) = oneshot::channel();
        let now = self.clock.moment();
        let decision = self.lock().gate.arrive(scope, claim, || sender, now);
        match decision {
            Decision::Pass(reservation) => Arrival::Passed(self.held(reservation, claim.cost)),
            Decision::Late(until, binding) | Decision::Full(until, binding) => {
                Arrival::Refused(Short::Until(until, binding))
            }
            Decision::Oversized(binding) => Arrival::Refused(Short::Oversized(binding)),
            Decision::Waits(place) => {
                self.keep_time(tasks);
                let purse = Arc::clone(self);
                Arrival::Waits(Seat { purse, place, receiver, claim: *claim, scope: scope.clone() })
            }
        }
    }

    /// What would become of a request if its limits of that mode were enforced.
    pub fn foresee(&self, scope: &Scope, claim: &Claim, mode: Mode) -> Foreseen {
        let now = self.clock.moment();
        self.lock().gate.foresee(scope, claim, mode, now)
    }

    /// Takes what the request will cost, into debt if need be.
    pub fn take(self: &Arc<Self>, scope: &Scope, cost: &Cost) -> Held {
        let now = self.clock.moment();
        let reservation = self.lock().gate.take(scope, cost, now);
        self.held(reservation, *cost)
    }

    fn held(self: &Arc<Self>, reservation: Reservation, cost: Cost) -> Held {
        let now = self.clock.moment();
        let warnings = self.lock().gate.warnings(reservation.key(), now);
        let purse = Arc::clone(self);
        Held { purse, reservation: Some(reservation), cost, sent: false, warnings }
    }

    /// Calls everybody who can go in now.
    fn call(&self, mut state: MutexGuard<'_, State>, now: Moment) {
        if state.gate.waiting() == 0 {
            return;
        }
        while let Some((waiter, reservation)) = state.gate.next(now) {
            if let Err(reservation) = waiter.send(reservation) {
                // It has just left.
                state.gate.cancel(reservation, now);
            }
        }
        drop(state);
        self.news.notify_one();
    }

    /// Sees to it that those who wait are called when their time has come.
    fn keep_time(self: &Arc<Self>, tasks: &Tasks) {
        if std::mem::replace(&mut self.lock().is_kept, true) {
            self.news.notify_one();
            return;
        }
        let purse = Arc::clone(self);
        drop(tasks.spawn(async move {
            while let Some(wake) = purse.next_wake() {
                let time = tokio::time::sleep_until(purse.clock.instant(wake));
                tokio::select! { () = time => {} () = purse.news.notified() => {} }
                let now = purse.clock.moment();
                if now >= wake {
                    purse.call(purse.lock(), now);
                }
            }
        }));
    }

    /// When somebody can go in, as long as anybody waits.
    fn next_wake(&self) -> Option<Moment> {
        let mut state = self.lock();
        state.is_kept = state.gate.waiting() > 0;
        state.is_kept.then(|| state.gate.wake().unwrap_or(Moment::NEVER))
    }

    fn give_back(&self, end: impl FnOnce(&mut Gate<Waiter>, Moment)) {
        let now = self.clock.moment();
        let mut state = self.lock();
        end(&mut state.gate, now);
        self.call(state, now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place before the gate, which is given up when its holder leaves.
#[derive(Debug)]
pub struct Seat {
    purse: Arc<Purse>,
    place: Place,
    receiver: oneshot::Receiver<Reservation>,
    scope: Scope,
    claim: Claim,
}

impl Seat {
    /// Waits until it is called, or cannot wait any longer.
    pub async fn called(mut self) -> Result<Held, Short> {
        let deadline = self.purse.clock.instant(self.claim.deadline);
        let called = tokio::select! {
            biased;
            called = &mut self.receiver => called.ok(),
            () = tokio::time::sleep_until(deadline) => None,
        };
        match called.or_else(|| self.give_up()) {
            Some(reservation) => Ok(self.purse.held(reservation, self.claim.cost)),
            None => Err(self.short()),
        }
    }

    fn short(&self) -> Short {
        let now = self.purse.clock.moment();
        match self.purse.lock().gate.blocked(&self.scope, &self.claim.cost, now) {
            Blocked::Until(until, binding) => Short::Until(until, binding),
            Blocked::Oversized(binding) => Short::Oversized(binding),
        }
    }

    /// Leaves; with what was taken for it, if it was called just now.
    fn give_up(&mut self) -> Option<Reservation> {
        if self.purse.lock().gate.leave(&self.place).is_some() {
            self.purse.news.notify_one();
        }
        self.receiver.close();
        self.receiver.try_recv().ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(reservation) = self.give_up() {
            self.purse.give_back(|gate, now| gate.cancel(reservation, now));
        }
    }
}

impl Held {
    /// What was reserved.
    pub const fn cost(&self) -> &Cost {
        &self.cost
    }

    /// The caller whose it is.
    pub fn purse(&self) -> &Arc<Purse> {
        &self.purse
    }

    /// Something of the request may leave now.
    pub const fn sent(&mut self) {
        self.sent = true;
    }

    /// It was never sent, or nothing came of it: everything goes back.
    pub fn cancel(mut self) {
        self.end(Gate::cancel);
    }

    /// It ended, and cost that much.
    pub fn settle(mut self, actual: &Cost) {
        self.end(|gate, reservation, now| gate.settle(reservation, actual, now));
    }

    fn end(&mut self, end: impl FnOnce(&mut Gate<Waiter>, Reservation, Moment)) {
        let Some(reservation) = self.reservation.take() else { return };
        self.purse.give_back(|gate, now| end(gate, reservation, now));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.sent {
            self.end(Gate::forfeit);
        } else {
            self.end(Gate::cancel);
        }
    }
}
