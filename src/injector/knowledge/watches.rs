//! The watches: every namespace's marks, and the configuration of every ConfigMap that is called
//! as configurations are, or labelled as one.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::ResourceExt;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};

use super::super::marks::CONFIG_LABEL;
use super::super::settings::DEFAULT_CONFIG;
use super::{Knowledge, ObjectName, configuration_of, marks_of};
use crate::lifecycle::Tasks;

/// Objects that one answer of the API server may hold: a ConfigMap may be a MiB.
const PAGE: u32 = 100;

pub(super) fn start(knowledge: &Knowledge, tasks: &Tasks) {
    let Some(client) = &knowledge.0.client else { return };
    let api = Api::all(client.clone());
    drop(tasks.spawn(namespaces(knowledge.clone(), api)));
    let named = watcher::Config::default().fields(&format!("metadata.name={DEFAULT_CONFIG}"));
    let labelled = watcher::Config::default().labels(&format!("{CONFIG_LABEL}=true"));
    for config in [named, labelled] {
        let api = Api::all(client.clone());
        drop(tasks.spawn(config_maps(knowledge.clone(), api, config.page_size(PAGE))));
    }
}

async fn namespaces(knowledge: Knowledge, api: Api<PartialObjectMeta<Namespace>>) {
    let mut events = pin!(watch(api, watcher::Config::default()).default_backoff());
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match told("namespaces", event) {
            Some(Event::Init) => listed.clear(),
            Some(Event::InitApply(found)) => {
                knowledge.knows_namespace(&found.name_any(), Some(&Arc::new(marks_of(&found))));
                listed.insert(found.name_any());
            }
            // What went while nobody watched.
            Some(Event::InitDone) => {
                super::locked(&knowledge.0.namespaces).retain(|name, _| listed.contains(name));
            }
            Some(Event::Apply(found)) => {
                knowledge.knows_namespace(&found.name_any(), Some(&Arc::new(marks_of(&found))));
            }
            Some(Event::Delete(gone)) => knowledge.knows_namespace(&gone.name_any(), None),
            None => {}
        }
    }
}

/// Two of these run, and an object may be seen by both: each forgets only what it has seen itself,
/// and what is forgotten too much is asked for.
async fn config_maps(knowledge: Knowledge, api: Api<ConfigMap>, config: watcher::Config) {
    let mut events = pin!(watch(api, config).default_backoff());
    let mut held: HashSet<ObjectName> = HashSet::new();
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match told("ConfigMaps", event) {
            Some(Event::Init) => listed.clear(),
            Some(Event::InitApply(found)) => {
                listed.insert(learn(&knowledge, &found));
            }
            Some(Event::InitDone) => {
                for (namespace, name) in held.difference(&listed) {
                    knowledge.forgets_config_map(namespace, name);
                }
                held.clone_from(&listed);
            }
            Some(Event::Apply(found)) => {
                held.insert(learn(&knowledge, &found));
            }
            Some(Event::Delete(gone)) => {
                let key = key_of(&gone);
                knowledge.forgets_config_map(&key.0, &key.1);
                held.remove(&key);
            }
            None => {}
        }
    }
}

fn learn(knowledge: &Knowledge, found: &ConfigMap) -> ObjectName {
    let key = key_of(found);
    knowledge.knows_config_map(&key.0, &key.1, configuration_of(found).as_deref());
    key
}

fn key_of(config_map: &ConfigMap) -> ObjectName {
    (config_map.namespace().unwrap_or_default(), config_map.name_any())
}

/// What a watch tells; its failures go to the log, and it goes on by itself.
fn told<K>(what: &str, event: watcher::Result<Event<K>>) -> Option<Event<K>> {
    event.inspect_err(|error| tracing::warn!(%error, what, "A watch failed and begins anew")).ok()
}
