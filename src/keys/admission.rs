//! Admission: who may send now, with which key, and who waits until when.
//!
//! One [`Admission`] stands for one provider: the pool of its keys, those who wait for it, the retry
//! budget, and the ids of what it stores. The proxy puts it behind a lock, a simulation in a loop:
//!
//! 1. [`arrive`](Admission::arrive) sends a request, lets it wait, or says at once that waiting is no
//!    use, with a prediction.
//! 2. After everything that happens ([`observe`](Admission::observe), [`report`](Admission::report),
//!    one of [`settle`](Admission::settle), [`cancel`](Admission::cancel) and
//!    [`forfeit`](Admission::forfeit), [`leave`](Admission::leave), [`rebuild`](Admission::rebuild)),
//!    and at the moment that [`wake`](Admission::wake) names, [`next`](Admission::next) is asked until
//!    it has nothing to say: each time it calls one of those who wait.
//! 3. Who gives up waiting, at its deadline or before, [`leave`](Admission::leave)s.
//!
//! Nobody is called who cannot go, and nobody waits who could: [`wake`](Admission::wake) is the very
//! moment at which time alone lets the next one go.

mod lane;
mod outlook;
mod room;

use std::collections::VecDeque;

use super::ask::{Ask, Choice, Nothing, Wait};
use super::bits::Bits;
use super::budget::RetryBudget;
use super::choose::Held;
use super::models::ModelId;
use super::pool::{GroupId, Pool, Reservation};
use super::rebuild::Rebuilt;
use super::report::Event;
use super::spec::{LimitSpec, Spec};
use super::stored::Stored;
use crate::clock::{Moment, Now};
use crate::formats::{Judgement, Sample};
use crate::limits::{Claim, Cost, Priority, Ticket};
use room::{Arrived, Room};

/// The requests of one provider, from their arrival to their end. `W` is what is called when a waiting
/// request's turn has come.
#[derive(Debug)]
pub struct Admission<W> {
    pool: Pool,
    budget: RetryBudget,
    stored: Stored,
    /// Those who wait, for each set of models that share limits.
    rooms: Vec<Room<W>>,
    /// Who had to make way and is to be told.
    displaced: VecDeque<(W, Outcome)>,
    opened: u64,
    waiting: usize,
}

/// What becomes of a request that arrives.
#[derive(Debug)]
pub enum Decision {
    /// That, at once.
    Now(Outcome),
    /// It waits and will be called.
    Waits(Place),
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Outcome {
    /// It is sent with this key. The capacity is taken.
    Send(Reservation),
    /// There is no capacity before its deadline.
    Refused(Refused),
    /// Nothing can serve it, and waiting does not help.
    Nothing(Nothing),
}

/// A request that is sent whatever limits say.
#[derive(Debug)]
pub struct Anyway {
    /// The key it is sent with. The capacity is taken, into debt if need be.
    pub reservation: Reservation,
    /// Until when it would have had to wait, and for which limit, where one would not have carried
    /// it; [`Moment::NEVER`] if no waiting helps.
    pub held: Option<Held>,
}

/// A place among those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    room: u64,
    ticket: Ticket,
    /// When a group that it has tried can be tried again, within the retry budget; where none was
    /// tried, `None`.
    pub again: Option<Moment>,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The predicted moment at which it would be sent, if nothing else changes: coming back then
    /// succeeds.
    pub until: Moment,
    /// How many would be served before it.
    pub ahead: u64,
    /// What decided.
    pub why: Why,
    /// When a group that it has tried can be tried again, within the retry budget.
    pub again: Option<Moment>,
}

/// What decides that a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its turn would come after its deadline.
    Late,
    /// As many wait as may, and none of them is of a lower class or of a caller with more waiting.
    Full,
}

impl Refused {
    /// Nobody is before it, and still it is too late.
    const fn late(wait: &Wait) -> Self {
        Self { until: wait.until, ahead: 0, why: Why::Late, again: wait.again }
    }
}

/// Requests that may wait for one provider.
pub const MOST_WAITING: usize = 10_000;
/// Ids of stored things that are remembered for one provider.
const REMEMBERED: usize = 65_536;

impl<W> Admission<W> {
    /// Nobody waits, and there are no keys yet.
    pub fn new(budget: RetryBudget) -> Self {
        Self {
            pool: Pool::default(),
            budget,
            stored: Stored::new(REMEMBERED),
            rooms: Vec::new(),
            displaced: VecDeque::new(),
            opened: 0,
            waiting: 0,
        }
    }

    /// Takes new keys and limits in. Who waits stays where it is.
    pub fn rebuild(&mut self, spec: Spec, now: Moment) -> Rebuilt {
        let rebuilt = self.pool.rebuild(spec, now);
        self.stir();
        rebuilt
    }

    /// Other limits hold now; the keys stay as they are.
    pub fn set_limits(&mut self, limits: Vec<LimitSpec>, now: Moment) {
        self.pool.set_limits(limits, now);
        self.stir();
    }

    /// What the wall's clock reads: see [`Pool::set_wall`].
    pub fn set_wall(&mut self, now: Now) {
        self.pool.set_wall(now);
        self.stir();
    }

    /// A request arrives, for the first time or anew. `waiter` is kept if it has to wait.
    ///
    /// Where others wait for the same, it is sent at once only if that delays nobody who comes before
    /// it.
    pub fn arrive(
        &mut self,
        ask: &Ask<'_>,
        claim: &Claim,
        waiter: impl FnOnce() -> W,
        now: Moment,
    ) -> Decision {
        let name = self.pool.share_of(ask.model);
        let known = self.rooms.iter().position(|room| *room.name == *name);
        let index = if let Some(index) = known {
            index
        } else {
            match self.pool.choose(ask, now) {
                Choice::Send(reservation) => {
                    return Decision::Now(self.sent(reservation, claim, ask.tried.nothing(), now));
                }
                Choice::Nothing(nothing) => return Decision::Now(Outcome::Nothing(nothing)),
                Choice::Wait(wait) if wait.until > claim.deadline || now >= claim.deadline => {
                    return Decision::Now(Outcome::Refused(Refused::late(&wait)));
                }
                Choice::Wait(_) => self.open_room(ask.model),
            }
        };
        let Some(room) = self.rooms.get_mut(index) else {
            return Decision::Now(Outcome::Nothing(Nothing::NoKey));
        };
        let serial = room.serial;
        let outcome = match room.arrive(&mut self.pool, ask, claim, waiter, now) {
            Arrived::Waits(ticket, again) => {
                self.waiting += 1;
                let place = Place { room: serial, ticket, again };
                return self.make_way(place, claim.priority, now);
            }
            Arrived::Send(reservation) => self.sent(reservation, claim, ask.tried.nothing(), now),
            Arrived::Refused(refused) => Outcome::Refused(refused),
            Arrived::Nothing(nothing) => Outcome::Nothing(nothing),
        };
        self.tidy();
        Decision::Now(outcome)
    }

    /// A request is sent at once, whatever limits say, and nobody is asked to wait for it. Where they
    /// would not have carried it, what for is told; `None` if something else than a limit is in the
    /// way.
    pub fn send_anyway(&mut self, ask: &Ask<'_>, claim: &Claim, now: Moment) -> Option<Anyway> {
        let (mut reservation, held) = self.pool.choose_anyway(ask, now)?;
        if ask.tried.nothing() {
            self.budget.deposit(now);
        }
        reservation.whose = (claim.priority, claim.caller);
        Some(Anyway { reservation, held })
    }

    /// So many output tokens of that request have been seen so far: see [`Pool::flow`].
    pub fn flow(&mut self, reservation: &mut Reservation, output: u64, now: Moment) {
        self.pool.flow(reservation, output, now);
        self.touch(reservation.group, reservation.model);
    }

    /// Calls the next of those who wait, if there is one to call: it waits no more. To be asked again
    /// until there is none.
    pub fn next(&mut self, now: Moment) -> Option<(W, Outcome)> {
        if let Some(called) = self.displaced.pop_front() {
            return Some(called);
        }
        for index in 0..self.rooms.len() {
            let Some(room) = self.rooms.get_mut(index) else { break };
            let Some(called) = room.next(&mut self.pool, now) else { continue };
            self.waiting -= 1;
            self.tidy();
            let outcome = match called.outcome {
                Outcome::Send(reservation) => {
                    self.sent(reservation, &called.claim, called.fresh, now)
                }
                outcome @ (Outcome::Refused(_) | Outcome::Nothing(_)) => outcome,
            };
            return Some((called.waiter, outcome));
        }
        None
    }

    /// When [`next`](Self::next) is to be asked if nothing happens before; a moment that has passed
    /// says at once, `None` that only something that happens can let anybody go.
    pub fn wake(&self) -> Option<Moment> {
        if !self.displaced.is_empty() {
            return Some(Moment::ZERO);
        }
        self.rooms.iter().map(Room::wake).min().filter(|wake| *wake < Moment::NEVER)
    }

    /// Gives a place up; `None` if its holder was called before.
    pub fn leave(&mut self, place: Place) -> Option<W> {
        let room = self.rooms.iter_mut().find(|room| room.serial == place.room)?;
        let waiter = room.leave(place.ticket)?;
        self.waiting -= 1;
        self.tidy();
        Some(waiter)
    }

    /// How many wait.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many wait in that class.
    pub fn waiting_in(&self, priority: Priority) -> usize {
        self.rooms.iter().map(|room| room.queue.waiting(priority)).sum()
    }

    /// The answer to that request carried these samples. To be called before it is settled.
    pub fn observe(
        &mut self,
        reservation: &Reservation,
        samples: &[Sample],
        now: Moment,
    ) -> Option<Event> {
        if samples.is_empty() {
            return None;
        }
        let event = self.pool.observe(reservation, samples, now);
        self.touch(reservation.group, reservation.model);
        event
    }

    /// Takes the verdict on an attempt in.
    pub fn report(
        &mut self,
        attempt: &Reservation,
        judgement: &Judgement,
        now: Moment,
        random: u64,
    ) -> Option<Event> {
        let before = self.pool.changes();
        let event = self.pool.report(attempt, judgement, now, random);
        self.touch_all_since(before, attempt.group, attempt.model);
        event
    }

    /// It was never sent: everything goes back.
    pub fn cancel(&mut self, reservation: Reservation, now: Moment) {
        self.correct(&reservation, &Cost::default());
        self.end(reservation, |pool, reservation| pool.cancel(reservation, now));
    }

    /// It ended and cost that much. A request that was refused is settled with [`Cost::REQUEST`].
    pub fn settle(&mut self, reservation: Reservation, actual: &Cost, now: Moment) {
        self.correct(&reservation, actual);
        self.end(reservation, |pool, reservation| pool.settle(reservation, actual, now));
    }

    /// It was sent, and nobody knows what it cost: all of it is charged.
    pub fn forfeit(&mut self, reservation: Reservation, now: Moment) {
        self.end(reservation, |pool, reservation| pool.forfeit(reservation, now));
    }

    /// Asks the retry budget for one more try; the moment at which to ask again, if it has none.
    pub fn retry(&mut self, now: Moment) -> Result<(), Moment> {
        if self.budget.withdraw(now) { Ok(()) } else { Err(self.budget.next(now)) }
    }

    /// The pool of keys, to look at.
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The same, for what is worked out on the way.
    pub const fn pool_mut(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// The retry budget, for a new configuration.
    pub const fn budget_mut(&mut self) -> &mut RetryBudget {
        &mut self.budget
    }

    /// That group made it.
    pub fn remember(&mut self, id: &str, group: GroupId) {
        self.stored.remember(id, group);
    }

    /// The group that made one of these, if that is remembered and the group is still there.
    pub fn maker<'i>(&mut self, ids: impl IntoIterator<Item = &'i str>) -> Option<GroupId> {
        let Self { stored, pool, .. } = self;
        let mut makers = ids.into_iter().filter_map(|id| stored.find(id));
        makers.find(|group| pool.group_name(*group).is_some())
    }

    fn sent(
        &mut self,
        mut reservation: Reservation,
        claim: &Claim,
        fresh: bool,
        now: Moment,
    ) -> Outcome {
        if fresh {
            self.budget.deposit(now);
        }
        reservation.whose = (claim.priority, claim.caller);
        Outcome::Send(reservation)
    }

    fn end(&mut self, reservation: Reservation, end: impl FnOnce(&mut Pool, Reservation)) {
        let (group, model) = (reservation.group, reservation.model);
        let before = self.pool.changes();
        end(&mut self.pool, reservation);
        self.touch_all_since(before, group, model);
    }

    /// What was used instead of what was taken counts for the caller.
    fn correct(&mut self, reservation: &Reservation, actual: &Cost) {
        if let Some(room) = self.room_of(reservation.model) {
            room.queue.correct(reservation.whose, reservation.cost(), actual);
        }
    }

    /// Something happened to a group that concerns one model, or more if the pool says so.
    fn touch_all_since(&mut self, before: u64, group: GroupId, model: ModelId) {
        if self.rooms.is_empty() {
            return;
        }
        if self.pool.changes() == before {
            self.touch(group, model);
        } else {
            self.stir();
        }
    }

    fn touch(&mut self, group: GroupId, model: ModelId) {
        if let Some(room) = self.room_of(model) {
            room.touch(Bits::one(group.slot));
        }
    }

    /// Anything may have changed.
    fn stir(&mut self) {
        for room in &mut self.rooms {
            room.touch(Bits::ALL);
        }
    }

    fn room_of(&mut self, model: ModelId) -> Option<&mut Room<W>> {
        if self.rooms.is_empty() {
            return None;
        }
        let Self { pool, rooms, .. } = self;
        let name = pool.share_of(pool.models.name(model)?);
        rooms.iter_mut().find(|room| *room.name == *name)
    }

    /// A room for those who wait for that model, where nobody does yet.
    fn open_room(&mut self, model: &str) -> usize {
        let name = self.pool.share_of(model).into();
        self.opened += 1;
        self.rooms.push(Room::new(name, self.opened));
        self.rooms.len() - 1
    }

    /// Closes rooms in which nobody waits.
    fn tidy(&mut self) {
        self.rooms.retain(|room| !room.queue.is_empty());
    }

    /// One more waits than before: if that is one too many, the last of the lowest class makes way,
    /// and in one class a request of the caller that has the most waiting.
    fn make_way(&mut self, place: Place, priority: Priority, now: Moment) -> Decision {
        if self.waiting <= MOST_WAITING {
            return Decision::Waits(place);
        }
        let lowest = Priority::ALL.into_iter().find(|class| self.waiting_in(*class) > 0);
        let lowest = lowest.unwrap_or(priority);
        let lasts = self.rooms.iter().enumerate().filter_map(|(index, room)| {
            room.queue.last(lowest).map(|(work, ticket)| (work, index, ticket))
        });
        let last = lasts.max_by_key(|(work, ..)| *work);
        let Some((room, ticket)) = last.map(|(_, index, ticket)| (index, ticket)) else {
            return Decision::Waits(place);
        };
        let Some(room) = self.rooms.get_mut(room) else { return Decision::Waits(place) };
        let own = (room.serial, ticket) == (place.room, place.ticket);
        let Some((waiter, refused)) = room.displace(&mut self.pool, ticket, now) else {
            return Decision::Waits(place);
        };
        self.waiting -= 1;
        self.tidy();
        if own {
            return Decision::Now(Outcome::Refused(refused));
        }
        self.displaced.push_back((waiter, Outcome::Refused(refused)));
        Decision::Waits(place)
    }
}

#[cfg(test)]
mod tests;
