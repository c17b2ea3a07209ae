//! A lane: those whom the same groups can serve, one after the other.

use super::super::ask::{Ask, Body};
use super::super::bits::Bits;
use super::super::pool::GroupId;
use super::super::tried::Tried;
use super::outlook::Outlook;
use crate::clock::Moment;
use crate::limits::Cost;

/// What is known of a lane.
#[derive(Debug)]
pub(super) struct Lane {
    kind: Kind,
    /// When time alone may let one of them go.
    pub(super) wake: Moment,
    /// What is kept for the first of them.
    pub(super) earmark: Option<Earmark>,
    /// Groups to which something has happened since it was looked at; all, if it never was.
    pub(super) news: Bits,
    /// What its groups give in the time to come.
    pub(super) outlook: Outlook,
}

/// Who has keys of its own, needs the group that made what it names, or was refused by some group,
/// waits for something else than everybody, and neither holds the others up nor is held up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    model: Box<str>,
    /// A caller that has keys of its own.
    caller: Box<str>,
    stored_in: Option<GroupId>,
    again: bool,
}

/// The group that can soonest carry the first of a lane, and is kept for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Earmark {
    pub(super) group: u8,
    pub(super) cost: Cost,
    pub(super) at: Moment,
}

/// What is kept of one who waits.
#[derive(Debug)]
pub(super) struct Waiter<W> {
    pub(super) tried: Tried,
    pub(super) prefix: Option<u64>,
    pub(super) body: Body,
    pub(super) random: u64,
    pub(super) tag: W,
}

impl Lane {
    /// The lane of a request; `own` is its caller's name if that has keys of its own.
    pub(super) fn of(ask: &Ask<'_>, own: &str) -> Self {
        let kind = Kind {
            model: ask.model.into(),
            caller: own.into(),
            stored_in: ask.stored_in,
            again: !ask.tried.nothing(),
        };
        let (earmark, outlook) = (None, Outlook::default());
        Self { kind, wake: Moment::NEVER, earmark, news: Bits::ALL, outlook }
    }

    /// Whether it is the lane of that request.
    pub(super) fn suits(&self, ask: &Ask<'_>, own: &str) -> bool {
        let Kind { model, caller, stored_in, again } = &self.kind;
        **model == *ask.model
            && **caller == *own
            && *stored_in == ask.stored_in
            && *again != ask.tried.nothing()
    }

    /// What one of those who wait in it asks.
    pub(super) fn ask<'a, W>(&'a self, waiter: &'a Waiter<W>, cost: Cost) -> Ask<'a> {
        let Waiter { tried, prefix, body, random, .. } = waiter;
        let (prefix, body, random) = (*prefix, *body, *random);
        Ask { cost, tried, prefix, body, random, ..self.terms() }
    }

    /// What all who wait in it have in common.
    pub(super) fn terms(&self) -> Ask<'_> {
        Ask {
            model: &self.kind.model,
            caller: &self.kind.caller,
            cost: Cost::default(),
            tried: &Tried::NOTHING,
            prefix: None,
            stored_in: self.kind.stored_in,
            body: Body::Replayable,
            random: 0,
        }
    }

    pub(super) fn model(&self) -> &str {
        &self.kind.model
    }

    /// Whether it is to be looked at.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        !self.news.is_empty() || self.wake <= now
    }

    /// The groups to look at again: all of them, unless something happened to a few and what is kept
    /// for the first is not among them.
    pub(super) fn groups_to_look_at(&self, now: Moment) -> Bits {
        let kept = self.earmark.is_none_or(|earmark| self.news.contains(earmark.group));
        if kept || self.wake <= now { Bits::ALL } else { self.news }
    }

    /// When its first can go at the soonest, as far as is known.
    pub(super) fn soonest(&self) -> Option<Moment> {
        self.earmark.map(|earmark| earmark.at)
    }
}
