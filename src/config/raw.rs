//! The configuration as written.
//!
//! These types are the file's grammar and nothing more: what a field may hold by itself is checked
//! here, what it means together with others in `compile`. Their comments become the descriptions of
//! the JSON Schema. Every field is optional here, so that one missing does not hide other mistakes.

mod callers;
mod models;
mod providers;
mod scalars;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use callers::{Caller, Callers, Endpoint, Limit, Per, Priority, Schedule};
pub(crate) use models::{Alias, Next, Strategy};
pub(crate) use providers::{KeySource, Provider, Timeouts, Wire};
pub(crate) use scalars::{Amount, Dollars, OneOrMany, Ordered, Section, Share, Size, Span};

/// The configuration of Keyweir: YAML, in one or several files that are merged in order.
///
/// Durations are written `250ms`, `30s`, `10m`, `1h`, `7d`; amounts may be written `200k`, `2M`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(title = "Keyweir configuration")]
pub(crate) struct Raw {
    /// The version of this format.
    #[schemars(extend("const" = 1))]
    pub(crate) version: Option<u64>,
    /// The upstream APIs by name, in order: "the first provider" of a wire format is the first
    /// written. Without any, the environment's keys make them.
    pub(crate) providers: Ordered<Provider>,
    /// Model names of your own that stand for one or several targets.
    pub(crate) models: Ordered<Alias>,
    /// Who may ask for what, and how long they wait.
    pub(crate) callers: Callers,
    /// Whether limits are enforced, or only counted.
    pub(crate) mode: Option<Mode>,
    /// Prices by model name (a trailing `*` is allowed), over the shipped table.
    pub(crate) prices: Ordered<Price>,
    /// Sending a request again to a quota group that it has already tried.
    pub(crate) retry: Retry,
    /// When a quota group that keeps failing is left alone, and for how long.
    pub(crate) breaker: Breaker,
    /// The sidecars that share the limits of callers.
    pub(crate) fleet: Fleet,
    /// What is told, and to whom.
    pub(crate) telemetry: Telemetry,
    /// The data port's own bounds.
    pub(crate) server: Server,
    /// Stored answers.
    pub(crate) cache: Option<Section>,
    /// What is done about requests that are too long for a model.
    pub(crate) context: Option<Section>,
    /// What is looked for in requests and answers.
    pub(crate) guards: Option<Section>,
    /// Prompts that are put in front of requests.
    pub(crate) prompts: Option<Section>,
}

/// Whether limits are enforced.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Mode {
    /// They are.
    Enforce,
    /// What would have been done is counted, and nothing changed.
    Observe,
}

/// US dollars per million tokens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Price {
    /// Input.
    #[schemars(range(min = 0))]
    pub(crate) input: Option<f64>,
    /// Input read from the provider's cache; default: as input.
    #[schemars(range(min = 0))]
    pub(crate) cached_input: Option<f64>,
    /// Input written to the provider's cache; default: as input.
    #[schemars(range(min = 0))]
    pub(crate) cache_write: Option<f64>,
    /// Output.
    #[schemars(range(min = 0))]
    pub(crate) output: Option<f64>,
}

/// Sending again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Retry {
    /// The share of requests that may be sent again; default 10%.
    pub(crate) budget: Option<Share>,
    /// How many a second may be sent again however few requests there are; default 1.
    #[schemars(range(min = 0, max = 1000))]
    pub(crate) floor: Option<f64>,
    /// The shortest wait before it; default 100ms.
    pub(crate) base_delay: Option<Span>,
    /// The longest wait before it; default 10s.
    pub(crate) max_delay: Option<Span>,
}

/// Circuit breakers, one for each quota group and model.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Breaker {
    /// How many failures in a row open it; default 5.
    #[schemars(range(min = 1))]
    pub(crate) failures: Option<u32>,
    /// The time in which half of at least twenty requests open it too; default 10s.
    pub(crate) window: Option<Span>,
    /// How long it is open the first time; default 1s.
    pub(crate) open: Option<Span>,
    /// How long it is open at most; default 30s.
    pub(crate) max_open: Option<Span>,
}

/// The sidecars that share the limits of callers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Fleet {
    /// How many there are; default: `KEYWEIR_REPLICAS`, else one.
    #[schemars(range(min = 1))]
    pub(crate) replicas: Option<u32>,
}

/// What is told, and to whom.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// Whether answers carry `x-keyweir-*` headers; default true.
    pub(crate) response_headers: Option<bool>,
    /// How much is logged; default: the command line's.
    pub(crate) log_level: Option<LogLevel>,
    /// Which requests leave a record in the log; default `failures`.
    pub(crate) access_log: Option<AccessLog>,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum LogLevel {
    /// What broke.
    Error,
    /// And what may break.
    Warn,
    /// And what happens.
    Info,
    /// And how.
    Debug,
    /// And everything else.
    Trace,
}

/// Which requests leave a record in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AccessLog {
    /// None.
    Off,
    /// Those that failed for the application.
    Failures,
    /// All.
    All,
    /// All failures, and a share of the rest.
    Sample(Share),
}

/// The data port's own bounds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Worker threads; default 1.
    #[schemars(range(min = 1, max = 256))]
    pub(crate) workers: Option<u32>,
    /// The largest JSON body that is read; default 32M.
    pub(crate) max_body: Option<Size>,
}
