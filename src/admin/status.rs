//! What `/status` answers: the shape of its JSON, which `keyweir status` and the page read too.
//!
//! It names keys, and never holds a key's value, a prompt or an answer. Fields may be added; none
//! changes its meaning.

use std::borrow::Cow;
use std::time::Duration;

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Everything a proxy knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Keyweir's version.
    pub version: String,
    /// When this was written.
    pub now: When,
    /// How long the process has run, in seconds.
    pub uptime_seconds: u64,
    /// Whether new requests are welcome.
    pub ready: bool,
    /// Why they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unready_reason: Option<String>,
    /// How many snapshots have been in force, this one included.
    pub generation: u64,
    /// The configuration in force.
    pub config: ConfigStatus,
    /// Among how many sidecars a caller's limits are shared out.
    pub replicas_assumed: u32,
    /// Whether limits are enforced, or only observed.
    pub mode: Mode,
    /// The callers that have limits, in the order of their rules.
    pub callers: Vec<CallerStatus>,
    /// Each provider, in the order of the configuration.
    pub providers: Vec<ProviderStatus>,
    /// Secrets that the configuration names and that are not there.
    pub missing: Vec<String>,
    /// What is odd and does not keep it from working.
    pub warnings: Vec<String>,
    /// The latest refusals and reloads, newest first; the wiring bounds them.
    pub recent: Vec<Event>,
}

/// The configuration in force, and how its latest change fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigStatus {
    /// How the latest change fared.
    pub state: ConfigState,
    /// Why it was refused: every mistake with its place, a line each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when the snapshot in force is so.
    pub since: When,
    /// The files it was read from.
    pub sources: Vec<String>,
}

/// How the latest change of the configuration fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConfigState {
    /// There is none: keys from the environment, everything else by default.
    #[default]
    Defaults,
    /// It is in force.
    InForce,
    /// It was refused, and the last good one is in force.
    Refused,
}

/// Whether limits are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// What would have been done is counted, and nothing changed.
    Observe,
}

/// One caller with limits of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CallerStatus {
    /// The name of its rule.
    pub name: String,
    /// For whom its limits are counted apart: `caller`, `user` or `model`.
    pub per: String,
    /// How many users or models have been counted apart.
    pub accounts: u64,
    /// Its requests that wait for its own limits.
    pub queue_depth: u64,
    /// Its limits that hold now; of accounts that are counted apart, that of the one that has used
    /// most.
    pub limits: Vec<LimitStatus>,
}

/// One provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderStatus {
    /// Its name.
    pub name: String,
    /// Its wire format.
    pub wire: String,
    /// The host it is reached at, with its port where that is not the scheme's own.
    pub base_host: String,
    /// Its keys.
    pub keys: Vec<KeyStatus>,
    /// The quota groups they draw on.
    pub quota_groups: Vec<QuotaGroupStatus>,
    /// Requests that wait for its capacity.
    pub queue_depth: u64,
}

/// One key, by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyStatus {
    /// The entry of the Secret that holds it.
    pub name: String,
    /// The quota group it draws on.
    pub quota_group: String,
    /// Its share of the traffic.
    pub weight: u32,
    /// Whether it is used.
    pub state: KeyState,
    /// Since when it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<When>,
    /// The provider's code that made it so, e.g. `invalid_api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// Models that it is forbidden for now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden_models: Vec<String>,
}

/// Whether a key is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyState {
    /// It is.
    #[default]
    Healthy,
    /// Refused once: it rests for seconds.
    Resting,
    /// Refused twice: not used again until it changes.
    Disabled,
    /// Removed from its Secret: its running requests end.
    Leaving,
}

/// One quota group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaGroupStatus {
    /// Its name.
    pub name: String,
    /// Whether it is drawn on.
    pub state: QuotaGroupState,
    /// Until when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<When>,
    /// The provider's code that made it so, e.g. `insufficient_quota`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// Its limits, one per model and rule.
    pub limits: Vec<LimitStatus>,
    /// Its breakers, one per model that has met a failure.
    pub breakers: Vec<BreakerStatus>,
}

/// Whether a quota group is drawn on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QuotaGroupState {
    /// It is.
    #[default]
    Available,
    /// A limit is exhausted: held until its reset.
    Held,
    /// Billing is exhausted: probed rarely.
    Benched,
    /// The account is suspended: probed rarely.
    Off,
}

/// One limit of a quota group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitStatus {
    /// The model it counts; empty for all together.
    pub model: String,
    /// What it counts, as the metrics call it, e.g. `requests`, `input_tokens`, `concurrency`.
    pub limit: String,
    /// Its window in seconds; 0 for concurrency.
    pub window_seconds: u64,
    /// What the configuration grants; of cost in millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured: Option<u64>,
    /// What the provider's answers have shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned: Option<u64>,
    /// What is free now, of the whole: 0 to 1, below 0 in debt.
    pub level_ratio: f64,
    /// What was used in the latest window, of the whole.
    pub used_ratio: f64,
    /// In how many seconds it is used up if nothing changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exhausted_in_seconds: Option<f64>,
    /// Among how many sidecars it is taken to be shared out.
    pub replicas: u32,
}

/// One breaker of a quota group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BreakerStatus {
    /// The model.
    pub model: String,
    /// Its state.
    pub state: BreakerState,
    /// Until when it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<When>,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BreakerState {
    /// Requests pass.
    #[default]
    Closed,
    /// None passes.
    Open,
    /// One probe passes.
    HalfOpen,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub at: When,
    /// What.
    pub kind: EventKind,
    /// In words, without any content of a request.
    pub message: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A request was refused.
    Refusal,
    /// A changed configuration or Secret was taken.
    Reload,
    /// A changed configuration was refused.
    ReloadRefused,
    /// A key or a quota group fell out or came back.
    Key,
}

/// A point in wall time, written in RFC 3339 to the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct When(Timestamp);

impl When {
    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or(Duration::ZERO)
    }

    /// The time itself.
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for When {
    fn from(at: Timestamp) -> Self {
        // Rounding fails only at the end of time.
        Self(at.round(Unit::Millisecond).unwrap_or(at))
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn the_json_is_camel_case_with_times_in_rfc_3339_and_reads_back() {
        let until = Timestamp::from_nanosecond(1_785_578_400_123_456_789).unwrap();
        let group = QuotaGroupStatus {
            name: "main".into(),
            state: QuotaGroupState::Held,
            until: Some(until.into()),
            breakers: vec![BreakerStatus { state: BreakerState::HalfOpen, ..Default::default() }],
            ..QuotaGroupStatus::default()
        };
        let written = to_value(&group).unwrap();
        let expected = json!({
            "name": "main", "state": "held", "until": "2026-08-01T10:00:00.123Z", "limits": [],
            "breakers": [{"model": "", "state": "halfOpen"}],
        });
        assert_eq!(written, expected);
        let read: QuotaGroupStatus = serde_json::from_str(&written.to_string()).unwrap();
        assert_eq!(read, group);
    }

    #[test]
    fn an_older_reader_passes_over_new_fields_and_a_newer_one_over_missing_ones() {
        let read: Status = serde_json::from_value(json!({"ready": true, "brandNew": 1})).unwrap();
        assert!(read.ready && read.providers.is_empty());
    }
}
