//! A pod with what stands around it, as a file of manifests tells it.
//!
//! The first document is the pod. Its `Namespace` and its `ConfigMap`s may follow, and two documents
//! that are no manifests: `Around` says what the injector knows from elsewhere, and `Meanwhile`
//! holds a JSON patch that other webhooks apply before the injector is called again.

use std::collections::BTreeMap;

use json_patch::Patch;
use keyweir::config::{self, Names, Source};
use keyweir::injector::{
    Defaults, Injection, Marks, Opening, Reason, Resources, Surroundings, Workload, inject, open,
};
use serde_json::Value;

pub(crate) struct Case {
    pub(crate) pod: Value,
    namespace: Marks,
    config_maps: BTreeMap<String, String>,
    workload: Workload,
    pub(crate) defaults: Defaults,
    pub(crate) meanwhile: Option<Patch>,
}

/// What became of the pod.
pub(crate) enum Became {
    Injected(Injection),
    Left(Reason, Vec<String>),
    Denied(String),
}

impl Case {
    pub(crate) fn read(text: &str) -> Self {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        let mut documents = documents.into_iter();
        let pod = documents.next().unwrap();
        assert_eq!(pod["kind"], "Pod", "the first document is the pod");
        let mut case = Self::around(pod);
        for document in documents {
            match document["kind"].as_str().unwrap() {
                "Namespace" => case.namespace = Marks::of(&document),
                "ConfigMap" => {
                    let name = document["metadata"]["name"].as_str().unwrap().to_owned();
                    let text = document["data"]["keyweir.yaml"].as_str().unwrap().to_owned();
                    case.config_maps.insert(name, text);
                }
                "Around" => case.take(&document),
                "Meanwhile" => {
                    case.meanwhile =
                        Some(serde_json::from_value(document["patch"].clone()).unwrap());
                }
                other => panic!("no such document: {other}"),
            }
        }
        case
    }

    /// A pod with nothing special around it.
    pub(crate) fn around(pod: Value) -> Self {
        let resources = Resources {
            cpu_request: "10m".to_owned(),
            cpu_limit: None,
            memory_request: "32Mi".to_owned(),
            memory_limit: Some("256Mi".to_owned()),
        };
        let defaults = Defaults {
            image: "registry.example/keyweir:1".to_owned(),
            image_pull_policy: None,
            resources,
            native_sidecars: true,
        };
        let workload = Workload { name: "web".to_owned(), replicas: Some(3) };
        Self {
            pod,
            namespace: Marks::default(),
            config_maps: BTreeMap::new(),
            workload,
            defaults,
            meanwhile: None,
        }
    }

    fn take(&mut self, around: &Value) {
        if let Some(native) = around["nativeSidecars"].as_bool() {
            self.defaults.native_sidecars = native;
        }
        if let Some(policy) = around["imagePullPolicy"].as_str() {
            self.defaults.image_pull_policy = Some(policy.to_owned());
        }
        if let Some(limit) = around["cpuLimit"].as_str() {
            self.defaults.resources.cpu_limit = Some(limit.to_owned());
        }
        if let Some(workload) = around["workload"].as_object() {
            let replicas = workload.get("replicas").and_then(Value::as_u64);
            let replicas = replicas.map(|replicas| replicas.try_into().unwrap());
            let name = workload["name"].as_str().unwrap().to_owned();
            self.workload = Workload { name, replicas };
        }
    }

    /// What becomes of `pod` with this around it.
    pub(crate) fn admit(&self, pod: &Value) -> Became {
        let (settings, mut warnings) = match open(pod, &self.namespace, &self.defaults) {
            Opening::Asked(settings, warnings) => (settings, warnings),
            Opening::Left(reason, warnings) => return Became::Left(reason, warnings),
            Opening::Denied(message) => return Became::Denied(message),
        };
        let names = self.names(&settings.configs);
        let around = Surroundings {
            workload: &self.workload,
            configuration: names.as_ref(),
            defaults: &self.defaults,
        };
        match inject(pod, &settings, &around) {
            Ok(Injection { patch, warnings: more }) => {
                warnings.extend(more);
                Became::Injected(Injection { patch, warnings })
            }
            Err(reason) => Became::Left(reason, warnings),
        }
    }

    fn names(&self, configs: &[String]) -> Option<Names> {
        let texts = configs.iter().filter_map(|name| self.config_maps.get_key_value(name));
        let sources: Vec<Source> = texts
            .map(|(name, text)| Source { name: name.as_str().into(), text: text.as_str().into() })
            .collect();
        (!sources.is_empty()).then(|| config::read(&sources, None).names)
    }
}

/// The pod after the patch.
pub(crate) fn patched(pod: &Value, patch: &Patch) -> Value {
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, patch).unwrap();
    patched
}
