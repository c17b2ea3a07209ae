//! The one place of this room that starts tasks.

/// Runs what goes on beside the requests: the drivers of HTTP/2 connections, connections opened
/// ahead of need, and the reaping of idle ones. Each ends with the connection or pool it serves, so
/// a drain, which waits for the requests themselves, need not wait for them.
#[expect(clippy::disallowed_methods, reason = "ends with its connection; no drain waits for it")]
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
