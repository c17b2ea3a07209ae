//! `models:`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Share, Span};

/// A model name of your own that stands for targets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Alias {
    /// How a target is chosen; default `priority`.
    pub(crate) strategy: Option<Strategy>,
    /// What it stands for.
    pub(crate) targets: Vec<Target>,
    /// Whether a request that is too long for one target goes to the next.
    pub(crate) on_context_too_long: Option<Next>,
    /// Whether a request that one target's content filter refused goes to the next.
    pub(crate) on_content_filter: Option<Next>,
    /// A second request where the first is slow.
    pub(crate) hedge: Option<Hedge>,
    /// What answers when no target can.
    pub(crate) fallback: Option<Fallback>,
}

/// How an alias chooses among its targets.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Strategy {
    /// In the order written.
    Priority,
    /// By weight.
    Weighted,
    /// By price times estimated tokens.
    Cheapest,
    /// By recent time to the first token.
    Fastest,
    /// By free capacity.
    LeastBusy,
}

/// Provider and model.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("required" = ["model"]))]
pub(crate) struct Target {
    /// `provider/model`.
    pub(crate) model: Option<String>,
    /// Its share of the traffic under `weighted`; default 1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) weight: Option<u32>,
}

/// Whether the next target is tried.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Next {
    /// It is.
    Next,
    /// It is not.
    Stop,
}

/// A second request where the first is slow.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Hedge {
    /// How long the first is waited for.
    pub(crate) after: Option<Span>,
    /// The share of requests that may be sent twice.
    pub(crate) budget: Option<Share>,
}

/// What answers when no target can: a model or a text.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Fallback {
    /// `provider/model`.
    pub(crate) model: Option<String>,
    /// A fixed answer.
    pub(crate) text: Option<String>,
}
