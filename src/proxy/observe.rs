//! What is told to those who watch: the status, and the gauges that a scrape brings up to date.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::build::News;
use crate::admin::status::{
    BreakerState, BreakerStatus, CallerStatus, ConfigState, ConfigStatus, Event, EventKind,
    KeyState, KeyStatus, LimitStatus, Mode, ProviderStatus, QuotaGroupState, QuotaGroupStatus,
    Status, When,
};
use crate::callers::Per;
use crate::clock::{Moment, Now};
use crate::config::Diagnostic;
use crate::keys::{self, GroupState};
use crate::lifecycle::{Clock, Lifecycle};
use crate::limits::{self, Level};
use crate::pipeline::{Provider, Purse, Snapshot};
use crate::sources::Letter;
use crate::telemetry::Metrics;

/// Events that are kept for the page.
const MOST_EVENTS: usize = 50;

/// Tells what is.
#[derive(Debug)]
pub(super) struct Observer {
    clock: Clock,
    started: Now,
    lifecycle: Lifecycle,
    metrics: Metrics,
    snapshots: Arc<ArcSwap<Snapshot>>,
    notes: Mutex<Notes>,
}

/// What happened to the configuration.
#[derive(Debug, Default)]
struct Notes {
    config: ConfigStatus,
    missing: Vec<String>,
    warnings: Vec<String>,
    /// Limits that have ended.
    ended: Vec<String>,
    recent: VecDeque<Event>,
}

impl Observer {
    pub(super) fn new(
        clock: Clock,
        lifecycle: Lifecycle,
        metrics: Metrics,
        snapshots: Arc<ArcSwap<Snapshot>>,
    ) -> Self {
        let started = clock.now();
        Self { clock, started, lifecycle, metrics, snapshots, notes: Mutex::default() }
    }

    /// A configuration was taken.
    pub(super) fn taken(&self, news: &News, letter: &Letter) {
        let now = self.clock.now();
        let metrics = &self.metrics;
        metrics.config_reloads.with_label_values(&["success"]).inc();
        metrics.config_last_success.set(now.wall.as_second());
        let generation = i64::try_from(news.generation).unwrap_or(i64::MAX);
        metrics.config_generation.set(generation);
        self.note_sources(letter);
        for warning in &news.warnings {
            tracing::warn!(place = %warning, "Configuration");
        }
        let mut notes = self.lock();
        notes.config = ConfigStatus {
            state: if letter.texts.is_empty() {
                ConfigState::Defaults
            } else {
                ConfigState::InForce
            },
            message: None,
            since: now.wall.into(),
            sources: letter.texts.iter().map(|text| text.name.to_string()).collect(),
        };
        notes.missing = news.missing.iter().map(ToString::to_string).collect();
        notes.warnings = news.warnings.iter().map(ToString::to_string).collect();
        let problems = letter.problems.iter().map(ToString::to_string);
        notes.warnings.extend(problems);
        if news.generation > 1 {
            let message = format!("configuration {} taken", news.generation);
            notes.happened(now, EventKind::Reload, message);
        }
    }

    /// These limits have ended. Each is told once.
    pub(super) fn ended(&self, limits: &[Diagnostic]) {
        let mut notes = self.lock();
        for limit in limits {
            let told = limit.to_string();
            if !notes.ended.contains(&told) {
                tracing::warn!(place = told, "A limit has ended");
                notes.ended.push(told);
            }
        }
        notes.ended.retain(|told| limits.iter().any(|limit| limit.to_string() == *told));
    }

    /// A configuration was refused; the last good one stays.
    pub(super) fn refused(&self, mistakes: &[Diagnostic], letter: &Letter) {
        let now = self.clock.now();
        self.metrics.config_reloads.with_label_values(&["refused"]).inc();
        self.note_sources(letter);
        for mistake in mistakes {
            tracing::error!(place = %mistake, "Configuration refused, the last good one stays");
        }
        let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        let mut notes = self.lock();
        notes.config.state = ConfigState::Refused;
        notes.config.message = Some(lines.join("\n"));
        notes.happened(now, EventKind::ReloadRefused, lines.join("; "));
    }

    fn note_sources(&self, letter: &Letter) {
        let up = i64::from(letter.problems.is_empty());
        self.metrics.source_up.with_label_values(&["mount"]).set(up);
        for problem in &letter.problems {
            tracing::warn!(%problem, "A place cannot be read");
        }
    }

    /// Brings the gauges up to date and tells everything.
    pub(super) fn look(&self) -> Status {
        let now = self.clock.now();
        let snapshot = self.snapshots.load_full();
        self.reset_gauges();
        let providers =
            snapshot.providers.iter().map(|provider| self.look_at(provider, now)).collect();
        let callers = snapshot.purses.iter().flatten().map(|purse| self.caller(purse)).collect();
        let ready = self.lifecycle.readiness.check();
        let notes = self.lock();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: now.wall.into(),
            uptime_seconds: now.at.since(self.started.at).as_secs(),
            ready: ready.is_ok(),
            unready_reason: ready.err().map(|why| why.as_str().to_owned()),
            generation: snapshot.generation,
            config: notes.config.clone(),
            replicas_assumed: snapshot.replicas.get(),
            mode: match snapshot.mode {
                limits::Mode::Enforce => Mode::Enforce,
                limits::Mode::Observe => Mode::Observe,
            },
            callers,
            providers,
            missing: notes.missing.clone(),
            warnings: notes.warnings.iter().chain(&notes.ended).cloned().collect(),
            recent: notes.recent.iter().cloned().collect(),
        }
    }

    /// What is gone since the last look must not be told any more.
    fn reset_gauges(&self) {
        let metrics = &self.metrics;
        metrics.limit_level.reset();
        metrics.limit_used.reset();
        metrics.limit_configured.reset();
        metrics.limit_learned.reset();
        metrics.limit_exhaustion.reset();
        metrics.caller_limit_used.reset();
        metrics.key_state.reset();
        metrics.quota_group_state.reset();
        metrics.breaker_state.reset();
    }

    fn look_at(&self, provider: &Provider, now: Now) -> ProviderStatus {
        let pool = provider.desk.look(|pool, at| pool.status(at));
        let keys = pool.keys.iter().map(|key| self.key(provider, key)).collect();
        let groups = pool.groups.iter().map(|group| self.group(provider, group, now)).collect();
        ProviderStatus {
            name: provider.name.to_string(),
            wire: provider.wire.as_str().to_owned(),
            base_host: provider.destination.place().to_owned(),
            keys,
            quota_groups: groups,
            queue_depth: provider.desk.lines.waiting() as u64,
        }
    }

    fn key(&self, provider: &Provider, key: &keys::KeyStatus) -> KeyStatus {
        let word = match key.state {
            keys::KeyState::Healthy => "healthy",
            keys::KeyState::Resting => "resting",
            keys::KeyState::Disabled => "disabled",
            keys::KeyState::Forbidden => "forbidden",
        };
        self.metrics.key_is(&provider.name, &key.name, word);
        KeyStatus {
            name: key.name.to_string(),
            quota_group: key.group.to_string(),
            weight: key.weight,
            state: match key.state {
                keys::KeyState::Healthy | keys::KeyState::Forbidden => KeyState::Healthy,
                keys::KeyState::Resting => KeyState::Resting,
                keys::KeyState::Disabled => KeyState::Disabled,
            },
            since: None,
            reason_code: None,
            forbidden_models: key.forbidden.iter().map(ToString::to_string).collect(),
        }
    }

    fn group(&self, provider: &Provider, group: &keys::GroupStatus, now: Now) -> QuotaGroupStatus {
        let (state, until) = worst(group);
        let state = match state {
            GroupState::Open => QuotaGroupState::Available,
            GroupState::Held => QuotaGroupState::Held,
            GroupState::Benched => QuotaGroupState::Benched,
            GroupState::Suspended => QuotaGroupState::Off,
        };
        let word = match state {
            QuotaGroupState::Available => "available",
            QuotaGroupState::Held => "held",
            QuotaGroupState::Benched => "benched",
            QuotaGroupState::Off => "off",
        };
        self.metrics.quota_group_is(&provider.name, &group.name, word);
        let mut limits: Vec<_> =
            group.common.iter().map(|level| self.limit(provider, group, "", level)).collect();
        let mut breakers = Vec::new();
        for model in &group.models {
            limits.extend(
                model.levels.iter().map(|level| self.limit(provider, group, &model.model, level)),
            );
            breakers.push(self.breaker(provider, model));
        }
        QuotaGroupStatus {
            name: group.name.to_string(),
            state,
            until: when(until, now),
            reason_code: None,
            limits,
            breakers,
        }
    }

    fn limit(
        &self,
        provider: &Provider,
        group: &keys::GroupStatus,
        model: &str,
        level: &Level,
    ) -> LimitStatus {
        let label = self.snapshots.load().models.label(model);
        let labels = [&*provider.name, &*group.name, &*label, level.name()];
        let metrics = &self.metrics;
        metrics.limit_level.with_label_values(&labels).set(level.level);
        metrics.limit_used.with_label_values(&labels).set(level.used());
        if let Some(amount) = level.configured {
            metrics.limit_configured.with_label_values(&labels).set(as_f64(amount));
        }
        if let Some(amount) = level.learned {
            metrics.limit_learned.with_label_values(&labels).set(as_f64(amount));
        }
        if let Some(time) = level.exhausted_in {
            metrics.limit_exhaustion.with_label_values(&labels).set(time.as_secs_f64());
        }
        limit_status(model, level)
    }

    fn caller(&self, purse: &Purse) -> CallerStatus {
        let (levels, accounts, per) =
            purse.look(|accounts, now| (accounts.levels(now), accounts.len(), accounts.per()));
        for level in &levels {
            let gauge =
                self.metrics.caller_limit_used.with_label_values(&[&**purse.name(), level.name()]);
            gauge.set(gauge.get().max(level.used()));
        }
        CallerStatus {
            name: purse.name().to_string(),
            per: match per {
                Per::Caller => "caller",
                Per::User => "user",
                Per::Model => "model",
            }
            .to_owned(),
            accounts: accounts as u64,
            queue_depth: purse.waiting() as u64,
            limits: levels.iter().map(|level| limit_status("", level)).collect(),
        }
    }

    fn breaker(&self, provider: &Provider, model: &keys::ModelStatus) -> BreakerStatus {
        let (state, word) = match model.breaker {
            keys::BreakerState::Closed => (BreakerState::Closed, "closed"),
            keys::BreakerState::Open => (BreakerState::Open, "open"),
            keys::BreakerState::HalfOpen => (BreakerState::HalfOpen, "halfOpen"),
        };
        let label = self.snapshots.load().models.label(&model.model);
        self.metrics.breaker_is(&provider.name, &label, word);
        BreakerStatus { model: model.model.to_string(), state, until: None }
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limit_status(model: &str, level: &Level) -> LimitStatus {
    LimitStatus {
        model: model.to_owned(),
        limit: level.name().to_owned(),
        window_seconds: level.window.as_secs(),
        configured: level.configured,
        learned: level.learned,
        level_ratio: level.level,
        used_ratio: level.used(),
        exhausted_in_seconds: level.exhausted_in.map(|time| time.as_secs_f64()),
        replicas: level.replicas,
    }
}

/// The state of a group, or that of a model of it that is held.
fn worst(group: &keys::GroupStatus) -> (GroupState, Option<Moment>) {
    let held = group.models.iter().filter(|model| model.state != GroupState::Open);
    match (group.state, held.max_by_key(|model| model.until)) {
        (GroupState::Open, Some(model)) => (model.state, model.until),
        (state, _) => (state, group.until),
    }
}

impl Notes {
    fn happened(&mut self, now: Now, kind: EventKind, message: String) {
        self.recent.push_front(Event { at: now.wall.into(), kind, message });
        self.recent.truncate(MOST_EVENTS);
    }
}

fn when(moment: Option<Moment>, now: Now) -> Option<When> {
    moment.filter(|moment| *moment != Moment::NEVER).map(|moment| now.wall_at(moment).into())
}

#[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
const fn as_f64(amount: u64) -> f64 {
    amount as f64
}
