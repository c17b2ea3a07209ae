//! What a configuration names: whoever prepares the ground for it (mounts Secrets, sets base URLs)
//! needs to know even where it has a mistake, which may be mended while the pod stands.

use super::raw::Raw;
use super::secrets::bad_secret_name;
use super::used::{Config, ENVIRONMENT};

/// The names in a configuration, each once, in the order written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Providers, those included that only a model's target names.
    pub providers: Vec<Box<str>>,
    /// Secrets that hold keys.
    pub secrets: Vec<Box<str>>,
}

pub(super) fn all(raw: &Raw, config: &Config) -> Names {
    let mut names = Names::default();
    let written = raw.providers.0.iter().map(|(name, _)| name.as_str());
    for provider in written.chain(config.providers.iter().map(|provider| &*provider.name)) {
        add(&mut names.providers, provider);
    }
    let written = raw.providers.0.iter().flat_map(|(_, provider)| provider.keys.iter().flatten());
    let written = written.filter_map(|source| source.secret.as_deref());
    let used = config.providers.iter().flat_map(|provider| &provider.keys);
    for secret in written.chain(used.map(|source| &*source.secret)) {
        if secret != ENVIRONMENT && bad_secret_name(secret).is_none() {
            add(&mut names.secrets, secret);
        }
    }
    names
}

fn add(names: &mut Vec<Box<str>>, name: &str) {
    if !names.iter().any(|held| **held == *name) {
        names.push(name.into());
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Source, read};

    #[test]
    fn a_configuration_with_a_mistake_still_names_its_providers_and_secrets() {
        let text = "providers: {openai: {keys: [{secret: a}, {secret: b, entries: [x]}, {secret: a}, {secret: Bad!}]}, \
                    vertex: {keys: [{secret: c}]}}\n\
                    models: {chat: {targets: [{model: anthropic/claude}], strategy: wrong}}\n";
        let outcome = read(&[Source { name: "x".into(), text: text.into() }], None);
        assert!(outcome.config.is_none(), "there is a mistake");
        let names = outcome.names;
        assert_eq!(
            names.providers.iter().map(|name| &**name).collect::<Vec<_>>(),
            ["openai", "vertex", "anthropic"]
        );
        assert_eq!(
            names.secrets.iter().map(|name| &**name).collect::<Vec<_>>(),
            ["a", "b", "c", "keyweir-keys"]
        );
    }
}
