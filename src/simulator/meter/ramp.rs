//! Acceleration limits: a provider that refuses sharp growth.
//!
//! Anthropic's page says only that a sharp increase is met with 429s and that traffic should ramp up
//! gradually. The model here: in a minute, no more than so many times what the minute before let
//! through, and always a tenth of the limit.

use std::time::Duration;

use super::{Cause, MINUTE, Refusal};
use crate::clock::Moment;
use crate::formats::Dimension;

/// Of the limit, this part is always allowed.
const ALWAYS: u64 = 10;

#[derive(Clone, Debug)]
pub(super) struct Ramp {
    permille: u64,
    always: u64,
    before: u64,
    current: u64,
    ends: Moment,
}

impl Ramp {
    /// `permille` thousandths of the minute before; `limit` requests a minute.
    pub(super) const fn new(permille: u64, limit: u64) -> Self {
        let always = if limit > ALWAYS { limit / ALWAYS } else { 1 };
        Self { permille, always, before: 0, current: 0, ends: Moment::ZERO }
    }

    pub(super) fn check(&mut self, now: Moment) -> Result<(), Refusal> {
        self.roll(now);
        let allowed = (self.before.saturating_mul(self.permille) / 1_000).max(self.always);
        if self.current < allowed {
            return Ok(());
        }
        Err(Refusal {
            cause: Cause::Ramp,
            dimension: Dimension::Requests,
            window: MINUTE,
            limit: allowed,
            used: self.current,
            requested: 1,
            retry_after: self.ends.since(now).max(Duration::from_nanos(1)),
        })
    }

    pub(super) fn count(&mut self, now: Moment) {
        self.roll(now);
        self.current += 1;
    }

    fn roll(&mut self, now: Moment) {
        if now < self.ends {
            return;
        }
        let next = now < self.ends + MINUTE && self.ends > Moment::ZERO;
        self.before = if next { self.current } else { 0 };
        self.current = 0;
        self.ends = if next { self.ends + MINUTE } else { now + MINUTE };
    }
}
