//! The log: text on a terminal, JSON elsewhere, written by a thread of its own so that no request
//! waits for a slow reader of our standard error.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

/// Lines that may wait to be written; what comes beyond is dropped, never waited for.
const BACKLOG: usize = 8_192;

/// Keeps the log going; dropping it writes out what is left.
#[derive(Debug)]
pub struct Logging {
    level: reload::Handle<LevelFilter, Registry>,
    started_with: LevelFilter,
    _writer: WorkerGuard,
}

impl Logging {
    /// Starts the log of this process at `level`.
    ///
    /// A second call in one process leaves the first log in place.
    pub fn start(level: LevelFilter) -> Self {
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(BACKLOG)
            .thread_name("keyweir-log")
            .finish(io::stderr());
        let (filter, handle) = reload::Layer::new(level);
        let registry = tracing_subscriber::registry().with(filter);
        let started = if io::stderr().is_terminal() {
            registry.with(fmt::layer().with_writer(writer).with_target(false)).try_init()
        } else {
            let layer = fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_writer(writer);
            registry.with(layer).try_init()
        };
        if let Err(error) = started {
            tracing::debug!(%error, "The log was already started");
        }
        Self { level: handle, started_with: level, _writer: guard }
    }

    /// Sets the level that the configuration names; without one, the command line's holds again.
    pub fn set_level(&self, level: Option<&str>) {
        let level = level.and_then(|level| level.parse().ok()).unwrap_or(self.started_with);
        if let Err(error) = self.level.reload(level) {
            tracing::warn!(%error, "Could not change the log's level");
        }
    }
}
