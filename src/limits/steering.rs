//! How many requests a target carries at once, found out by trying.
//!
//! For providers whose headers say nothing of their limits (a server of one's own, Bedrock, Gemini):
//! nothing is held back until there is trouble. Then the number under way is cut by three tenths, and
//! grows by one for each round of answers. Trouble is a refusal, a share of failures, or a first byte
//! that takes three times as long as it used to. (AIMD with the constants of the AWS SDKs' client
//! limiter; the latency's part after Netflix's gradient limiter.)

use std::time::Duration;

use crate::clock::Moment;

/// What a target has shown to carry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steering {
    /// Requests at once, in parts of 256; `None` while there was no trouble.
    places: Option<u64>,
    /// When it was last cut: what was under way then is part of the same trouble.
    cut: Moment,
    /// When the places were last all taken.
    full: Moment,
    /// The share of failures of late, of 65,536.
    failures: u32,
    latency: Latency,
}

/// Time to the first byte, of late and in the long run, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Latency {
    short: u64,
    long: u64,
    count: u8,
}

const ONE: u64 = 256;
/// More at once is no limit at all.
const MOST: u64 = 1 << 20;
/// Seven tenths are kept.
const KEPT: u64 = 7;
/// Three eighths of the answers of late: three failures in a row after good ones.
const TROUBLE: u32 = 3 << 13;
const SLOWER: u64 = 3;
/// So many first bytes tell how long one usually takes.
const ENOUGH: u8 = 32;
/// With fewer under way it cannot be our number that is in the way.
const SOME: u64 = 4;
/// A bound that was not reached for so long is none.
const FORGET: Duration = Duration::from_mins(10);

impl Steering {
    /// Requests that may be under way at once, one at least; `None` if nothing speaks against any
    /// number.
    pub fn places(&self) -> Option<u64> {
        self.places.map(|places| (places / ONE).max(1))
    }

    /// The provider refused a request sent at `sent`, with `in_flight` under way: too many.
    pub fn refused(&mut self, sent: Moment, in_flight: u64, now: Moment) {
        if sent > self.cut || self.cut == Moment::ZERO {
            self.cut_to(in_flight, now);
        }
    }

    /// The provider failed a request sent at `sent`. One failure may be chance.
    pub fn failed(&mut self, sent: Moment, in_flight: u64, now: Moment) {
        self.failures += ((1 << 16) - self.failures) / 8;
        if self.failures >= TROUBLE {
            self.failures = 0;
            self.refused(sent, in_flight, now);
        }
    }

    /// The provider carried a request, with `in_flight` under way when it was sent.
    pub fn carried(&mut self, in_flight: u64, now: Moment) {
        self.failures -= self.failures / 8;
        let Some(places) = &mut self.places else { return };
        if in_flight >= *places / ONE {
            self.full = now;
        }
        if in_flight.saturating_mul(2 * ONE) >= *places {
            *places = (*places + ONE * ONE / (*places).max(1)).min(MOST * ONE);
        }
        if now >= self.full + FORGET {
            self.places = None;
        }
    }

    /// The first byte of a streamed answer took this long, with `in_flight` under way when its
    /// request was sent.
    pub fn began(&mut self, took: Duration, in_flight: u64, now: Moment) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let latency = &mut self.latency;
        if latency.count == 0 {
            (latency.short, latency.long) = (took, took);
        }
        latency.count = latency.count.saturating_add(1);
        latency.short = latency.short / 8 * 7 + took / 8;
        latency.long = latency.long / 64 * 63 + took / 64;
        let slow = latency.short / SLOWER > latency.long;
        if slow && latency.count >= ENOUGH && in_flight >= SOME {
            let passed = now.since(self.cut);
            if self.cut == Moment::ZERO || passed.as_nanos() >= u128::from(latency.short) {
                self.cut_to(in_flight, now);
            }
        }
    }

    fn cut_to(&mut self, in_flight: u64, now: Moment) {
        let at_once = in_flight.clamp(1, MOST) * ONE;
        let before = self.places.map_or(at_once, |places| places.min(at_once));
        self.places = Some((before / 10 * KEPT).max(ONE));
        (self.cut, self.full) = (now, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    /// A server that carries `capacity` requests at once and refuses the rest; a round of answers
    /// takes 100 ms. Returns how many were under way in each round.
    fn rounds(capacity: u64, demand: u64, rounds: u64) -> Vec<u64> {
        let mut steering = Steering::default();
        (1..=rounds)
            .map(|round| {
                let (sent, now) = (millis(round * 100), millis(round * 100 + 99));
                let under_way = steering.places().unwrap_or(demand).min(demand);
                for n in 1..=under_way {
                    if n <= capacity {
                        steering.carried(under_way, now);
                    } else {
                        steering.refused(sent, under_way, now);
                    }
                }
                under_way
            })
            .collect()
    }

    #[test]
    fn nothing_is_held_back_while_there_is_no_trouble() {
        assert_eq!(rounds(100, 80, 50), [80; 50]);
    }

    #[test]
    fn it_settles_at_what_the_server_carries() {
        let late = &rounds(20, 100, 200)[50..];
        let mean = late.iter().sum::<u64>() / late.len() as u64;
        assert!((15..=20).contains(&mean), "{mean}");
        assert!(late.iter().all(|under_way| *under_way <= 21), "{late:?}");
    }

    #[test]
    fn refusals_of_requests_that_were_under_way_together_count_once() {
        let mut steering = Steering::default();
        for _ in 0..100 {
            steering.refused(millis(1), 100, millis(2));
        }
        assert_eq!(steering.places(), Some(70));
    }

    #[test]
    fn one_failure_may_be_chance_and_three_in_a_row_are_not() {
        let mut steering = Steering::default();
        steering.failed(millis(1), 10, millis(2));
        for _ in 0..20 {
            steering.carried(10, millis(3));
        }
        steering.failed(millis(4), 10, millis(5));
        assert_eq!(steering.places(), None);
        for n in 0..4 {
            steering.failed(millis(6), 10, millis(7 + n));
        }
        assert_eq!(steering.places(), Some(7));
    }

    #[test]
    fn a_first_byte_that_takes_thrice_as_long_is_trouble() {
        let mut steering = Steering::default();
        for n in 0..64 {
            steering.began(Duration::from_millis(200), 40, millis(n * 100));
        }
        assert_eq!(steering.places(), None);
        for n in 64..90 {
            steering.began(Duration::from_millis(2_000), 40, millis(n * 100));
        }
        assert!(steering.places().unwrap() <= 28, "{steering:?}");
    }

    #[test]
    fn a_bound_that_nobody_reaches_is_forgotten() {
        let mut steering = Steering::default();
        steering.refused(millis(1), 100, millis(2));
        steering.carried(3, millis(3));
        assert_eq!(steering.places(), Some(70));
        steering.carried(3, millis(3) + FORGET);
        assert_eq!(steering.places(), None);
    }

    #[test]
    fn absurd_numbers_are_bounded_and_one_place_always_stays() {
        let mut steering = Steering::default();
        for n in 0..100 {
            steering.refused(millis(10 + n), 0, millis(20 + n * 20));
            steering.began(Duration::MAX, u64::MAX, Moment::NEVER);
        }
        assert!(steering.places().is_some_and(|places| places >= 1));
        steering.carried(u64::MAX / 1_024, Moment::NEVER);
    }
}
