//! How little was missing of a bucket since each of its charges.
//!
//! What is given back of a charge lowers what was missing ever since, but never below nothing: time
//! that found the bucket full without it gave nothing back. So a refund is worth what it was, or the
//! least that was missing since, whichever is less. This is what remembers that least.

/// The suffix minima of what was missing just before each charge: for charges before the first one's
/// number its value holds, and so on. Values grow from one to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Troughs {
    list: [Trough; MOST],
    len: usize,
    /// The slot of time of the latest one.
    slot: Option<u64>,
}

/// Just before charge `seq` that much was missing, in nanoseconds of refilling.
#[derive(Clone, Copy, Debug, Default)]
struct Trough {
    seq: u64,
    missing: u64,
}

/// As many as are told apart; two that are alike are one beyond that, at the lower value.
const MOST: usize = 12;

impl Troughs {
    /// Charge `seq` in that slot of time found that much missing. Of those in one slot the first
    /// tells: between them time gave nothing back.
    pub(super) fn note(&mut self, seq: u64, missing: u64, slot: u64) {
        if self.slot != Some(slot) {
            self.begin(seq, missing);
            self.slot = Some(slot);
        }
    }

    /// The same, whatever the time.
    pub(super) fn begin(&mut self, seq: u64, missing: u64) {
        while self.last().is_some_and(|last| last.missing >= missing) {
            self.len -= 1;
        }
        if self.len == MOST {
            self.merge();
        }
        if let Some(place) = self.list.get_mut(self.len) {
            *place = Trough { seq, missing };
            self.len += 1;
        }
    }

    /// The least that was missing after charge `seq`, with `now` missing now.
    pub(super) fn since(&self, seq: u64, now: u64) -> u64 {
        let first = self.live().iter().find(|trough| trough.seq > seq);
        first.map_or(now, |trough| trough.missing.min(now))
    }

    /// From charge `seq` on so much less was missing, which is no more than was missing since.
    pub(super) fn lower(&mut self, seq: u64, less: u64) {
        let len = self.len;
        for trough in self.list.iter_mut().take(len).filter(|trough| trough.seq > seq) {
            trough.missing = trough.missing.saturating_sub(less);
        }
        // Before that charge nothing changed, so values that were in order may be so no more.
        let mut kept = 0;
        for at in 0..len {
            let Some(trough) = self.list.get(at).copied() else { break };
            while kept > 0 && self.list.get(kept - 1).is_some_and(|t| t.missing >= trough.missing) {
                kept -= 1;
            }
            if let Some(place) = self.list.get_mut(kept) {
                *place = trough;
                kept += 1;
            }
        }
        self.len = kept;
    }

    fn last(&self) -> Option<&Trough> {
        self.live().last()
    }

    fn live(&self) -> &[Trough] {
        self.list.get(..self.len).unwrap_or_default()
    }

    /// Makes one of the two that are most alike.
    fn merge(&mut self) {
        let pairs = self.live().windows(2).enumerate();
        let alike = pairs.min_by_key(|(_, pair)| match pair {
            [low, high] => high.missing - low.missing,
            _ => u64::MAX,
        });
        let Some(at) = alike.map(|(at, _)| at) else { return };
        let low = self.list.get(at).copied().unwrap_or_default();
        self.list.copy_within(at + 1..self.len, at);
        self.len -= 1;
        if let Some(place) = self.list.get_mut(at) {
            place.missing = low.missing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(missing: &[u64]) -> Troughs {
        let mut troughs = Troughs::default();
        (1..).zip(missing).for_each(|(seq, missing)| troughs.note(seq, *missing, seq));
        troughs
    }

    #[test]
    fn the_least_since_a_charge_is_remembered() {
        let troughs = noted(&[9, 4, 7, 5, 8]);
        let since: Vec<_> = (0..=5).map(|seq| troughs.since(seq, 6)).collect();
        assert_eq!(since, [4, 4, 5, 5, 6, 6]);
    }

    #[test]
    fn what_is_given_back_lowers_what_was_missing_since() {
        let mut troughs = noted(&[3, 4, 7, 5, 8]);
        troughs.lower(2, 4);
        assert_eq!((troughs.since(0, 9), troughs.since(3, 9), troughs.since(4, 9)), (1, 1, 4));
    }

    #[test]
    fn what_is_charged_at_once_is_given_back_whole() {
        let mut troughs = Troughs::default();
        (0..50).for_each(|n| troughs.note(n + 1, n, 7));
        assert_eq!(troughs.since(1, 50), 50);
    }

    #[test]
    fn where_there_are_too_many_the_lower_value_holds() {
        let missing: Vec<u64> = (1..=100).map(|n| n * n).collect();
        let troughs = noted(&missing);
        for (seq, exact) in (0..).zip(&missing) {
            assert!(troughs.since(seq, u64::MAX) <= *exact, "{seq}");
        }
        assert_eq!(troughs.len, MOST);
    }
}
