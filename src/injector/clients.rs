//! The clients that are pointed at the sidecar by variables of the application's environment.
//!
//! `docs/injector.md` shows this table. Where a client's variables come from is said beside it; a
//! variable that two clients read in different ways (`GROQ_API_BASE`: `LiteLLM` with, `LangChain`
//! without a path) is set for neither.

/// The value of a key where Keyweir holds the real one: SDKs insist on something.
pub const PLACEHOLDER: &str = "held-by-keyweir";

/// One kind of client, named like the provider it asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Client {
    /// The word for it in `keyweir.dev/env`, and the provider's name.
    pub name: &'static str,
    /// The variables of its base URL, each with the path behind the sidecar's address.
    pub bases: &'static [(&'static str, &'static str)],
    /// The variables of its key.
    pub keys: &'static [&'static str],
    /// Further variables of a base URL, by which an application goes its own way.
    pub other_bases: &'static [&'static str],
    /// Further variables of a key.
    pub other_keys: &'static [&'static str],
    /// When it is pointed at the sidecar where `keyweir.dev/env` does not say.
    pub when: When,
}

/// When a client is pointed at the sidecar without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always: the unified door serves it whatever providers there are.
    Always,
    /// If a configuration names the provider, or there is none.
    UnlessConfigured,
    /// If a configuration names the provider.
    Named,
}

/// Every client.
pub const ALL: &[Client] = &[
    // openai SDKs; the second is read by LiteLLM, LangChain and openai-python before 1.0.
    Client {
        name: "openai",
        bases: &[("OPENAI_BASE_URL", "/v1"), ("OPENAI_API_BASE", "/v1")],
        keys: &["OPENAI_API_KEY"],
        other_bases: &[],
        other_keys: &[],
        when: When::Always,
    },
    // Anthropic's SDKs and LiteLLM.
    Client {
        name: "anthropic",
        bases: &[("ANTHROPIC_BASE_URL", "")],
        keys: &["ANTHROPIC_API_KEY"],
        other_bases: &["ANTHROPIC_API_BASE"],
        other_keys: &["ANTHROPIC_AUTH_TOKEN"],
        when: When::Always,
    },
    // google-genai SDKs: `GOOGLE_API_KEY` wins over `GEMINI_API_KEY`, and both together are warned
    // of.
    Client {
        name: "gemini",
        bases: &[("GOOGLE_GEMINI_BASE_URL", "")],
        keys: &["GEMINI_API_KEY"],
        other_bases: &["GEMINI_API_BASE", "GOOGLE_GENAI_USE_VERTEXAI"],
        other_keys: &["GOOGLE_API_KEY"],
        when: When::Always,
    },
    // `AzureOpenAI` of the openai SDKs, and LiteLLM.
    Client {
        name: "azure",
        bases: &[("AZURE_OPENAI_ENDPOINT", "/azure"), ("AZURE_API_BASE", "/azure")],
        keys: &["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"],
        other_bases: &[],
        other_keys: &["AZURE_OPENAI_AD_TOKEN"],
        when: When::Named,
    },
    // LangChain and LiteLLM; Mistral's own SDK reads no base URL from the environment.
    Client {
        name: "mistral",
        bases: &[("MISTRAL_BASE_URL", "/mistral/v1"), ("MISTRAL_API_BASE", "/mistral/v1")],
        keys: &["MISTRAL_API_KEY"],
        other_bases: &[],
        other_keys: &[],
        when: When::UnlessConfigured,
    },
    // groq SDK.
    Client {
        name: "groq",
        bases: &[("GROQ_BASE_URL", "/groq")],
        keys: &["GROQ_API_KEY"],
        other_bases: &["GROQ_API_BASE"],
        other_keys: &[],
        when: When::UnlessConfigured,
    },
    // cohere SDK; its older versions read `COHERE_API_KEY`.
    Client {
        name: "cohere",
        bases: &[("CO_API_URL", "/cohere")],
        keys: &["CO_API_KEY", "COHERE_API_KEY"],
        other_bases: &["COHERE_API_BASE"],
        other_keys: &[],
        when: When::UnlessConfigured,
    },
    // ollama SDKs, and LiteLLM. It has no key.
    Client {
        name: "ollama",
        bases: &[("OLLAMA_HOST", "/ollama"), ("OLLAMA_API_BASE", "/ollama")],
        keys: &[],
        other_bases: &[],
        other_keys: &[],
        when: When::Named,
    },
    // LiteLLM.
    Client {
        name: "deepseek",
        bases: &[("DEEPSEEK_API_BASE", "/deepseek")],
        keys: &["DEEPSEEK_API_KEY"],
        other_bases: &[],
        other_keys: &[],
        when: When::Named,
    },
    // LiteLLM.
    Client {
        name: "xai",
        bases: &[("XAI_API_BASE", "/xai/v1")],
        keys: &["XAI_API_KEY"],
        other_bases: &[],
        other_keys: &[],
        when: When::Named,
    },
    // LiteLLM.
    Client {
        name: "openrouter",
        bases: &[("OPENROUTER_API_BASE", "/openrouter/api/v1")],
        keys: &["OPENROUTER_API_KEY"],
        other_bases: &[],
        other_keys: &[],
        when: When::Named,
    },
    // together SDK, and LiteLLM.
    Client {
        name: "together",
        bases: &[("TOGETHER_BASE_URL", "/together/v1"), ("TOGETHER_AI_API_BASE", "/together/v1")],
        keys: &["TOGETHER_API_KEY"],
        other_bases: &[],
        other_keys: &[],
        when: When::Named,
    },
    // cerebras SDK.
    Client {
        name: "cerebras",
        bases: &[("CEREBRAS_BASE_URL", "/cerebras")],
        keys: &["CEREBRAS_API_KEY"],
        other_bases: &["CEREBRAS_API_BASE"],
        other_keys: &[],
        when: When::Named,
    },
];

impl Client {
    /// Every variable that says where it asks.
    pub(super) fn base_variables(&self) -> impl Iterator<Item = &'static str> {
        self.bases.iter().map(|(variable, _)| *variable).chain(self.other_bases.iter().copied())
    }

    /// Every variable that holds its key.
    pub(super) fn key_variables(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().chain(self.other_keys).copied()
    }
}

/// Which clients an annotation asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Choice {
    /// Those whose time it is.
    #[default]
    ByConfiguration,
    /// These.
    Chosen(Vec<&'static Client>),
}

impl Choice {
    /// The clients to be pointed at the sidecar, where a configuration names these providers;
    /// `None` where there is no configuration.
    pub(super) fn clients(&self, providers: Option<&[Box<str>]>) -> Vec<&'static Client> {
        let is_named =
            |name: &str| providers.is_some_and(|names| names.iter().any(|held| **held == *name));
        match self {
            Self::Chosen(clients) => clients.clone(),
            Self::ByConfiguration => {
                let wanted = |client: &&Client| match client.when {
                    When::Always => true,
                    When::UnlessConfigured => providers.is_none() || is_named(client.name),
                    When::Named => is_named(client.name),
                };
                ALL.iter().filter(wanted).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::formats::known;

    #[test]
    fn every_client_is_named_like_a_provider_and_no_variable_is_twos() {
        let mut variables = HashSet::new();
        for client in ALL {
            assert!(known::named(client.name).is_some(), "{}", client.name);
            for variable in client.base_variables().chain(client.key_variables()) {
                assert!(variables.insert(variable), "{variable} twice");
            }
        }
    }

    #[test]
    fn a_path_leads_to_a_door_that_the_proxy_has() {
        for client in ALL {
            let known = known::named(client.name).unwrap();
            let prefixes = known.also.iter().map(|(_, prefix)| *prefix).chain([known.door_prefix]);
            let straight: Vec<_> =
                prefixes.chain([""]).map(|it| format!("/{}{it}", client.name)).collect();
            for (variable, path) in client.bases {
                let unified = client.when == When::Always && matches!(*path, "" | "/v1");
                assert!(unified || straight.iter().any(|it| it == path), "{variable}: {path}");
            }
        }
    }

    #[test]
    fn a_configuration_decides_beyond_the_unified_door() {
        let names = |choice: &Choice, providers: Option<&[&str]>| -> Vec<&str> {
            let providers: Option<Vec<Box<str>>> =
                providers.map(|names| names.iter().map(|name| (*name).into()).collect());
            choice.clients(providers.as_deref()).iter().map(|client| client.name).collect()
        };
        let default = Choice::default();
        assert_eq!(
            names(&default, None),
            ["openai", "anthropic", "gemini", "mistral", "groq", "cohere"]
        );
        assert_eq!(names(&default, Some(&[])), ["openai", "anthropic", "gemini"]);
        let by_name = names(&default, Some(&["azure", "groq", "my-own"]));
        assert_eq!(by_name, ["openai", "anthropic", "gemini", "azure", "groq"]);
        let chosen = Choice::Chosen(vec![&ALL[0]]);
        assert_eq!(names(&chosen, Some(&["azure"])), ["openai"]);
    }
}
