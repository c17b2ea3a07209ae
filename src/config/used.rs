//! The configuration as used: names resolved, amounts in base units, nothing left that could be
//! wrong. Rooms are given these values and never see the text.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::Diagnostic;

pub use crate::callers::{Caller, Callers, Match, Per, Priority};
pub use crate::formats::models::Price;
pub use crate::formats::{Auth, Dialect, Dimension, EndpointKind, Pattern, Wire};
pub use crate::limits::{Charging, Clause, Days, Measure, Mode, Rule, Schedule, Term};
pub use crate::telemetry::AccessLog;

/// One whole configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The providers, in the order written ("the first provider" relies on it).
    pub providers: Vec<Provider>,
    /// The aliases of `models:`, in the order written.
    pub aliases: Vec<Alias>,
    /// Who may ask for what.
    pub callers: Callers,
    /// Whether limits are enforced or only observed.
    pub mode: Mode,
    /// Sending again.
    pub retry: Retry,
    /// Circuit breakers.
    pub breaker: Breaker,
    /// What is told, and to whom.
    pub telemetry: Telemetry,
    /// The data port's own bounds.
    pub server: Server,
    /// How many sidecars share the limits, where the configuration says.
    pub replicas: Option<NonZeroU32>,
    /// Prices by model name pattern, over the shipped table.
    pub prices: Vec<(Pattern, Price)>,
    /// When limits end, and what is to be told from then on.
    pub endings: Vec<(Timestamp, Diagnostic)>,
}

/// One upstream API.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name: the first segment of its paths, and its metric label.
    pub name: Box<str>,
    /// What it speaks.
    pub wire: Wire,
    /// Whose habits its errors and headers follow.
    pub dialect: Dialect,
    /// Where it is.
    pub base: BaseUrl,
    /// The path below the base URL that stands for the unified door's `/v1`, e.g. `/openai/v1`.
    pub door_prefix: Box<str>,
    /// Further wire formats it speaks natively with the same keys, each with its own path for the
    /// unified door's `/v1`.
    pub also: Vec<(Wire, Box<str>)>,
    /// How a key is put on a request.
    pub auth: Auth,
    /// Headers that every request to it carries unless the caller set them (`anthropic-version`).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Where its keys come from; empty means that it needs none.
    pub keys: Vec<KeySource>,
    /// What the provider grants, per quota group.
    pub limits: Vec<Limit>,
    /// How it charges tokens against its limits.
    pub charging: Charging,
    /// Whether limits are learned from headers and 429s.
    pub adaptive: bool,
    /// How long to wait for it.
    pub timeouts: Timeouts,
    /// A CA bundle that replaces the built-in roots, or [`SYSTEM_ROOTS`].
    pub ca_bundle: Option<PathBuf>,
    /// Azure: the `api-version` of classic deployment paths.
    pub api_version: Option<Box<str>>,
    /// Azure: model name to deployment name.
    pub deployments: Vec<(Box<str>, Box<str>)>,
    /// Where it processes data.
    pub region: Option<Box<str>>,
    /// What it is approved for.
    pub tags: Vec<Box<str>>,
}

/// A base URL, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// TLS (`https`) or not (`http`).
    pub tls: bool,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: Box<str>,
    /// Port, the scheme's default where none is written.
    pub port: u16,
    /// The path, without a trailing slash; empty for none.
    pub path: Box<str>,
    /// What goes into `Host` and `:authority`: host, and port where it is not the scheme's default.
    pub authority: HeaderValue,
}

/// Where keys come from: one Secret, or entries of it.
#[derive(Clone, Debug, Default)]
pub struct KeySource {
    /// The Secret's name; the environment's keys are a Secret named [`ENVIRONMENT`].
    pub secret: Box<str>,
    /// Which entries; `None` for every one.
    pub entries: Option<Vec<Box<str>>>,
    /// The quota group they draw on; `None` makes each key a group of its own.
    pub quota_group: Option<Box<str>>,
    /// Share of the traffic, relative to the others; at least 1.
    pub weight: u32,
    /// Models these keys may be used for; empty for any.
    pub models: Vec<Pattern>,
    /// Callers that may use them; empty for any.
    pub callers: Vec<Box<str>>,
    /// Headers these keys declare for themselves (`openai-organization`, `openai-project`,
    /// `x-goog-user-project`).
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// In place of a CA bundle's path: the certificate authorities that the system knows.
pub const SYSTEM_ROOTS: &str = "system";

/// The name under which keys from the environment are kept, as if they were a mounted Secret. An
/// entry is named by its variable, with `-2`, `-3`... behind it for the further keys of a list.
pub const ENVIRONMENT: &str = "environment";

/// What a provider grants to a quota group.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Quota groups it holds for; empty for each.
    pub quota_groups: Vec<Box<str>>,
    /// What is granted, for what and when; of several models each has it for itself.
    pub clause: Clause,
}

/// How long to wait for a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// From the last byte of the request to the first of the answer.
    pub first_byte: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
}

/// A model name that stands for targets.
#[derive(Clone, Debug)]
pub struct Alias {
    /// What an application asks for.
    pub name: Box<str>,
    /// How a target is chosen.
    pub strategy: Strategy,
    /// What it may resolve to; never empty.
    pub targets: Vec<Target>,
    /// When a refusal of the request itself goes on to the next target.
    pub moves_on: MovesOn,
    /// What answers when no target can.
    pub fallback: Option<Fallback>,
}

/// What answers when no target of an alias can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Another target; its weight means nothing.
    Model(Target),
    /// A fixed text.
    Text(Box<str>),
}

/// When a refusal of the request itself goes on to an alias's next target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovesOn {
    /// Where it is too long for the model.
    pub context_too_long: bool,
    /// Where a content filter refused it.
    pub content_filter: bool,
}

/// Provider and model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Index into [`Config::providers`].
    pub provider: usize,
    /// What the provider calls the model.
    pub model: Box<str>,
    /// Share of the traffic under `weighted`; at least 1.
    pub weight: u32,
}

/// How an alias chooses among its targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// In the order written.
    #[default]
    Priority,
    /// By weight.
    Weighted,
    /// By price times estimated tokens.
    Cheapest,
    /// By recent time to first token.
    Fastest,
    /// By free capacity.
    LeastBusy,
}

/// Sending again to a group that a request has already tried.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Retries allowed per request, in thousandths (10 % is 100).
    pub budget_permille: u32,
    /// Retries a second that are allowed however few requests there are.
    pub floor: f64,
    /// The shortest back-off.
    pub base_delay: Duration,
    /// The longest back-off.
    pub max_delay: Duration,
}

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// The window in which half of at least twenty open it too.
    pub window: Duration,
    /// How long it is open the first time.
    pub open: Duration,
    /// How long it is open at most.
    pub max_open: Duration,
}

/// What is told, and to whom.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Whether answers carry `x-keyweir-*` headers.
    pub response_headers: bool,
    /// The log's level: `error`, `warn`, `info`, `debug` or `trace`; `None` leaves the command line's.
    pub log_level: Option<&'static str>,
    /// Which requests leave an access record.
    pub access_log: AccessLog,
}

/// The data port's own bounds.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Worker threads, each with its own runtime; `None` is one.
    pub workers: Option<NonZeroU32>,
    /// The largest JSON body that is read, in bytes.
    pub max_body: u64,
}

impl BaseUrl {
    /// The path and query of `rest` below this base.
    pub fn join(&self, rest: &str) -> Result<PathAndQuery, http::uri::InvalidUri> {
        if self.path.is_empty() {
            return PathAndQuery::try_from(rest);
        }
        PathAndQuery::from_maybe_shared(bytes::Bytes::from([&*self.path, rest].concat()))
    }
}

impl Default for Timeouts {
    /// Reasoning models are silent for minutes.
    fn default() -> Self {
        let minutes = Duration::from_mins(10);
        Self { connect: Duration::from_secs(5), first_byte: minutes, idle: minutes }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            budget_permille: 100,
            floor: 1.0,
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            window: Duration::from_secs(10),
            open: Duration::from_secs(1),
            max_open: Duration::from_secs(30),
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { response_headers: true, log_level: None, access_log: AccessLog::Failures }
    }
}

impl Default for Server {
    /// 32 MiB is what the largest provider takes for JSON (Anthropic's messages).
    fn default() -> Self {
        Self { workers: None, max_body: 32 * 1024 * 1024 }
    }
}
