//! `providers:`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Limit, OneOrMany, Ordered, Span};

/// One upstream API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Provider {
    /// What it speaks; default: from the name, if it is a known provider.
    pub(crate) wire: Option<Wire>,
    /// Where it is, without the `/v1` of its paths; default: from the name.
    pub(crate) base_url: Option<String>,
    /// Where its keys come from. Not written: the entries of the environment and of the Secret
    /// `keyweir-keys` that are named like this provider's variable (`OPENAI_API_KEY`). An empty
    /// list: it needs none.
    pub(crate) keys: Option<Vec<KeySource>>,
    /// What the provider grants, per quota group.
    pub(crate) limits: OneOrMany<Limit>,
    /// Whether limits are learned from its headers and 429s; default true.
    pub(crate) adaptive: Option<bool>,
    /// How long to wait for it.
    pub(crate) timeouts: Timeouts,
    /// How a key is put on a request, where the wire format's own way is not the right one.
    pub(crate) auth: Option<Auth>,
    /// How its certificate is checked.
    pub(crate) tls: Option<Tls>,
    /// Azure: the `api-version` of classic deployment paths.
    pub(crate) api_version: Option<String>,
    /// Azure: the name of the deployment of each model.
    pub(crate) deployments: Ordered<String>,
    /// Vertex: the Google Cloud project.
    pub(crate) project: Option<String>,
    /// Vertex: the location, e.g. `global`.
    pub(crate) location: Option<String>,
    /// Where it processes data.
    pub(crate) region: Option<String>,
    /// Whose way of charging tokens against limits it follows: `openai`, `azure`, `anthropic`,
    /// `gemini`, `groq`, `bedrock`, `cerebras`, or `metered`: as used. Default: from the name or
    /// host.
    pub(crate) charging: Option<String>,
    /// What it is approved for.
    pub(crate) tags: Vec<String>,
}

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wire {
    /// OpenAI's API and the many that copy it.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Cohere's native API.
    Cohere,
    /// Ollama's native API.
    Ollama,
    /// Any other HTTP API: pooled, limited and failed over, but not understood.
    Http,
    /// AWS Bedrock.
    Bedrock,
    /// Google Cloud's Vertex AI.
    Vertex,
}

/// Where keys come from: one Secret, or entries of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("required" = ["secret"]))]
pub(crate) struct KeySource {
    /// The Secret's name.
    pub(crate) secret: Option<String>,
    /// Which of its entries; default: every one is a key.
    pub(crate) entries: Option<Vec<String>>,
    /// The quota group they draw on: keys of one OpenAI project, Anthropic organisation or Google
    /// project share their limits. Default: each key is its own group.
    pub(crate) quota_group: Option<String>,
    /// Their share of the traffic, relative to the others; default 1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) weight: Option<u32>,
    /// What these keys may be used for; a trailing `*` is allowed. Default: everything.
    pub(crate) models: Vec<String>,
    /// Which callers may use them; default: all.
    pub(crate) callers: Vec<String>,
    /// OpenAI: the organisation these keys ask for (`openai-organization`).
    pub(crate) organization: Option<String>,
    /// OpenAI: the project these keys ask for (`openai-project`).
    pub(crate) project: Option<String>,
    /// Gemini: the project that is charged (`x-goog-user-project`).
    pub(crate) user_project: Option<String>,
}

/// How long to wait for a provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// For a connection, TLS included; default 5s.
    pub(crate) connect: Option<Span>,
    /// From the end of the request to the first byte of the answer; default 10m, for reasoning
    /// models are silent for minutes.
    pub(crate) first_byte: Option<Span>,
    /// Between two pieces of an answer; default 10m.
    pub(crate) idle: Option<Span>,
}

/// How a key is put on a request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("required" = ["header"]))]
pub(crate) struct Auth {
    /// The header that carries the bare key, e.g. `x-api-key`.
    pub(crate) header: Option<String>,
}

/// How its certificate is checked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// A PEM file of the authorities that are trusted in place of the built-in ones; `system` for
    /// those that the system knows.
    pub(crate) ca_bundle: Option<String>,
}
