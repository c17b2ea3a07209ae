//! The only way to spawn a task, so that the end waits for each.

use futures_util::FutureExt;
use tokio::task::JoinHandle;

use super::census::Census;

/// Spawns and counts tasks. Clones count together, on whichever runtime each spawns.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Census);

impl Tasks {
    /// Runs `future` on the current runtime, counted until it ends, panics, or is dropped with its
    /// runtime. Dropping the handle lets it go on.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[expect(clippy::disallowed_methods, reason = "the one place that counts what it spawns")]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let counted = self.0.enter();
        // An async block would keep room for the future twice.
        tokio::spawn(future.map(move |output| {
            drop(counted);
            output
        }))
    }

    /// How many have not ended.
    pub fn count(&self) -> usize {
        self.0.present()
    }

    /// Waits until every task has ended. Bound it with a timeout: a task may never end.
    pub async fn drained(&self) {
        self.0.empty().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn drained_waits_for_the_last_task() {
        let (tasks, gate) = (Tasks::default(), Arc::new(Notify::new()));
        for _ in 0..3 {
            let gate = Arc::clone(&gate);
            drop(tasks.spawn(async move { gate.notified().await }));
        }
        tokio::task::yield_now().await;
        assert_eq!(tasks.count(), 3);
        assert!(timeout(Duration::from_secs(9), tasks.drained()).await.is_err());
        gate.notify_waiters();
        tasks.drained().await;
        assert_eq!(tasks.count(), 0);
    }

    #[tokio::test]
    async fn a_task_that_panics_or_is_aborted_is_counted_no_more() {
        let tasks = Tasks::default();
        let panicking = tasks.spawn(async { panic!("a task's own fault") });
        let aborted = tasks.spawn(std::future::pending::<()>());
        aborted.abort();
        tasks.drained().await;
        assert!(panicking.await.unwrap_err().is_panic());
    }

    #[test]
    fn tasks_of_a_runtime_that_is_gone_are_counted_no_more() {
        let tasks = Tasks::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { drop(tasks.spawn(std::future::pending::<()>())) });
        assert_eq!(tasks.count(), 1);
        drop(runtime);
        assert_eq!(tasks.count(), 0);
    }
}
