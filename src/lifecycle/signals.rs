//! What the outside tells the process.

use std::io;

use tokio::signal::unix::{self, SignalKind};

use super::Drain;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To end: `SIGTERM`, `SIGINT`.
    Terminate,
    /// To read the configuration and the Secrets again, now: `SIGHUP`.
    Reload,
}

/// The signals that the process has taken over from the system's defaults. They stay taken over when
/// this is dropped.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    /// Takes them over; needs a runtime with I/O.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Terminate,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Does as told: `drain` gets each order to end, `reload` is called for each order to read
    /// again. Returns once the drain is over.
    pub async fn obey(mut self, drain: &Drain, mut reload: impl FnMut()) {
        loop {
            tokio::select! {
                biased;
                () = drain.over() => return,
                signal = self.next() => match signal {
                    Signal::Terminate => drain.signal(),
                    Signal::Reload => reload(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::process::Command;
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;
    use crate::lifecycle::{Connections, DrainMode, Drained, Readiness};

    fn send(signal: &str) {
        let to = std::process::id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &to]).status().unwrap().success());
    }

    /// One test for all of them: signals are the process's, and the tests share one.
    #[tokio::test]
    async fn hangup_reloads_a_first_terminate_drains_and_a_second_cuts() {
        let (reloads, reloaded) = (Cell::new(0), Notify::new());
        let connections = Connections::default();
        let _endless = connections.open();
        let (minute, readiness) = (Duration::from_mins(1), Readiness::default());
        let drain = Drain::new(DrainMode::Sidecar, minute, connections, readiness);
        let signals = Signals::listen().unwrap();
        let reload = || {
            reloads.set(reloads.get() + 1);
            reloaded.notify_one();
        };
        let story = async {
            send("HUP");
            reloaded.notified().await;
            send("TERM");
            drain.begun().await;
            send("INT");
        };
        let all =
            async { tokio::join!(signals.obey(&drain, reload), drain.carry_through(), story) };
        let ((), end, ()) = timeout(minute / 2, all).await.unwrap();
        assert_eq!((end, reloads.get()), (Drained::Cut { open: 1 }, 1));
    }
}
