//! The labels and annotations by which a pod or a namespace speaks to the injector, and it to them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::at;

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

/// The label of a ConfigMap that is validated as a configuration, and its annotation that names those
/// with which it is merged.
pub const CONFIG_LABEL: &str = "keyweir.dev/config";

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
        let map = |field: &str| {
            let entries = at(object, &["metadata", field]).as_object().into_iter().flatten();
            entries.filter_map(|(name, value)| Some((name, value.as_str()?)))
        };
        Self::among(map("labels"), map("annotations"))
    }

    /// Those among all labels and annotations of an object.
    pub(super) fn among<'a, T: AsRef<str>>(
        labels: impl Iterator<Item = (&'a String, T)>,
        annotations: impl Iterator<Item = (&'a String, T)>,
    ) -> Self {
        fn ours<'a, T: AsRef<str>>(
            all: impl Iterator<Item = (&'a String, T)>,
        ) -> BTreeMap<String, String> {
            let ours = all.filter(|(name, _)| name.starts_with(PREFIX));
            ours.map(|(name, value)| (name.clone(), value.as_ref().to_owned())).collect()
        }
        Self { labels: ours(labels), annotations: ours(annotations) }
    }
}
