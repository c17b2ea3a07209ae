//! What is written is what is used: the values that come out of a configuration.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what tests share may fail loudly")]

use std::path::Path;
use std::time::Duration;

use keyweir::config::used::{
    AccessLog, Charging, Clause, Config, EndpointKind, Measure, Mode, Per, Priority, Provider,
    Rule, Strategy, Timeouts,
};
use keyweir::config::{Source, check, read};
use keyweir::formats::{Auth, Dimension, Wire, known};

const MINUTE: Duration = Duration::from_mins(1);

fn config(text: &str) -> Config {
    let outcome = read(&[Source { name: "keyweir.yaml".into(), text: text.into() }], None);
    let told = check::text(&outcome);
    outcome.config.unwrap_or_else(|| panic!("{told}"))
}

fn shipped(name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    config(&std::fs::read_to_string(path).unwrap())
}

fn named<'a>(config: &'a Config, name: &str) -> &'a Provider {
    config.providers.iter().find(|provider| &*provider.name == name).unwrap()
}

/// Each amount with its measure and the seconds of its window, 0 for none.
fn amounts(clause: &Clause) -> Vec<(Measure, u64, u64)> {
    let parts = |rule: &Rule| (rule.measure, rule.amount, rule.window.length().as_secs());
    clause.rules.iter().map(parts).collect()
}

#[test]
fn providers_and_aliases_keep_their_order() {
    let config = shipped("examples/keyweir.yaml");
    let names: Vec<&str> = config.providers.iter().map(|provider| &*provider.name).collect();
    assert_eq!(names, ["openai", "anthropic", "azure", "local", "geo"]);
    let config =
        config_with("models: {z: {targets: [{model: own/a/b}]}, a: {targets: [{model: own/c}]}}");
    let names: Vec<&str> = config.aliases.iter().map(|alias| &*alias.name).collect();
    assert_eq!(names, ["z", "a"]);
    assert_eq!(&*config.aliases[0].targets[0].model, "a/b", "only the first slash parts");
}

fn config_with(more: &str) -> Config {
    config(&format!("providers: {{own: {{wire: openai, baseUrl: 'http://own'}}}}\n{more}\n"))
}

#[test]
fn key_sources_are_taken_as_written() {
    let config = shipped("examples/keyweir.yaml");
    let [main, eu] = &*named(&config, "openai").keys else { panic!("two sources") };
    assert_eq!((&*main.secret, &main.entries, main.weight), ("openai-keys", &None, 1));
    assert_eq!(main.quota_group.as_deref(), Some("main"));
    let entries = eu.entries.as_deref().unwrap();
    assert_eq!(entries.iter().map(|entry| &**entry).collect::<Vec<_>>(), ["eu-1", "eu-2"]);
    assert_eq!(eu.weight, 2);
    assert!(eu.models[0].matches("gpt-4o-mini") && !eu.models[0].matches("gpt-4"));
    assert_eq!(eu.headers[0].0, "openai-organization");
    assert_eq!(eu.headers[0].1, "org-example");
}

#[test]
fn limits_are_amounts_in_windows() {
    let config = shipped("examples/keyweir.yaml");
    let [all, main] = &*named(&config, "openai").limits else { panic!("two limits") };
    let requests = (Measure::Of(Dimension::Requests), 500, 60);
    assert_eq!(amounts(&all.clause), [requests, (Measure::Of(Dimension::Tokens), 200_000, 60)]);
    assert_eq!(amounts(&main.clause), [(Measure::Of(Dimension::Tokens), 2_000_000, 60)]);
    assert_eq!(main.quota_groups, ["main".into()]);
}

#[test]
fn every_amount_has_its_measure_and_window() {
    let fields = [
        ("requestsPerSecond", Dimension::Requests, 1),
        ("requestsPerMinute", Dimension::Requests, 60),
        ("requestsPerHour", Dimension::Requests, 3_600),
        ("requestsPerDay", Dimension::Requests, 86_400),
        ("requestsPerMonth", Dimension::Requests, 2_592_000),
        ("tokensPerMinute", Dimension::Tokens, 60),
        ("tokensPerHour", Dimension::Tokens, 3_600),
        ("tokensPerDay", Dimension::Tokens, 86_400),
        ("tokensPerMonth", Dimension::Tokens, 2_592_000),
        ("inputTokensPerMinute", Dimension::InputTokens, 60),
        ("inputTokensPerHour", Dimension::InputTokens, 3_600),
        ("inputTokensPerDay", Dimension::InputTokens, 86_400),
        ("inputTokensPerMonth", Dimension::InputTokens, 2_592_000),
        ("outputTokensPerMinute", Dimension::OutputTokens, 60),
        ("outputTokensPerHour", Dimension::OutputTokens, 3_600),
        ("outputTokensPerDay", Dimension::OutputTokens, 86_400),
        ("outputTokensPerMonth", Dimension::OutputTokens, 2_592_000),
    ];
    for (field, dimension, seconds) in fields {
        let expected = (Measure::Of(dimension), 7, seconds);
        let config = config_limited(field);
        assert_eq!(amounts(&config.providers[0].limits[0].clause), [expected], "{field}");
    }
}

fn config_limited(field: &str) -> Config {
    config(&format!(
        "providers: {{own: {{wire: openai, baseUrl: 'http://own', limits: {{{field}: 7}}}}}}"
    ))
}

#[test]
fn requests_at_once_have_no_window() {
    let config = config_limited("concurrency");
    assert_eq!(amounts(&config.providers[0].limits[0].clause), [(Measure::Concurrency, 7, 0)]);
}

#[test]
fn a_rule_inherits_what_it_leaves_open() {
    let config = config_with(
        "callers:
  default: {priority: batch, maxPriority: normal, maxWait: 5s, models: [a], maxBody: 1M}
  rules:
  - {name: same, match: {header: {X-Team: same}}}
  - {name: other, match: {header: {x-team: other}}, priority: normal, maxWait: 0s, models: []}",
    );
    let [same, other] = &*config.callers.rules else { panic!("two rules") };
    assert_eq!((&*same.name, same.priority, same.max_wait), ("same", Priority::Batch, 5 * SECOND));
    assert_eq!((same.max_body, same.models.len()), (Some(1024 * 1024), 1));
    assert_eq!(same.matches.headers[0].0, "x-team");
    assert_eq!((other.priority, other.max_wait), (Priority::Normal, Duration::ZERO));
    assert_eq!((other.models.len(), other.max_priority), (0, Priority::Normal));
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_tier_lies_between_a_rule_and_the_default_and_its_limits_hold_besides_the_rules_own() {
    let config = config_with(
        "callers:
  default: {maxWait: 5s, maxInputTokens: 9k, limits: {concurrency: 9}}
  tiers:
    free: {limits: {requestsPerDay: 50, costPerMonth: 1.5}, maxInputTokens: 8k, maxOutputTokens: 1k}
  rules:
  - {name: plain, match: {header: {x: plain}}}
  - {name: web, tier: free, per: user, match: {model: [chat], endpoint: [chat, embeddings]}}
  - {name: more, tier: free, match: {header: {x: b}}, limits: [{concurrency: 2}], maxInputTokens: 4k}",
    );
    let [plain, web, more] = &*config.callers.rules else { panic!("three rules") };
    assert_eq!(amounts(&plain.limits[0]), [(Measure::Concurrency, 9, 0)]);
    assert_eq!((plain.per, plain.max_input, plain.max_output), (Per::Caller, Some(9_000), None));
    let free =
        [(Measure::Of(Dimension::Requests), 50, 86_400), (Measure::Cost, 1_500_000, 2_592_000)];
    assert_eq!((web.limits.len(), amounts(&web.limits[0])), (1, free.to_vec()));
    assert_eq!((web.per, web.max_wait), (Per::User, 5 * SECOND));
    assert_eq!((web.max_input, web.max_output), (Some(8_000), Some(1_000)));
    assert!(web.matches.models[0].matches("chat"));
    assert_eq!(web.matches.endpoints, [EndpointKind::Chat, EndpointKind::Embeddings]);
    assert_eq!((more.limits.len(), amounts(&more.limits[0])), (2, free.to_vec()));
    assert_eq!(amounts(&more.limits[1]), [(Measure::Concurrency, 2, 0)]);
    assert_eq!(more.max_input, Some(4_000), "the rule's own word weighs more");
}

#[test]
fn a_limit_may_be_for_some_requests_hold_at_some_times_and_only_warn() {
    let config = config_with(
        "callers:
  default:
    limits:
      requestsPerDay: 5
      models: [\"a*\"]
      endpoints: [embeddings]
      until: 2026-12-24T00:00:00Z
      schedule: {days: [mon-wed, sun], hours: 8:30-17, timeZone: Europe/Berlin}
      warnAt: 80%
      mode: observe",
    );
    let [clause] = &*config.callers.default.limits else { panic!("one limit") };
    assert!(clause.counts(Some("ab"), EndpointKind::Embeddings));
    assert!(!clause.counts(Some("b"), EndpointKind::Embeddings));
    assert!(!clause.counts(Some("ab"), EndpointKind::Chat) && clause.models.len() == 1);
    assert_eq!((clause.warn_at, clause.mode), (Some(0.8), Mode::Observe));
    assert_eq!(clause.term.until, "2026-12-24T00:00:00Z".parse().ok());
    let schedule = clause.term.schedule.as_ref().unwrap().to_string();
    assert_eq!(schedule, "mon,tue,wed,sun 08:30-17:00 Europe/Berlin");
}

#[test]
fn a_limit_that_ends_says_so_from_then_on() {
    let config = config_with(
        "callers: {default: {limits: {requestsPerDay: 5, until: 2026-12-24T00:00:00Z}}}",
    );
    let [(when, told)] = &*config.endings else { panic!("one ending") };
    assert_eq!(*when, "2026-12-24T00:00:00Z".parse().unwrap());
    let told = told.to_string();
    let expected = "keyweir.yaml:2:56: warning: callers.default.limits[0].until: ended on \
                    2026-12-24T00:00:00Z: nothing comes of this limit any more";
    assert_eq!(told, expected);
}

#[test]
fn charging_follows_the_address_unless_it_is_written() {
    let of = |more: &str| {
        let text = format!("providers: {{p: {{wire: openai, baseUrl: 'https://{more}}}}}");
        config(&text).providers[0].charging
    };
    assert_eq!(of("api.openai.com'"), Charging::OpenAi);
    assert_eq!(of("api.groq.com/openai'"), Charging::Groq);
    assert_eq!(of("vllm.example.com', charging: metered"), Charging::Metered);
}

#[test]
fn what_is_not_written_is_as_documented() {
    let config = config("");
    assert_eq!(config.mode, Mode::Enforce);
    assert_eq!((config.retry.budget_permille, config.retry.floor), (100, 1.0));
    assert_eq!(config.server.max_body, 32 * 1024 * 1024);
    assert_eq!(config.callers.default.max_wait, 30 * SECOND);
    assert_eq!(config.telemetry.access_log, AccessLog::Failures);
    let config = shipped("examples/minimal.yaml");
    assert_eq!(named(&config, "openai").timeouts, Timeouts::default());
    assert!(named(&config, "openai").adaptive);
}

#[test]
fn what_is_written_is_used() {
    let config = config_with(
        "retry: {budget: 2.5%, floor: 0.5, baseDelay: 1s, maxDelay: 1m}
breaker: {failures: 3, window: 1m, open: 2s, maxOpen: 4s}
telemetry: {responseHeaders: false, logLevel: debug, accessLog: {sample: 1%}}
server: {workers: 4, maxBody: 1G}
fleet: {replicas: 3}
prices: {gpt-4o*: {input: 2.5, output: 10}, x: {input: 1, cachedInput: 0, cacheWrite: 2}}
models: {chat: {strategy: weighted, targets: [{model: own/x, weight: 8}]}}",
    );
    assert_eq!((config.retry.budget_permille, config.retry.floor), (25, 0.5));
    assert_eq!((config.retry.base_delay, config.retry.max_delay), (SECOND, MINUTE));
    assert_eq!((config.breaker.failures, config.breaker.window), (3, MINUTE));
    assert_eq!((config.breaker.open, config.breaker.max_open), (2 * SECOND, 4 * SECOND));
    assert!(!config.telemetry.response_headers);
    assert_eq!(config.telemetry.log_level, Some("debug"));
    assert_eq!(config.telemetry.access_log, AccessLog::Sample(0.01));
    assert_eq!((config.server.workers.unwrap().get(), config.server.max_body), (4, 1 << 30));
    assert_eq!(config.replicas.unwrap().get(), 3);
    let (pattern, price) = &config.prices[0];
    assert!(pattern.open && &*pattern.text == "gpt-4o");
    assert_eq!((price.input, price.cached_input, price.cache_write), (2.5, 2.5, 2.5));
    assert_eq!((config.prices[1].1.cached_input, config.prices[1].1.cache_write), (0.0, 2.0));
    assert_eq!(config.aliases[0].strategy, Strategy::Weighted);
    assert_eq!(config.aliases[0].targets[0].weight, 8);
}

#[test]
fn every_known_provider_is_as_the_table_says() {
    let config = shipped("tests/config/good/every-known-provider.yaml");
    for known in known::all() {
        let provider = named(&config, known.name);
        assert_eq!((provider.wire, provider.dialect), (known.wire, known.dialect));
        assert_eq!((&provider.auth, &*provider.headers), (&known.auth, known.headers));
        assert_eq!(&*provider.door_prefix, known.door_prefix);
        let also: Vec<(Wire, &str)> =
            provider.also.iter().map(|(wire, path)| (*wire, &**path)).collect();
        assert_eq!(also, known.also);
    }
}

#[test]
fn a_provider_of_ones_own_follows_the_original_of_its_wire_format() {
    let config = config("providers: {own: {wire: anthropic, baseUrl: 'https://own.example/x/'}}");
    let own = &config.providers[0];
    assert_eq!(own.auth, Auth::Header("x-api-key".parse().unwrap()));
    assert_eq!(own.headers[0].0, "anthropic-version");
    assert_eq!((&*own.base.path, own.base.port, own.base.tls), ("/x", 443, true));
    assert_eq!(own.base.join("/v1/messages").unwrap(), "/x/v1/messages");
}

#[test]
fn azure_has_its_versions_and_deployments() {
    let config = shipped("examples/keyweir.yaml");
    let azure = named(&config, "azure");
    assert_eq!(azure.api_version.as_deref(), Some("2024-10-21"));
    assert_eq!(azure.deployments, [("gpt-4o".into(), "my-gpt4o".into())]);
    assert_eq!(named(&config, "geo").ca_bundle.as_deref(), Some(Path::new("/etc/ssl/example.pem")));
}

#[test]
fn a_later_file_changes_fields_and_replaces_lists() {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good/platform-then-team.yaml"),
    )
    .unwrap();
    let sources: Vec<Source> = text
        .split("---8<---\n")
        .map(|part| Source { name: "f".into(), text: part.into() })
        .collect();
    let config = read(&sources, None).config.unwrap();
    let openai = named(&config, "openai");
    assert_eq!(openai.keys.len(), 1);
    assert_eq!(&*openai.keys[0].secret, "team-keys");
    assert_eq!((openai.timeouts.connect, openai.timeouts.idle), (5 * SECOND, MINUTE));
}

#[test]
fn numbers_are_texts_where_a_text_is_wanted() {
    let config =
        config_with("callers: {rules: [{name: 1.10, match: {header: {x-team: 007, x-on: true}}}]}");
    let rule = &config.callers.rules[0];
    assert_eq!(&*rule.name, "1.10");
    assert_eq!(
        (&rule.matches.headers[0].1, &rule.matches.headers[1].1),
        (&"007".parse().unwrap(), &"true".parse().unwrap())
    );
}
