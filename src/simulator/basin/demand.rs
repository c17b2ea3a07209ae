//! Requests as they come: drawn from distributions, or as they were written down.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::draw::{exponential, gamma, weighted};
use super::number::{float, seconds, whole};
use super::scenario::{Arrival, Load, Process, Scenario, Stream, Turns};
use crate::clock::Moment;
use crate::simulator::fault::mix;

/// A request, and where the randomness of its own begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) arrival: Arrival,
    /// The same for every policy: sidecar, estimate and latency are drawn from it.
    pub(super) seed: u64,
    pub(super) turns: Option<Turns>,
}

/// Where requests come from: several feeds, each in order of time.
#[derive(Debug)]
pub(super) struct Source {
    feeds: Vec<Feed>,
    until: Moment,
}

#[derive(Debug)]
enum Feed {
    Stream(Box<Spring>),
    Trace { arrivals: Arc<[Arrival]>, next: usize, seed: u64 },
}

#[derive(Debug)]
struct Spring {
    stream: Stream,
    random: Rng,
    at: Moment,
}

impl Source {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let feeds = match &scenario.load {
            Load::Streams(streams) => (1_u64..)
                .zip(streams)
                .map(|(nth, stream)| {
                    let random = Rng::with_seed(mix(scenario.seed ^ mix(nth)));
                    let stream = stream.clone();
                    Feed::Stream(Box::new(Spring { stream, random, at: Moment::ZERO }))
                })
                .collect(),
            Load::Trace(arrivals) => {
                vec![Feed::Trace { arrivals: Arc::clone(arrivals), next: 0, seed: scenario.seed }]
            }
        };
        Self { feeds, until: Moment::ZERO + scenario.duration }
    }

    /// How many feeds there are.
    pub(super) const fn feeds(&self) -> usize {
        self.feeds.len()
    }

    /// The next request of a feed; `None` when it is over.
    pub(super) fn next(&mut self, feed: usize) -> Option<Demand> {
        let demand = match self.feeds.get_mut(feed)? {
            Feed::Stream(spring) => spring.next()?,
            Feed::Trace { arrivals, next, seed } => {
                let arrival = *arrivals.get(*next)?;
                *next += 1;
                let seed = mix(*seed ^ mix(float_free(*next)));
                Demand { arrival, seed, turns: None }
            }
        };
        (demand.arrival.at < self.until).then_some(demand)
    }
}

impl Spring {
    fn next(&mut self) -> Option<Demand> {
        self.at = self.next_moment()?;
        let Self { stream, random, at } = self;
        let pick = |from: &[(usize, f64)], random: &mut Rng| {
            let chosen =
                if from.len() > 1 { weighted(from.iter().map(|it| it.1), random) } else { 0 };
            from.get(chosen).and_then(|it| u16::try_from(it.0).ok()).unwrap_or(0)
        };
        let name = pick(&stream.names, random);
        let caller = pick(&stream.callers, random);
        let input = whole(stream.input.draw(random)).max(1);
        let max_output = stream.max_output.map(|most| whole(most.draw(random)).max(1));
        let output = whole(stream.output.draw(random)).max(1);
        let arrival = Arrival {
            at: *at,
            name,
            caller,
            priority: stream.priority,
            max_wait: stream.max_wait,
            input,
            cached: whole(float(input) * stream.cached).min(input),
            output: max_output.map_or(output, |most| output.min(most)),
            max_output,
        };
        Some(Demand { arrival, seed: random.u64(..), turns: stream.turns })
    }

    /// When the next request comes; `None` if none ever does.
    fn next_moment(&mut self) -> Option<Moment> {
        let rate = self.stream.rate;
        if rate <= 0.0 {
            return None;
        }
        let random = &mut self.random;
        match self.stream.process {
            Process::Constant => Some(self.at + seconds(1.0 / rate)),
            Process::Poisson => Some(self.at + seconds(exponential(random) / rate)),
            Process::Gamma { variation } => {
                let shape = 1.0 / (variation * variation).max(1e-3);
                Some(self.at + seconds(gamma(shape, random) / rate))
            }
            process @ (Process::Bursts { .. } | Process::Diurnal { .. }) => {
                // Thinning (Lewis and Shedler): drawn at the highest rate, kept by the present one.
                let most = peak(process) * rate;
                let mut at = self.at;
                for _ in 0..MOST_THINNED {
                    at = at + seconds(exponential(random) / most);
                    if random.f64() * peak(process) <= swell(process, at) {
                        return Some(at);
                    }
                }
                None
            }
        }
    }
}

/// So many draws are thrown away only by a process that has come to its end.
const MOST_THINNED: u32 = 1_000_000;

/// The highest rate, of the mean.
fn peak(process: Process) -> f64 {
    match process {
        Process::Bursts { factor, length, period } => factor * base(factor, length, period),
        Process::Diurnal { swing, .. } => 1.0 + swing,
        Process::Poisson | Process::Gamma { .. } | Process::Constant => 1.0,
    }
}

/// The rate at a moment, of the mean.
fn swell(process: Process, at: Moment) -> f64 {
    match process {
        Process::Bursts { factor, length, period } => {
            let low = base(factor, length, period);
            if phase(at, period) < length.as_secs_f64() { factor * low } else { low }
        }
        Process::Diurnal { swing, period } => {
            let turn = phase(at, period) / period.as_secs_f64().max(1e-9);
            // It begins at the mean, and rises.
            1.0 + swing * (std::f64::consts::TAU * turn).sin()
        }
        Process::Poisson | Process::Gamma { .. } | Process::Constant => 1.0,
    }
}

/// The rate between bursts, so that the mean is 1.
fn base(factor: f64, length: Duration, period: Duration) -> f64 {
    let share = length.as_secs_f64() / period.as_secs_f64().max(1e-9);
    1.0 / (1.0 + (factor - 1.0) * share.min(1.0))
}

/// How far into its period a moment is, in seconds.
fn phase(at: Moment, period: Duration) -> f64 {
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    float(at.as_nanos() % period) / 1e9
}

fn float_free(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callers::Priority;
    use crate::simulator::basin::draw::Draw;
    use crate::simulator::basin::number::float_len;

    fn spring(process: Process, rate: f64) -> Spring {
        let stream = Stream {
            process,
            rate,
            names: vec![(0, 1.0)],
            callers: vec![(0, 1.0)],
            priority: Priority::Normal,
            max_wait: Duration::from_secs(30),
            input: Draw::constant(100.0),
            cached: 0.25,
            output: Draw::constant(50.0),
            max_output: Some(Draw::constant(40.0)),
            turns: None,
        };
        Spring { stream, random: Rng::with_seed(5), at: Moment::ZERO }
    }

    /// Requests in each second of twenty minutes.
    fn per_second(process: Process) -> Vec<u32> {
        let mut spring = spring(process, 50.0);
        let mut counts = vec![0; 1_200];
        while let Some(demand) = spring.next() {
            let second = usize::try_from(demand.arrival.at.since(Moment::ZERO).as_secs()).unwrap();
            match counts.get_mut(second) {
                Some(count) => *count += 1,
                None => break,
            }
        }
        counts
    }

    fn mean(counts: &[u32]) -> f64 {
        f64::from(counts.iter().sum::<u32>()) / float_len(counts.len())
    }

    /// The variance over the mean: 1 for Poisson, less for what is even, more for clumps.
    fn dispersion(counts: &[u32]) -> f64 {
        let mean = mean(counts);
        let squares = counts.iter().map(|count| (f64::from(*count) - mean).powi(2));
        squares.sum::<f64>() / float_len(counts.len()) / mean
    }

    #[test]
    fn every_process_has_the_rate_that_it_says() {
        let bursts = Process::Bursts {
            factor: 3.0,
            length: Duration::from_secs(20),
            period: Duration::from_secs(100),
        };
        let day = Process::Diurnal { swing: 0.8, period: Duration::from_mins(10) };
        for process in
            [Process::Poisson, Process::Constant, Process::Gamma { variation: 2.0 }, bursts, day]
        {
            let mean = mean(&per_second(process));
            assert!((mean - 50.0).abs() < 1.5, "{process:?}: {mean}");
        }
    }

    #[test]
    fn they_differ_in_how_they_clump() {
        assert!(dispersion(&per_second(Process::Constant)) < 0.1);
        let poisson = dispersion(&per_second(Process::Poisson));
        assert!((0.85..1.15).contains(&poisson), "{poisson}");
        let gamma = dispersion(&per_second(Process::Gamma { variation: 2.0 }));
        assert!((3.0..5.0).contains(&gamma), "{gamma}");
    }

    #[test]
    fn a_burst_is_as_long_and_as_high_as_it_says() {
        let (length, period) = (Duration::from_secs(20), Duration::from_secs(100));
        let counts = per_second(Process::Bursts { factor: 3.0, length, period });
        let (mut high, mut low) = (Vec::new(), Vec::new());
        for (second, count) in counts.iter().enumerate() {
            if second % 100 < 20 { high.push(*count) } else { low.push(*count) }
        }
        let factor = mean(&high) / mean(&low);
        assert!((2.8..3.2).contains(&factor), "{factor}");
    }

    #[test]
    fn an_answer_is_no_longer_than_the_bound_that_its_request_declares() {
        let demand = spring(Process::Poisson, 1.0).next().unwrap();
        assert_eq!((demand.arrival.output, demand.arrival.cached), (40, 25));
    }
}
