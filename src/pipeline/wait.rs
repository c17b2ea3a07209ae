//! Waiting for capacity: one line for each model of a provider (and for those who may use other keys
//! than everybody), the earliest deadline first.
//!
//! Only the head of a line tries its luck; the others sleep until they are the head. So a hold that
//! ends wakes one request, not a thousand, and nobody polls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Moment;
use crate::limits::{Queue, Ticket};

/// Requests that may wait in one line.
const LONGEST_LINE: usize = 10_000;

/// The lines before one provider.
#[derive(Debug, Default)]
pub struct Lines {
    lines: Mutex<HashMap<Arc<str>, Queue<Arc<Notify>>>>,
    waiting: AtomicUsize,
}

/// A place in a line; dropping it lets the next one come forward.
#[derive(Debug)]
pub struct Place {
    lines: Arc<Lines>,
    line: Arc<str>,
    ticket: Ticket,
}

impl Lines {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether somebody already waits in that line, so that a newcomer has to stand behind. `name` is
    /// asked only where somebody waits at all.
    pub fn has_line(&self, name: impl FnOnce() -> String) -> bool {
        self.waiting() > 0 && self.lock().contains_key(&*name())
    }

    /// Takes a place; `None` if the line is as long as it may be. Its holder is called through
    /// `called` when it has become the first, and whenever something changes while it is. One that is
    /// the first already has to look for itself.
    pub fn join(
        self: &Arc<Self>,
        name: &str,
        deadline: Moment,
        called: &Arc<Notify>,
    ) -> Option<Place> {
        let name: Arc<str> = name.into();
        let mut lines = self.lock();
        let line = lines.entry(Arc::clone(&name)).or_insert_with(|| Queue::new(LONGEST_LINE));
        let ticket = line.push(deadline, Arc::clone(called)).ok()?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        drop(lines);
        Some(Place { lines: Arc::clone(self), line: name, ticket })
    }

    /// Something changed: the head of every line looks again.
    pub fn call(&self) {
        if self.waiting() > 0 {
            for line in self.lock().values() {
                call_head(line);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Queue<Arc<Notify>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether nobody stands before it.
    pub fn is_first(&self) -> bool {
        let lines = self.lines.lock();
        let head = lines.get(&self.line).and_then(Queue::head);
        head.is_none_or(|(ticket, _)| ticket == self.ticket)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        let Some(line) = lines.get_mut(&self.line) else { return };
        if line.leave(self.ticket).is_some() {
            self.lines.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        if line.is_empty() {
            lines.remove(&self.line);
        } else {
            call_head(line);
        }
    }
}

fn call_head(line: &Queue<Arc<Notify>>) {
    if let Some((_, called)) = line.head() {
        called.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    fn join(lines: &Arc<Lines>, name: &str, deadline: u64) -> (Place, Arc<Notify>) {
        let called = Arc::<Notify>::default();
        (lines.join(name, at(deadline), &called).unwrap(), called)
    }

    fn is_called(called: &Notify) -> bool {
        called.notified().now_or_never().is_some()
    }

    #[test]
    fn the_next_in_line_is_called_when_the_head_leaves() {
        let lines = Arc::new(Lines::default());
        let (late, calls_late) = join(&lines, "m", 20);
        let (early, _) = join(&lines, "m", 10);
        assert!(early.is_first() && !late.is_first());
        assert!(!is_called(&calls_late));
        drop(early);
        assert!(late.is_first() && is_called(&calls_late));
        drop(late);
        assert!(!lines.has_line(|| "m".to_owned()));
        assert_eq!(lines.waiting(), 0);
    }

    #[test]
    fn a_change_calls_only_the_head_of_each_line() {
        let lines = Arc::new(Lines::default());
        let ((_a, calls_a), (_b, calls_b)) = (join(&lines, "m", 1), join(&lines, "m", 2));
        let (_other, calls_other) = join(&lines, "n", 9);
        lines.call();
        assert!(is_called(&calls_a) && is_called(&calls_other));
        assert!(!is_called(&calls_b));
    }

    #[test]
    fn who_stands_in_several_lines_is_called_by_each() {
        let lines = Arc::new(Lines::default());
        let called = Arc::<Notify>::default();
        let (before, _) = join(&lines, "m", 1);
        let places = ["m", "n"].map(|name| lines.join(name, at(2), &called).unwrap());
        drop(before);
        assert!(is_called(&called), "it has come to the head of the one");
        lines.call();
        assert!(is_called(&called));
        drop(places);
        assert_eq!(lines.waiting(), 0);
    }
}
