//! A `ConfigMap` that is labelled as a configuration is refused with every mistake that `keyweir check`
//! would print.

use serde_json::Value;

use super::json::{at, name_of};
use super::marks::{CONFIG_LABEL, Marks};
use super::review::Answer;
use crate::config::{self, Severity, Source, check, closest};
use crate::sources::CONFIG_ENTRY;

/// The status of an object that cannot be what it should.
const UNPROCESSABLE: u16 = 422;
/// The longest message, in characters: `kubectl` prints it whole.
const LONGEST: usize = 16_384;

/// The names of the `ConfigMap`s that this one is merged with, in order, itself among them: what its
/// annotation says, or itself alone.
pub(super) fn merged_with(config_map: &Value) -> Vec<String> {
    let own = name_of(at(config_map, &["metadata"]));
    let marks = Marks::of(config_map);
    let written = marks.annotations.get(CONFIG_LABEL).map(String::as_str).unwrap_or_default();
    let names = written.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    if !names.iter().any(|name| name == own) {
        names.push(own.to_owned());
    }
    names
}

/// Whether the configuration holds, where the others that it is merged with hold these texts.
pub(super) fn validate(config_map: &Value, others: &[(String, String)]) -> Answer {
    let data = at(config_map, &["data"]);
    let Some(text) = at(data, &[CONFIG_ENTRY]).as_str() else {
        return refused(&missing(data));
    };
    let sources: Vec<Source> = merged_with(config_map)
        .iter()
        .filter_map(|name| {
            let other = others.iter().find(|(other, _)| other == name);
            let is_own = name == name_of(at(config_map, &["metadata"]));
            let text = if is_own { text } else { &other?.1 };
            Some(Source { name: format!("{name}/{CONFIG_ENTRY}").into(), text: text.into() })
        })
        .collect();
    let outcome = config::read(&sources, None);
    if outcome.has_mistakes() {
        return refused(&check::text(&outcome));
    }
    let warnings = outcome.diagnostics.iter().filter(|it| it.severity == Severity::Warning);
    Answer::unchanged(warnings.map(ToString::to_string).collect())
}

fn missing(data: &Value) -> String {
    let entries = data.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let meant = closest(CONFIG_ENTRY, entries);
    let meant = meant.map(|meant| format!("; `{meant}` is not read")).unwrap_or_default();
    format!("a ConfigMap with the label {CONFIG_LABEL} needs an entry `{CONFIG_ENTRY}`{meant}")
}

fn refused(message: &str) -> Answer {
    let message: String =
        format!("keyweir: {}", message.trim_end()).chars().take(LONGEST).collect();
    Answer { verdict: Err((UNPROCESSABLE, message)), warnings: Vec::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config_map(text: &str) -> Value {
        json!({"metadata": {"name": "team"}, "data": {"keyweir.yaml": text}})
    }

    fn refusal(answer: Answer) -> String {
        let (code, message) = answer.verdict.unwrap_err();
        assert_eq!(code, 422);
        message
    }

    #[test]
    fn every_mistake_is_told_as_check_tells_it() {
        let text = "providers:\n  openai: {bseUrl: x, timeouts: {connect: 5}}\n";
        let message = refusal(validate(&config_map(text), &[]));
        let sources = [Source { name: "team/keyweir.yaml".into(), text: text.into() }];
        let printed = check::text(&config::read(&sources, None));
        assert_eq!(message, format!("keyweir: {}", printed.trim_end()));
        assert!(message.contains("did you mean `baseUrl`?") && message.contains("2 mistakes"));
    }

    #[test]
    fn a_good_one_passes_with_its_warnings() {
        let answer = validate(&config_map("providers: {openai: {region: eu}}\n"), &[]);
        assert!(answer.verdict.unwrap().is_empty());
        assert!(answer.warnings[0].contains("not in force"), "{:?}", answer.warnings);
    }

    #[test]
    fn one_that_goes_over_another_is_read_over_it() {
        let mut overlay = config_map("models: {chat: {targets: [{model: local/llama}]}}\n");
        assert!(validate(&overlay, &[]).verdict.is_err(), "alone, `local` is nobody");
        overlay["metadata"]["annotations"] = json!({"keyweir.dev/config": "platform"});
        assert_eq!(merged_with(&overlay), ["platform", "team"]);
        let platform = "providers: {local: {wire: openai, baseUrl: 'http://vllm'}}\n";
        let others = [("platform".to_owned(), platform.to_owned())];
        assert!(validate(&overlay, &others).verdict.is_ok());
        overlay["metadata"]["annotations"] = json!({"keyweir.dev/config": "team, platform"});
        assert_eq!(merged_with(&overlay), ["team", "platform"]);
    }

    #[test]
    fn one_without_its_entry_says_which_was_meant() {
        let wrong = json!({"metadata": {"name": "team"}, "data": {"keyweir.yml": ""}});
        let message = refusal(validate(&wrong, &[]));
        assert!(message.ends_with("`keyweir.yml` is not read"), "{message}");
        assert!(validate(&json!({}), &[]).verdict.is_err());
    }
}
