//! The breaker of one model of one quota group.

use crate::clock::Moment;

use super::gate::{Cause, Gate, News, Waits};
use super::spec::Breaker;

/// Counts failures, and keeps the gate that they close.
#[derive(Clone, Debug, Default)]
pub(super) struct Circuit {
    pub(super) gate: Gate,
    in_a_row: u32,
    /// Answers and failures among them, by tenth of the window.
    tenths: [Tally; 10],
    /// The number of the newest tenth since the beginning of time.
    newest: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    all: u32,
    failed: u32,
}

const TENTHS: u64 = 10;
/// Half of so few is no sign.
const ENOUGH: u32 = 20;

impl Circuit {
    /// A request failed. Returns whether that opened the breaker.
    pub(super) fn failed(&mut self, settings: &Breaker, news: &News) -> bool {
        let waits = Waits(settings.open, settings.max_open);
        if self.gate.closure().is_some() {
            return self.gate.close(Cause::Breaker, waits, news);
        }
        self.count(settings, news.now, 1);
        self.in_a_row += 1;
        let sum = self.tenths.iter().fold(Tally::default(), |sum, t| Tally {
            all: sum.all + t.all,
            failed: sum.failed + t.failed,
        });
        let half = sum.all >= ENOUGH && sum.failed * 2 >= sum.all;
        if news.told.is_none() && self.in_a_row < settings.failures && !half {
            return false;
        }
        self.in_a_row = 0;
        self.tenths = Default::default();
        self.gate.close(Cause::Breaker, waits, news)
    }

    /// The provider answered a request sent at `sent`. Returns whether that closed the breaker.
    pub(super) fn answered(&mut self, settings: &Breaker, sent: Moment, now: Moment) -> bool {
        self.count(settings, now, 0);
        self.in_a_row = 0;
        self.gate.passed(sent)
    }

    fn count(&mut self, settings: &Breaker, now: Moment, failed: u32) {
        let tenth = (settings.window / 10).as_nanos().max(1);
        let number = u64::try_from(u128::from(now.as_nanos()) / tenth).unwrap_or(u64::MAX);
        let begun = (self.newest + 1).max(number.saturating_sub(TENTHS - 1))..=number;
        for stale in begun {
            self.tally(stale, |tally| *tally = Tally::default());
        }
        self.newest = self.newest.max(number);
        self.tally(number, |tally| {
            tally.all = tally.all.saturating_add(1);
            tally.failed = tally.failed.saturating_add(failed);
        });
    }

    fn tally(&mut self, number: u64, change: impl FnOnce(&mut Tally)) {
        let slot = usize::try_from(number % TENTHS).unwrap_or(0);
        self.tenths.get_mut(slot).map(change);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::keys::gate::Door;

    use super::*;

    fn millis(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn fail(circuit: &mut Circuit, now: Moment) -> bool {
        circuit.failed(&Breaker::default(), &News { sent: now, told: None, now, random: 0 })
    }

    fn answer(circuit: &mut Circuit, now: Moment) -> bool {
        circuit.answered(&Breaker::default(), now, now)
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_an_answer_begins_anew() {
        let mut circuit = Circuit::default();
        for now in 1..5 {
            assert!(!fail(&mut circuit, millis(now)));
        }
        answer(&mut circuit, millis(5));
        for now in 6..10 {
            assert!(!fail(&mut circuit, millis(now)));
        }
        assert!(fail(&mut circuit, millis(10)));
        assert_eq!(circuit.gate.door(millis(10)), Door::Closed(millis(1_010), Cause::Breaker));
    }

    #[test]
    fn half_of_twenty_in_ten_seconds_open_it() {
        let mut circuit = Circuit::default();
        for now in 0..9 {
            assert!(!fail(&mut circuit, millis(now * 900)));
            answer(&mut circuit, millis(now * 900 + 1));
        }
        answer(&mut circuit, millis(8_200));
        assert!(fail(&mut circuit, millis(8_300)));
    }

    #[test]
    fn failures_of_long_ago_do_not_count() {
        let mut circuit = Circuit::default();
        for now in 0..100 {
            assert!(!fail(&mut circuit, millis(now * 1_100)));
            answer(&mut circuit, millis(now * 1_100 + 1));
        }
    }

    #[test]
    fn failures_that_were_under_way_when_it_opened_do_not_prolong_it() {
        let mut circuit = Circuit::default();
        for _ in 0..100 {
            fail(&mut circuit, millis(1));
        }
        assert_eq!(circuit.gate.door(millis(1)), Door::Closed(millis(1_001), Cause::Breaker));
        assert!(!answer(&mut circuit, millis(1)));
        circuit.gate.probe(millis(1_001));
        assert!(answer(&mut circuit, millis(1_001)), "the probe's success closes it");
    }

    #[test]
    fn a_provider_that_says_when_to_come_back_is_left_alone_until_then() {
        let mut circuit = Circuit::default();
        let now = millis(1);
        let news = News { sent: now, told: Some(now + Duration::from_secs(7)), now, random: 0 };
        assert!(circuit.failed(&Breaker::default(), &news));
        assert_eq!(circuit.gate.door(now), Door::Closed(millis(7_001), Cause::Breaker));
    }
}
