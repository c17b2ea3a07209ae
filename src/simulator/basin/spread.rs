//! Which sidecar a request comes to.

use fastrand::Rng;

use super::scenario::Spread;

#[derive(Debug)]
pub(super) struct Spreading {
    count: u32,
    /// The share of all requests that comes to each sidecar and those before it; empty if evenly.
    until: Vec<f64>,
}

impl Spreading {
    pub(super) fn new(spread: Spread, count: u32) -> Self {
        let count = count.max(1);
        let weights: Vec<f64> = match spread {
            Spread::Even => Vec::new(),
            Spread::Skewed => (1..=count).map(|nth| 1.0 / f64::from(nth)).collect(),
            Spread::Greedy(share) => {
                let rest = (1.0 - share).max(0.0) / f64::from(count.max(2) - 1);
                (0..count).map(|nth| if nth == 0 { share } else { rest }).collect()
            }
        };
        let all: f64 = weights.iter().sum();
        let until = weights.iter().scan(0.0, |sum, weight| {
            *sum += weight / all;
            Some(*sum)
        });
        Self { count, until: until.collect() }
    }

    pub(super) fn draw(&self, random: &mut Rng) -> u32 {
        if self.until.is_empty() {
            return random.u32(0..self.count);
        }
        let drawn = random.f64();
        let place = self.until.partition_point(|until| *until <= drawn);
        u32::try_from(place).unwrap_or(u32::MAX).min(self.count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::basin::number::float;

    fn shares(spread: Spread, count: u32) -> Vec<f64> {
        let (spreading, mut random) = (Spreading::new(spread, count), Rng::with_seed(1));
        let mut counts = vec![0_u64; count as usize];
        for _ in 0..100_000 {
            counts[spreading.draw(&mut random) as usize] += 1;
        }
        counts.into_iter().map(|count| float(count) / 100_000.0).collect()
    }

    #[test]
    fn requests_spread_as_they_are_said_to() {
        let near = |found: f64, expected: f64| (found - expected).abs() < 0.01;
        let even = shares(Spread::Even, 4);
        assert!(even.iter().all(|share| near(*share, 0.25)), "{even:?}");
        let skewed = shares(Spread::Skewed, 3);
        assert!(near(skewed[0], 6.0 / 11.0) && near(skewed[2], 2.0 / 11.0), "{skewed:?}");
        let greedy = shares(Spread::Greedy(0.6), 5);
        assert!(near(greedy[0], 0.6) && near(greedy[4], 0.1), "{greedy:?}");
    }
}
