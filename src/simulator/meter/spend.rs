//! Limits of money: a provider's spend cap of the month, and Gemini's spend in ten minutes.

use std::time::Duration;

use super::midnight::next_month;
use super::{Ask, Cause, Refusal};
use crate::clock::{Moment, Now};
use crate::formats::Dimension;

/// A bound on what an account may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendLimit {
    /// How much, in millionths of a US dollar.
    pub amount: u64,
    /// In what time.
    pub span: SpendSpan,
    /// What an input token costs, in millionths of a millionth of a dollar.
    pub input: u64,
    /// What an output token costs, in the same unit.
    pub output: u64,
}

/// In what time a spend limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendSpan {
    /// The last ten minutes (Gemini's "spend-based rate limit").
    TenMinutes,
    /// A calendar month in UTC (Anthropic's tiers, OpenAI's organisations and projects).
    Month,
}

/// Ten minutes are counted in as many slices: as exact as a window that slides has to be here.
const SLICES: usize = 10;
const SLICE: Duration = Duration::from_mins(1);
/// Picodollars in a millionth of a dollar.
const MICRO: u64 = 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct Spend {
    limit: SpendLimit,
    /// In millionths of millionths of a dollar.
    slices: [u64; SLICES],
    current: usize,
    ends: Moment,
}

impl Spend {
    pub(super) const fn new(limit: SpendLimit) -> Self {
        Self { limit, slices: [0; SLICES], current: 0, ends: Moment::ZERO }
    }

    pub(super) fn check(&mut self, ask: Ask, now: Now) -> Result<(), Refusal> {
        self.roll(now);
        let used = self.used();
        if used < self.limit.amount.saturating_mul(MICRO) {
            return Ok(());
        }
        let window = match self.limit.span {
            SpendSpan::TenMinutes => SLICE * 10,
            SpendSpan::Month => Duration::from_hours(30 * 24),
        };
        Err(Refusal {
            cause: Cause::Spend,
            dimension: Dimension::Tokens,
            window,
            limit: self.limit.amount,
            used: used / MICRO,
            requested: ask.input.saturating_mul(self.limit.input) / MICRO,
            retry_after: self.ends.since(now.at),
        })
    }

    pub(super) fn charge(&mut self, input: u64, output: u64, now: Now) {
        self.roll(now);
        let cost = input
            .saturating_mul(self.limit.input)
            .saturating_add(output.saturating_mul(self.limit.output));
        if let Some(slice) = self.slices.get_mut(self.current) {
            *slice = slice.saturating_add(cost);
        }
    }

    fn used(&self) -> u64 {
        self.slices.iter().fold(0, |sum, slice| sum.saturating_add(*slice))
    }

    fn roll(&mut self, now: Now) {
        if now.at < self.ends {
            return;
        }
        match self.limit.span {
            SpendSpan::Month => {
                self.slices = [0; SLICES];
                self.ends = next_month(now);
            }
            SpendSpan::TenMinutes if now.at.since(self.ends) >= SLICE * 10 => {
                self.slices = [0; SLICES];
                self.ends = now.at + SLICE;
            }
            SpendSpan::TenMinutes => {
                while now.at >= self.ends {
                    self.current = (self.current + 1) % SLICES;
                    if let Some(slice) = self.slices.get_mut(self.current) {
                        *slice = 0;
                    }
                    self.ends = self.ends + SLICE;
                }
            }
        }
    }
}
