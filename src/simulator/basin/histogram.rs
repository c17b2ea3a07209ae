//! How long things took: a histogram that knows every wait to two parts in a hundred, whatever it is.

use std::time::Duration;

/// Steps in each doubling.
const STEPS: usize = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// The finest that is told apart.
const GRAIN: u64 = 1_000;

/// Counts of durations, in steps that grow with them.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    most: Duration,
}

impl Histogram {
    pub(super) fn add(&mut self, duration: Duration) {
        let place = place(duration);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.total += 1;
        self.most = self.most.max(duration);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.most = self.most.max(other.most);
    }

    /// What `permille` of a thousand do not exceed; zero of nothing.
    pub(super) fn quantile(&self, permille: u64) -> Duration {
        let wanted = (self.total * permille).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(place).min(self.most);
            }
        }
        self.most
    }

    pub(super) const fn most(&self) -> Duration {
        self.most
    }
}

/// Below `STEPS` grains a step is a grain; then each doubling has as many steps.
fn place(duration: Duration) -> usize {
    let grains = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).div_ceil(GRAIN);
    let Some(above) = grains.checked_ilog2().and_then(|log| log.checked_sub(STEP_BITS)) else {
        return small(grains);
    };
    let step = small(grains >> above) - STEPS;
    STEPS + above as usize * STEPS + step
}

/// The longest duration of a place.
fn upper(place: usize) -> Duration {
    let above = place.saturating_sub(STEPS) / STEPS;
    let step = if place < STEPS { place } else { STEPS + (place - STEPS) % STEPS };
    let (step, above) = (step as u64, u32::try_from(above).unwrap_or(u32::MAX));
    let grains = ((step + 1) << above.min(50)) - 1;
    Duration::from_nanos(grains.saturating_mul(GRAIN))
}

fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_a_step_of_the_truth() {
        for (count, scale) in [(1_000_u64, 1_u64), (10_000, 977), (300, 10_000_019)] {
            let mut histogram = Histogram::default();
            for nth in 1..=count {
                histogram.add(Duration::from_micros(nth * scale));
            }
            for permille in [1, 10, 500, 900, 990, 1_000] {
                let truth = Duration::from_micros((count * permille).div_ceil(1_000) * scale);
                let found = histogram.quantile(permille);
                assert!(found >= truth, "{found:?} of {truth:?}");
                assert!(
                    found <= truth + truth / 30 + Duration::from_micros(1),
                    "{found:?} {truth:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_takes_no_time_and_no_wait_is_no_wait() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(990), Duration::ZERO);
        for _ in 0..99 {
            histogram.add(Duration::ZERO);
        }
        histogram.add(Duration::from_secs(3));
        assert_eq!(histogram.quantile(990), Duration::ZERO);
        assert_eq!(histogram.quantile(1_000), Duration::from_secs(3));
    }

    #[test]
    fn two_halves_make_the_whole() {
        let (mut all, mut one, mut other) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for nth in 0..1_000 {
            let duration = Duration::from_micros(nth * nth);
            all.add(duration);
            if nth % 3 == 0 { one.add(duration) } else { other.add(duration) }
        }
        one.merge(&other);
        assert_eq!(one.quantile(700), all.quantile(700));
        assert_eq!(one.most(), all.most());
    }
}
