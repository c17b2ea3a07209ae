//! Who waits, in the order of their deadlines.

use std::collections::BTreeMap;

use crate::clock::Moment;

/// A bounded queue whose head is the waiter with the earliest deadline; among equal ones, the one
/// that came first. Every operation is logarithmic in its length.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<Ticket, T>,
    next: u64,
    bound: usize,
}

/// A place in a [`Queue`]. It stays valid, and means nobody else, after its holder has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    deadline: Moment,
    number: u64,
}

impl Ticket {
    /// The last moment at which its holder can still be served.
    pub const fn deadline(self) -> Moment {
        self.deadline
    }
}

impl<T> Queue<T> {
    /// An empty queue that holds `bound` waiters at most.
    pub const fn new(bound: usize) -> Self {
        Self { waiting: BTreeMap::new(), next: 0, bound }
    }

    /// Takes a place; the waiter is handed back if the queue is full.
    pub fn push(&mut self, deadline: Moment, waiter: T) -> Result<Ticket, T> {
        if self.waiting.len() >= self.bound {
            return Err(waiter);
        }
        let ticket = Ticket { deadline, number: self.next };
        self.next += 1;
        self.waiting.insert(ticket, waiter);
        Ok(ticket)
    }

    /// Who is next, without leaving.
    pub fn head(&self) -> Option<(Ticket, &T)> {
        self.waiting.first_key_value().map(|(ticket, waiter)| (*ticket, waiter))
    }

    /// Serves who is next.
    pub fn pop(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, waiter)| waiter)
    }

    /// Gives a place up, wherever in the queue it is; `None` if it was served or given up before.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        self.waiting.remove(&ticket)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn the_earliest_deadline_is_served_first_and_equal_ones_in_the_order_of_arrival() {
        let mut queue = Queue::new(8);
        for (deadline, name) in [(30, "late"), (10, "first"), (20, "mid"), (10, "second")] {
            queue.push(at(deadline), name).unwrap();
        }
        assert_eq!(queue.head().unwrap().0.deadline(), at(10));
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(served, ["first", "second", "mid", "late"]);
    }

    #[test]
    fn who_leaves_frees_a_place_once() {
        let mut queue = Queue::new(2);
        let a = queue.push(at(1), 'a').unwrap();
        queue.push(at(2), 'b').unwrap();
        assert_eq!(queue.push(at(3), 'c'), Err('c'), "the bound holds");
        assert_eq!(queue.leave(a), Some('a'));
        assert_eq!(queue.leave(a), None, "a ticket is used once");
        assert_eq!(queue.len(), 1);
        queue.push(at(1), 'd').unwrap();
        assert_eq!(queue.leave(a), None, "nor does it mean a later waiter with that deadline");
        assert_eq!(queue.pop(), Some('d'));
    }

    #[test]
    fn ten_thousand_waiters_are_served_in_order_whoever_leaves() {
        let mut queue = Queue::new(10_000);
        let tickets: Vec<_> =
            (0..10_000_u64).map(|i| queue.push(at(i * 7_919 % 10_007), i).unwrap()).collect();
        for ticket in tickets.iter().step_by(3) {
            assert!(queue.leave(*ticket).is_some());
        }
        let mut last = Moment::ZERO;
        while let Some((ticket, _)) = queue.head() {
            assert!(ticket.deadline() >= last);
            last = ticket.deadline();
            queue.pop();
        }
    }
}
