//! From what was read to a snapshot: configuration and Secrets become providers that are ready to be
//! asked. What outlives a snapshot (desks, destinations) is kept from the last one.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::keyring::{self, Keyring};
use super::terms::{self, Fleet, Purses};
use crate::callers::Callers;
use crate::clock::Moment;
use crate::config::used::{self, Config, Strategy};
use crate::config::{self, Diagnostic, Severity, Source};
use crate::formats::models;
use crate::keys::Backoff;
use crate::lifecycle::Clock;
use crate::pipeline::{Budget, Desk, ModelNames, Provider, Snapshot, Unpriced};
use crate::routes::{self, Routes};
use crate::sources::{Letter, environment, files};
use crate::telemetry::record::Floodgate;
use crate::telemetry::{Metrics, Sheet};
use crate::translate::Listed;
use crate::upstream::{Destination, Proxies, Roots, Settings, Timeouts};

/// Builds snapshots, one after the other.
#[derive(Debug)]
pub(super) struct Builder {
    clock: Clock,
    metrics: Metrics,
    egress: Proxies,
    floodgate: Arc<Floodgate>,
    unpriced: Arc<Unpriced>,
    desks: HashMap<Box<str>, Arc<Desk>>,
    destinations: HashMap<Box<str>, Arc<Destination>>,
    keyrings: HashMap<Box<str>, Keyring>,
    purses: Purses,
    /// The configuration in force.
    config: Config,
    generation: u64,
    settings: Settled,
    /// Whether a configuration was given that has been in force.
    configured: bool,
    /// The pod's workload, as the injector tells it.
    workload: Option<Box<str>>,
}

/// What the process itself is told by the configuration in force.
#[derive(Debug, Default)]
struct Settled {
    workers: Option<NonZeroU32>,
    log_level: Option<&'static str>,
}

/// What is worth knowing about a snapshot.
#[derive(Debug)]
pub(super) struct News {
    pub(super) generation: u64,
    pub(super) warnings: Vec<Diagnostic>,
    /// Secrets that the configuration names and that are not there.
    pub(super) missing: Vec<Box<str>>,
}

impl Builder {
    pub(super) fn new(clock: Clock) -> Result<Self, Vec<Diagnostic>> {
        let metrics = Metrics::new().map_err(|error| vec![mistake(error.to_string())])?;
        let either = |upper: &str, lower: &str| {
            environment::variable(lower).or_else(|| environment::variable(upper))
        };
        let (https, http) =
            (either("HTTPS_PROXY", "https_proxy"), either("HTTP_PROXY", "http_proxy"));
        let (all, none) = (either("ALL_PROXY", "all_proxy"), either("NO_PROXY", "no_proxy"));
        let egress = Proxies::from_values(
            https.as_deref(),
            http.as_deref(),
            all.as_deref(),
            none.as_deref(),
        )
        .map_err(|error| vec![mistake(error.to_string())])?;
        Ok(Self {
            clock,
            metrics,
            egress,
            floodgate: Arc::default(),
            unpriced: Arc::default(),
            desks: HashMap::new(),
            destinations: HashMap::new(),
            keyrings: HashMap::new(),
            purses: Purses::default(),
            config: Config::default(),
            generation: 0,
            settings: Settled::default(),
            configured: false,
            workload: environment::variable("KEYWEIR_WORKLOAD").map(Into::into),
        })
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) const fn workers(&self) -> Option<NonZeroU32> {
        self.settings.workers
    }

    pub(super) const fn log_level(&self) -> Option<&'static str> {
        self.settings.log_level
    }

    /// Builds a snapshot of what was read, or tells every mistake and changes nothing.
    pub(super) fn build(&mut self, letter: &Letter) -> Result<(Snapshot, News), Vec<Diagnostic>> {
        if letter.texts.is_empty() && self.configured {
            let problems = letter.problems.iter().map(|problem| mistake(problem.to_string()));
            let gone = mistake("the configuration is gone; the last good one stays in force");
            return Err(std::iter::once(gone).chain(problems).collect());
        }
        let inventory = keyring::inventory(&letter.secrets);
        let sources: Vec<_> = letter.texts.iter().map(source).collect();
        let outcome = config::read(&sources, Some(&inventory));
        let Some(config) = outcome.config else {
            let all = outcome.diagnostics.into_iter();
            return Err(all.filter(|found| found.severity == Severity::Error).collect());
        };
        let destinations = self.destinations(&config)?;
        // From here on nothing fails: desks are changed in place.
        let missing = keyring::missing(&config, &letter.secrets);
        let snapshot = self.assemble(&config, letter, destinations);
        self.configured |= !letter.texts.is_empty();
        let mut warnings = outcome.diagnostics;
        warnings.extend(environment::replicas().err().map(warning));
        self.config = config;
        let news = News { generation: snapshot.generation, warnings, missing };
        Ok((snapshot, news))
    }

    /// Time has passed: other limits may hold. What is to be told of those that have ended, and when
    /// to ask again.
    pub(super) fn turn(&mut self) -> (Vec<Diagnostic>, Moment) {
        let (config, now) = (&self.config, self.clock.now());
        for provider in &config.providers {
            if let Some(desk) = self.desks.get(&provider.name) {
                desk.turn(keyring::limits(provider, now.wall), now);
            }
        }
        self.purses.turn(now.wall);
        (terms::ended(config, now.wall), terms::next_turn(config, now))
    }

    fn assemble(
        &mut self,
        config: &Config,
        letter: &Letter,
        destinations: Vec<Arc<Destination>>,
    ) -> Snapshot {
        let fleet = Fleet::of(config);
        let callers = self.callers(config);
        let purses = self.purses.fill(&callers, fleet, self.clock);
        let providers: Vec<_> = config
            .providers
            .iter()
            .zip(destinations)
            .map(|(provider, destination)| self.provider(provider, config, letter, destination))
            .collect();
        let kept = |name: &str| config.providers.iter().any(|provider| *provider.name == *name);
        self.desks.retain(|name, _| kept(name));
        self.destinations.retain(|name, _| kept(name));
        self.keyrings.retain(|name, _| kept(name));
        self.generation += 1;
        self.settings =
            Settled { workers: config.server.workers, log_level: config.telemetry.log_level };
        Snapshot {
            generation: self.generation,
            routes: routes(config),
            callers,
            purses,
            replicas: fleet.assumed(),
            mode: config.mode,
            max_body: config.server.max_body,
            response_headers: config.telemetry.response_headers,
            access_log: config.telemetry.access_log,
            floodgate: Arc::clone(&self.floodgate),
            models: model_names(config),
            unpriced: Arc::clone(&self.unpriced),
            listed: listed(config),
            sheet: Sheet::new(self.metrics.clone()),
            providers,
        }
    }

    /// Whoever no rule knows is the pod's workload.
    fn callers(&self, config: &Config) -> Callers {
        let mut callers = config.callers.clone();
        if let Some(workload) = &self.workload {
            callers.default.name.clone_from(workload);
        }
        callers
    }

    fn provider(
        &mut self,
        provider: &used::Provider,
        config: &Config,
        letter: &Letter,
        destination: Arc<Destination>,
    ) -> Provider {
        self.destinations.insert(provider.name.clone(), Arc::clone(&destination));
        let name: Arc<str> = Arc::from(&*provider.name);
        let scheme = if provider.base.tls { "https" } else { "http" };
        let place = format!("{scheme}://{}", destination.place());
        let kept = self.desks.get(&provider.name);
        let desk = kept.filter(|desk| desk.suits(provider.dialect, &place)).map_or_else(
            || {
                let at = (provider.dialect, &*place);
                Arc::new(Desk::new(Arc::clone(&name), at, self.clock, budget(config)))
            },
            Arc::clone,
        );
        self.desks.insert(provider.name.clone(), Arc::clone(&desk));
        let keyring = self.keyrings.entry(provider.name.clone()).or_default();
        let sharing = Fleet::of(config).of_providers();
        let wall = self.clock.now().wall;
        let (spec, cards) =
            keyring.fill(provider, (config.breaker, sharing), &letter.secrets, wall);
        for rejected in desk.renew(spec, cards, budget(config)).rejected {
            tracing::warn!(provider = %name, key = %rejected.name, why = ?rejected.why, "Key left out");
        }
        let own = (provider.wire, provider.door_prefix.clone());
        let deployments = provider.deployments.iter();
        Provider {
            name_header: keyring::header(&name),
            name,
            wire: provider.wire,
            dialect: provider.dialect,
            base_path: provider.base.path.clone(),
            doors: std::iter::once(own).chain(provider.also.iter().cloned()).collect(),
            headers: provider.headers.clone(),
            destination,
            desk,
            api_version: provider.api_version.clone(),
            deployments: deployments.map(|(m, d)| (m.clone(), Arc::from(&**d))).collect(),
            backoff: Backoff { base: config.retry.base_delay, max: config.retry.max_delay },
        }
    }

    /// Where every provider is; those that nothing has changed for keep their connections.
    fn destinations(&self, config: &Config) -> Result<Vec<Arc<Destination>>, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let mut destinations = Vec::new();
        for provider in &config.providers {
            match self.destination(provider) {
                Ok(destination) => destinations.push(destination),
                Err(why) => {
                    let path = format!("providers.{}", provider.name);
                    mistakes.push(Diagnostic { path, ..mistake(why) });
                }
            }
        }
        if mistakes.is_empty() { Ok(destinations) } else { Err(mistakes) }
    }

    fn destination(&self, provider: &used::Provider) -> Result<Arc<Destination>, String> {
        let roots = match &provider.ca_bundle {
            None => Roots::BuiltIn,
            Some(path) if path.as_os_str() == used::SYSTEM_ROOTS => Roots::System,
            Some(path) => {
                let pem = files::read_text(path).map_err(|problem| problem.to_string())?;
                Roots::Bundle(Arc::from(pem.as_bytes()))
            }
        };
        let base = &provider.base;
        let timeouts = provider.timeouts;
        let settings = Settings {
            tls: base.tls,
            host: base.host.clone(),
            port: base.port,
            authority: base.authority.clone(),
            roots,
            proxy: self.egress.choose(base.tls, &base.host, base.port).cloned(),
            timeouts: Timeouts {
                connect: timeouts.connect,
                first_byte: timeouts.first_byte,
                idle: timeouts.idle,
            },
        };
        match self.destinations.get(&provider.name).filter(|known| known.is_as(&settings)) {
            Some(known) => Ok(Arc::clone(known)),
            None => Destination::new(settings).map_err(|error| error.to_string()),
        }
    }
}

fn source(text: &crate::sources::Text) -> Source {
    Source { name: text.name.clone(), text: (*text.text).into() }
}

fn budget(config: &Config) -> Budget {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the configuration holds it to a sensible positive number"
    )]
    let floor = (config.retry.floor * 1_000.0).round() as u64;
    Budget { permille: config.retry.budget_permille, floor }
}

fn routes(config: &Config) -> Routes {
    let providers = config.providers.iter().map(|provider| {
        let also = provider.also.iter().map(|(wire, _)| *wire);
        (&*provider.name, std::iter::once(provider.wire).chain(also).collect())
    });
    let aliases = config.aliases.iter().map(|alias| routes::Alias {
        name: alias.name.clone(),
        strategy: match alias.strategy {
            Strategy::Weighted => routes::Strategy::Weighted,
            Strategy::Cheapest => routes::Strategy::Cheapest,
            // The other strategies are not in force yet, and the configuration says so.
            Strategy::Priority | Strategy::Fastest | Strategy::LeastBusy => {
                routes::Strategy::Priority
            }
        },
        targets: alias.targets.iter().map(|target| candidate(config, target)).collect(),
        moves_on: routes::MovesOn {
            context_too_long: alias.moves_on.context_too_long,
            content_filter: alias.moves_on.content_filter,
        },
        fallback: alias.fallback.as_ref().map(fallback),
    });
    Routes::new(providers, aliases.collect())
}

fn fallback(fallback: &used::Fallback) -> routes::Fallback {
    match fallback {
        used::Fallback::Text(text) => routes::Fallback::Text(Arc::from(&**text)),
        used::Fallback::Model(target) => routes::Fallback::Model(routes::Target {
            provider: target.provider,
            model: Some(Arc::from(&*target.model)),
        }),
    }
}

fn candidate(config: &Config, target: &used::Target) -> routes::Candidate {
    let name = &*target.model;
    let shipped = models::find(name);
    routes::Candidate {
        target: routes::Target { provider: target.provider, model: Some(Arc::from(name)) },
        weight: target.weight,
        price: written_price(config, name).or_else(|| shipped.map(|model| model.price)),
        context: shipped.map(|model| model.context),
    }
}

/// What the configuration says that a model costs.
fn written_price(config: &Config, name: &str) -> Option<models::Price> {
    let written = config.prices.iter().find(|(pattern, _)| pattern.matches(name));
    written.map(|(_, price)| *price)
}

/// The models that the configuration names: targets, deployments, and whatever a list names whole.
fn model_names(config: &Config) -> ModelNames {
    let targets = config.aliases.iter().flat_map(|alias| {
        let fallback = alias.fallback.as_ref().and_then(|it| match it {
            used::Fallback::Model(target) => Some(target),
            used::Fallback::Text(_) => None,
        });
        alias.targets.iter().chain(fallback).map(|to| &*to.model)
    });
    let providers = config.providers.iter();
    let listed = providers.flat_map(|provider| {
        let deployed = provider.deployments.iter().flat_map(|(m, d)| [&**m, &**d]);
        let keys = provider.keys.iter().flat_map(|source| &source.models);
        let limits = provider.limits.iter().flat_map(|limit| &limit.clause.models);
        deployed.chain(keys.chain(limits).filter(|it| !it.open).map(|it| &*it.text))
    });
    let priced = config.prices.iter().filter(|(it, _)| !it.open).map(|(it, _)| &*it.text);
    ModelNames::new(targets.chain(listed).chain(priced), config.prices.clone())
}

/// Something worth knowing that is in no file.
fn warning(message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, ..mistake(message) }
}

/// What a list of models tells beside a provider's own: aliases, then every provider's models under
/// the names that lead to it.
fn listed(config: &Config) -> Vec<Listed> {
    let aliases = config.aliases.iter().map(|alias| Listed {
        name: alias.name.clone(),
        owner: "keyweir".into(),
        context: None,
    });
    let models = config.providers.iter().enumerate().flat_map(|(place, provider)| {
        let aliases = config.aliases.iter().flat_map(|alias| &alias.targets);
        let targets = aliases.filter(move |to| to.provider == place).map(|to| &*to.model);
        let deployed = provider.deployments.iter().map(|(model, _)| &**model);
        let keys = provider.keys.iter().flat_map(|source| &source.models);
        let keys = keys.filter(|it| !it.open).map(|it| &*it.text);
        let shipped = models::MODELS.iter().map(|model| model.name);
        let shipped = shipped.filter(|name| models::is_made_by(name, provider.dialect));
        let mut names: Vec<&str> = targets.chain(deployed).chain(keys).chain(shipped).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| Listed {
            name: [&*provider.name, "/", name].concat().into(),
            owner: provider.name.clone(),
            context: models::find(name).map(|model| model.context),
        })
    });
    aliases.chain(models).collect()
}

/// A mistake that is in no file.
fn mistake(message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: None,
        line: None,
        column: None,
        path: String::new(),
        message: message.into(),
        suggestion: None,
    }
}
