//! What is known of the cluster: namespaces and ConfigMaps by watches, owners by asking.
//!
//! What a watch does not know may have been made a moment ago, so it is asked for; what was asked
//! for and is not there is not asked for again within a second, for the watch would tell.

mod owners;
mod watches;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::Api;
use kube::core::PartialObjectMeta;
use serde_json::Value;
use tokio::time::timeout;

use super::marks::Marks;
use super::surroundings::Workload;
use crate::clock::Moment;
use crate::lifecycle::{Clock, Tasks};
use crate::sources::CONFIG_ENTRY;

pub use owners::Owner;

/// How long the API server may take to answer, while another waits for our own answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what is not there counts as not there.
const ABSENT: Duration = Duration::from_secs(1);
/// How long an owner counts as it was: pods of one owner come together.
const OWNER: Duration = Duration::from_secs(30);
/// The most that is remembered of what was asked for.
const MOST_REMEMBERED: usize = 4_096;

/// What is known of the cluster. Clones know the same.
#[derive(Clone)]
pub struct Knowledge(Arc<Known>);

struct Known {
    /// Without one, nothing is known but what is told.
    client: Option<kube::Client>,
    clock: Clock,
    namespaces: Mutex<HashMap<String, Arc<Marks>>>,
    config_maps: Mutex<HashMap<ObjectName, Text>>,
    absent: Mutex<Remembered<ObjectName, ()>>,
    owners: Mutex<Remembered<String, Workload>>,
}

/// A namespace and a name in it.
type ObjectName = (String, String);
/// A configuration; `None` for a ConfigMap without one.
type Text = Option<Arc<str>>;

/// Why something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is not there.
    Missing,
    /// It could not be asked for; the log says why.
    Unreachable,
}

impl Knowledge {
    /// Knows nothing yet, and asks with that client.
    pub fn new(client: Option<kube::Client>, clock: Clock) -> Self {
        Self(Arc::new(Known {
            client,
            clock,
            namespaces: Mutex::default(),
            config_maps: Mutex::default(),
            absent: Mutex::default(),
            owners: Mutex::default(),
        }))
    }

    /// Watches the cluster, for as long as the process lives.
    pub fn watch(&self, tasks: &Tasks) {
        watches::start(self, tasks);
    }

    /// A namespace's marks; none for one that cannot be asked about.
    pub async fn namespace(&self, name: &str) -> Arc<Marks> {
        let known = locked(&self.0.namespaces).get(name).cloned();
        if let Some(marks) = known {
            return marks;
        }
        let Some(client) = &self.0.client else { return Arc::default() };
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
        match answered("namespace", name, api.get(name)).await {
            Ok(found) => {
                let marks = Arc::new(marks_of(&found));
                self.knows_namespace(name, Some(&marks));
                marks
            }
            Err(_) => Arc::default(),
        }
    }

    /// The configuration in a ConfigMap.
    pub async fn configuration(&self, namespace: &str, name: &str) -> Result<Arc<str>, Unknown> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(known) = locked(&self.0.config_maps).get(&key) {
            return known.clone().ok_or(Unknown::Missing);
        }
        let now = self.0.clock.moment();
        if locked(&self.0.absent).get(&key, now, ABSENT).is_some() {
            return Err(Unknown::Missing);
        }
        let client = self.0.client.as_ref().ok_or(Unknown::Missing)?;
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        match answered("ConfigMap", name, api.get(name)).await {
            Ok(found) => configuration_of(&found).ok_or(Unknown::Missing),
            Err(Unknown::Missing) => {
                locked(&self.0.absent).put(key, (), now);
                Err(Unknown::Missing)
            }
            Err(unknown) => Err(unknown),
        }
    }

    /// Whom a pod belongs to.
    pub async fn workload(&self, pod: &Value, namespace: &str) -> Workload {
        owners::workload(&self.0, pod, namespace).await
    }

    /// A namespace is there with these marks, or no longer.
    pub fn knows_namespace(&self, name: &str, marks: Option<&Arc<Marks>>) {
        let mut namespaces = locked(&self.0.namespaces);
        match marks {
            Some(marks) => namespaces.insert(name.to_owned(), Arc::clone(marks)),
            None => namespaces.remove(name),
        };
    }

    /// A ConfigMap is there with this configuration, or without one.
    pub fn knows_config_map(&self, namespace: &str, name: &str, text: Option<&str>) {
        let key = (namespace.to_owned(), name.to_owned());
        locked(&self.0.config_maps).insert(key, text.map(Into::into));
    }

    fn forgets_config_map(&self, namespace: &str, name: &str) {
        locked(&self.0.config_maps).remove(&(namespace.to_owned(), name.to_owned()));
    }
}

impl fmt::Debug for Knowledge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespaces = locked(&self.0.namespaces).len();
        let config_maps = locked(&self.0.config_maps).len();
        f.debug_struct("Knowledge")
            .field("namespaces", &namespaces)
            .field("config_maps", &config_maps)
            .finish_non_exhaustive()
    }
}

/// The marks of an object of which only the metadata is known.
fn marks_of<K>(object: &PartialObjectMeta<K>) -> Marks {
    let metadata = &object.metadata;
    Marks::among(metadata.labels.iter().flatten(), metadata.annotations.iter().flatten())
}

fn configuration_of(config_map: &ConfigMap) -> Text {
    config_map.data.as_ref()?.get(CONFIG_ENTRY).map(|text| text.as_str().into())
}

/// What the API server answers, if it does in time.
async fn answered<T>(
    kind: &str,
    name: &str,
    asked: impl Future<Output = kube::Result<T>>,
) -> Result<T, Unknown> {
    match timeout(PATIENCE, asked).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(Unknown::Missing),
        Ok(Err(error)) => {
            tracing::warn!(%error, kind, name, "The API server was asked in vain");
            Err(Unknown::Unreachable)
        }
        Err(_) => {
            tracing::warn!(kind, name, "The API server did not answer in time");
            Err(Unknown::Unreachable)
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Things, and when they were learned.
#[derive(Debug)]
struct Remembered<K, V>(HashMap<K, (V, Moment)>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    fn get(&self, key: &K, now: Moment, life: Duration) -> Option<V> {
        let (value, learned) = self.0.get(key)?;
        (now.since(*learned) < life).then(|| value.clone())
    }

    /// Remembers it; when there is no room left, nothing else.
    fn put(&mut self, key: K, value: V, now: Moment) {
        if self.0.len() >= MOST_REMEMBERED {
            self.0.clear();
        }
        self.0.insert(key, (value, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_remembered_for_a_while_and_within_bounds() {
        let mut remembered = Remembered::default();
        let at = |seconds| Moment::ZERO + Duration::from_secs(seconds);
        remembered.put("a", 1, at(10));
        assert_eq!(remembered.get(&"a", at(11), Duration::from_secs(2)), Some(1));
        assert_eq!(remembered.get(&"a", at(12), Duration::from_secs(2)), None);
        let mut many = Remembered::default();
        for number in 0..=MOST_REMEMBERED {
            many.put(number, (), at(0));
        }
        assert!(many.0.len() <= MOST_REMEMBERED);
        assert!(many.get(&MOST_REMEMBERED, at(0), OWNER).is_some(), "the latest is there");
    }

    #[tokio::test]
    async fn without_a_cluster_only_what_is_told_is_known() {
        let knowledge = Knowledge::new(None, Clock::start());
        assert_eq!(*knowledge.namespace("shop").await, Marks::default());
        assert_eq!(knowledge.configuration("shop", "keyweir").await, Err(Unknown::Missing));
        knowledge.knows_config_map("shop", "keyweir", Some("version: 1"));
        let known = knowledge.configuration("shop", "keyweir").await.unwrap();
        assert_eq!(&*known, "version: 1");
        knowledge.knows_config_map("shop", "keyweir", None);
        assert_eq!(knowledge.configuration("shop", "keyweir").await, Err(Unknown::Missing));
    }
}
