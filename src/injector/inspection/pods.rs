//! The pods that ask for a sidecar, their configuration and their Secrets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::admission::{Opening, open};
use super::super::json::{at, list, name_of, text};
use super::super::marks::{CONTAINER, Marks, VERSION};
use super::super::patch::inject;
use super::super::settings::{Defaults, Resources, Settings};
use super::super::surroundings::{Surroundings, Workload};
use super::{Finding, Objects};
use crate::config::{self, Names, Severity, Source};
use crate::sources::CONFIG_ENTRY;

/// Pods that are named one by one; of more, how many there are is said.
const NAMED: usize = 10;

/// A pod that asks for the sidecar.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its namespace.
    pub namespace: String,
    /// What it asks for.
    pub settings: Settings,
    pod: Value,
}

pub(super) fn asked(namespaces: &[Value], pods: &[Value]) -> Vec<Asked> {
    let marks: BTreeMap<&str, Marks> =
        namespaces.iter().map(|it| (name_of(at(it, &["metadata"])), Marks::of(it))).collect();
    let none = Marks::default();
    let asks = |pod: &Value| {
        let namespace = text(at(pod, &["metadata"]), "namespace");
        match open(pod, marks.get(namespace).unwrap_or(&none), &defaults()) {
            Opening::Asked(settings, _) => Some(Asked {
                namespace: namespace.to_owned(),
                settings: *settings,
                pod: pod.clone(),
            }),
            Opening::Left(..) | Opening::Denied(_) => None,
        }
    };
    // What has come to its end needs nothing any more.
    let lives =
        |pod: &&Value| !matches!(text(at(pod, &["status"]), "phase"), "Succeeded" | "Failed");
    pods.iter().filter(lives).filter_map(asks).collect()
}

pub(super) fn inspect(objects: &Objects) -> Vec<Finding> {
    let asked = asked(&objects.namespaces, &objects.pods);
    if asked.is_empty() {
        let what = "no pod asks for the sidecar yet";
        let remedy = "annotate a pod template with keyweir.dev/inject: \"true\"";
        return vec![Finding::warning(what, remedy)];
    }
    let mut findings = configurations(objects, &asked);
    findings.extend(sidecars(objects, &asked));
    findings
}

/// Each configuration that pods rest on, and the Secrets that it names.
fn configurations(objects: &Objects, asked: &[Asked]) -> Vec<Finding> {
    let used: BTreeSet<(&str, &[String])> =
        asked.iter().map(|it| (it.namespace.as_str(), it.settings.configs.as_slice())).collect();
    let mut findings = Vec::new();
    for (namespace, names) in used {
        let texts = names.iter().filter_map(|name| {
            let held = objects.config_maps.get(&(namespace.to_owned(), name.clone()))?;
            let text = at(held, &["data", CONFIG_ENTRY]).as_str()?;
            Some(Source { name: format!("{name}/{CONFIG_ENTRY}").into(), text: text.into() })
        });
        let sources: Vec<Source> = texts.collect();
        let outcome = config::read(&sources, None);
        let shown = format!("{namespace}: configuration {}", names.join(", "));
        let mistakes = outcome.diagnostics.iter().filter(|it| it.severity == Severity::Error);
        let edit = format!("kubectl --namespace {namespace} edit configmap {}", names.join(" "));
        let before = findings.len();
        findings.extend(
            mistakes.map(|mistake| Finding::failed(format!("{namespace}: {mistake}"), &edit)),
        );
        if findings.len() == before {
            let what = if sources.is_empty() { "none, which will do" } else { "without mistakes" };
            findings.push(Finding::passed(format!("{shown}: {what}")));
        }
        findings.extend(secrets(objects, namespace, &outcome.names));
    }
    findings
}

fn secrets(objects: &Objects, namespace: &str, names: &Names) -> Vec<Finding> {
    let Some(there) = objects.secrets.get(namespace) else {
        let what = format!("{namespace}: its Secrets may not be listed, so none was looked for");
        return vec![Finding::warning(what, "kubectl auth can-i list secrets")];
    };
    let missing = names.secrets.iter().filter(|name| !there.contains(&***name));
    let missing =
        missing.filter(|name| ***name != *config::DEFAULT_SECRET || names.secrets.len() == 1);
    let finding = |name: &str| {
        let create = format!(
            "kubectl --namespace {namespace} create secret generic {name} --from-literal=KEY=…"
        );
        Finding::failed(format!("{namespace}: there is no Secret {name}"), create)
    };
    missing.map(|name| finding(name)).collect()
}

/// Pods without a sidecar, and those with one of another version.
fn sidecars(objects: &Objects, asked: &[Asked]) -> Vec<Finding> {
    let labels = at(&objects.deployment, &["metadata", "labels"]);
    let version = text(labels, "app.kubernetes.io/version");
    let (mut bare, mut old) = (Vec::new(), Vec::new());
    for it in asked {
        let injected = at(&it.pod, &["metadata", "annotations", VERSION]).as_str();
        if !has_sidecar(&it.pod) {
            bare.push(without(it));
        } else if !version.is_empty() && injected.is_some_and(|injected| injected != version) {
            let what = format!("{} has the sidecar of {}", shown(it), injected.unwrap_or_default());
            old.push(Finding::warning(what, roll(it)));
        }
    }
    let whole = asked.len() - bare.len();
    let mut findings = vec![Finding::passed(format!("{whole} pods have the sidecar"))];
    for (group, what) in [(bare, "lack the sidecar"), (old, "have an older sidecar")] {
        let more = group.len().saturating_sub(NAMED);
        findings.extend(group.into_iter().take(NAMED));
        if more > 0 {
            findings.push(Finding::warning(format!("{more} further pods {what}"), "as above"));
        }
    }
    findings
}

/// Why a pod that asks has no sidecar.
fn without(it: &Asked) -> Finding {
    let defaults = defaults();
    let workload = Workload::default();
    let around = Surroundings { workload: &workload, configuration: None, defaults: &defaults };
    match inject(&it.pod, &it.settings, &around) {
        Ok(_) => {
            let what = format!("{} was made while nobody injected", shown(it));
            Finding::failed(what, roll(it))
        }
        Err(reason) => {
            let what = format!("{} has no sidecar: {reason}", shown(it));
            Finding::warning(what, "see docs/injector.md, What is not, and why")
        }
    }
}

fn has_sidecar(pod: &Value) -> bool {
    let rows = ["initContainers", "containers"].into_iter();
    rows.flat_map(|row| list(at(pod, &["spec"]), row)).any(|it| name_of(it) == CONTAINER)
}

fn shown(it: &Asked) -> String {
    format!("{}/{}", it.namespace, name_of(at(&it.pod, &["metadata"])))
}

/// Makes the pod anew.
fn roll(it: &Asked) -> String {
    let Asked { namespace, pod, .. } = it;
    let metadata = at(pod, &["metadata"]);
    let owner = list(metadata, "ownerReferences").first();
    let (kind, name) = owner.map_or(("", ""), |owner| (text(owner, "kind"), name_of(owner)));
    let hash = text(at(metadata, &["labels"]), "pod-template-hash");
    let deployment = name.strip_suffix(hash).and_then(|name| name.strip_suffix('-'));
    let what = match (kind, deployment) {
        ("ReplicaSet", Some(deployment)) if !hash.is_empty() => format!("deployment/{deployment}"),
        ("StatefulSet", _) => format!("statefulset/{name}"),
        ("DaemonSet", _) => format!("daemonset/{name}"),
        _ => {
            return format!("kubectl --namespace {namespace} delete pod {}", name_of(metadata));
        }
    };
    format!("kubectl --namespace {namespace} rollout restart {what}")
}

/// What a sidecar would get does not matter here.
fn defaults() -> Defaults {
    Defaults {
        image: String::new(),
        image_pull_policy: None,
        resources: Resources {
            cpu_request: "10m".to_owned(),
            cpu_limit: None,
            memory_request: "32Mi".to_owned(),
            memory_limit: None,
        },
        native_sidecars: true,
    }
}
