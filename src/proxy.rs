//! The wiring: the only place that builds rooms and swaps snapshots.

mod build;
pub(crate) mod keyring;
mod observe;
mod terms;
mod worker;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::admin::Admin;
use crate::config::Diagnostic;
use crate::keys::Secret;
use crate::lifecycle::{Clock, Connections, Drain, DrainMode, Drained, Lifecycle, Signals};
use crate::pipeline::Snapshot;
use crate::serve::{self, Rounds};
use crate::sources::{Letter, Watch};
use crate::telemetry::logging::Logging;
use build::Builder;
use observe::Observer;

/// How a proxy runs, apart from what the configuration says.
#[derive(Debug)]
pub struct Options {
    /// Where applications connect.
    pub listen: SocketAddr,
    /// Where the admin port is.
    pub admin: SocketAddr,
    /// The bearer token that the admin port asks for.
    pub token: Option<Arc<Secret>>,
    /// Worker threads, over `server.workers`.
    pub workers: Option<NonZeroU32>,
    /// How long a drain may take.
    pub drain: Duration,
    /// What a drain does with the listener.
    pub drain_mode: DrainMode,
}

/// A proxy cannot start.
#[derive(Debug)]
pub enum Fatal {
    /// The configuration has mistakes: all of them.
    Config(Vec<Diagnostic>),
    /// An address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The system refuses something else that is needed.
    System(&'static str, io::Error),
}

/// A proxy whose ports are open and whose first snapshot is in force.
#[derive(Debug)]
pub struct Proxy {
    /// Where applications connect, as bound.
    pub listen: SocketAddr,
    /// Where the admin port is, as bound.
    pub admin: SocketAddr,
    clock: Clock,
    lifecycle: Lifecycle,
    builder: Builder,
    observer: Arc<Observer>,
    snapshots: Arc<ArcSwap<Snapshot>>,
    workers: Vec<JoinHandle<io::Result<()>>>,
}

impl Proxy {
    /// Builds everything from what was read, opens the ports and starts the workers. Needs a runtime
    /// on the control thread.
    pub fn start(options: &Options, letter: &Letter) -> Result<Self, Fatal> {
        let clock = Clock::start();
        let lifecycle = Lifecycle::new(options.drain_mode, options.drain);
        let mut builder = Builder::new(clock).map_err(Fatal::Config)?;
        let built = builder.build(letter).map_err(Fatal::Config)?;
        let workers = workers(options.workers.or_else(|| builder.workers()));
        let (listen, listeners) = open(options.listen, workers)?;
        let (admin, admin_listener) = open(options.admin, 1)?;
        let (snapshot, news) = built;
        let snapshots = Arc::new(ArcSwap::from_pointee(snapshot));
        let metrics = builder.metrics().clone();
        let observer = Observer::new(clock, lifecycle.clone(), metrics, Arc::clone(&snapshots));
        observer.taken(&news, letter);
        let observer = Arc::new(observer);
        let mut threads = Vec::new();
        for (number, listener) in (1..).zip(listeners) {
            let (snapshots, lifecycle) = (Arc::clone(&snapshots), lifecycle.clone());
            let started = worker::start(number, listener, snapshots, clock, lifecycle);
            threads.push(started.map_err(|error| Fatal::System("threads", error))?);
        }
        let proxy = Self {
            listen,
            admin,
            clock,
            lifecycle,
            builder,
            observer,
            snapshots,
            workers: threads,
        };
        for listener in admin_listener {
            proxy.serve_admin(listener, options.token.clone())?;
        }
        proxy.lifecycle.readiness.configured();
        proxy.lifecycle.readiness.listening();
        tracing::info!(addr = %proxy.listen, admin = %proxy.admin, workers, "Listening");
        Ok(proxy)
    }

    /// Runs until it is told to end, taking every change that `watch` tells of.
    pub async fn run(
        mut self,
        mut watch: Option<Watch>,
        logging: Option<&Logging>,
    ) -> io::Result<()> {
        let signals = Signals::listen()?;
        let prompter = watch.as_ref().map(Watch::prompter);
        let drain = self.lifecycle.drain.clone();
        let obeying = signals.obey(&drain, || {
            if let Some(prompter) = &prompter {
                prompter.prompt();
            }
        });
        let ending = drain.carry_through();
        tokio::pin!(obeying, ending);
        self.set_log_level(logging);
        let mut turn = self.turn();
        let drained = loop {
            tokio::select! {
                drained = &mut ending => break drained,
                () = &mut obeying => {}
                () = tokio::time::sleep_until(turn) => turn = self.turn(),
                letter = changed(watch.as_mut()) => {
                    self.take(&letter);
                    self.set_log_level(logging);
                    turn = self.turn();
                }
            }
        };
        tell(drained);
        self.join()
    }

    /// Ends it at once and waits for its threads.
    pub async fn stop(self) -> io::Result<()> {
        self.lifecycle.drain.cut();
        tell(self.lifecycle.drain.carry_through().await);
        self.join()
    }

    /// Takes what was read, or says why not and leaves everything as it was.
    pub fn take(&mut self, letter: &Letter) {
        match self.builder.build(letter) {
            Ok((snapshot, news)) => {
                self.snapshots.store(Arc::new(snapshot));
                self.observer.taken(&news, letter);
                tracing::info!(generation = news.generation, "Configuration and Secrets taken");
            }
            Err(mistakes) => self.observer.refused(&mistakes, letter),
        }
    }

    /// Takes in that time has passed, and says when to do so again.
    fn turn(&mut self) -> tokio::time::Instant {
        let (ended, next) = self.builder.turn();
        self.observer.ended(&ended);
        self.clock.instant(next)
    }

    fn set_log_level(&self, logging: Option<&Logging>) {
        if let Some(logging) = logging {
            logging.set_level(self.builder.log_level());
        }
    }

    fn serve_admin(
        &self,
        listener: std::net::TcpListener,
        token: Option<Arc<Secret>>,
    ) -> Result<(), Fatal> {
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|error| Fatal::Listen(self.admin, error))?;
        let observer = Arc::clone(&self.observer);
        let look = Arc::new(move || observer.look());
        let Lifecycle { readiness, liveness, tasks, .. } = &self.lifecycle;
        let metrics = self.builder.metrics().clone();
        let admin = Admin::new(readiness.clone(), liveness.clone(), metrics, look, token);
        // Its connections are nobody's requests: a drain neither waits for them nor closes the
        // port, which goes on saying that the proxy is not ready.
        let connections = Connections::default();
        let drain =
            Drain::new(DrainMode::Sidecar, Duration::ZERO, connections.clone(), readiness.clone());
        let rounds = Rounds { connections, tasks: tasks.clone(), drain, clock: self.clock };
        drop(tasks.spawn(serve::accept(listener, admin, rounds)));
        Ok(())
    }

    fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        for worker in self.workers {
            let ended =
                worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")));
            result = result.and(ended);
        }
        result
    }
}

async fn changed(watch: Option<&mut Watch>) -> Arc<Letter> {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

fn tell(drained: Drained) {
    match drained {
        Drained::Clean => tracing::info!("Drained"),
        Drained::TimedOut { open } => {
            tracing::warn!(open, "Connections were still open at the end");
        }
        Drained::Cut { open } => tracing::warn!(open, "Told twice to end, connections are cut"),
    }
}

/// One is right for a sidecar; more than there are CPUs only fight for them.
fn workers(asked: Option<NonZeroU32>) -> u32 {
    let most = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    asked.map_or(1, NonZeroU32::get).min(u32::try_from(most).unwrap_or(u32::MAX))
}

/// Opens a listener for each worker on one address. The first one fails if somebody else already
/// listens there, which sharing the port would hide.
fn open(
    address: SocketAddr,
    count: u32,
) -> Result<(SocketAddr, Vec<std::net::TcpListener>), Fatal> {
    let failed = |error| Fatal::Listen(address, error);
    let first = match begin(address) {
        // Where there is no IPv6 at all, `[::]` still stands for IPv4.
        Err(error) => match without_ipv6(address, &error) {
            Some(ipv4) => begin(ipv4).map_err(|_| failed(error))?,
            None => return Err(failed(error)),
        },
        Ok(first) => first,
    };
    let bound = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(serve::listen(bound).map_err(failed)?);
    }
    Ok((bound, listeners))
}

fn begin(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    serve::claim(address)?;
    serve::listen(address)
}

/// The address to try instead, where the failure may be for want of IPv6.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let of_port =
        matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    let any = address.is_ipv6() && address.ip().is_unspecified();
    (any && !of_port).then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(mistakes) => {
                let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "cannot listen on {address}: the port is in use; choose another with --listen or --admin"
            ),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::System(what, error) => write!(f, "cannot set up {what}: {error}"),
        }
    }
}

impl std::error::Error for Fatal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_ipv6_is_listened_on_all_the_same_and_a_taken_port_is_not_taken_elsewhere() {
        let instead = |address: &str, kind: io::ErrorKind| {
            without_ipv6(address.parse().unwrap(), &kind.into())
        };
        let ipv4 = "0.0.0.0:4471".parse().ok();
        assert_eq!(instead("[::]:4471", io::ErrorKind::Unsupported), ipv4);
        assert_eq!(instead("[::]:4471", io::ErrorKind::AddrNotAvailable), ipv4);
        assert_eq!(instead("[::]:4471", io::ErrorKind::AddrInUse), None);
        assert_eq!(instead("[::1]:4471", io::ErrorKind::AddrNotAvailable), None);
        assert_eq!(instead("127.0.0.1:4471", io::ErrorKind::AddrNotAvailable), None);
    }
}
