//! Whether an installation is whole: what a cluster's objects look like goes in, findings come out,
//! each of what is wrong with the command that mends it. Pure, like the patch: whoever asks fetches.

mod installation;
mod pods;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

pub use pods::Asked;

/// The webhook by whose name an installation is known.
const WEBHOOK: &str = "pods.keyweir.dev";

/// What was fetched.
#[derive(Clone, Debug)]
pub struct Objects {
    /// When.
    pub now: Timestamp,
    /// `/version`.
    pub version: Value,
    /// Every `MutatingWebhookConfiguration`.
    pub webhooks: Vec<Value>,
    /// The injector's Deployment, where there is one.
    pub deployment: Value,
    /// Every namespace.
    pub namespaces: Vec<Value>,
    /// Every pod.
    pub pods: Vec<Value>,
    /// The `ConfigMap`s that pods ask for, by namespace and name.
    pub config_maps: BTreeMap<(String, String), Value>,
    /// The names of the Secrets in the namespaces of those pods; a namespace is missing where they
    /// may not be listed.
    pub secrets: BTreeMap<String, BTreeSet<String>>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Passed,
    /// Worth a look.
    Warning,
    /// Something does not work.
    Failed,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub grade: Grade,
    /// What it is about, in words.
    pub what: String,
    /// The command that mends it.
    pub remedy: Option<String>,
}

impl Finding {
    fn passed(what: impl Into<String>) -> Self {
        Self { grade: Grade::Passed, what: what.into(), remedy: None }
    }

    fn warning(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Warning, what: what.into(), remedy: Some(remedy.into()) }
    }

    fn failed(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Failed, what: what.into(), remedy: Some(remedy.into()) }
    }
}

/// The Service that the webhook leads to: namespace and name. The Deployment is called like it.
pub fn service(webhooks: &[Value]) -> Option<(String, String)> {
    installation::service(webhooks)
}

/// The pods that ask for the sidecar, with what they ask for.
pub fn asked(namespaces: &[Value], pods: &[Value]) -> Vec<Asked> {
    pods::asked(namespaces, pods)
}

/// Looks at everything.
pub fn inspect(objects: &Objects) -> Vec<Finding> {
    let mut findings = installation::inspect(objects);
    findings.extend(pods::inspect(objects));
    findings
}
