//! The environment: keys in variables, and the few settings that come no other way.

use std::env;
use std::ffi::OsString;
use std::num::NonZeroU32;

use zeroize::Zeroizing;

use super::letter::Entry;
use super::value;

/// The keys that the environment holds. It is read once: a process's environment does not change.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: Vec<Box<str>>,
    entries: Vec<Entry>,
}

impl Environment {
    /// Reads the keys in `variables`; comma-separated lists make pools. Entries are named by their
    /// variable, the further ones of a list with `-2`, `-3`... behind it.
    pub fn read(variables: &[&str]) -> Self {
        Self::read_from(variables, |name| env::var_os(name))
    }

    pub(super) fn read_from(
        variables: &[&str],
        look_up: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let held = variables.iter().filter_map(|name| Some((name, look_up(name)?)));
        let entries = held.flat_map(|(name, held)| {
            let bytes = Zeroizing::new(held.into_encoded_bytes());
            value::list(name, &bytes)
        });
        let entries = entries.collect();
        Self { variables: variables.iter().map(|&name| name.into()).collect(), entries }
    }

    /// Its entries, in the order of the variables.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether `name` is one of the variables that hold keys, and so may hold a list of them.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| **variable == *name)
    }
}

/// A variable that is set, not empty and text (`KEYWEIR_WORKLOAD`, `HTTPS_PROXY`): for settings, not
/// for keys.
pub fn variable(name: &str) -> Option<String> {
    env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty())
}

/// How many sidecars there are, by `KEYWEIR_REPLICAS`.
///
/// # Errors
/// Something else than a number of at least 1 stands there.
pub fn replicas() -> Result<Option<NonZeroU32>, String> {
    variable(REPLICAS).map(|text| number(&text)).transpose()
}

/// Says how many sidecars share limits.
const REPLICAS: &str = "KEYWEIR_REPLICAS";

fn number(text: &str) -> Result<NonZeroU32, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{REPLICAS} is not a number of at least 1: it counts for nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Finding;

    #[test]
    fn variables_make_entries_and_lists_make_pools() {
        let look_up = |name: &str| match name {
            "OPENAI_API_KEY" => Some("a,b".into()),
            "GEMINI_API_KEY" => Some("".into()),
            _ => None,
        };
        let variables = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"];
        let environment = Environment::read_from(&variables, look_up);
        let names: Vec<_> = environment.entries().iter().map(|entry| &*entry.name).collect();
        assert_eq!(names, ["OPENAI_API_KEY", "OPENAI_API_KEY-2", "GEMINI_API_KEY"]);
        assert_eq!(environment.entries()[2].findings, [Finding::Empty]);
        assert!(environment.knows("ANTHROPIC_API_KEY") && !environment.knows("HOME"));
    }

    #[test]
    fn a_number_of_sidecars_is_one_at_least() {
        assert_eq!(number(" 3\n").map(NonZeroU32::get), Ok(3));
        for wrong in ["0", "-1", "three", "1.5", ""] {
            assert!(number(wrong).is_err_and(|why| why.contains("KEYWEIR_REPLICAS")), "{wrong}");
        }
    }

    #[test]
    fn a_setting_is_read_as_text() {
        assert!(variable("PATH").is_some());
        assert_eq!(variable("KEYWEIR_THAT_NOBODY_SETS"), None);
    }
}
