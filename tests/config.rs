//! The configuration against files: what must pass passes, what is wrong is reported exactly so.
//!
//! `UPDATE=1 cargo test --test config` rewrites what is expected; look at the difference.

#![expect(clippy::unwrap_used, reason = "what tests share may fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};

use keyweir::config::used::ENVIRONMENT;
use keyweir::config::{
    DEFAULT_SECRET, Inventory, Outcome, Severity, Shape, Source, check, egress, read, schema,
};
use keyweir::formats::known;
use proptest::prelude::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A case is a file, or several that are merged: `---8<---` on a line of its own parts them.
fn case(path: &Path) -> Outcome {
    let text = fs::read_to_string(path).unwrap();
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let parts: Vec<&str> = text.split("---8<---\n").collect();
    let sources: Vec<Source> = (1..)
        .zip(&parts)
        .map(|(n, part)| {
            let name = if parts.len() == 1 { stem.to_owned() } else { format!("{stem}-{n}") };
            source(&name, part)
        })
        .collect();
    read(&sources, None)
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.into(), text: text.into() }
}

fn parse(text: &str) -> Outcome {
    read(&[source("keyweir.yaml", text)], None)
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    paths.sort();
    assert!(!paths.is_empty(), "{folder} is empty");
    paths
}

fn golden(path: &Path, found: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, found).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{} (UPDATE=1 rewrites it)", path.display());
}

#[test]
fn every_bad_configuration_is_reported_as_expected() {
    for path in cases("tests/config/bad") {
        let outcome = case(&path);
        assert!(outcome.config.is_none(), "{} was accepted", path.display());
        assert_eq!(check::exit_code(&outcome), check::MISTAKES);
        golden(&path.with_extension("txt"), &check::text(&outcome));
    }
}

#[test]
fn every_good_configuration_passes_with_the_expected_warnings() {
    for path in cases("tests/config/good") {
        let outcome = case(&path);
        assert_eq!(check::exit_code(&outcome), check::PASSED, "{}", check::text(&outcome));
        assert!(outcome.config.is_some(), "{}", path.display());
        golden(&path.with_extension("txt"), &check::text(&outcome));
    }
}

#[test]
fn every_example_passes_without_a_word_about_mistakes() {
    for path in cases("examples") {
        // What is asked for in a simulation is tried there.
        if path.ends_with("workload.yaml") {
            continue;
        }
        let outcome = case(&path);
        assert_eq!(check::exit_code(&outcome), check::PASSED, "{}", check::text(&outcome));
    }
}

#[test]
fn the_schema_that_is_shipped_is_that_of_the_types() {
    golden(&root().join("docs/keyweir.schema.json"), &schema::json());
}

#[test]
fn without_any_configuration_the_environment_makes_the_providers() {
    let mut inventory = Inventory::default();
    for entry in ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_API_KEY-2", "OPENAI_API_KEYS"] {
        inventory.add(ENVIRONMENT, entry, Shape::Ok);
    }
    inventory.add(DEFAULT_SECRET, "GROQ_API_KEY", Shape::Ok);
    let config = read(&[], Some(&inventory)).config.unwrap();
    let names: Vec<&str> = config.providers.iter().map(|provider| &*provider.name).collect();
    assert_eq!(names, ["openai", "anthropic", "groq"], "in the table's order");
    let openai = &config.providers[0].keys;
    assert_eq!(openai.len(), 1);
    assert_eq!(&*openai[0].secret, ENVIRONMENT);
    let entries = openai[0].entries.as_ref().unwrap();
    assert_eq!(entries.len(), 2, "a list's further keys too, other variables not: {entries:?}");
    assert_eq!(&*config.providers[2].keys[0].secret, DEFAULT_SECRET);
}

#[test]
fn every_variable_of_the_table_makes_its_provider_unless_only_the_user_knows_where_it_is() {
    for known in known::all() {
        for variable in known.variables {
            let mut inventory = Inventory::default();
            inventory.add(ENVIRONMENT, variable, Shape::Ok);
            let outcome = read(&[], Some(&inventory));
            let found = check::text(&outcome);
            let config = outcome.config.unwrap();
            if known.base_url.is_some() {
                assert_eq!(&*config.providers[0].name, known.name);
            } else {
                assert_eq!(config.providers.len(), 0);
                assert!(found.contains("only a configuration can say where"), "{found}");
            }
        }
    }
}

#[test]
fn with_nothing_at_all_the_configuration_is_empty_and_says_so() {
    let outcome = read(&[], Some(&Inventory::default()));
    assert!(outcome.config.unwrap().providers.is_empty());
    assert!(outcome.diagnostics[0].message.starts_with("no provider"));
}

#[test]
fn keys_that_are_not_written_are_the_environments() {
    let text = "providers:\n  openai:\n  groq: {}\n  local: {wire: openai, baseUrl: http://x}\n";
    let mut inventory = Inventory::default();
    inventory.add(ENVIRONMENT, "OPENAI_API_KEY", Shape::Ok);
    let outcome = read(&[source("f", text)], Some(&inventory));
    let config = outcome.config.as_ref().unwrap();
    assert_eq!(config.providers[0].keys.len(), 1);
    assert_eq!(config.providers[1].keys.len(), 2, "two places where a key may turn up");
    assert!(config.providers[2].keys.is_empty(), "a stranger needs none");
    let [found] = &*outcome.diagnostics else { panic!("{}", check::text(&outcome)) };
    assert_eq!(
        found.to_string(),
        "f:3:3: warning: providers.groq: no key: `keys` is not written, and neither the \
         environment nor the Secret `keyweir-keys` has `GROQ_API_KEY`"
    );
}

#[test]
fn a_key_is_not_needed_where_none_is_asked_for() {
    let text = "providers:\n  openai: {keys: []}\n  ollama:\n  vllm: {baseUrl: http://vllm:8000}\n";
    let config = read(&[source("f", text)], Some(&Inventory::default())).config.unwrap();
    assert!(config.providers.iter().all(|provider| provider.keys.is_empty()));
}

#[test]
fn secrets_are_reported_by_shape_and_do_not_refuse_the_configuration() {
    let text = "\
providers:
  openai:
    keys:
    - {secret: openai-keys}
    - {secret: openai-key}
    - {secret: more, entries: [good, emty, bin, long, same, trimmed]}
    - {secret: nothing}
";
    let mut inventory = Inventory::default();
    inventory.add("openai-keys", "a", Shape::Ok);
    inventory.add("more", "good", Shape::Ok);
    inventory.add("more", "empty", Shape::Empty);
    inventory.add("more", "bin", Shape::Binary);
    inventory.add("more", "long", Shape::TooLong);
    inventory.add("more", "same", Shape::DuplicateOf("openai-keys/a".into()));
    inventory.add("more", "trimmed", Shape::Trimmed);
    inventory.add("more", "trimmed", Shape::DuplicateOf("openai-keys/a".into()));
    inventory.add_secret("nothing");
    inventory.add("unused", "empty", Shape::Empty);
    let outcome = read(&[source("f", text)], Some(&inventory));
    assert!(outcome.config.is_some());
    assert_eq!(check::exit_code(&outcome), check::MISTAKES);
    golden(&root().join("tests/config/secrets.txt"), &check::text(&outcome));
}

#[test]
fn an_unusable_key_of_the_environment_is_reported_without_a_place() {
    let mut inventory = Inventory::default();
    inventory.add(ENVIRONMENT, "OPENAI_API_KEY", Shape::Empty);
    let outcome = read(&[], Some(&inventory));
    assert_eq!(
        check::text(&outcome),
        "entry `OPENAI_API_KEY` of `environment` is empty\n1 mistake\n"
    );
}

#[test]
fn a_known_provider_that_only_a_target_names_joins_with_the_environments_keys() {
    let text = "models: {chat: {targets: [{model: anthropic/claude-sonnet-4-5}]}}\n";
    let mut inventory = Inventory::default();
    inventory.add(ENVIRONMENT, "ANTHROPIC_API_KEY", Shape::Ok);
    let config = read(&[source("f", text)], Some(&inventory)).config.unwrap();
    let target = &config.aliases[0].targets[0];
    assert_eq!(&*config.providers[target.provider].name, "anthropic");
    assert_eq!(config.providers[target.provider].keys.len(), 1);
}

#[test]
fn a_provider_behaves_as_its_host_does_whatever_it_is_called() {
    let text = "\
providers:
  groq-2: {baseUrl: https://api.groq.com}
  eu: {baseUrl: 'https://RESOURCE.openai.azure.com/'}
  deepclaude: {wire: anthropic, baseUrl: https://api.deepseek.com/anthropic}
  ollama: {wire: openai}
  geo: {wire: http, baseUrl: 'https://api.example.com', auth: {header: X-Api-Key}}
";
    let config = parse(text).config.unwrap();
    let described: Vec<String> = config
        .providers
        .iter()
        .map(|p| format!("{:?} {:?} {:?} {:?}", p.wire, p.dialect, p.door_prefix, p.auth))
        .collect();
    golden(&root().join("tests/config/identities.txt"), &(described.join("\n") + "\n"));
}

#[test]
fn egress_is_each_host_and_port_once() {
    let text = "\
providers:
  openai:
  eu: {wire: openai, baseUrl: https://api.openai.com/x}
  local: {wire: openai, baseUrl: 'http://[::1]:8000'}
";
    let config = parse(text).config.unwrap();
    assert_eq!(egress(&config), [("api.openai.com", 443), ("::1", 8000)]);
    assert_eq!(check::egress_text(&config), "api.openai.com:443\n[::1]:8000\n");
}

#[test]
fn a_program_is_told_the_same_as_a_person() {
    let outcome = parse("providers: {openai: {bseUrl: x}}\n");
    let report: serde_json::Value = serde_json::from_str(&check::json(&outcome)).unwrap();
    let expected = serde_json::json!({
        "ok": false,
        "mistakes": 1,
        "warnings": 0,
        "diagnostics": [{
            "severity": "error",
            "file": "keyweir.yaml",
            "line": 1,
            "column": 22,
            "path": "providers.openai.bseUrl",
            "message": "unknown field",
            "suggestion": "baseUrl"
        }]
    });
    assert_eq!(report, expected);
}

#[test]
fn a_key_that_is_written_in_the_wrong_place_is_not_repeated() {
    const KEY: &str = "sk-proj-Zk3vJq8TtLm2XcWb7YpR9sDf";
    for text in [
        format!("providers: {{openai: {{keys: [{KEY}]}}}}"),
        format!("providers: {{openai: {{keys: [{{secret: {KEY}}}]}}}}"),
        format!("providers: {{openai: {{keys: [{{secret: a, entries: [{KEY}, {KEY}]}}]}}}}"),
        format!("providers: {{openai: {{keys: {KEY}}}}}"),
        format!("providers: {{openai: {{key: {KEY}, {KEY}: 1, wire: {KEY}}}}}"),
        format!("providers: {{{KEY}: {{wire: openai}}}}"),
        format!("providers: {{openai: {{baseUrl: 'https://u:{KEY}@host'}}}}"),
        format!("providers: {{openai: {{baseUrl: {KEY}, auth: {{header: '{KEY} x'}}}}}}"),
        format!("models: {{{KEY} x: {{targets: [{{model: {KEY}}}, {{model: {KEY}/x}}]}}}}"),
        format!("server: {{maxBody: {KEY}}}\nretry: {{budget: {KEY}, baseDelay: {KEY}}}"),
        format!("version: {KEY}\nmode: {KEY}\n? {{{KEY}: 1}}\n: 1"),
        format!("telemetry: {{accessLog: {KEY}}}\ncallers: {{default: {{tier: {KEY}}}}}"),
        format!("a: !{KEY} b"),
        format!("a: *{KEY}"),
    ] {
        let outcome = parse(&text);
        let (told, report) = (check::text(&outcome), check::json(&outcome));
        assert!(outcome.has_mistakes(), "{text}");
        assert!(!told.contains(KEY) && !report.contains(KEY), "{text}\n{told}");
    }
}

#[test]
fn a_thousand_mistakes_are_not_more_than_anyone_reads() {
    let fields = (0..1_000).map(|n| format!("wrong{n}: 1\n")).collect::<Vec<_>>().concat();
    let items = "- {weight: x}\n".repeat(1_000);
    for text in [fields, format!("providers:\n openai:\n  keys:\n{}", items.replace("- ", "  - "))]
    {
        let outcome = parse(&text);
        assert!(outcome.has_mistakes());
        assert_eq!(outcome.diagnostics.len(), 101);
    }
}

/// Pieces of configuration, so that random text gets further than to its first character.
fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "providers",
        "openai",
        "keys",
        "secret",
        "models",
        "targets",
        "model",
        "limits",
        "callers",
        "rules",
        "wire",
        "baseUrl",
        "tokensPerMinute",
        ": ",
        ":\n",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "<<: *a",
        "10%",
        "30s",
        "2M",
        "~",
        "\"",
        "'",
        "|\n",
        ">\n",
        "#",
        "!!str ",
        "---\n",
        "...",
        "? ",
        "\t",
        "https://x",
        "openai/gpt-4o",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "%YAML 1.2\n",
        "\0",
        "é",
    ];
    prop_oneof![8 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_reading_panic(pieces in prop::collection::vec(fragment(), 0..80)) {
        let text = pieces.concat();
        let outcome = parse(&text);
        check::text(&outcome);
        let broken = outcome.diagnostics.iter().any(|found| found.severity == Severity::Error);
        prop_assert_eq!(outcome.config.is_none(), broken);
    }

    #[test]
    fn a_good_configuration_with_one_character_changed_never_makes_reading_panic(
        at in any::<prop::sample::Index>(),
        character in any::<char>(),
    ) {
        let text = fs::read_to_string(root().join("examples/keyweir.yaml")).unwrap();
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len());
        characters[at] = character;
        let outcome = parse(&characters.iter().collect::<String>());
        check::json(&outcome);
    }

    #[test]
    fn merging_a_file_over_itself_changes_nothing(pieces in prop::collection::vec(fragment(), 0..40)) {
        let text = pieces.concat();
        let once = parse(&text);
        let twice = read(&[source("a", &text), source("b", &text)], None);
        prop_assert_eq!(once.config.is_some(), twice.config.is_some());
    }
}
