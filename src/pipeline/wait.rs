//! Waiting for capacity: one line for each model of a provider, the earliest deadline first.
//!
//! Only the head of a line tries its luck; the others sleep until they are the head. So a hold that
//! ends wakes one request, not a thousand, and nobody polls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Moment;
use crate::limits::{Queue, Ticket};

/// Requests that may wait for one model of a provider.
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
    model: Arc<str>,
    ticket: Ticket,
    called: Arc<Notify>,
}

impl Lines {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether somebody already waits for that model, so that a newcomer has to stand behind.
    pub fn has_line(&self, model: &str) -> bool {
        self.waiting() > 0 && self.lock().contains_key(model)
    }

    /// Takes a place; `None` if the line is as long as it may be.
    pub fn join(self: &Arc<Self>, model: &str, deadline: Moment) -> Option<Place> {
        let called = Arc::new(Notify::new());
        let model: Arc<str> = model.into();
        let mut lines = self.lock();
        let line = lines.entry(Arc::clone(&model)).or_insert_with(|| Queue::new(LONGEST_LINE));
        let ticket = line.push(deadline, Arc::clone(&called)).ok()?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        drop(lines);
        Some(Place { lines: Arc::clone(self), model, ticket, called })
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
        let head = lines.get(&self.model).and_then(Queue::head);
        head.is_none_or(|(ticket, _)| ticket == self.ticket)
    }

    /// Waits to be called: as the new head, or because something changed.
    pub async fn called(&self) {
        self.called.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        let Some(line) = lines.get_mut(&self.model) else { return };
        if line.leave(self.ticket).is_some() {
            self.lines.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        if line.is_empty() {
            lines.remove(&self.model);
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

    #[test]
    fn the_next_in_line_is_called_when_the_head_leaves() {
        let lines = Arc::new(Lines::default());
        let late = lines.join("m", at(20)).unwrap();
        let early = lines.join("m", at(10)).unwrap();
        assert!(early.is_first() && !late.is_first());
        assert!(late.called().now_or_never().is_none());
        drop(early);
        assert!(late.is_first());
        assert!(late.called().now_or_never().is_some());
        drop(late);
        assert!(!lines.has_line("m"));
        assert_eq!(lines.waiting(), 0);
    }

    #[test]
    fn a_change_calls_only_the_head_of_each_line() {
        let lines = Arc::new(Lines::default());
        let (a, b) = (lines.join("m", at(1)).unwrap(), lines.join("m", at(2)).unwrap());
        let other = lines.join("n", at(9)).unwrap();
        lines.call();
        assert!(a.called().now_or_never().is_some());
        assert!(other.called().now_or_never().is_some());
        assert!(b.called().now_or_never().is_none());
    }
}
