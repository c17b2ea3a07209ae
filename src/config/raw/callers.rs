//! `callers:`, and the limits that providers and callers share.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Amount, Dollars, Mode, OneOrMany, Ordered, Share, Size, Span};

/// Who may ask for what, and how long they wait.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Callers {
    /// What holds where no rule says otherwise.
    pub(crate) default: Caller,
    /// Rules for some; the first that matches holds, and what it leaves open is as in `default`.
    pub(crate) rules: Vec<Caller>,
    /// Sets of limits and bounds that rules refer to by name.
    pub(crate) tiers: Ordered<Caller>,
}

/// What one caller, or one tier of them, may do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Caller {
    /// A rule's name: its label in metrics.
    pub(crate) name: Option<String>,
    /// Whom a rule is for; all that is written must hold.
    #[serde(rename = "match")]
    pub(crate) matches: Option<Match>,
    /// The tier whose limits hold, besides those that are written here; what else is left open here
    /// is as in the tier.
    pub(crate) tier: Option<String>,
    /// For whom limits are counted apart; default `caller`.
    pub(crate) per: Option<Per>,
    /// The class its requests wait in; default `normal`.
    pub(crate) priority: Option<Priority>,
    /// The highest class that a request may ask for; default `high`.
    pub(crate) max_priority: Option<Priority>,
    /// How long a request waits for capacity, and the longest that it may ask for; default 30s.
    pub(crate) max_wait: Option<Span>,
    /// The model names it may use; a trailing `*` is allowed. Default: all.
    pub(crate) models: Option<Vec<String>>,
    /// What it may use. Windows refill continuously.
    pub(crate) limits: Option<OneOrMany<Limit>>,
    /// The most input tokens of one request, as estimated before it is sent.
    pub(crate) max_input_tokens: Option<Amount>,
    /// The most output tokens of one request; one that does not say how many it allows is given
    /// this bound.
    pub(crate) max_output_tokens: Option<Amount>,
    /// The largest body, where smaller than the server's.
    pub(crate) max_body: Option<Size>,
}

/// Whom a rule is for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Match {
    /// Headers that must be there with exactly that value.
    pub(crate) header: Ordered<String>,
    /// Model names, one of which must be asked for; a trailing `*` is allowed.
    pub(crate) model: Vec<String>,
    /// Kinds of requests, of which it must be one.
    pub(crate) endpoint: Vec<Endpoint>,
}

/// For whom limits are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Per {
    /// Each caller.
    Caller,
    /// Each user of a caller (`x-keyweir-user`).
    User,
    /// Each model.
    Model,
}

/// The class a request waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Priority {
    /// Served first.
    High,
    /// The usual.
    Normal,
    /// Served when nothing else waits.
    Batch,
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Endpoint {
    /// Chat completions, messages, responses and generated content.
    Chat,
    /// Plain completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// Counting tokens.
    CountTokens,
    /// Lists of models.
    Models,
    /// Images.
    Images,
    /// Audio.
    Audio,
    /// Files.
    Files,
    /// Batches.
    Batches,
    /// Moderation.
    Moderations,
    /// Reranking.
    Rerank,
    /// Conversations over a web socket.
    Realtime,
    /// Anything else.
    Other,
}

/// One or several amounts that may be used in a window of time; all of them hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Limit {
    /// The models it is for; a trailing `*` is allowed. Default: every one. A provider's limit is
    /// counted for each model on its own, a caller's for all of them together.
    pub(crate) models: Vec<String>,
    /// The quota groups of a provider it is for; default: each.
    pub(crate) quota_groups: Vec<String>,
    /// The endpoints it is for; default: all.
    pub(crate) endpoints: Vec<Endpoint>,
    /// When it ends.
    #[schemars(extend("format" = "date-time"))]
    pub(crate) until: Option<String>,
    /// When it holds.
    pub(crate) schedule: Option<Schedule>,
    /// The share at which a warning is given.
    pub(crate) warn_at: Option<Share>,
    /// `observe`: it only warns, and nobody waits for it; default `enforce`.
    pub(crate) mode: Option<Mode>,
    /// Requests a second.
    pub(crate) requests_per_second: Option<Amount>,
    /// Requests a minute.
    pub(crate) requests_per_minute: Option<Amount>,
    /// Requests an hour.
    pub(crate) requests_per_hour: Option<Amount>,
    /// Requests a day.
    pub(crate) requests_per_day: Option<Amount>,
    /// Requests in 30 days.
    pub(crate) requests_per_month: Option<Amount>,
    /// Input and output tokens a minute.
    pub(crate) tokens_per_minute: Option<Amount>,
    /// Input and output tokens an hour.
    pub(crate) tokens_per_hour: Option<Amount>,
    /// Input and output tokens a day.
    pub(crate) tokens_per_day: Option<Amount>,
    /// Input and output tokens in 30 days.
    pub(crate) tokens_per_month: Option<Amount>,
    /// Input tokens a minute.
    pub(crate) input_tokens_per_minute: Option<Amount>,
    /// Input tokens an hour.
    pub(crate) input_tokens_per_hour: Option<Amount>,
    /// Input tokens a day.
    pub(crate) input_tokens_per_day: Option<Amount>,
    /// Input tokens in 30 days.
    pub(crate) input_tokens_per_month: Option<Amount>,
    /// Output tokens a minute.
    pub(crate) output_tokens_per_minute: Option<Amount>,
    /// Output tokens an hour.
    pub(crate) output_tokens_per_hour: Option<Amount>,
    /// Output tokens a day.
    pub(crate) output_tokens_per_day: Option<Amount>,
    /// Output tokens in 30 days.
    pub(crate) output_tokens_per_month: Option<Amount>,
    /// Requests under way at once.
    pub(crate) concurrency: Option<Amount>,
    /// A caller's cost a day, in US dollars.
    pub(crate) cost_per_day: Option<Dollars>,
    /// A caller's cost in 30 days, in US dollars.
    pub(crate) cost_per_month: Option<Dollars>,
}

/// When a limit holds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Schedule {
    /// Days of the week on which the hours begin: `mon`, or `mon-fri`; default: every day.
    pub(crate) days: Vec<String>,
    /// Hours of the day: `8-18`, `8:30-17:30`; `22-6` ends on the next day.
    pub(crate) hours: Option<String>,
    /// The time zone, e.g. `Europe/Berlin`; default UTC.
    pub(crate) time_zone: Option<String>,
}
