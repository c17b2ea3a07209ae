//! What becomes of a pod, before and after the cluster has been asked about it.

use serde_json::Value;

use super::marks::{INJECT, Marks, PREFIX};
use super::opt_in::{OptIn, opt_in};
use super::reason::Reason;
use super::settings::{self, Defaults, Settings};
use crate::config::shown;

/// What the marks of pod and namespace lead to.
#[derive(Clone, Debug)]
pub enum Opening {
    /// It is to have the sidecar, in this way; with warnings about what is written.
    Asked(Box<Settings>, Vec<String>),
    /// It is admitted as it was.
    Left(Reason, Vec<String>),
    /// It is not admitted: it says neither yes nor no.
    Denied(String),
}

/// Reads what a pod, and its namespace behind it, ask for.
pub fn open(pod: &Value, namespace: &Marks, defaults: &Defaults) -> Opening {
    let marks = Marks::of(pod);
    match opt_in(&marks, namespace) {
        OptIn::Asked => {
            let (settings, warnings) = settings::read(&marks, namespace, defaults);
            Opening::Asked(Box::new(settings), warnings)
        }
        OptIn::OptedOut => Opening::Left(Reason::OptedOut, Vec::new()),
        OptIn::NotAsked => Opening::Left(Reason::NotAsked, unheard(&marks, namespace)),
        OptIn::Unclear { place, value } => Opening::Denied(format!(
            "keyweir: the {place} {INJECT} is `{}`; it must be \"true\" for the sidecar or \
             \"false\" to do without it",
            shown(&value)
        )),
    }
}

/// What somebody wrote who expects something of it, and nothing comes.
fn unheard(pod: &Marks, namespace: &Marks) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(written) = pod.annotations.keys().find(|key| key.starts_with(PREFIX)) {
        warnings.push(format!(
            "nothing is injected: the pod has {}, but not {INJECT}: \"true\"",
            shown(written)
        ));
    }
    if let Some(value) = namespace.labels.get(INJECT) {
        warnings.push(format!(
            "the namespace's label {INJECT} is `{}`, which opts nobody in; it must be \"true\"",
            shown(value)
        ));
    }
    warnings
}
