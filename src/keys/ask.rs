//! What a request asks of a pool, and what it is told.

use crate::clock::Moment;
use crate::limits::{Binding, Cost};

use super::gate::Cause;
use super::pool::{GroupId, Reservation};
use super::tried::Tried;

/// What a request asks of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What the provider calls the model; empty where a request names none.
    pub model: &'a str,
    /// Who asks, for keys that only some may use.
    pub caller: &'a str,
    /// What it will cost.
    pub cost: Cost,
    /// What it has tried already.
    pub tried: &'a Tried,
    /// The group to take while it can carry the request: its prompt cache is warm.
    pub preferred: Option<GroupId>,
    /// The only group that has what the request names. One that has left the pool means nothing.
    pub stored_in: Option<GroupId>,
    /// Whether it can be sent again.
    pub body: Body,
    /// A random number.
    pub random: u64,
}

/// Whether a request can be sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Its body is kept for another try.
    #[default]
    Replayable,
    /// It can be sent once, so it takes a key known to be good, and tries nothing for others.
    Once,
}

/// What a pool can do for a request now.
#[derive(Debug)]
pub enum Choice {
    /// Send it with this key. The capacity is taken.
    Send(Reservation),
    /// Nothing now, but later.
    Wait(Wait),
    /// Nothing, and waiting does not help.
    Nothing(Nothing),
}

/// Until when to wait, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The soonest moment at which some group that the request has not tried can carry it, if
    /// nothing happens before.
    pub until: Moment,
    /// The soonest moment at which one that it has tried can (within the retry budget).
    pub again: Option<Moment>,
    /// The group that frees first, and what it waits for.
    pub group: GroupId,
    /// What that group waits for.
    pub cause: Cause,
    /// The limit that decides there, where it is one.
    pub binding: Option<Binding>,
    /// What all groups wait for, each for one of these.
    pub causes: Causes,
}

/// Why waiting does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// There is no key for this caller and model.
    NoKey,
    /// Every key was refused by the provider.
    AllInvalid,
    /// The provider forbids this model to every valid key. As a rule the request has been told so by
    /// the provider itself: one that has tried nothing is sent with a forbidden key all the same.
    AllForbidden,
    /// It is larger than that limit can ever hold, in every group.
    Oversized(Binding),
    /// Every group was tried by this request; the soonest may be tried again at that moment, within
    /// the retry budget. [`Tried::again`] makes it so.
    AllTried(Moment),
}

/// A set of causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes(u8);

impl Causes {
    /// Whether that cause is among them.
    pub const fn contains(self, cause: Cause) -> bool {
        self.0 & (1 << cause as u8) != 0
    }

    /// Whether they are that cause and no other.
    pub const fn only(self, cause: Cause) -> bool {
        self.0 == 1 << cause as u8
    }

    /// Both together.
    pub(super) const fn and_also(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn insert(&mut self, cause: Cause) {
        self.0 |= 1 << cause as u8;
    }
}
