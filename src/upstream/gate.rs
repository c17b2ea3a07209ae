//! Lets a request's own task drive its connection, without waking itself on every step.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The waker that a connection is polled with.
///
/// An HTTP/1.1 connection needs no task of its own: whoever waits for an answer, or reads its body,
/// polls the connection first. hyper, though, speaks to its two ends through channels that wake
/// "the other task", and here that is the task at work: each step would have it run once more for
/// nothing, the client's whole connection included. So wake-ups that happen while the connection is
/// being polled are only noted, and answered by another look before the poll returns. None is lost,
/// whichever thread it comes from.
///
/// One waker for the connection's whole life also means that sockets and timers never have to take
/// up a new one.
pub(super) struct Gate {
    shared: Arc<Shared>,
    waker: Waker,
}

struct Shared {
    state: AtomicU8,
    task: Mutex<Waker>,
}

/// The connection is being polled.
const POLLING: u8 = 1;
/// It was woken meanwhile.
const NOTED: u8 = 2;

/// Looks in one poll; then the task is woken, so that a busy connection (or one that the runtime
/// wants to yield) lets others run.
const LOOKS: u8 = 4;

impl Gate {
    pub(super) fn new() -> Self {
        let task = Mutex::new(Waker::noop().clone());
        let shared = Arc::new(Shared { state: AtomicU8::new(0), task });
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// Polls `step` for the task of `cx` until it is ready or nothing was noted.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.shared.remember(cx.waker());
        let mut inner = Context::from_waker(&self.waker);
        for _ in 0..LOOKS {
            self.shared.state.store(POLLING, Ordering::Release);
            let polled = step(&mut inner);
            let noted = self.shared.state.swap(0, Ordering::AcqRel) & NOTED != 0;
            if polled.is_ready() || !noted {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Inside `step`: everything noted so far is about to be looked at.
    pub(super) fn settle(&self) {
        self.shared.state.fetch_and(!NOTED, Ordering::AcqRel);
    }
}

impl Shared {
    fn remember(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.will_wake(waker) {
            task.clone_from(waker);
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(NOTED, Ordering::AcqRel) & POLLING == 0 {
            // Cloned, for a waker may do anything, and the lock is not to be held meanwhile.
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    #[test]
    fn a_wake_during_a_poll_means_another_look_and_no_wake_of_the_task() {
        let (gate, (counter, waker)) = (Gate::new(), counted());
        let mut looks = 0;
        let polled = gate.poll(&mut Context::from_waker(&waker), |cx| {
            looks += 1;
            if looks == 1 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((looks, counter.0.load(Ordering::Relaxed)), (2, 0));
    }

    #[test]
    fn a_wake_after_a_poll_wakes_the_task_that_polled_last() {
        let (gate, (first, waker), (last, other)) = (Gate::new(), counted(), counted());
        let mut inner = None;
        for waker in [&waker, &other] {
            let _pending = gate.poll(&mut Context::from_waker(waker), |cx| {
                inner = Some(cx.waker().clone());
                Poll::<()>::Pending
            });
        }
        inner.as_ref().unwrap().wake_by_ref();
        assert_eq!((first.0.load(Ordering::Relaxed), last.0.load(Ordering::Relaxed)), (0, 1));
    }

    #[test]
    fn what_was_noted_before_a_look_needs_no_other() {
        let (gate, mut looks) = (Gate::new(), 0);
        let polled = gate.poll(&mut Context::from_waker(Waker::noop()), |cx| {
            looks += 1;
            cx.waker().wake_by_ref();
            gate.settle();
            Poll::<()>::Pending
        });
        assert_eq!((polled, looks), (Poll::Pending, 1));
    }

    #[test]
    fn what_never_settles_yields_to_other_tasks() {
        let (gate, (counter, waker)) = (Gate::new(), counted());
        let polled = gate.poll(&mut Context::from_waker(&waker), |cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    }
}
