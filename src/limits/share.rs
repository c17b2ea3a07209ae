//! How much of a limit is ours, when other sidecars draw on it too.

use std::num::NonZeroU32;

/// How a ledger's limits are shared with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody has said. All of it is ours until headers show that somebody else draws on it; then
    /// it is shared with as many as their drain is worth.
    #[default]
    Learned,
    /// That part is ours for certain, and beyond it what the provider's headers show to be left.
    Floor(Share),
    /// That part and no more: a caller's limit, or what a coordinator has granted.
    Part(Share),
}

/// A part of a whole, more than nothing and at most all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    part: u32,
    of: u32,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { part: 1, of: 1 };

    /// What each of so many has.
    pub const fn one_of(replicas: NonZeroU32) -> Self {
        Self { part: 1, of: replicas.get() }
    }

    /// `part` of `of`, as a coordinator may grant it: at least one part, at most the whole.
    pub fn new(part: u32, of: NonZeroU32) -> Self {
        Self { part: part.clamp(1, of.get()), of: of.get() }
    }

    /// How many such parts the whole has, rounded up: the number of sidecars it assumes.
    pub const fn replicas(self) -> u32 {
        self.of.div_ceil(self.part)
    }

    /// That part of an amount, rounded down, but one at least.
    pub fn part_of(self, amount: u64) -> u64 {
        let part = u128::from(amount) * u128::from(self.part) / u128::from(self.of);
        u64::try_from(part).unwrap_or(amount).max(1)
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_nothing_and_never_more_than_all() {
        let of = |of| NonZeroU32::new(of).unwrap();
        assert_eq!(Share::one_of(of(3)).part_of(100), 33);
        assert_eq!(Share::one_of(of(100)).part_of(50), 1);
        assert_eq!(Share::new(9, of(3)), Share::new(3, of(3)));
        assert_eq!(Share::new(0, of(3)).part_of(9), 3);
        assert_eq!(Share::one_of(of(u32::MAX)).part_of(u64::MAX), (1 << 32) + 1);
        assert_eq!(Share::WHOLE.part_of(u64::MAX), u64::MAX);
        assert_eq!(Share::one_of(of(7)).replicas(), 7);
    }
}
