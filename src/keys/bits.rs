//! Sets of up to 256 slots, and drawing from them by weight in constant time.

/// A set of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits([u64; 4]);

impl Bits {
    pub(super) const EMPTY: Self = Self([0; 4]);
    pub(super) const ALL: Self = Self([u64::MAX; 4]);

    pub(super) fn one(slot: u8) -> Self {
        let mut bits = Self::EMPTY;
        bits.insert(slot);
        bits
    }

    pub(super) fn insert(&mut self, slot: u8) {
        if let Some(word) = self.0.get_mut(usize::from(slot >> 6)) {
            *word |= 1 << (slot & 63);
        }
    }

    pub(super) fn remove(&mut self, slot: u8) {
        if let Some(word) = self.0.get_mut(usize::from(slot >> 6)) {
            *word &= !(1 << (slot & 63));
        }
    }

    pub(super) fn contains(&self, slot: u8) -> bool {
        self.0.get(usize::from(slot >> 6)).is_some_and(|word| word & (1 << (slot & 63)) != 0)
    }

    pub(super) const fn is_empty(self) -> bool {
        let [a, b, c, d] = self.0;
        a | b | c | d == 0
    }

    pub(super) const fn len(self) -> u32 {
        let [a, b, c, d] = self.0;
        a.count_ones() + b.count_ones() + c.count_ones() + d.count_ones()
    }

    pub(super) fn and(mut self, other: Self) -> Self {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
        self
    }

    pub(super) fn without(mut self, other: Self) -> Self {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= !other;
        }
        self
    }

    pub(super) fn or(mut self, other: Self) -> Self {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
        self
    }

    /// The slots in the set, in order.
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..4_u8).zip(self.0).flat_map(|(index, mut word)| {
            std::iter::from_fn(move || {
                let bit = u8::try_from(word.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                word &= word - 1;
                Some(index * 64 + bit)
            })
        })
    }

    /// The slot that has `n` others of the set before it.
    fn nth(self, mut n: u32) -> Option<u8> {
        for (index, mut word) in (0..4_u8).zip(self.0) {
            let here = word.count_ones();
            if n < here {
                for _ in 0..n {
                    word &= word - 1;
                }
                return Some(index * 64 + u8::try_from(word.trailing_zeros()).ok()?);
            }
            n -= here;
        }
        None
    }
}

/// The weight of each slot, one set for each binary digit, so that a draw by weight among any
/// subset costs the same for one slot as for 256.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    digits: Vec<Bits>,
}

/// Larger weights count as this.
const MAX_WEIGHT: u32 = 1_023;

impl Weights {
    pub(super) fn set(&mut self, slot: u8, weight: u32) {
        let weight = weight.clamp(1, MAX_WEIGHT);
        let digits = usize::try_from(weight.ilog2()).unwrap_or(0) + 1;
        if self.digits.len() < digits {
            self.digits.resize(digits, Bits::EMPTY);
        }
        for (digit, bits) in self.digits.iter_mut().enumerate() {
            bits.remove(slot);
            if weight >> digit & 1 == 1 {
                bits.insert(slot);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.digits.clear();
    }

    /// One of `among`, each as likely as its weight.
    pub(super) fn draw(&self, among: Bits, dice: &mut Dice) -> Option<u8> {
        let total = self.parts(among).map(|(_, weight)| weight).sum::<u32>();
        let mut mark = dice.below(total);
        for (digit, (part, weight)) in self.parts(among).enumerate() {
            if mark < weight {
                return part.nth(mark >> digit);
            }
            mark -= weight;
        }
        None
    }

    fn parts(&self, among: Bits) -> impl Iterator<Item = (Bits, u32)> {
        self.digits.iter().enumerate().map(move |(digit, bits)| {
            let part = among.and(*bits);
            (part, part.len() << digit)
        })
    }
}

/// As many random numbers as a decision needs, out of the one it was given (`SplitMix64`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`, or zero.
    fn below(&mut self, bound: u32) -> u32 {
        let share = (self.roll() >> 32) * u64::from(bound);
        u32::try_from(share >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_bits_are_a_set(slots in prop::collection::btree_set(any::<u8>(), 0..256)) {
            let mut bits = Bits::EMPTY;
            for slot in &slots {
                bits.insert(*slot);
            }
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), slots.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(bits.len() as usize, slots.len());
            for (n, slot) in (0..).zip(&slots) {
                prop_assert_eq!(bits.nth(n), Some(*slot));
            }
            prop_assert_eq!(bits.nth(bits.len()), None);
        }
    }

    #[test]
    fn slots_are_drawn_as_often_as_their_weight_says() {
        let mut weights = Weights::default();
        for (slot, weight) in [(3, 1), (70, 2), (140, 5), (255, 1_000)] {
            weights.set(slot, weight);
        }
        let mut among = Bits::one(3);
        among.insert(70);
        among.insert(140);
        let mut dice = Dice(7);
        let mut drawn = [0_u32; 256];
        for _ in 0..8_000 {
            drawn[usize::from(weights.draw(among, &mut dice).unwrap())] += 1;
        }
        for (slot, share) in [(3, 1_000), (70, 2_000), (140, 5_000), (255, 0)] {
            assert!(
                drawn[slot].abs_diff(share) <= share / 10,
                "{slot}: {} of {share}",
                drawn[slot]
            );
        }
        assert_eq!(weights.draw(Bits::EMPTY, &mut dice), None);
    }
}
