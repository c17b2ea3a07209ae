//! Whom a pod belongs to: the controller in its metadata, and whom that belongs to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;

use super::super::json::{at, list, name_of, text};
use super::super::surroundings::Workload;
use super::{Known, OWNER, answered, locked};

/// The controller that a pod names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `apps/v1`.
    pub api_version: String,
    /// `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What tells it from others of that name.
    pub uid: String,
}

impl Owner {
    /// The one that controls the pod; `None` for a pod that stands alone.
    pub fn of(pod: &Value) -> Option<Self> {
        let mut owners = list(at(pod, &["metadata"]), "ownerReferences").iter();
        let controller = owners.find(|owner| at(owner, &["controller"]) == true)?;
        Some(Self {
            api_version: text(controller, "apiVersion").to_owned(),
            kind: text(controller, "kind").to_owned(),
            name: name_of(controller).to_owned(),
            uid: text(controller, "uid").to_owned(),
        })
    }

    /// The kinds that are looked at: what the cluster itself makes pods with.
    fn resource(&self) -> Option<ApiResource> {
        let plural = match (self.api_version.as_str(), self.kind.as_str()) {
            ("apps/v1", "ReplicaSet") => "replicasets",
            ("apps/v1", "StatefulSet") => "statefulsets",
            ("apps/v1", "DaemonSet") => "daemonsets",
            ("batch/v1", "Job") => "jobs",
            _ => return None,
        };
        let (group, version) = self.api_version.split_once('/')?;
        Some(ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            plural: plural.to_owned(),
        })
    }
}

pub(super) async fn workload(known: &Known, pod: &Value, namespace: &str) -> Workload {
    let Some(owner) = Owner::of(pod) else { return alone(pod) };
    let now = known.clock.moment();
    if let Some(remembered) = locked(&known.owners).get(&owner.uid, now, OWNER) {
        return remembered;
    }
    let guessed = guessed(pod, &owner);
    let (Some(client), Some(resource)) = (&known.client, owner.resource()) else { return guessed };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let Ok(found) = answered(&owner.kind, &owner.name, api.get(&owner.name)).await else {
        return guessed;
    };
    let workload = found_to_be(&owner, &found);
    if !owner.uid.is_empty() {
        locked(&known.owners).put(owner.uid, workload.clone(), now);
    }
    workload
}

/// A pod that nobody controls.
fn alone(pod: &Value) -> Workload {
    let metadata = at(pod, &["metadata"]);
    let generated = text(metadata, "generateName").trim_end_matches('-');
    let name = [name_of(metadata), generated].into_iter().find(|name| !name.is_empty());
    Workload { name: name.unwrap_or_default().to_owned(), replicas: Some(1) }
}

/// What the pod alone says: a Deployment's name is its `ReplicaSet`'s without the hash.
fn guessed(pod: &Value, owner: &Owner) -> Workload {
    let hash = text(at(pod, &["metadata", "labels"]), "pod-template-hash");
    let deployment = owner.name.strip_suffix(hash).and_then(|name| name.strip_suffix('-'));
    let name = deployment.filter(|_| !hash.is_empty()).unwrap_or(&owner.name);
    Workload { name: name.to_owned(), replicas: None }
}

/// What the controller says of itself. A `ReplicaSet` of a Deployment that rolls grows step by step;
/// how many there will be is in an annotation.
fn found_to_be(owner: &Owner, found: &DynamicObject) -> Workload {
    let owners: &[OwnerReference] = found.metadata.owner_references.as_deref().unwrap_or_default();
    let above = owners.iter().find(|above| above.controller == Some(true));
    let annotations = found.metadata.annotations.as_ref();
    let desired = annotations.and_then(|all| all.get("deployment.kubernetes.io/desired-replicas"));
    let desired = desired.and_then(|text| text.parse().ok());
    let field: &[&str] = match owner.kind.as_str() {
        "DaemonSet" => &["status", "desiredNumberScheduled"],
        "Job" => &["spec", "parallelism"],
        _ => &["spec", "replicas"],
    };
    let written = at(&found.data, field).as_u64().and_then(|count| count.try_into().ok());
    Workload {
        name: above.map_or(&owner.name, |above| &above.name).clone(),
        replicas: desired.or(written).filter(|count| *count > 0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner(kind: &str, name: &str) -> Owner {
        let api_version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        Owner {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: "u".to_owned(),
        }
    }

    fn found(kind: &str, object: Value) -> Workload {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        found_to_be(&owner(kind, "web-7d4b9c"), &object)
    }

    fn workload(name: &str, replicas: Option<u32>) -> Workload {
        Workload { name: name.to_owned(), replicas }
    }

    #[test]
    fn a_controller_tells_whose_it_is_and_how_many_there_will_be() {
        let deployment = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true}]);
        let rolling = json!({
            "metadata": {
                "ownerReferences": deployment,
                "annotations": {"deployment.kubernetes.io/desired-replicas": "10"},
            },
            "spec": {"replicas": 3},
        });
        assert_eq!(found("ReplicaSet", rolling), workload("web", Some(10)));
        let alone = json!({"metadata": {}, "spec": {"replicas": 2}});
        assert_eq!(found("ReplicaSet", alone), workload("web-7d4b9c", Some(2)));
        let daemon = json!({"metadata": {}, "status": {"desiredNumberScheduled": 7}});
        assert_eq!(found("DaemonSet", daemon), workload("web-7d4b9c", Some(7)));
        let cron = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "c", "controller": true}]);
        let job = json!({"metadata": {"ownerReferences": cron}, "spec": {"parallelism": 4}});
        assert_eq!(found("Job", job), workload("nightly", Some(4)));
        let none = json!({"metadata": {}, "status": {"desiredNumberScheduled": 0}});
        assert_eq!(found("DaemonSet", none), workload("web-7d4b9c", None));
    }

    #[test]
    fn without_the_controller_the_pod_says_what_it_can() {
        let pod = json!({"metadata": {"labels": {"pod-template-hash": "7d4b9c"}}});
        let of_deployment = guessed(&pod, &owner("ReplicaSet", "web-7d4b9c"));
        assert_eq!(of_deployment, workload("web", None));
        assert_eq!(guessed(&json!({}), &owner("Job", "nightly-1")), workload("nightly-1", None));
    }

    #[test]
    fn a_pod_that_stands_alone_is_its_own_workload() {
        assert_eq!(alone(&json!({"metadata": {"name": "debug"}})), workload("debug", Some(1)));
        let generated = json!({"metadata": {"generateName": "debug-"}});
        assert_eq!(alone(&generated), workload("debug", Some(1)));
    }
}
