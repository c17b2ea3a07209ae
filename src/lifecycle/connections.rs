//! The client connections that are open, counted across all workers.

use std::time::Duration;

use tokio::time::timeout;

use super::census::{Census, Counted};

/// Counts client connections. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Connections(Census);

/// An open client connection: counted until this is dropped, so keep it as long as the connection.
#[derive(Debug)]
#[must_use = "the connection counts only as long as this is kept"]
pub struct OpenConnection {
    _counted: Counted,
}

impl Connections {
    /// Counts a connection that was just accepted.
    pub fn open(&self) -> OpenConnection {
        OpenConnection { _counted: self.0.enter() }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.0.present()
    }

    /// Waits until none is open.
    pub async fn closed(&self) {
        self.0.empty().await;
    }

    /// Waits until none has been open for the whole of `silence`; one that comes and goes starts
    /// the silence anew.
    pub async fn quiet(&self, silence: Duration) {
        loop {
            // Read before the look, so that whoever comes after it is an arrival.
            let seen = self.0.arrivals();
            self.0.empty().await;
            if self.0.arrivals() == seen
                && timeout(silence, self.0.arrival_after(seen)).await.is_err()
            {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::time::{Instant, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn quiet_comes_a_second_after_the_last_connection_closed() {
        let (connections, start) = (Connections::default(), Instant::now());
        let first = connections.open();
        let (quiet, ()) = tokio::join!(
            async {
                connections.quiet(SECOND).await;
                start.elapsed()
            },
            async {
                sleep(Duration::from_secs(3)).await;
                drop(first);
                sleep(Duration::from_millis(600)).await;
                drop(connections.open());
            }
        );
        assert_eq!(quiet.as_millis(), 4_600, "the visitor at 3.6 s starts the silence anew");
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_where_nobody_ever_came_takes_one_silence() {
        let start = Instant::now();
        Connections::default().quiet(SECOND).await;
        assert_eq!(start.elapsed(), SECOND);
    }

    #[test]
    fn connections_of_several_threads_are_counted_together() {
        let connections = Connections::default();
        let kept: Vec<_> = thread::scope(|scope| {
            let worker = || {
                (0..1_000).for_each(|_| drop(connections.open()));
                connections.open()
            };
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(connections.count(), 4);
        drop(kept);
        assert_eq!(connections.count(), 0);
    }

    #[test]
    fn the_last_close_on_one_runtime_wakes_the_waiter_on_another() {
        let connections = Connections::default();
        let open = connections.open();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                runtime
                    .unwrap()
                    .block_on(async { timeout(60 * SECOND, connections.closed()).await })
            });
            drop(open);
            waiter.join().unwrap().unwrap();
        });
    }
}
