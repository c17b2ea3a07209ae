//! Random numbers of the kinds that traffic shows, drawn from a seed.

use fastrand::Rng;

use super::number::float;

/// A distribution of sizes: tokens, seconds, tokens a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Its kind.
    pub kind: Kind,
    /// Nothing below this is drawn.
    pub min: f64,
    /// Nothing above this is drawn.
    pub max: f64,
    /// This share, 0 to 1, has this size instead.
    pub tail: Option<(f64, f64)>,
}

/// A kind of distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Always the same.
    Constant(f64),
    /// Evenly between two.
    Uniform(f64, f64),
    /// With that mean, the smaller the likelier.
    Exponential(f64),
    /// The usual shape of prompts and answers.
    LogNormal {
        /// Half are smaller.
        median: f64,
        /// How far they spread: the standard deviation of the logarithm.
        sigma: f64,
    },
    /// A tail that falls with a power: the lower the exponent, the heavier (2 has no variance).
    Pareto {
        /// The smallest.
        least: f64,
        /// How fast larger ones become rare; above 1.
        exponent: f64,
    },
    /// Whole numbers from 1 on, each as likely as its power says (`BurstGPT`'s lengths).
    Zipf {
        /// How fast larger ones become rare; above 1.
        exponent: f64,
    },
}

impl Draw {
    /// Always `value`.
    pub const fn constant(value: f64) -> Self {
        Self::of(Kind::Constant(value))
    }

    /// A distribution without bounds.
    pub const fn of(kind: Kind) -> Self {
        Self { kind, min: 0.0, max: f64::INFINITY, tail: None }
    }

    /// With nothing above `max`.
    #[must_use]
    pub const fn at_most(mut self, max: f64) -> Self {
        self.max = max;
        self
    }

    /// One of it.
    pub(super) fn draw(&self, random: &mut Rng) -> f64 {
        if let Some((share, size)) = self.tail
            && random.f64() < share
        {
            return size;
        }
        let drawn = match self.kind {
            Kind::Constant(value) => value,
            Kind::Uniform(low, high) => low + (high - low) * random.f64(),
            Kind::Exponential(mean) => mean * exponential(random),
            Kind::LogNormal { median, sigma } => median * (sigma * normal(random)).exp(),
            Kind::Pareto { least, exponent } => least * positive(random).powf(-1.0 / exponent),
            Kind::Zipf { exponent } => zipf(exponent, self.max, random),
        };
        drawn.clamp(self.min, self.max)
    }
}

/// With mean 1.
pub(super) fn exponential(random: &mut Rng) -> f64 {
    -positive(random).ln()
}

/// With mean 0 and deviation 1 (Box and Muller).
pub(super) fn normal(random: &mut Rng) -> f64 {
    let radius = (-2.0 * positive(random).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// With mean 1 and that shape: below 1 it comes in clumps (Marsaglia and Tsang).
pub(super) fn gamma(shape: f64, random: &mut Rng) -> f64 {
    // A smaller shape is drawn from a larger one.
    let boost = if shape < 1.0 { positive(random).powf(1.0 / shape) } else { 1.0 };
    let d = if shape < 1.0 { shape + 1.0 } else { shape } - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(random);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && positive(random).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return boost * d * v / shape;
        }
    }
}

/// One of `weights`, by weight; zero where all are.
pub(super) fn weighted(weights: impl Iterator<Item = f64> + Clone, random: &mut Rng) -> usize {
    let mut rest = random.f64() * weights.clone().sum::<f64>();
    let mut last = 0;
    for (index, weight) in weights.enumerate() {
        if rest < weight {
            return index;
        }
        rest -= weight;
        last = index;
    }
    last
}

/// By rejection from the continuous tail (Devroye), bounded.
fn zipf(exponent: f64, max: f64, random: &mut Rng) -> f64 {
    let b = 2_f64.powf(exponent - 1.0);
    for _ in 0..MOST_TRIES {
        let x = positive(random).powf(-1.0 / (exponent - 1.0)).floor();
        let t = (1.0 + 1.0 / x).powf(exponent - 1.0);
        if x <= max && random.f64() * x * (t - 1.0) / (b - 1.0) <= t / b {
            return x;
        }
    }
    1.0
}

/// So many draws in a row are thrown away with no distribution that a workload may write.
const MOST_TRIES: u32 = 1_000;

/// In (0, 1].
fn positive(random: &mut Rng) -> f64 {
    const STEPS: f64 = float(1 << 53);
    (float(random.u64(..) >> 11) + 1.0) / STEPS
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 40_000;

    fn mean(mut draw: impl FnMut(&mut Rng) -> f64) -> f64 {
        let mut random = Rng::with_seed(7);
        (0..DRAWS).map(|_| draw(&mut random)).sum::<f64>() / f64::from(DRAWS)
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= 0.05 * expected.abs().max(0.2)
    }

    #[test]
    fn every_distribution_has_the_mean_that_it_should() {
        let of = |kind| mean(|random| Draw::of(kind).draw(random));
        assert!(near(of(Kind::Constant(3.0)), 3.0));
        assert!(near(of(Kind::Uniform(2.0, 4.0)), 3.0));
        assert!(near(of(Kind::Exponential(5.0)), 5.0));
        let expected = 100.0 * (0.5_f64).exp();
        assert!(near(of(Kind::LogNormal { median: 100.0, sigma: 1.0 }), expected));
        assert!(near(of(Kind::Pareto { least: 2.0, exponent: 3.0 }), 3.0));
        assert!(near(mean(|random| gamma(0.3, random)), 1.0));
        assert!(near(mean(|random| gamma(4.0, random)), 1.0));
        assert!(near(mean(normal), 0.0));
    }

    #[test]
    fn zipf_s_ranks_fall_with_their_power() {
        let draw = Draw::of(Kind::Zipf { exponent: 2.0 }).at_most(1_000.0);
        let mut random = Rng::with_seed(7);
        let drawn: Vec<f64> = (0..DRAWS).map(|_| draw.draw(&mut random)).collect();
        let share = |rank: f64| {
            let of_rank = drawn.iter().filter(|value| (**value - rank).abs() < 0.5).count();
            super::super::number::float_len(of_rank) / f64::from(DRAWS)
        };
        assert!(near(share(1.0) / share(2.0), 4.0), "{} {}", share(1.0), share(2.0));
        assert!(drawn.iter().all(|value| (1.0..=1_000.0).contains(value)));
    }

    #[test]
    fn bounds_hold_and_a_tail_is_as_heavy_as_it_says() {
        let kind = Kind::LogNormal { median: 100.0, sigma: 2.0 };
        let draw = Draw { kind, min: 10.0, max: 500.0, tail: Some((0.1, 9_000.0)) };
        let mut random = Rng::with_seed(7);
        let drawn: Vec<f64> = (0..DRAWS).map(|_| draw.draw(&mut random)).collect();
        let long = drawn.iter().filter(|value| **value > 8_999.0).count();
        assert!(near(super::super::number::float_len(long), 0.1 * f64::from(DRAWS)));
        assert!(drawn.iter().all(|v| (10.0..=500.0).contains(v) || *v > 8_999.0));
    }

    #[test]
    fn a_seed_draws_the_same_again() {
        let draw = Draw::of(Kind::LogNormal { median: 100.0, sigma: 1.0 });
        let (mut one, mut other) = (Rng::with_seed(3), Rng::with_seed(3));
        assert!((0..100).all(|_| draw.draw(&mut one).to_bits() == draw.draw(&mut other).to_bits()));
    }
}
