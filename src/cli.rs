//! The commands and their flags.

mod check;
mod cluster;
mod demo;
mod injector;
mod proxy;
mod status;
mod simulate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::config;
use crate::sources::kubectl::Kubectl;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// The arguments of the process.
#[derive(Debug, Parser)]
#[command(name = "keyweir", version, about, max_term_width = 100)]
#[command(long_about = "Keyweir stands between an application and the LLM providers it calls, \
    holds the API keys, knows what each may still do, and spends that capacity so well that the \
    application never meets \"keys temporarily exhausted\".")]
#[command(after_help = "Start with `keyweir demo`: no cluster, no account. Then put a key into \
    OPENAI_API_KEY, run `keyweir proxy`, and set OPENAI_BASE_URL=http://127.0.0.1:4470/v1 for \
    your application.")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Forward requests to providers with the keys it holds: the sidecar.
    Proxy(ProxyArguments),
    /// Give the pods of a cluster their sidecar: the admission webhook.
    Injector(Box<InjectorArguments>),
    /// Validate configuration and Secrets without a network, and print every mistake.
    Check(CheckArguments),
    /// Show a proxy's keys, limits and queues.
    Status(StatusArguments),
    /// Plan capacity: what would wait, what would be shed and which limit would bind, in virtual time.
    Simulate(SimulateArguments),
    /// Watch a storm of rate limits, dead keys and outages being absorbed.
    Demo(DemoArguments),
    /// Print shell completions: `source <(keyweir completions bash)`.
    Completions {
        /// The shell they are for.
        shell: clap_complete::Shell,
    },
}

/// Where configuration and Secrets are.
#[derive(Clone, Debug, Default, Args)]
pub struct Places {
    /// A folder with `keyweir.yaml`, or a file; may be given several times, later ones merge over
    /// earlier ones.
    #[arg(long, value_name = "DIR")]
    pub config: Vec<PathBuf>,

    /// A folder of Secrets, each a folder of entries: `DIR/<secret>/<entry>`.
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
}

/// Flags of `keyweir proxy`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Without --config, keys come from OPENAI_API_KEY, ANTHROPIC_API_KEY, \
    GEMINI_API_KEY and the like (comma-separated lists make pools), from the environment or from \
    entries of those names in the Secret `keyweir-keys`.\n\n\
    SIGHUP reads configuration and Secrets at once; SIGTERM drains; a second one stops.")]
pub struct ProxyArguments {
    /// Where configuration and Secrets are.
    #[command(flatten)]
    pub places: Places,

    /// Where applications connect (HTTP/1.1 and h2c).
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4470")]
    pub listen: SocketAddr,

    /// Where `/metrics`, `/ready`, `/live`, `/status` and the page are.
    #[arg(long, value_name = "ADDR", default_value = "[::]:4471")]
    pub admin: SocketAddr,

    /// A file with the bearer token that all of the admin port but `/ready` and `/live` asks for.
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// Worker threads, each with its own runtime; overrides `server.workers`.
    #[arg(long, value_name = "N")]
    pub workers: Option<std::num::NonZeroU32>,

    /// How long a drain may take.
    #[arg(long, value_name = "DURATION", default_value = "28s", value_parser = config::duration)]
    pub drain: Duration,

    /// What a drain does with the listener.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Mode::Sidecar)]
    pub drain_mode: Mode,

    /// A folder of its own in which what was used of days, months and budgets outlives a restart.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// The log's level; `telemetry.logLevel` overrides it.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: tracing::level_filters::LevelFilter,

    /// How often to look for changes that no notice came of.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = config::duration)]
    pub poll: Duration,

    /// Where a fatal mistake is written for Kubernetes to show.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    pub termination_log: PathBuf,
}

/// What a drain does with the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// It stays open until no client connection has been open for a second.
    Sidecar,
    /// It is closed at once, and streams finish.
    Gateway,
}

/// Flags of `keyweir injector`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "It runs in a pod and is told everything else by the annotations of the pods \
    that it sees, for instance keyweir.dev/inject: \"true\".\n\n\
    Without --certificates it keeps an authority of its own in a Secret that all replicas share, \
    signs its certificate with it, and puts it into the caBundle of the webhook configurations. \
    Deleting that Secret makes another authority; the old one is trusted until all that it signed \
    has ended.\n\n\
    SIGTERM: it says that it is not ready, goes on accepting for --notice, then drains."
)]
pub struct InjectorArguments {
    /// The image of the sidecar that is injected.
    #[arg(long, value_name = "IMAGE")]
    pub image: String,

    /// When that image is pulled: `Always`, `IfNotPresent` or `Never`.
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: Option<String>,

    /// Where the API server connects (HTTPS).
    #[arg(long, value_name = "ADDR", default_value = "[::]:8443")]
    pub listen: SocketAddr,

    /// Where `/metrics`, `/ready` and `/live` are.
    #[arg(long, value_name = "ADDR", default_value = "[::]:4471")]
    pub admin: SocketAddr,

    /// CPU that a sidecar asks for, unless its pod says otherwise.
    #[arg(long, value_name = "QUANTITY", default_value = "10m")]
    pub cpu_request: String,

    /// CPU that a sidecar may use at most; without it, as much as there is.
    #[arg(long, value_name = "QUANTITY")]
    pub cpu_limit: Option<String>,

    /// Memory that a sidecar asks for.
    #[arg(long, value_name = "QUANTITY", default_value = "32Mi")]
    pub memory_request: String,

    /// Memory that a sidecar may use at most, or `none`.
    #[arg(long, value_name = "QUANTITY", default_value = "256Mi")]
    pub memory_limit: String,

    /// The Service that leads here, in this pod's namespace: the certificate is made for its name.
    #[arg(long, value_name = "NAME", default_value = "keyweir-injector")]
    pub service: String,

    /// The webhook configurations, mutating and validating, whose `caBundle` is kept up to date;
    /// without it, they are called like the Service.
    #[arg(long, value_name = "NAME")]
    pub webhook: Option<String>,

    /// The Deployment that owns the authority's Secret, so that it is deleted with it; without it,
    /// it is called like the Service.
    #[arg(long, value_name = "NAME")]
    pub deployment: Option<String>,

    /// The Secret of the authority; without it, the Service's name and `-ca`.
    #[arg(long, value_name = "NAME")]
    pub ca_secret: Option<String>,

    /// A folder with `tls.crt` and `tls.key` (cert-manager's, or an own Secret's) to show instead of
    /// certificates of its own; read anew when they change. The `caBundle` is theirs to fill then.
    #[arg(long, value_name = "DIR")]
    pub certificates: Option<PathBuf>,

    /// How long an authority lives; another follows at two thirds of it.
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = config::duration)]
    pub ca_lifetime: Duration,

    /// How long a certificate lives; it is renewed at two thirds of it.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = config::duration)]
    pub certificate_lifetime: Duration,

    /// How long an authority is trusted before it signs: every API server has to have heard of it.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = config::duration)]
    pub settle: Duration,

    /// The folder where the service account is mounted.
    #[arg(long, value_name = "DIR", default_value = crate::sources::cluster::SERVICE_ACCOUNT)]
    pub service_account: PathBuf,

    /// How long it goes on accepting after it has been told to end: word that it is not ready takes
    /// a moment to go round.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = config::duration)]
    pub notice: Duration,

    /// How long connections may take to end after that.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = config::duration)]
    pub drain: Duration,

    /// The log's level.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: tracing::level_filters::LevelFilter,

    /// Where a fatal mistake is written for Kubernetes to show.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    pub termination_log: PathBuf,
}

/// Flags of `keyweir check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Exit code 0: no mistake; 1: mistakes; 2: misuse.")]
pub struct CheckArguments {
    /// Where configuration and Secrets are.
    #[command(flatten)]
    pub places: Places,

    /// Print the hosts and ports that the configuration needs to reach.
    #[arg(long)]
    pub egress: bool,

    /// Print the JSON Schema of `keyweir.yaml`.
    #[arg(long, conflicts_with_all = ["egress", "config", "secrets"])]
    pub schema: bool,

    /// Look at the whole installation in a cluster instead: webhook, certificates, configuration and
    /// Secrets of each namespace, pods without a sidecar or with an old one.
    #[arg(long, conflicts_with_all = ["schema", "egress", "config", "secrets"])]
    pub cluster: bool,

    /// Which cluster.
    #[command(flatten)]
    pub at: ClusterArguments,

    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Which cluster is meant; `kubectl` is asked.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArguments {
    /// The file that says how the cluster is reached.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<String>,

    /// The context in it.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl ClusterArguments {
    fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.kubeconfig.as_deref(), self.context.as_deref())
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Flags of `keyweir status`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "As `kubectl-keyweir` on the PATH it is `kubectl keyweir status POD`.\n\n\
    Exit code 0: it is ready; 1: it is not, or does not answer; 2: misuse.")]
pub struct StatusArguments {
    /// A pod with a sidecar, asked through the API server; without one, whatever is at --admin.
    #[arg(value_name = "POD", conflicts_with_all = ["admin", "admin_token_file"])]
    pub pod: Option<String>,

    /// The pod's namespace; without it, that of the context.
    #[arg(long, short, value_name = "NAME", requires = "pod")]
    pub namespace: Option<String>,

    /// Which cluster.
    #[command(flatten)]
    pub at: ClusterArguments,

    /// The proxy's admin port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4471")]
    pub admin: SocketAddr,

    /// A file with the bearer token that the admin port asks for.
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Flags of `keyweir simulate`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The very code that chooses keys and lets requests wait in the proxy runs here \
    against models of the providers, a week in seconds; the same seed gives the same output.\n\n\
    keyweir simulate --config keyweir.yaml --rate 40\n    \
    40 requests a second of the first model, each on its own, for ten minutes.\n\n\
    keyweir simulate --config keyweir.yaml --workload examples/workload.yaml --sidecars 20 --compare\n    \
    What the file says is asked for and goes wrong, at 20 sidecars, beside what other policies \
    make of it.\n\n\
    keyweir simulate --config keyweir.yaml --workload yesterday.jsonl\n    \
    A trace: a request a line, {\"at\": 0.5, \"model\": \"chat\", \"input\": 900, \"output\": 120}; the \
    access records of the proxy will do.\n\n\
    Without `limits` in the configuration, or in the workload, every request passes.\n\n\
    Exit code 0: simulated; 1: mistakes in what was given; 2: misuse."
)]
pub struct SimulateArguments {
    /// Where configuration and Secrets are. Secrets need not be at hand: the workload can say how
    /// many entries they have.
    #[command(flatten)]
    pub places: Places,

    /// What is asked for: a workload in YAML, or a trace (`.jsonl`).
    #[arg(long, value_name = "FILE", required_unless_present = "rate")]
    pub workload: Option<PathBuf>,

    /// So many requests a second, of usual sizes.
    #[arg(long, value_name = "N", conflicts_with = "workload", value_parser = rate)]
    pub rate: Option<f64>,

    /// What `--rate` asks for: an alias, or `provider/model`; default the first that there is.
    #[arg(long, value_name = "NAME", requires = "rate")]
    pub model: Option<String>,

    /// For how long requests come: `90s`, `1h`, `7d`; default the workload's, or 10m.
    #[arg(long, value_name = "DURATION", value_parser = config::duration)]
    pub duration: Option<Duration>,

    /// How many sidecars take them in; default the workload's, `fleet.replicas`, or 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(std::num::NonZeroU32))]
    pub sidecars: Option<std::num::NonZeroU32>,

    /// Where all randomness begins; default the workload's, or 1.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Beside it, what other policies make of the same requests: a plain queue gated by `remaining`
    /// headers, a static N-th, the whole limit each, AIMD, rotate and retry, and an oracle.
    #[arg(long)]
    pub compare: bool,

    /// How to print.
    #[arg(long, value_enum, default_value_t = SimulateOutput::Table)]
    pub output: SimulateOutput,
}

/// How a simulation is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SimulateOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// Flags of `keyweir demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArguments {
    /// Leave the simulated providers and the proxy up, and print lines to try with curl and SDKs.
    #[arg(long)]
    pub serve: bool,

    /// How long the storm lasts.
    #[arg(long, value_name = "SECONDS", default_value_t = 22, value_parser = clap::value_parser!(u32).range(0..=50))]
    pub seconds: u32,

    /// The proxy's log, on standard error.
    #[arg(long, value_name = "LEVEL", default_value = "off")]
    pub log_level: tracing::level_filters::LevelFilter,
}

/// Does what was asked for.
pub fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Proxy(arguments) => proxy::run(&arguments),
        Command::Injector(arguments) => injector::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "keyweir", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// Requests a second.
fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if rate > 0.0 && rate <= 1e6 {
        Ok(rate)
    } else {
        Err("must be more than 0, and at most a million".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
