//! Those who wait for one set of models that share limits.

use super::super::ask::{Ask, Choice, Nothing, Wait};
use super::super::bits::Bits;
use super::super::pool::{Pool, Reservation};
use super::lane::{Earmark, Lane, Waiter};
use super::outlook::Demand;
use super::{Outcome, Refused, Why};
use crate::clock::Moment;
use crate::limits::{Ahead, Claim, Cost, LaneId, Own, Queue, Ticket};

/// Those who wait for one set of models that share limits.
#[derive(Debug)]
pub(super) struct Room<W> {
    pub(super) name: Box<str>,
    pub(super) serial: u64,
    pub(super) queue: Queue<Lane, Waiter<W>>,
    demand: Demand,
    /// What those who waited have been given.
    taken: Cost,
}

/// What becomes of one who comes in.
pub(super) enum Arrived {
    Send(Reservation),
    Waits(Ticket, Option<Moment>),
    Refused(Refused),
    Nothing(Nothing),
}

/// One who waits no more.
pub(super) struct Called<W> {
    pub(super) waiter: W,
    pub(super) claim: Claim,
    /// Whether it is sent for the first time.
    pub(super) fresh: bool,
    pub(super) outcome: Outcome,
}

/// When somebody who comes now will be sent.
struct Prediction {
    /// When it will be its turn.
    turn: Moment,
    /// When it will have been, however capacity is spread over the groups.
    surely: Moment,
    /// How many come first.
    ahead: u64,
}

/// What came of asking for one who waits.
enum Asked {
    Send(Reservation),
    /// Not before that moment.
    Wait(Wait),
    /// The same for what is not kept for those who come before it.
    Behind(Option<Wait>),
    Nothing(Nothing),
}

impl<W> Room<W> {
    pub(super) fn new(name: Box<str>, serial: u64) -> Self {
        let (queue, demand, taken) = (Queue::default(), Demand::default(), Cost::default());
        Self { name, serial, queue, demand, taken }
    }

    /// Somebody comes in.
    pub(super) fn arrive(
        &mut self,
        pool: &mut Pool,
        ask: &Ask<'_>,
        claim: &Claim,
        waiter: impl FnOnce() -> W,
        now: Moment,
    ) -> Arrived {
        self.demand.note(claim.priority, claim.cost, now);
        let own = if pool.has_keys_of(ask.caller) { ask.caller } else { "" };
        let lane = self.queue.lane(|lane| lane.suits(ask, own), || Lane::of(ask, own));
        let prediction = self.predict(pool, lane, claim, now);
        let mut until = prediction.turn;
        let Ask { tried, prefix, body, random, .. } = *ask;
        let tag = Waiter { tried: *tried, prefix, body, random, tag: waiter() };
        let ticket = self.queue.push(lane, *claim, tag);
        let mut again = None;
        let window = self.queue.window(lane);
        if let Some(first) = window.first().filter(|_| window.contains(&ticket))
            && (*first == ticket || self.queue.may_pass(*first, ticket))
        {
            match self.ask_for(pool, lane, ticket, Bits::ALL, now) {
                Asked::Send(reservation) => {
                    self.serve(lane, ticket, &reservation);
                    return Arrived::Send(reservation);
                }
                Asked::Nothing(nothing) => {
                    self.leave(ticket);
                    return Arrived::Nothing(nothing);
                }
                Asked::Wait(wait) | Asked::Behind(Some(wait)) => {
                    again = wait.again;
                    // With nobody before it the pool knows better than any prediction.
                    until = if prediction.ahead > 0 { until.max(wait.until) } else { wait.until };
                    self.note_newcomer(lane, ticket, &wait);
                }
                Asked::Behind(None) => {}
            }
        }
        if until > claim.deadline || now >= claim.deadline {
            self.leave(ticket);
            let Prediction { surely, ahead, .. } = prediction;
            let until = if ahead > 0 { until.max(surely) } else { until };
            return Arrived::Refused(Refused { until, ahead, why: Why::Late, again });
        }
        Arrived::Waits(ticket, again)
    }

    /// Calls the next one, if somebody can go or cannot wait any longer.
    pub(super) fn next(&mut self, pool: &mut Pool, now: Moment) -> Option<Called<W>> {
        loop {
            let due = self.queue.lanes().filter(|(_, lane)| lane.is_due(now));
            let due = due.filter_map(|(id, _)| Some((self.queue.first(id)?.0, id)));
            let (_, lane) = due.min_by_key(|(order, _)| *order)?;
            if let Some(called) = self.look_at(pool, lane, now) {
                return Some(called);
            }
        }
    }

    /// When to look again.
    pub(super) fn wake(&self) -> Moment {
        let wakes = self
            .queue
            .lanes()
            .map(|(_, lane)| if lane.news.is_empty() { lane.wake } else { Moment::ZERO });
        wakes.min().unwrap_or(Moment::NEVER)
    }

    /// Gives a place up.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<W> {
        let lane = self.queue.lane_of(ticket)?;
        let mattered = self.queue.window(lane).contains(&ticket);
        let waiter = self.queue.leave(ticket)?;
        if mattered {
            self.review(lane);
        }
        Some(waiter.tag)
    }

    /// Somebody has to make way for others.
    pub(super) fn displace(
        &mut self,
        pool: &mut Pool,
        ticket: Ticket,
        now: Moment,
    ) -> Option<(W, Refused)> {
        let claim = *self.queue.get(ticket)?.0;
        let lane = self.queue.lane_of(ticket)?;
        let waiter = self.leave(ticket)?;
        let Prediction { surely, ahead, .. } = self.predict(pool, lane, &claim, now);
        Some((waiter, Refused { until: surely, ahead, why: Why::Full, again: None }))
    }

    /// Something happened to these groups.
    pub(super) fn touch(&mut self, groups: Bits) {
        for lane in self.queue.lanes_mut() {
            lane.news = lane.news.or(groups);
        }
    }

    /// Looks at those at the head of a lane: the first is tried, and one that needs less.
    fn look_at(&mut self, pool: &mut Pool, lane: LaneId, now: Moment) -> Option<Called<W>> {
        let window = self.queue.window(lane);
        let first = *window.first()?;
        let tag = self.queue.tag_mut(lane)?;
        let groups = tag.groups_to_look_at(now);
        let ripe = tag.earmark.filter(|earmark| earmark.at <= now);
        tag.news = Bits::EMPTY;
        if groups == Bits::ALL {
            tag.wake = Moment::NEVER;
        }
        // What time has let go is most likely what was kept.
        if let Some(ripe) = ripe
            && let Asked::Send(sent) = self.ask_for(pool, lane, first, Bits::one(ripe.group), now)
        {
            return self.call(lane, first, Outcome::Send(sent));
        }
        match self.ask_for(pool, lane, first, groups, now) {
            Asked::Send(sent) => return self.call(lane, first, Outcome::Send(sent)),
            Asked::Wait(wait) if groups == Bits::ALL && self.is_late(first, &wait) => {
                return self.call(lane, first, Outcome::Refused(Refused::late(&wait)));
            }
            Asked::Wait(wait) | Asked::Behind(Some(wait)) => self.keep(lane, first, &wait, groups),
            Asked::Nothing(nothing) if groups == Bits::ALL => {
                return self.call(lane, first, Outcome::Nothing(nothing));
            }
            Asked::Behind(None) if groups == Bits::ALL => self.release(lane),
            Asked::Behind(None) | Asked::Nothing(_) => {}
        }
        let lighter = self.lighter(&window)?;
        match self.ask_for(pool, lane, lighter, groups, now) {
            Asked::Send(sent) => return self.call(lane, lighter, Outcome::Send(sent)),
            Asked::Wait(wait) | Asked::Behind(Some(wait)) => {
                let tag = self.queue.tag_mut(lane)?;
                tag.wake = tag.wake.min(wait.certain);
            }
            Asked::Behind(None) | Asked::Nothing(_) => {}
        }
        None
    }

    /// Asks the pool for somebody who waits, for these groups without what is kept for those who come
    /// before.
    fn ask_for(
        &self,
        pool: &mut Pool,
        lane: LaneId,
        ticket: Ticket,
        groups: Bits,
        now: Moment,
    ) -> Asked {
        let Some((tag, (claim, waiter))) = self.queue.tag(lane).zip(self.queue.get(ticket)) else {
            return Asked::Behind(None);
        };
        let kept = self.kept_from(pool, lane, ticket, &claim.cost);
        match pool.choose_within(groups.without(kept), &tag.ask(waiter, claim.cost), now) {
            Choice::Send(reservation) => Asked::Send(reservation),
            Choice::Wait(wait) if kept.is_empty() => Asked::Wait(wait),
            Choice::Wait(wait) => Asked::Behind(Some(wait)),
            Choice::Nothing(nothing) if kept.is_empty() => Asked::Nothing(nothing),
            Choice::Nothing(_) => Asked::Behind(None),
        }
    }

    /// The groups that are kept for those who come before somebody, and that would be missed.
    fn kept_from(&self, pool: &Pool, own: LaneId, ticket: Ticket, cost: &Cost) -> Bits {
        let mut kept = Bits::EMPTY;
        let Some((order, first)) = self.queue.first(own) else { return kept };
        for (lane, tag) in self.queue.lanes() {
            let Some(earmark) = tag.earmark else { continue };
            let before = if lane == own {
                first != ticket
            } else {
                self.queue.first(lane).is_some_and(|(other, _)| other < order)
            };
            let held = (&earmark.cost, earmark.at);
            if before && !pool.spares(tag.model(), earmark.group, held, cost) {
                kept.insert(earmark.group);
            }
        }
        kept
    }

    /// Of those at the head of a lane that may pass the first, the one that needs least, if that is
    /// less than the first does.
    fn lighter(&self, window: &[Ticket]) -> Option<Ticket> {
        let (first, others) = window.split_first()?;
        let most = self.queue.get(*first)?.0.cost;
        let others = others.iter().filter(|other| self.queue.may_pass(*first, **other));
        let costs = others.filter_map(|other| Some((self.queue.get(*other)?.0.cost, other)));
        let lighter = costs.filter(|(cost, _)| !cost.covers(&most));
        lighter.min_by_key(|(cost, _)| cost.work()).map(|(_, ticket)| *ticket)
    }

    fn is_late(&self, ticket: Ticket, wait: &Wait) -> bool {
        self.queue.get(ticket).is_some_and(|(claim, _)| wait.until > claim.deadline)
    }

    /// The group that can soonest carry the first of a lane is kept for it.
    fn keep(&mut self, lane: LaneId, first: Ticket, wait: &Wait, groups: Bits) {
        let Some(cost) = self.queue.get(first).map(|(claim, _)| claim.cost) else { return };
        let Some(tag) = self.queue.tag_mut(lane) else { return };
        tag.wake = tag.wake.min(wait.certain);
        let sooner = tag.earmark.is_none_or(|earmark| wait.until < earmark.at);
        if groups != Bits::ALL && !sooner {
            return;
        }
        let fresh = Earmark { group: wait.group.slot, cost, at: wait.until };
        let old = tag.earmark.replace(fresh);
        self.freed(lane, old.filter(|old| old.group != fresh.group));
    }

    /// Nothing is kept for a lane any more.
    fn release(&mut self, lane: LaneId) {
        let old = self.queue.tag_mut(lane).and_then(|tag| tag.earmark.take());
        self.freed(lane, old);
    }

    /// What was kept for a lane is there for the others.
    fn freed(&mut self, own: LaneId, earmark: Option<Earmark>) {
        let Some(earmark) = earmark else { return };
        let own_news = self.queue.tag(own).map(|tag| tag.news);
        self.touch(Bits::one(earmark.group));
        if let (Some(tag), Some(news)) = (self.queue.tag_mut(own), own_news) {
            tag.news = news;
        }
    }

    /// Others stand at the head of that lane now.
    fn review(&mut self, lane: LaneId) {
        self.release(lane);
        if let Some(tag) = self.queue.tag_mut(lane) {
            tag.news = Bits::ALL;
        }
    }

    /// A newcomer near the head of its lane cannot go yet.
    fn note_newcomer(&mut self, lane: LaneId, ticket: Ticket, wait: &Wait) {
        if self.queue.first(lane).is_some_and(|(_, first)| first == ticket) {
            self.review(lane);
        } else if let Some(tag) = self.queue.tag_mut(lane) {
            tag.wake = tag.wake.min(wait.certain);
        }
    }

    /// Somebody is called, and waits no more.
    fn call(&mut self, lane: LaneId, ticket: Ticket, outcome: Outcome) -> Option<Called<W>> {
        let claim = *self.queue.get(ticket)?.0;
        let waiter = if let Outcome::Send(reservation) = &outcome {
            self.serve(lane, ticket, reservation)?
        } else {
            let waiter = self.queue.leave(ticket)?;
            self.review(lane);
            waiter
        };
        Some(Called { fresh: waiter.tried.nothing(), waiter: waiter.tag, claim, outcome })
    }

    fn serve(
        &mut self,
        lane: LaneId,
        ticket: Ticket,
        reservation: &Reservation,
    ) -> Option<Waiter<W>> {
        let first = self.queue.first(lane).is_some_and(|(_, first)| first == ticket);
        let waiter = self.queue.serve(ticket)?;
        self.taken = self.taken.plus(*reservation.cost());
        self.touch(Bits::one(reservation.group.slot));
        if first {
            self.review(lane);
        }
        Some(waiter)
    }

    /// When somebody who comes into that lane now will be sent, as far as can be told.
    fn predict(&mut self, pool: &mut Pool, lane: LaneId, claim: &Claim, now: Moment) -> Prediction {
        let rival = self.demand.above(claim.priority, now);
        let taken = self.taken;
        let soonest = self.queue.first(lane).and_then(|_| self.queue.tag(lane)?.soonest());
        if let Some(tag) = self.queue.tag_mut(lane).filter(|tag| tag.outlook.is_old(now)) {
            let reach = pool.reach(&tag.terms(), now);
            let (groups, supply) = pool.supply(&reach, now);
            tag.outlook.renew(taken, now, groups, &supply);
        }
        let Some(outlook) = self.queue.tag(lane).map(|tag| &tag.outlook) else {
            return Prediction { turn: now, surely: now, ahead: 0 };
        };
        let predict = |own| {
            let Ahead { cost: before, count: ahead } = self.queue.ahead(claim, own);
            let before = self.here(lane, before);
            let given = |cost| {
                outlook.given(before.plus(cost), taken, rival).max(soonest.unwrap_or_default())
            };
            let surely = given(outlook.at_worst(claim.cost));
            Prediction { turn: given(claim.cost), surely, ahead }
        };
        // The quick answer is never too early: who can wait for it need not know better.
        let latest = predict(Own::All);
        if latest.turn <= claim.deadline { latest } else { predict(Own::ByDeadline) }
    }

    /// What of all that comes first is served by the groups of that lane: all that waits in it, and of
    /// the other lanes their part.
    fn here(&self, lane: LaneId, before: Cost) -> Cost {
        let groups = |tag: &Lane| u64::from(tag.outlook.groups());
        let most = self.queue.lanes().map(|(_, tag)| groups(tag)).max().unwrap_or(0);
        let mine = self.queue.tag(lane).map_or(most, groups).min(most);
        if mine == most {
            return before;
        }
        let (own, all) = (self.queue.waiting_in(lane) as u64, self.queue.len() as u64);
        before.part(own * most + (all - own) * mine, all * most)
    }
}
