//! The container that is injected, with its volumes.

use serde_json::{Map, Value, json};

use super::draft::{Draft, Row};
use super::json::{self, at, list, put};
use super::marks::CONTAINER;
use super::settings::{Resources, Settings};
use super::surroundings::Surroundings;

/// Where the sidecar's mounts are.
const CONFIG_FOLDER: &str = "/etc/keyweir/config";
const SECRETS_FOLDER: &str = "/etc/keyweir/secrets";
const CA_FOLDER: &str = "/etc/keyweir/ca";
const STATE_FOLDER: &str = "/var/lib/keyweir";
/// Where a service account's token is mounted, unless something is mounted there already.
const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What reads world-readable entries of ConfigMaps and Secrets: the sidecar's user is no group of the
/// pod's, and nobody else mounts these volumes.
const READ_ONLY: u16 = 0o444;
/// The sidecar's own user.
const USER: u16 = 44_700;
/// Between two startup probes, and how many may fail: two minutes.
const PROBE_SECONDS: u8 = 1;
const PROBES: u8 = 120;
/// What the kubelet waits for where a pod does not say.
const DEFAULT_GRACE: i64 = 30;
/// What is left of the grace period for the sidecar itself to end.
const MARGIN: i64 = 2;
/// The name of the admin port.
const ADMIN_PORT_NAME: &str = "keyweir-admin";

/// A volume, and where the sidecar mounts it.
#[derive(Clone, Debug)]
pub(super) struct Mount {
    /// The volume that is added to the pod; `None` for one that it has already.
    pub(super) volume: Option<Value>,
    pub(super) mount: Value,
}

/// Everything that the sidecar mounts, and a warning for every volume that the pod lacks.
pub(super) fn mounts(
    draft: &Draft,
    settings: &Settings,
    secrets: &[String],
) -> (Vec<Mount>, Vec<String>) {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut warnings = Vec::new();
    for name in &settings.configs {
        let source = json!({"name": name, "optional": true, "defaultMode": READ_ONLY});
        let volume = json!({"name": volume_name("config", name), "configMap": source});
        mounts.push(Mount::own(volume, &format!("{CONFIG_FOLDER}/{name}")));
    }
    let of_pod = |volume: &str, path: &str, warnings: &mut Vec<String>| {
        let volumes = list(draft.spec(), "volumes");
        let is_there = volumes.iter().any(|held| json::name_of(held) == volume);
        if !is_there {
            warnings
                .push(format!("the pod has no volume `{volume}`; nothing is mounted at {path}"));
        }
        is_there
    };
    for (volume, secret) in &settings.secret_volumes {
        let path = format!("{SECRETS_FOLDER}/{secret}");
        if of_pod(volume, &path, &mut warnings) {
            let mount = json!({"name": volume, "mountPath": path, "readOnly": true});
            mounts.push(Mount { volume: None, mount });
        }
    }
    for name in secrets {
        let path = format!("{SECRETS_FOLDER}/{name}");
        if mounts.iter().any(|held| json::text(&held.mount, "mountPath") == path) {
            continue;
        }
        let source = json!({"secretName": name, "optional": true, "defaultMode": READ_ONLY});
        let volume = json!({"name": volume_name("secret", name), "secret": source});
        mounts.push(Mount::own(volume, &path));
    }
    if let Some((name, _)) = &settings.ca {
        let source = json!({"name": name, "optional": true, "defaultMode": READ_ONLY});
        mounts.push(Mount::own(json!({"name": "keyweir-ca", "configMap": source}), CA_FOLDER));
    }
    if let Some(volume) = &settings.state_volume
        && of_pod(volume, STATE_FOLDER, &mut warnings)
    {
        let mount = json!({"name": volume, "mountPath": STATE_FOLDER});
        mounts.push(Mount { volume: None, mount });
    }
    let nothing = json!({"name": "keyweir-no-token", "projected": {"sources": []}});
    mounts.push(Mount::own(nothing, TOKEN_FOLDER));
    (mounts, warnings)
}

impl Mount {
    fn own(volume: Value, path: &str) -> Self {
        let name = json::name_of(&volume);
        let mount = json!({"name": name, "mountPath": path, "readOnly": true});
        Self { volume: Some(volume), mount }
    }
}

/// The name of the volume for an object: the object's own where it can be one, for people; else told
/// apart by a hash.
fn volume_name(kind: &str, object: &str) -> String {
    /// The longest name that a volume may have, and the room that a hash takes.
    const LONGEST: usize = 63;
    const HASH: usize = 9;
    let plain = format!("keyweir-{kind}-{object}");
    if plain.len() <= LONGEST && !plain.contains('.') {
        return plain;
    }
    let hash = object.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        // FNV-1a: the same in every version and on every machine.
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let begin: String = plain.replace('.', "-").chars().take(LONGEST - HASH).collect();
    format!("{begin}-{hash:08x}")
}

/// The variables of the sidecar's own.
pub(super) fn variables(settings: &Settings, around: &Surroundings<'_>) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut variables = vec![
        json!({"name": "KEYWEIR_WORKLOAD", "value": around.workload.name}),
        field("KEYWEIR_NAMESPACE", "metadata.namespace"),
        field("KEYWEIR_POD", "metadata.name"),
    ];
    if let Some(replicas) = around.workload.replicas {
        variables.push(json!({"name": "KEYWEIR_REPLICAS", "value": replicas.to_string()}));
    }
    if let Some((_, entry)) = &settings.ca {
        let path = format!("{CA_FOLDER}/{entry}");
        variables.push(json!({"name": "SSL_CERT_FILE", "value": path}));
    }
    variables
}

/// The container, but for what it mounts and its variables.
pub(super) fn container(draft: &Draft, settings: &Settings, around: &Surroundings<'_>) -> Value {
    let mut container = json!({
        "name": CONTAINER,
        "image": settings.image,
        "args": arguments(draft, settings),
        "ports": [{
            "name": ADMIN_PORT_NAME,
            "containerPort": settings.admin_port,
            "protocol": "TCP",
        }],
        "resources": resources(&settings.resources),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": USER,
            "runAsNonRoot": true,
            "runAsUser": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "startupProbe": {
            "httpGet": {"path": "/ready", "port": ADMIN_PORT_NAME},
            "periodSeconds": PROBE_SECONDS,
            "failureThreshold": PROBES,
        },
    });
    if let Some(policy) = &around.defaults.image_pull_policy {
        put(&mut container, "imagePullPolicy", policy.as_str());
    }
    if settings.native {
        put(&mut container, "restartPolicy", "Always");
    } else {
        // Nothing waits for a classic sidecar to start; at least no traffic comes before it has.
        let probe = json!({"httpGet": {"path": "/ready", "port": ADMIN_PORT_NAME}});
        put(&mut container, "readinessProbe", probe);
    }
    container
}

fn arguments(draft: &Draft, settings: &Settings) -> Vec<String> {
    let grace =
        at(draft.spec(), &["terminationGracePeriodSeconds"]).as_i64().unwrap_or(DEFAULT_GRACE);
    let drain = grace.saturating_sub(MARGIN).max(0);
    let mut arguments = vec!["proxy".to_owned()];
    arguments
        .extend(settings.configs.iter().map(|name| format!("--config={CONFIG_FOLDER}/{name}")));
    if settings.has_secrets() {
        arguments.push(format!("--secrets={SECRETS_FOLDER}"));
    }
    arguments.extend([
        format!("--listen=127.0.0.1:{}", settings.port),
        format!("--admin=[::]:{}", settings.admin_port),
        format!("--drain={drain}s"),
        format!("--log-level={}", settings.log_level),
    ]);
    arguments
}

fn resources(written: &Resources) -> Value {
    let mut resources = json!({
        "requests": {"cpu": written.cpu_request, "memory": written.memory_request},
    });
    let limits = [("cpu", &written.cpu_limit), ("memory", &written.memory_limit)];
    let limits = limits.into_iter().filter_map(|(name, limit)| Some((name, limit.as_deref()?)));
    let limits: Map<String, Value> =
        limits.map(|(name, limit)| (name.to_owned(), limit.into())).collect();
    if !limits.is_empty() {
        put(&mut resources, "limits", limits);
    }
    resources
}

/// The row in which the sidecar stands.
pub(super) const fn row(settings: &Settings) -> Row {
    if settings.native { Row::Init } else { Row::Main }
}
