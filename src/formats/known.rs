//! The providers that are known by name, so that a configuration need not say what everybody knows.
//!
//! A base URL is what the provider's own SDK calls its base, cut so far back that every path the
//! provider has lies below it: `/groq/openai/v1/chat/completions` is then the path an unmodified SDK
//! sends when it is pointed at `/groq`, and `/openai/v1/...` when it is pointed at `/openai/v1`.

use http::{HeaderName, HeaderValue};

use super::wire::{Auth, Dialect, Wire};

/// What is known of a provider from its name.
#[derive(Debug)]
pub struct Known {
    /// The name in configuration, paths and metrics.
    pub name: &'static str,
    /// Where it is; `None` where only the user can know.
    pub base_url: Option<&'static str>,
    /// What it speaks.
    pub wire: Wire,
    /// Whose habits its errors and headers follow.
    pub dialect: Dialect,
    /// How a key is put on a request.
    pub auth: Auth,
    /// Headers that every request to it carries unless the caller set them.
    pub headers: &'static [(HeaderName, HeaderValue)],
    /// The path below the base URL that stands for the unified door's `/v1`.
    pub door_prefix: &'static str,
    /// Further wire formats it speaks natively with the same credential, each with its own path for
    /// the unified door's `/v1`.
    pub also: &'static [(Wire, &'static str)],
    /// Hosts beside the base URL's at which it, or a host below them, is met too.
    pub hosts: &'static [&'static str],
    /// The environment variables, and the entries of `keyweir-keys`, that hold its keys.
    pub variables: &'static [&'static str],
}

/// Every known provider, in the order in which the environment's keys make them providers: "the
/// first provider of the path's own wire format" relies on it, so the original of each comes first.
pub fn all() -> &'static [Known] {
    &TABLE
}

/// The provider of that name.
pub fn named(name: &str) -> Option<&'static Known> {
    TABLE.iter().find(|known| known.name == name)
}

/// The provider that answers at that host, whatever a configuration calls it.
pub fn at_host(host: &str) -> Option<&'static Known> {
    let below = |domain: &str| {
        host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    TABLE.iter().find(|known| {
        let base = known.base_url.and_then(|base| base.strip_prefix("https://"));
        base == Some(host) || known.hosts.iter().any(|domain| below(domain))
    })
}

/// The provider whose API the others copy that speak this wire format.
pub fn original(wire: Wire) -> Option<&'static Known> {
    named(wire.as_str())
}

/// The provider whose keys are kept under that variable.
pub fn of_variable(variable: &str) -> Option<&'static Known> {
    TABLE.iter().find(|known| known.variables.contains(&variable))
}

/// Required on every request; this version takes the key in `x-api-key`, and so does its successor
/// (Anthropic API reference, "versioning").
static ANTHROPIC_VERSION: [(HeaderName, HeaderValue); 1] =
    [(HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"))];

/// One of the many that copy OpenAI's API: a bearer key, no further headers.
const fn compatible(
    name: &'static str,
    dialect: Dialect,
    base_url: &'static str,
    door_prefix: &'static str,
    variables: &'static [&'static str],
) -> Known {
    Known {
        name,
        base_url: Some(base_url),
        wire: Wire::OpenAi,
        dialect,
        auth: Auth::Bearer,
        headers: &[],
        door_prefix,
        also: &[],
        hosts: &[],
        variables,
    }
}

impl Known {
    const fn speaking(mut self, also: &'static [(Wire, &'static str)]) -> Self {
        self.also = also;
        self
    }

    const fn met_at(mut self, hosts: &'static [&'static str]) -> Self {
        self.hosts = hosts;
        self
    }
}

static TABLE: [Known; 18] = [
    // OpenAI API reference; `OPENAI_BASE_URL` of its SDKs includes `/v1`.
    // Its regions are below the same host (`eu.api.openai.com`).
    compatible("openai", Dialect::OpenAi, "https://api.openai.com", "/v1", &["OPENAI_API_KEY"])
        .met_at(&["api.openai.com"]),
    // Anthropic API overview; `ANTHROPIC_BASE_URL` has no path.
    Known {
        name: "anthropic",
        base_url: Some("https://api.anthropic.com"),
        wire: Wire::Anthropic,
        dialect: Dialect::Anthropic,
        auth: Auth::Header(HeaderName::from_static("x-api-key")),
        headers: &ANTHROPIC_VERSION,
        door_prefix: "/v1",
        also: &[],
        hosts: &[],
        variables: &["ANTHROPIC_API_KEY"],
    },
    // google-genai SDKs; `GOOGLE_GEMINI_BASE_URL` has no path, the SDK appends `/v1` or `/v1beta`.
    Known {
        name: "gemini",
        base_url: Some("https://generativelanguage.googleapis.com"),
        wire: Wire::Gemini,
        dialect: Dialect::Gemini,
        auth: Auth::Header(HeaderName::from_static("x-goog-api-key")),
        headers: &[],
        door_prefix: "/v1",
        also: &[],
        hosts: &[],
        variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    },
    // Azure OpenAI "API version lifecycle": `https://RESOURCE.openai.azure.com/openai/v1`.
    Known {
        name: "azure",
        base_url: None,
        wire: Wire::OpenAi,
        dialect: Dialect::Azure,
        auth: Auth::Header(HeaderName::from_static("api-key")),
        headers: &[],
        door_prefix: "/openai/v1",
        also: &[],
        hosts: &["openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com"],
        variables: &["AZURE_OPENAI_API_KEY"],
    },
    // mistralai SDK: server `https://api.mistral.ai`, paths begin with `/v1`.
    compatible("mistral", Dialect::Mistral, "https://api.mistral.ai", "/v1", &["MISTRAL_API_KEY"])
        .met_at(&["mistral.ai"]),
    // cohere SDK: native `/v2/chat`; "Compatibility API" for OpenAI's SDK.
    Known {
        name: "cohere",
        base_url: Some("https://api.cohere.com"),
        wire: Wire::Cohere,
        dialect: Dialect::Cohere,
        auth: Auth::Bearer,
        headers: &[],
        door_prefix: "/v1",
        also: &[(Wire::OpenAi, "/compatibility/v1")],
        hosts: &["api.cohere.ai"],
        variables: &["CO_API_KEY", "COHERE_API_KEY"],
    },
    // groq SDK: `GROQ_BASE_URL` has no path, its paths begin with `/openai/v1`.
    compatible("groq", Dialect::Groq, "https://api.groq.com", "/openai/v1", &["GROQ_API_KEY"]),
    // DeepSeek API docs, "Your First API Call": the base has no `/v1` (which is accepted too).
    compatible(
        "deepseek",
        Dialect::DeepSeek,
        "https://api.deepseek.com",
        "",
        &["DEEPSEEK_API_KEY"],
    ),
    // xAI API reference.
    compatible("xai", Dialect::Xai, "https://api.x.ai", "/v1", &["XAI_API_KEY"])
        .met_at(&["api.x.ai"]),
    // OpenRouter API reference: `/api/v1`, Anthropic's messages beside OpenAI's formats.
    compatible(
        "openrouter",
        Dialect::OpenRouter,
        "https://openrouter.ai",
        "/api/v1",
        &["OPENROUTER_API_KEY"],
    )
    .speaking(&[(Wire::Anthropic, "/api/v1")]),
    // together SDK: `https://api.together.ai/v1`.
    compatible(
        "together",
        Dialect::Together,
        "https://api.together.ai",
        "/v1",
        &["TOGETHER_API_KEY"],
    )
    .met_at(&["api.together.xyz"]),
    // fireworks-ai SDK: `FIREWORKS_BASE_URL` has no path; `/inference/v1/messages` is Anthropic's.
    compatible(
        "fireworks",
        Dialect::Fireworks,
        "https://api.fireworks.ai",
        "/inference/v1",
        &["FIREWORKS_API_KEY"],
    )
    .speaking(&[(Wire::Anthropic, "/inference/v1")]),
    // Perplexity Sonar API: `POST https://api.perplexity.ai/chat/completions`, without `/v1`.
    compatible(
        "perplexity",
        Dialect::Perplexity,
        "https://api.perplexity.ai",
        "",
        &["PERPLEXITY_API_KEY"],
    ),
    // Cerebras Inference docs, "OpenAI compatibility"; the SDK's base has no `/v1`.
    compatible(
        "cerebras",
        Dialect::Cerebras,
        "https://api.cerebras.ai",
        "/v1",
        &["CEREBRAS_API_KEY"],
    ),
    // NVIDIA NIM API reference: `https://integrate.api.nvidia.com/v1`.
    compatible(
        "nvidia",
        Dialect::Nvidia,
        "https://integrate.api.nvidia.com",
        "/v1",
        &["NVIDIA_API_KEY"],
    ),
    // Hugging Face "Inference Providers": `https://router.huggingface.co/v1`.
    compatible(
        "huggingface",
        Dialect::HuggingFace,
        "https://router.huggingface.co",
        "/v1",
        &["HF_TOKEN", "HUGGINGFACE_API_KEY"],
    ),
    // Ollama docs: native `/api`, "OpenAI compatibility" and "Anthropic compatibility" under `/v1`.
    Known {
        name: "ollama",
        base_url: Some("http://localhost:11434"),
        wire: Wire::Ollama,
        dialect: Dialect::Ollama,
        auth: Auth::Bearer,
        headers: &[],
        door_prefix: "/v1",
        also: &[(Wire::OpenAi, "/v1"), (Wire::Anthropic, "/v1")],
        hosts: &["ollama.com"],
        variables: &["OLLAMA_API_KEY"],
    },
    // vLLM docs, "OpenAI-compatible server": wherever the user runs it; also Anthropic's messages.
    Known {
        name: "vllm",
        base_url: None,
        wire: Wire::OpenAi,
        dialect: Dialect::Vllm,
        auth: Auth::Bearer,
        headers: &[],
        door_prefix: "/v1",
        also: &[(Wire::Anthropic, "/v1")],
        hosts: &[],
        variables: &["VLLM_API_KEY"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_every_variable_belongs_to_one_provider() {
        for known in all() {
            assert!(std::ptr::eq(named(known.name).unwrap(), known), "{} twice", known.name);
            for variable in known.variables {
                let owner = of_variable(variable).unwrap();
                assert!(std::ptr::eq(owner, known), "{variable} twice");
            }
        }
        assert!(named("").is_none());
        assert!(of_variable("HOME").is_none());
    }

    #[test]
    fn a_prefix_joins_a_base_url_and_a_path_with_one_slash() {
        for known in all() {
            let prefixes = known.also.iter().map(|(_, prefix)| *prefix);
            for prefix in prefixes.chain([known.door_prefix]) {
                assert!(prefix.is_empty() || prefix.starts_with('/'), "{}: {prefix}", known.name);
                assert!(!prefix.ends_with('/'), "{}: {prefix}", known.name);
            }
            let base = known.base_url.unwrap_or("https://example.com");
            assert!(
                !base.ends_with('/') && base.matches('/').count() == 2,
                "{}: {base}",
                known.name
            );
        }
    }

    #[test]
    fn a_provider_is_known_by_its_host_too() {
        let name = |host| at_host(host).map(|known| known.name);
        assert_eq!(name("api.groq.com"), Some("groq"));
        assert_eq!(name("eu.api.openai.com"), Some("openai"));
        assert_eq!(name("resource.openai.azure.com"), Some("azure"));
        for stranger in ["localhost", "evilapi.openai.com", "api.openai.com.evil.example", ""] {
            assert_eq!(name(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn every_wire_format_that_is_understood_has_its_original() {
        for wire in Wire::ALL {
            assert_eq!(original(wire).is_none(), wire == Wire::Http, "{wire:?}");
            assert!(original(wire).is_none_or(|known| known.wire == wire));
        }
    }

    #[test]
    fn no_format_is_spoken_twice() {
        for known in all() {
            let mut wires = vec![known.wire];
            for (wire, _) in known.also {
                assert!(!wires.contains(wire), "{}: {wire:?} twice", known.name);
                wires.push(*wire);
            }
        }
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted() {
        for base in all().iter().filter_map(|known| known.base_url) {
            assert!(base.starts_with("https://") || base == "http://localhost:11434", "{base}");
        }
    }
}
