//! How long answers are: what a model has written before says how much it will write at most, as a
//! rule. The exact length nobody can tell.

/// A histogram of lengths that forgets, in steps of a ninth.
#[derive(Clone, Debug)]
pub struct Lengths {
    counts: [u16; BUCKETS],
    total: u32,
    mean: f64,
}

/// Eight steps for each power of two, up to 2^22 tokens.
const STEPS: u64 = 8;
const BUCKETS: usize = 8 * 22;
/// When so many were counted, each counts half.
const MEMORY: u32 = 512;
/// So few say nothing of a quantile.
const ENOUGH: u32 = 20;
/// What is reckoned with before that: the design's figure.
const FIRST: u64 = 1_024;
const FIRST_MEAN: f64 = 512.0;
/// The newest answer's part in the mean.
const WEIGHT: f64 = 1.0 / 32.0;
const MOST: u64 = 1 << 22;

impl Default for Lengths {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0, mean: FIRST_MEAN }
    }
}

impl Lengths {
    /// An answer had that many tokens.
    #[expect(clippy::cast_precision_loss, reason = "at most 2^22")]
    pub fn learn(&mut self, tokens: u64) {
        let tokens = tokens.min(MOST);
        if self.total >= MEMORY {
            self.counts = self.counts.map(|count| count / 2);
            self.total = self.counts.iter().copied().map(u32::from).sum();
        }
        if let Some(count) = self.counts.get_mut(bucket(tokens)) {
            *count += 1;
            self.total += 1;
        }
        let weight = WEIGHT.max(1.0 / f64::from(self.total.max(1)));
        self.mean += (tokens as f64 - self.mean) * weight;
    }

    /// What 95 of 100 answers do not exceed; at first 1,024.
    pub fn high(&self) -> u64 {
        if self.total < ENOUGH {
            return FIRST;
        }
        let rank = (self.total * 95).div_ceil(100);
        let mut below = 0;
        for (at, count) in (0..).zip(self.counts) {
            below += u32::from(count);
            if below >= rank {
                return top(at);
            }
        }
        MOST
    }

    /// How long they are on average; at first 512.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 2^22"
    )]
    pub fn mean(&self) -> u64 {
        self.mean.round().max(0.0) as u64
    }
}

/// The bucket of that length: below eight each has its own.
fn bucket(tokens: u64) -> usize {
    let power = tokens.max(1).ilog2();
    let at = if tokens < STEPS {
        tokens
    } else {
        let step = (tokens >> (power - 3)) & (STEPS - 1);
        u64::from(power - 2) * STEPS + step
    };
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The longest length that falls into it.
fn top(bucket: u64) -> u64 {
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_falls_into_the_bucket_that_ends_at_most_a_ninth_above_it() {
        for tokens in (0..5_000).chain([65_535, 65_536, 1_000_000, MOST - 1]) {
            let top = top(bucket(tokens) as u64);
            assert!(top >= tokens && top <= tokens + tokens / 8, "{tokens}: {top}");
        }
    }

    #[test]
    fn little_is_said_of_few_answers() {
        let mut lengths = Lengths::default();
        for _ in 0..19 {
            lengths.learn(5);
        }
        assert_eq!((lengths.high(), lengths.mean()), (1_024, 5));
        lengths.learn(5);
        assert_eq!(lengths.high(), 5);
    }

    #[test]
    fn one_in_twenty_is_longer_than_what_is_reckoned_with() {
        let mut lengths = Lengths::default();
        let answers: Vec<u64> = (0..2_000_u64).map(|n| n * 7_919 % 1_000).collect();
        answers.iter().for_each(|tokens| lengths.learn(*tokens));
        let longer = answers.iter().filter(|tokens| **tokens > lengths.high()).count();
        assert!((0..=100).contains(&longer), "{longer} of 2,000 beyond {}", lengths.high());
        assert!(lengths.high() <= 1_050);
        assert!(lengths.mean().abs_diff(500) < 100, "{}", lengths.mean());
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut lengths = Lengths::default();
        (0..2_000).for_each(|_| lengths.learn(10_000));
        (0..3_000).for_each(|_| lengths.learn(100));
        assert!(lengths.high() <= 112, "{}", lengths.high());
        lengths.learn(u64::MAX);
        assert!(lengths.mean() <= MOST);
    }
}
