//! What the annotations of a pod, and those of its namespace behind them, ask for. Whatever cannot
//! be is warned of, and the default holds.

mod reader;
mod values;

use super::annotations as known;
use super::clients::Choice;
use super::marks::Marks;
use crate::config::DEFAULT_SECRET;
use reader::Reader;

/// The ConfigMap that is looked at where no annotation names another.
pub(super) const DEFAULT_CONFIG: &str = "keyweir";
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What the injector gives a sidecar whose pod does not ask for something else.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The image.
    pub image: String,
    /// When it is pulled; `None` for what Kubernetes does.
    pub image_pull_policy: Option<String>,
    /// What it asks for, and may use.
    pub resources: Resources,
    /// Whether the cluster knows native sidecars.
    pub native_sidecars: bool,
}

/// What a container asks for, and may use; Kubernetes' quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// CPU it asks for.
    pub cpu_request: String,
    /// CPU it may use.
    pub cpu_limit: Option<String>,
    /// Memory it asks for.
    pub memory_request: String,
    /// Memory it may use.
    pub memory_limit: Option<String>,
}

/// What one pod asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// ConfigMaps, in the order in which they are merged.
    pub configs: Vec<String>,
    /// Secrets; `None` for the default one and those that the configuration names.
    pub(super) secrets: Option<Vec<String>>,
    /// Volumes of the pod, each with the name under which the configuration knows its keys.
    pub(super) secret_volumes: Vec<(String, String)>,
    pub(super) containers: Option<Vec<String>>,
    pub(super) exclude_containers: Vec<String>,
    pub(super) clients: Choice,
    pub(super) port: u16,
    pub(super) admin_port: u16,
    pub(super) native: bool,
    pub(super) image: String,
    pub(super) resources: Resources,
    /// Whether the pod asks for resources of its own.
    pub(super) resources_are_asked_for: bool,
    pub(super) log_level: String,
    pub(super) state_volume: Option<String>,
    /// The ConfigMap of certificate authorities, and its entry.
    pub(super) ca: Option<(String, String)>,
}

/// Reads them, with a warning for whatever is misspelt or cannot be.
pub(super) fn read(pod: &Marks, namespace: &Marks, defaults: &Defaults) -> (Settings, Vec<String>) {
    let mut reader = Reader { pod, namespace, warnings: Vec::new() };
    reader.unknown("", pod);
    reader.unknown("the namespace's ", namespace);
    reader.not_in_force();
    let configs = reader.several(known::CONFIG, values::object_name);
    let (port, admin_port) = reader.ports();
    let (resources, resources_are_asked_for) = reader.resources(&defaults.resources);
    let image = reader.one(known::IMAGE, values::image);
    let log_level = reader.one(known::LOG_LEVEL, |text| values::one_of(text, &LOG_LEVELS));
    let spared = reader.several(known::EXCLUDE_CONTAINERS, values::part_name);
    let settings = Settings {
        configs: configs.unwrap_or_else(|| vec![DEFAULT_CONFIG.to_owned()]),
        secrets: reader.several(known::SECRETS, values::object_name),
        secret_volumes: reader
            .several(known::SECRET_VOLUME, values::secret_volume)
            .unwrap_or_default(),
        containers: reader.several(known::CONTAINERS, values::part_name),
        exclude_containers: spared.unwrap_or_default(),
        clients: reader.clients(),
        port,
        admin_port,
        native: reader.native(defaults),
        image: image.unwrap_or_else(|| defaults.image.clone()),
        resources,
        resources_are_asked_for,
        log_level: log_level.unwrap_or_else(|| "info".to_owned()),
        state_volume: reader.one(known::STATE_VOLUME, values::part_name),
        ca: reader.one(known::CA, values::ca),
    };
    (settings, reader.warnings)
}

impl Settings {
    /// Whether there is a folder of Secrets at all.
    pub(super) fn has_secrets(&self) -> bool {
        self.secrets.as_ref().is_none_or(|names| !names.is_empty())
            || !self.secret_volumes.is_empty()
    }

    /// The Secrets to mount, where a configuration names these.
    pub(super) fn mounted_secrets(&self, named: &[Box<str>]) -> Vec<String> {
        self.secrets.clone().unwrap_or_else(|| {
            let mut all = vec![DEFAULT_SECRET.to_owned()];
            all.extend(
                named.iter().filter(|name| ***name != *DEFAULT_SECRET).map(ToString::to_string),
            );
            all
        })
    }
}
