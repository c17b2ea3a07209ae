//! Builds the injector and runs it until it is told to end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::certificates::cluster::{self, Objects};
use super::certificates::{Keeper, Shown, Terms, files};
use super::door::Door;
use super::events::Events;
use super::knowledge::Knowledge;
use super::server::{self, Office};
use super::settings::{Defaults, Resources};
use super::webhook::Webhook;
use crate::lifecycle::{
    Clock, Connections, Drain, DrainMode, Drained, Lifecycle, Signal, Signals, Tasks,
};
use crate::serve::{self, Rounds};
use crate::sources::cluster::{Cluster, NoCluster};
use crate::telemetry::Injections;

/// How often the API server is asked for its version, and how long it is waited for each time.
const ATTEMPTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(5);
/// The first minor version of Kubernetes whose pods may have native sidecars.
const NATIVE_SINCE: u32 = 29;

/// How an injector runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the API server connects.
    pub listen: SocketAddr,
    /// Where probes and Prometheus connect.
    pub admin: SocketAddr,
    /// The sidecar's image.
    pub image: String,
    /// When it is pulled.
    pub image_pull_policy: Option<String>,
    /// What sidecars ask for and may use.
    pub resources: Resources,
    /// The folder of the service account.
    pub service_account: PathBuf,
    /// The Service that leads here.
    pub service: String,
    /// The webhook configurations.
    pub webhook: String,
    /// The Deployment that this replica is of.
    pub deployment: String,
    /// The Secret of the authority.
    pub ca_secret: String,
    /// A folder with a certificate of somebody else's making.
    pub certificates: Option<PathBuf>,
    /// How long certificates of its own live.
    pub terms: Terms,
    /// How long it goes on accepting once it is told to end.
    pub notice: Duration,
    /// How long connections may take to end after that.
    pub drain: Duration,
}

/// An injector cannot start.
#[derive(Debug)]
pub enum Fatal {
    /// It is in no cluster.
    NoCluster(NoCluster),
    /// The API server cannot be asked.
    NoAnswer,
    /// An address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The system refuses something else that is needed.
    System(&'static str, String),
}

/// What the certificates come to: what is shown, and why that is of no use, if so.
struct Certified {
    shown: watch::Receiver<Option<Shown>>,
    trouble: watch::Receiver<Option<String>>,
}

/// Runs until it is told to end. Needs a runtime with I/O and time.
///
/// # Errors
/// When it cannot start.
pub async fn run(options: Options) -> Result<(), Fatal> {
    let signals = Signals::listen().map_err(|error| system("signals", &error))?;
    let clock = Clock::start();
    let cluster = Cluster::of_pod(&options.service_account).map_err(Fatal::NoCluster)?;
    let metrics = Injections::new().map_err(|error| system("metrics", &error))?;
    let lifecycle = Lifecycle::new(DrainMode::Gateway, options.drain);
    let tasks = &lifecycle.tasks;
    let certified = certify(&options, &cluster, clock, tasks);
    drop(tasks.spawn(lifecycle.liveness.worker().keep()));
    drop(tasks.spawn(tell_expiry(certified.shown.clone(), metrics.clone())));
    serve_admin(&options, &lifecycle, clock, &metrics, certified.trouble)?;
    let defaults = Defaults {
        native_sidecars: native_sidecars(&cluster.client).await?,
        image: options.image.clone(),
        image_pull_policy: options.image_pull_policy.clone(),
        resources: options.resources.clone(),
    };
    let knowledge = Knowledge::new(Some(cluster.client.clone()), clock);
    knowledge.watch(tasks);
    let events = Events::start(cluster.client.clone(), clock, tasks);
    let webhook = Webhook::new(defaults, knowledge, events, metrics, clock);
    let tls = server::tls(certified.shown).map_err(|error| system("TLS", &error))?;
    let office = Office { webhook, readiness: lifecycle.readiness.clone() };
    let listener = open(options.listen)?;
    let Lifecycle { connections, drain, .. } = &lifecycle;
    let rounds = Rounds {
        connections: connections.clone(),
        tasks: tasks.clone(),
        drain: drain.clone(),
        clock,
    };
    drop(tasks.spawn(server::accept(listener, tls, office, rounds)));
    lifecycle.readiness.configured();
    lifecycle.readiness.listening();
    tracing::info!(addr = %options.listen, admin = %options.admin, "Listening");
    end(signals, &lifecycle, options.notice).await;
    Ok(())
}

/// Has certificates made and kept, or read from where they are.
fn certify(options: &Options, cluster: &Cluster, clock: Clock, tasks: &Tasks) -> Certified {
    let (troubled, trouble) = watch::channel(Some("there is no certificate yet".to_owned()));
    if let Some(folder) = &options.certificates {
        let (sender, shown) = watch::channel(None);
        drop(tasks.spawn(files::keep(folder.clone(), sender, troubled)));
        return Certified { shown, trouble };
    }
    let (service, namespace) = (&options.service, &cluster.namespace);
    let names = ["", ".svc", ".svc.cluster.local"];
    let names = names.map(|domain| format!("{service}.{namespace}{domain}"));
    let (keeper, shown) = Keeper::new(options.terms, names.to_vec());
    let objects = Objects {
        namespace: namespace.clone(),
        secret: options.ca_secret.clone(),
        webhook: options.webhook.clone(),
        deployment: options.deployment.clone(),
    };
    let keeping = cluster::keep(cluster.client.clone(), objects, keeper, clock, troubled);
    drop(tasks.spawn(keeping));
    Certified { shown, trouble }
}

async fn tell_expiry(mut shown: watch::Receiver<Option<Shown>>, metrics: Injections) {
    while shown.changed().await.is_ok() {
        if let Some(shown) = &*shown.borrow_and_update() {
            metrics.certificate_expiry.set(shown.until.as_second());
        }
    }
}

fn serve_admin(
    options: &Options,
    lifecycle: &Lifecycle,
    clock: Clock,
    metrics: &Injections,
    trouble: watch::Receiver<Option<String>>,
) -> Result<(), Fatal> {
    let listener = open(options.admin)?;
    let Lifecycle { readiness, liveness, tasks, .. } = lifecycle;
    let door = Door {
        readiness: readiness.clone(),
        liveness: liveness.clone(),
        metrics: metrics.clone(),
        trouble: Arc::new(move || trouble.borrow().clone()),
    };
    // Its connections are nobody's requests: a drain neither waits for them nor closes the port,
    // which goes on saying that the injector is not ready.
    let connections = Connections::default();
    let drain =
        Drain::new(DrainMode::Sidecar, Duration::ZERO, connections.clone(), readiness.clone());
    let rounds = Rounds { connections, tasks: tasks.clone(), drain, clock };
    drop(tasks.spawn(serve::accept(listener, door, rounds)));
    Ok(())
}

fn open(address: SocketAddr) -> Result<TcpListener, Fatal> {
    let opened = serve::open(address).and_then(TcpListener::from_std);
    opened.map_err(|error| Fatal::Listen(address, error))
}

/// Whether the cluster is new enough.
async fn native_sidecars(client: &kube::Client) -> Result<bool, Fatal> {
    for _ in 0..ATTEMPTS {
        match timeout(PATIENCE, client.apiserver_version()).await {
            Ok(Ok(version)) => {
                tracing::info!(version = version.git_version, "The API server answers");
                return Ok(is_native(&version.major, &version.minor));
            }
            Ok(Err(error)) => tracing::warn!(%error, "The API server cannot be asked"),
            Err(_) => tracing::warn!("The API server does not answer in time"),
        }
        sleep(PATIENCE).await;
    }
    Err(Fatal::NoAnswer)
}

/// Providers write minor versions like `29+`.
fn is_native(major: &str, minor: &str) -> bool {
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    let minor = minor.split_at(digits).0.parse().unwrap_or(0_u32);
    major != "1" || minor >= NATIVE_SINCE
}

/// Waits to be told, and ends: first the word goes round that it is not ready, and it goes on
/// accepting meanwhile.
async fn end(mut signals: Signals, lifecycle: &Lifecycle, notice: Duration) {
    let drain = &lifecycle.drain;
    let told = async {
        while signals.next().await != Signal::Terminate {}
        lifecycle.readiness.draining();
        tracing::info!("Told to end");
        tokio::select! {
            () = sleep(notice) => {}
            () = async { while signals.next().await != Signal::Terminate {} } => {}
        }
        drain.signal();
        loop {
            if signals.next().await == Signal::Terminate {
                drain.signal();
            }
        }
    };
    tokio::select! {
        () = told => {}
        drained = drain.carry_through() => match drained {
            Drained::Clean => tracing::info!("Drained"),
            Drained::TimedOut { open } | Drained::Cut { open } => {
                tracing::warn!(open, "Connections were still open at the end");
            }
        },
    }
}

fn system(what: &'static str, error: &dyn fmt::Display) -> Fatal {
    Fatal::System(what, error.to_string())
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCluster(why) => write!(f, "{why}"),
            Self::NoAnswer => f.write_str("the API server does not answer"),
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
    fn native_sidecars_are_known_from_1_29_on() {
        for (major, minor, native) in [
            ("1", "28", false),
            ("1", "29", true),
            ("1", "29+", true),
            ("1", "34", true),
            ("2", "0", true),
            ("1", "", false),
        ] {
            assert_eq!(is_native(major, minor), native, "{major}.{minor}");
        }
    }
}
