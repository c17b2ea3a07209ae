//! Who plays: accounts with tight limits, and the proxy's configuration for them.

use std::time::Duration;

use crate::simulator::fault::{Fault, FaultKind};
use crate::simulator::meter::{Habit, Limits};
use crate::simulator::plan::{Account, Model, Pace, Plan};
use crate::simulator::server::Simulator;

/// The models that are asked for.
pub(super) const OPENAI_MODEL: &str = "gpt-4o";
pub(super) const ANTHROPIC_MODEL: &str = "claude-sonnet-5-5";
pub(super) const GEMINI_MODEL: &str = "gemini-2.5-flash";

/// The account that breaks down.
pub(super) const FAILING: &str = "openai-eu";
/// The key that is dead from the start.
const DEAD: &str = "main-3";
/// The accounts and their keys, in the order in which they are shown.
pub(super) const KEYS: [(&str, &[&str]); 4] = [
    ("openai-main", &["main-1", "main-2", DEAD]),
    (FAILING, &["eu-1", "eu-2"]),
    ("anthropic", &["claude-1"]),
    ("gemini", &["gemini-1"]),
];

/// The proxy's configuration: what would be in its ConfigMap and its Secrets.
#[derive(Clone, Debug)]
pub struct DemoConfig {
    /// `keyweir.yaml`.
    pub yaml: String,
    /// The Secrets that it names.
    pub secrets: Vec<DemoSecret>,
}

/// A Secret of simulated keys.
#[derive(Clone, Debug)]
pub struct DemoSecret {
    /// Its name.
    pub name: &'static str,
    /// Entries and their values. The simulated providers take them; nobody else does.
    pub entries: Vec<(String, String)>,
}

/// Two OpenAI accounts, one of Anthropic and one of Gemini. Requests per minute are enforced by the
/// second, so that a storm of seconds meets them.
pub(super) fn plan() -> Plan {
    let limited = |model: &str, per_minute: u64| {
        Model::chat(model).limits(Limits {
            requests_per_minute: Some(per_minute),
            tokens_per_minute: Some(400_000),
            input_tokens_per_minute: Some(200_000),
            output_tokens_per_minute: Some(200_000),
            quantum: Some(Duration::from_secs(1)),
            ..Limits::NONE
        })
    };
    // An answer of 30 tokens takes a third of a second.
    let pace = Pace {
        first_token: Duration::from_millis(180),
        between: Duration::from_millis(20),
        piece: 4,
    };
    let cast = [
        (Habit::OpenAi, limited(OPENAI_MODEL, 720)),
        (Habit::OpenAi, limited(OPENAI_MODEL, 600)),
        (Habit::Anthropic, limited(ANTHROPIC_MODEL, 360)),
        (Habit::Gemini, limited(GEMINI_MODEL, 1_200)),
    ];
    Plan::of(KEYS.into_iter().zip(cast).map(|((name, labels), (habit, model))| {
        let account = Account::new(habit, name).pace(pace).model(model);
        labels.iter().fold(account, |account, label| account.key(label, &value(label)))
    }))
}

/// What is broken before it begins.
pub(super) fn break_what_is_broken(simulator: &Simulator) {
    simulator.break_with(Fault::every(FaultKind::DeadKey).key(DEAD));
}

/// A configuration that sends everything to the simulator at `url`.
pub(super) fn config(url: &str) -> DemoConfig {
    let yaml = format!(
        "version: 1\n\
         providers:\n\
         \x20 openai:\n\
         \x20   baseUrl: {url}\n\
         \x20   keys:\n\
         \x20     - {{secret: demo-openai, entries: [main-1, main-2, main-3], quotaGroup: main}}\n\
         \x20     - {{secret: demo-openai, entries: [eu-1, eu-2], quotaGroup: eu}}\n\
         \x20 anthropic:\n\
         \x20   baseUrl: {url}\n\
         \x20   keys: [{{secret: demo-anthropic}}]\n\
         \x20 gemini:\n\
         \x20   baseUrl: {url}\n\
         \x20   keys: [{{secret: demo-gemini}}]\n\
         telemetry: {{logLevel: error, accessLog: \"off\"}}\n"
    );
    let secret = |name, entries: &[&str]| DemoSecret {
        name,
        entries: entries.iter().map(|label| ((*label).to_owned(), value(label))).collect(),
    };
    let secrets = vec![
        secret("demo-openai", &["main-1", "main-2", "main-3", "eu-1", "eu-2"]),
        secret("demo-anthropic", &["claude-1"]),
        secret("demo-gemini", &["gemini-1"]),
    ];
    DemoConfig { yaml, secrets }
}

/// The value of a simulated key.
pub(super) fn value(label: &str) -> String {
    format!("simulated-key-{label}-0123456789")
}
