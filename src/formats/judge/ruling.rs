//! What a provider's words settle, before headers fill in the moment.

use jiff::Timestamp;
use std::time::Duration;

use crate::formats::{Scope, Verdict};

/// A verdict and what it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ruling {
    pub(super) verdict: Verdict,
    pub(super) scope: Scope,
    pub(super) back: Return,
    pub(super) oversized: bool,
}

/// When the group may be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// As the answer hints, if it does.
    AsHinted,
    /// At this moment, whatever else the answer hints.
    At(Timestamp),
    /// As the answer hints; after this long if it does not.
    After(Duration),
    /// Nothing is known, and no hint applies.
    Untold,
}

impl Ruling {
    /// For this model of the quota group.
    pub(super) const fn model(verdict: Verdict) -> Self {
        Self { verdict, scope: Scope::Model, back: Return::AsHinted, oversized: false }
    }

    /// For the whole quota group.
    pub(super) const fn group(verdict: Verdict) -> Self {
        Self { scope: Scope::Group, ..Self::model(verdict) }
    }

    /// The request at fault.
    pub(super) const fn request() -> Self {
        Self::model(Verdict::RequestInvalid)
    }

    /// A request larger than the bucket: nothing to wait for, and nobody to blame.
    pub(super) const fn oversized() -> Self {
        Self { oversized: true, ..Self::model(Verdict::RateLimited).returning(Return::Untold) }
    }

    /// The same, with the return known better than by hints.
    pub(super) const fn returning(self, back: Return) -> Self {
        Self { back, ..self }
    }

    /// The same, back at a calendar's moment; as hinted, should there be no such moment.
    pub(super) const fn until(self, when: Option<Timestamp>) -> Self {
        match when {
            Some(when) => self.returning(Return::At(when)),
            None => self,
        }
    }
}
