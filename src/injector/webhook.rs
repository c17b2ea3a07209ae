//! What the API server asks is answered here: the cluster is consulted, the answer counted, logged,
//! and told to the pod's controller.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use tokio::time::timeout;

use super::admission::{Opening, open};
use super::configuration;
use super::events::{Events, News};
use super::knowledge::{Knowledge, Owner, Unknown};
use super::patch::{Injection, inject};
use super::reason::Reason;
use super::review::{Answer, Review};
use super::settings::{Defaults, Settings};
use super::surroundings::Surroundings;
use crate::config::{self, Names, Severity, Source};
use crate::lifecycle::Clock;
use crate::sources::CONFIG_ENTRY;
use crate::telemetry::Injections;

/// Where pods are given the sidecar.
pub const INJECT_PATH: &str = "/inject";
/// Where configurations are validated.
pub const VALIDATE_PATH: &str = "/validate";
/// The largest review: the API server takes objects of 3 MiB, and sends two of them.
const LARGEST: usize = 8 * 1024 * 1024;
/// How long the API server may take to send one.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of a configuration's mistakes, how many are shown to whoever applies a pod.
const MISTAKES_SHOWN: usize = 3;
/// The status of what is refused.
const FORBIDDEN: u16 = 403;

/// Answers reviews. Clones share everything.
#[derive(Clone, Debug)]
pub struct Webhook {
    defaults: Arc<Defaults>,
    knowledge: Knowledge,
    events: Events,
    metrics: Injections,
    clock: Clock,
}

impl Webhook {
    /// One that gives these sidecars.
    pub fn new(
        defaults: Defaults,
        knowledge: Knowledge,
        events: Events,
        metrics: Injections,
        clock: Clock,
    ) -> Self {
        Self { defaults: Arc::new(defaults), knowledge, events, metrics, clock }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let path = request.uri().path().to_owned();
        if ![INJECT_PATH, VALIDATE_PATH].contains(&path.as_str()) {
            return refusal(StatusCode::NOT_FOUND, "here are /inject and /validate");
        }
        if *request.method() != Method::POST {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "an AdmissionReview is posted");
        }
        let body = Limited::new(request.into_body(), LARGEST).collect();
        let body = match timeout(PATIENCE, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return self.unread("the review is larger than 8 MiB, or broke off"),
            Err(_) => return self.unread("the review did not come in time"),
        };
        let begun = self.clock.moment();
        let review = match Review::read(&body) {
            Ok(review) => review,
            Err(error) => return self.unread(&error.to_string()),
        };
        drop(body);
        let answer = match (path.as_str(), review.kind.as_str()) {
            (INJECT_PATH, "Pod") if review.operation == "CREATE" => self.pod(&review).await,
            (VALIDATE_PATH, "ConfigMap") if review.operation != "DELETE" => {
                self.config_map(&review).await
            }
            _ => Answer::unchanged(Vec::new()),
        };
        let answered = review.answered(&answer);
        let took = self.clock.moment().since(begun);
        self.metrics.admission_duration.observe(took.as_secs_f64());
        let mut response = Response::new(Full::from(answered));
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    async fn pod(&self, review: &Review) -> Answer {
        let namespace = self.knowledge.namespace(&review.namespace).await;
        match open(&review.object, &namespace, &self.defaults) {
            Opening::Asked(settings, warnings) => self.asked(review, &settings, warnings).await,
            Opening::Left(reason, warnings) => self.left(review, &reason, warnings),
            Opening::Denied(message) => {
                self.count(review, "denied", "unclear_opt_in");
                self.tell(review, "InjectionDenied", &message);
                Answer { verdict: Err((FORBIDDEN, message)), warnings: Vec::new() }
            }
        }
    }

    async fn asked(&self, review: &Review, settings: &Settings, warnings: Vec<String>) -> Answer {
        let mut warnings = warnings;
        let workload = self.knowledge.workload(&review.object, &review.namespace).await;
        let (names, more) = self.configuration(&review.namespace, &settings.configs).await;
        warnings.extend(more);
        let around = Surroundings {
            workload: &workload,
            configuration: names.as_ref(),
            defaults: &self.defaults,
        };
        match inject(&review.object, settings, &around) {
            Ok(Injection { patch, warnings: more }) => {
                warnings.extend(more);
                let reason = if patch.is_empty() { "complete" } else { "asked" };
                self.count(review, "injected", reason);
                let (namespace, workload) = (&review.namespace, &workload.name);
                tracing::info!(namespace, workload, warnings = warnings.len(), "Pod injected");
                Answer { verdict: Ok(patch), warnings }
            }
            Err(reason) => self.left(review, &reason, warnings),
        }
    }

    /// What the configuration names that these `ConfigMap`s make together, and what is wrong with
    /// it. One that is not there yet may come, and is no mistake.
    async fn configuration(
        &self,
        namespace: &str,
        config_maps: &[String],
    ) -> (Option<Names>, Vec<String>) {
        let mut sources = Vec::new();
        let mut warnings = Vec::new();
        for name in config_maps {
            match self.knowledge.configuration(namespace, name).await {
                Ok(text) => sources.push(Source {
                    name: format!("{name}/{CONFIG_ENTRY}").into(),
                    text: (*text).into(),
                }),
                Err(Unknown::Missing) => {}
                Err(Unknown::Unreachable) => warnings.push(format!(
                    "ConfigMap {name} could not be read: the Secrets that it names are not mounted"
                )),
            }
        }
        if sources.is_empty() {
            return (None, warnings);
        }
        let outcome = config::read(&sources, None);
        let mistakes = outcome.diagnostics.iter().filter(|it| it.severity == Severity::Error);
        let count = mistakes.clone().count();
        if count > 0 {
            warnings.push(format!(
                "the sidecar will not start before the configuration is mended ({count} found)"
            ));
            warnings.extend(mistakes.take(MISTAKES_SHOWN).map(ToString::to_string));
        }
        (Some(outcome.names), warnings)
    }

    /// A pod that is admitted as it was.
    fn left(&self, review: &Review, reason: &Reason, warnings: Vec<String>) -> Answer {
        let mut warnings = warnings;
        self.count(review, "skipped", reason.as_str());
        if reason.is_refusal() {
            let note = format!("nothing is injected: {reason}");
            self.tell(review, "InjectionSkipped", &note);
            warnings.insert(0, note);
        }
        Answer::unchanged(warnings)
    }

    async fn config_map(&self, review: &Review) -> Answer {
        let mut others = Vec::new();
        for name in configuration::merged_with(&review.object) {
            if let Ok(text) = self.knowledge.configuration(&review.namespace, &name).await {
                others.push((name, (*text).to_owned()));
            }
        }
        configuration::validate(&review.object, &others)
    }

    fn count(&self, review: &Review, result: &str, reason: &str) {
        if !review.dry_run {
            self.metrics.injections.with_label_values(&[result, reason]).inc();
        }
    }

    /// Logs why a pod has no sidecar, and tells its controller.
    fn tell(&self, review: &Review, reason: &'static str, note: &str) {
        let owner = Owner::of(&review.object);
        let (namespace, kind, name) = (
            &review.namespace,
            owner.as_ref().map(|owner| owner.kind.as_str()),
            owner.as_ref().map(|owner| owner.name.as_str()),
        );
        tracing::warn!(namespace, kind, name, note, "{reason}");
        if let (false, Some(owner)) = (review.dry_run, owner) {
            let namespace = review.namespace.clone();
            self.events.tell(News { owner, namespace, reason, note: note.to_owned() });
        }
    }

    fn unread(&self, why: &str) -> Response<Full<Bytes>> {
        self.metrics.injections.with_label_values(&["failed", "unreadable_review"]).inc();
        tracing::warn!(why, "A review could not be read");
        refusal(StatusCode::BAD_REQUEST, why)
    }
}

fn refusal(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{why}\n")));
    *response.status_mut() = status;
    response
}
