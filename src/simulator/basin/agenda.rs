//! What happens next: a queue of events by time, those of one moment in the order in which they were
//! put down, so that the same seed gives the same run.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::clock::Moment;

#[derive(Debug)]
pub(super) struct Agenda<E> {
    heap: BinaryHeap<Entry<E>>,
    number: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Moment,
    number: u64,
    event: E,
}

impl<E> Agenda<E> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), number: 0 }
    }

    pub(super) fn put(&mut self, at: Moment, event: E) {
        self.number += 1;
        self.heap.push(Entry { at, number: self.number, event });
    }

    pub(super) fn next(&mut self) -> Option<(Moment, E)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// The earliest is the greatest: the heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_those_of_one_moment_in_their_order() {
        let mut agenda = Agenda::new();
        for (at, event) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c'), (9, 'e')] {
            agenda.put(Moment::from_nanos(at), event);
        }
        let order: String = std::iter::from_fn(|| agenda.next()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcde");
    }
}
