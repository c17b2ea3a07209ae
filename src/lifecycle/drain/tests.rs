use tokio::time::{Instant, sleep};

use super::*;
use crate::lifecycle::{Lifecycle, Unready};

const LIMIT: Duration = Duration::from_secs(28);

fn running(mode: DrainMode) -> Lifecycle {
    let lifecycle = Lifecycle::new(mode, LIMIT);
    lifecycle.readiness.configured();
    lifecycle.readiness.listening();
    lifecycle
}

/// Carries the drain through while `story` plays, and tells how it ended and when.
async fn drained(lifecycle: &Lifecycle, story: impl Future<Output = ()>) -> (Drained, Duration) {
    let start = Instant::now();
    let end = async { (lifecycle.drain.carry_through().await, start.elapsed()) };
    tokio::join!(end, story).0
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_goes_on_accepting_until_nobody_was_there_for_a_second() {
    let lifecycle = running(DrainMode::Sidecar);
    let stream = lifecycle.connections.open();
    let closing = async {
        let start = Instant::now();
        lifecycle.drain.closing().await;
        start.elapsed()
    };
    let story = async {
        lifecycle.drain.signal();
        assert_eq!(lifecycle.readiness.check(), Err(Unready::Draining));
        seconds(10).await;
        let late = lifecycle.connections.open();
        drop(stream);
        seconds(5).await;
        drop(late);
    };
    let (end, closed) = tokio::join!(drained(&lifecycle, story), closing);
    assert_eq!(end, (Drained::Clean, Duration::from_secs(16)));
    assert_eq!(closed, Duration::from_secs(16), "the listener closes last");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_closes_its_listener_at_once_and_lets_streams_finish() {
    let lifecycle = running(DrainMode::Gateway);
    let stream = lifecycle.connections.open();
    let story = async {
        lifecycle.drain.signal();
        let start = Instant::now();
        lifecycle.drain.closing().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        seconds(7).await;
        drop(stream);
    };
    assert_eq!(drained(&lifecycle, story).await, (Drained::Clean, Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn a_drain_takes_no_longer_than_its_limit() {
    for mode in [DrainMode::Sidecar, DrainMode::Gateway] {
        let lifecycle = running(mode);
        let _endless = lifecycle.connections.open();
        let end = drained(&lifecycle, async { lifecycle.drain.signal() }).await;
        assert_eq!(end, (Drained::TimedOut { open: 1 }, LIMIT));
        lifecycle.drain.over().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_it_at_once() {
    let lifecycle = running(DrainMode::Sidecar);
    let _endless = lifecycle.connections.open();
    let story = async {
        lifecycle.drain.signal();
        seconds(3).await;
        lifecycle.drain.signal();
    };
    let end = drained(&lifecycle, story).await;
    assert_eq!(end, (Drained::Cut { open: 1 }, Duration::from_secs(3)));
    lifecycle.drain.over().await;
    lifecycle.drain.closing().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_ends_before_it_is_told_to() {
    let lifecycle = running(DrainMode::Gateway);
    let hours = Duration::from_hours(10);
    assert!(timeout(hours, lifecycle.drain.carry_through()).await.is_err());
    assert!(timeout(hours, lifecycle.drain.closing()).await.is_err());
    assert_eq!(lifecycle.readiness.check(), Ok(()));
    lifecycle.drain.cut();
    assert_eq!(lifecycle.drain.carry_through().await, Drained::Cut { open: 0 });
}

#[test]
fn a_worker_on_a_runtime_of_its_own_is_told_as_well() {
    let lifecycle = running(DrainMode::Gateway);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(async { timeout(LIMIT, lifecycle.drain.closing()).await })
        });
        lifecycle.drain.signal();
        worker.join().unwrap().unwrap();
    });
}
