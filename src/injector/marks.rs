//! The labels and annotations by which a pod or a namespace speaks to the injector, and it to them.

use std::collections::BTreeMap;

use serde_json::Value;

/// What all of them begin with.
pub const PREFIX: &str = "keyweir.dev/";
/// Asks for the sidecar, or keeps a pod away from it.
pub const INJECT: &str = "keyweir.dev/inject";
/// The label of a pod that has been given the sidecar.
pub const INJECTED: &str = "keyweir.dev/injected";
/// The annotation that says which version of Keyweir injected it.
pub const VERSION: &str = "keyweir.dev/version";
/// Which container `kubectl logs` and `kubectl exec` mean where none is named.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The name of the container that is injected.
pub const CONTAINER: &str = "keyweir";

/// Those of an object's labels and annotations that are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Annotations by name.
    pub annotations: BTreeMap<String, String>,
}

impl Marks {
    /// Those of an object as the API shows it, whatever its shape.
    pub fn of(object: &Value) -> Self {
        let ours = |field: &str| {
            let map = object.get("metadata").and_then(|metadata| metadata.get(field));
            let entries = map.and_then(Value::as_object).into_iter().flatten();
            let ours = entries.filter(|(name, _)| name.starts_with(PREFIX));
            ours.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect()
        };
        Self { labels: ours("labels"), annotations: ours("annotations") }
    }
}
