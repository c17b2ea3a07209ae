//! What the suites talk to: the simulator, and the proxy with its pools of keys in front of it.

use std::fmt::Write as _;

use keyweir::simulator::{Account, Fault, FaultKind, Habit, Model, ModelKind, Plan, Simulator};

use crate::support::process::{Proxy, Setup};

/// How the suites go to the providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the simulator itself, with a key of each provider.
    Straight,
    /// To the proxy, with a placeholder.
    Through(Door),
}

/// Which of the proxy's paths are the SDKs' base URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// `/v1/…` and `/v1beta/…`.
    Unified,
    /// `/{provider}/…`.
    Own,
}

/// Providers, a way to them, and what the suites are told of both.
#[derive(Debug)]
pub(crate) struct World {
    simulator: Simulator,
    proxy: Option<Proxy>,
    way: Way,
}

const PROVIDERS: [Provider; 3] = [
    Provider { name: "openai", habit: Habit::OpenAi, credit: FaultKind::CreditGone },
    Provider { name: "anthropic", habit: Habit::Anthropic, credit: FaultKind::SpendCap },
    Provider { name: "gemini", habit: Habit::Gemini, credit: FaultKind::CreditGone },
];

struct Provider {
    name: &'static str,
    habit: Habit,
    /// What is the matter with the account that has no capacity for days.
    credit: FaultKind,
}

impl World {
    pub(crate) fn start(way: Way) -> Self {
        let accounts = PROVIDERS.iter().flat_map(Provider::accounts);
        let simulator = Simulator::start(Plan::of(accounts)).expect("start the simulator");
        for provider in &PROVIDERS {
            let account = format!("{}-spent", provider.name);
            simulator.break_with(Fault::every(provider.credit.clone()).account(&account));
        }
        let proxy = (way != Way::Straight).then(|| proxy(&simulator.url()));
        Self { simulator, proxy, way }
    }

    /// The environment variables of `tests/sdk/README.md`.
    pub(crate) fn told(&self) -> Vec<(String, String)> {
        let simulator = self.simulator.url();
        let root = self
            .proxy
            .as_ref()
            .map_or_else(|| simulator.clone(), |proxy| format!("http://{}", proxy.data));
        let mut told = vec![("KEYWEIR_SIMULATOR".to_owned(), simulator)];
        if let Some(proxy) = &self.proxy {
            told.push(("KEYWEIR_PROXY".to_owned(), root.clone()));
            told.push(("KEYWEIR_ADMIN".to_owned(), format!("http://{}", proxy.admin)));
        }
        for provider in &PROVIDERS {
            let name = provider.name.to_uppercase();
            told.push((format!("KEYWEIR_{name}_BASE"), provider.base(&root, self.way)));
            told.push((format!("KEYWEIR_{name}_KEY"), provider.credential(self.way)));
        }
        told
    }

    /// What the proxy has logged.
    pub(crate) fn log(&self) -> String {
        self.proxy.as_ref().map(Proxy::log).unwrap_or_default()
    }
}

impl Provider {
    /// Two accounts with capacity, and one without. What is asked for under `-waits` and the like is
    /// for tests that leave a model without capacity for a while.
    fn accounts(&self) -> [Account; 3] {
        let account = |name: &str, keys: &[&str]| {
            let name = format!("{}{name}", self.name);
            let account = Account::new(self.habit, &name);
            let account =
                keys.iter().fold(account, |account, key| account.key(key, &self.key(key)));
            self.models().into_iter().fold(account, Account::model)
        };
        [account("", &["one", "two"]), account("-other", &["three"]), account("-spent", &["four"])]
    }

    fn models(&self) -> Vec<Model> {
        let (chat, more) = match self.habit {
            Habit::Anthropic => ("claude-sonnet-5-5", vec![]),
            Habit::Gemini => {
                let embedding = Model::new(ModelKind::Embedding, "gemini-embedding-001");
                ("gemini-2.5-flash", vec![embedding])
            }
            Habit::OpenAi | Habit::Azure => {
                let more = [
                    (ModelKind::Reasoning, "o4-mini"),
                    (ModelKind::Embedding, "text-embedding-3-small"),
                    (ModelKind::Transcription, "whisper-1"),
                ];
                ("gpt-4o", more.map(|(kind, name)| Model::new(kind, name)).into())
            }
        };
        let spare = [
            "waits",
            "obeys",
            "impatient",
            "limited",
            "failing",
            "overloaded",
            "slow",
            "long",
            "longer",
        ];
        let spare = spare.map(|use_| Model::chat(&format!("{chat}-{use_}")));
        [vec![Model::chat(chat)], more, spare.into()].concat()
    }

    fn key(&self, label: &str) -> String {
        let prefix = match self.habit {
            Habit::Anthropic => "sk-ant",
            Habit::Gemini => "AIza",
            Habit::OpenAi | Habit::Azure => "sk",
        };
        format!("{prefix}-sdk-{label}-00000001")
    }

    fn base(&self, root: &str, way: Way) -> String {
        let mut base = root.to_owned();
        if way == Way::Through(Door::Own) {
            base.extend(["/", self.name]);
        }
        if self.habit == Habit::OpenAi {
            base.push_str("/v1");
        }
        base
    }

    fn credential(&self, way: Way) -> String {
        match way {
            Way::Straight => self.key("one"),
            Way::Through(_) => "placeholder".to_owned(),
        }
    }

    /// A pool of two groups with a dead key beside them, and pools that cannot serve: of dead keys
    /// alone, without capacity for days, behind an address that nobody listens at, and too small.
    fn configured(&self, simulator: &str) -> String {
        let Self { name, .. } = self;
        let mut text = format!(
            "  {name}:
    baseUrl: {simulator}
    keys:
      - {{secret: {name}, entries: [dead]}}
      - {{secret: {name}, entries: [one, two], quotaGroup: main}}
      - {{secret: {name}, entries: [three]}}
"
        );
        for (use_, entry, base) in [
            ("dead", "dead", simulator),
            ("spent", "four", simulator),
            ("down", "one", "http://127.0.0.1:1"),
            ("small", "one", simulator),
        ] {
            let more = if use_ == "small" {
                ", limits: [{tokensPerMinute: 200}], adaptive: false"
            } else {
                ""
            };
            writeln!(
                text,
                "  {name}-{use_}: {{wire: {name}, baseUrl: \"{base}\", keys: [{{secret: {name}, entries: [{entry}]}}]{more}}}"
            )
            .expect("write into a text");
        }
        text
    }
}

fn proxy(simulator: &str) -> Proxy {
    let providers: String =
        PROVIDERS.iter().map(|provider| provider.configured(simulator)).collect();
    let config = format!(
        "version: 1
providers:
{providers}
callers:
  rules:
    - {{name: guest, match: {{header: {{x-keyweir-caller: guest}}}}, models: [nothing], maxBody: 64k}}
    - {{name: small, match: {{header: {{x-keyweir-caller: small}}}}, maxBody: 1k}}
"
    );
    let setup = PROVIDERS.iter().fold(Setup::default().config(&config), |setup, provider| {
        let labels = ["dead", "one", "two", "three", "four"];
        let values = labels.map(|label| (label, provider.key(label)));
        let entries = values.each_ref().map(|(label, value)| (*label, value.as_str()));
        setup.secret(provider.name, &entries)
    });
    setup.start()
}
