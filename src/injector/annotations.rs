//! Every annotation that a pod may carry, or its namespace as a default for its pods.
//!
//! `docs/injector.md` shows this table.

/// One annotation.
#[derive(Debug)]
pub struct Annotation {
    /// Its name behind the prefix.
    pub name: &'static str,
    /// How its value is written.
    pub values: &'static str,
    /// What holds where it is not written.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

pub(super) const CONFIG: &str = "config";
pub(super) const SECRETS: &str = "secrets";
pub(super) const SECRET_VOLUME: &str = "secret-volume";
pub(super) const SOURCE: &str = "source";
pub(super) const CONTAINERS: &str = "containers";
pub(super) const EXCLUDE_CONTAINERS: &str = "exclude-containers";
pub(super) const ENV: &str = "env";
pub(super) const PORT: &str = "port";
pub(super) const ADMIN_PORT: &str = "admin-port";
pub(super) const NATIVE_SIDECAR: &str = "native-sidecar";
pub(super) const IMAGE: &str = "image";
pub(super) const CPU_REQUEST: &str = "cpu-request";
pub(super) const CPU_LIMIT: &str = "cpu-limit";
pub(super) const MEMORY_REQUEST: &str = "memory-request";
pub(super) const MEMORY_LIMIT: &str = "memory-limit";
pub(super) const LOG_LEVEL: &str = "log-level";
pub(super) const MODE: &str = "mode";
pub(super) const STATE_VOLUME: &str = "state-volume";
pub(super) const CA: &str = "ca";

const fn row(
    name: &'static str,
    values: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Annotation {
    Annotation { name, values, default, meaning }
}

/// All of them, `inject` aside, which is the one that asks.
pub const ALL: &[Annotation] = &[
    row(
        CONFIG,
        "names of ConfigMaps",
        "`keyweir`",
        "The configuration: their entries `keyweir.yaml`, later ones merged over earlier ones.",
    ),
    row(
        SECRETS,
        "names of Secrets, or `none`",
        "`keyweir-keys` and those the configuration names",
        "The Secrets that are mounted into the sidecar, each a folder of keys.",
    ),
    row(
        SECRET_VOLUME,
        "`VOLUME` or `VOLUME:SECRET`, several",
        "none",
        "Volumes of the pod (CSI, Vault) that hold keys; the configuration calls them `SECRET`, or \
         like the volume.",
    ),
    row(
        SOURCE,
        "`mount`",
        "`mount`",
        "How the sidecar hears of changes: from what the kubelet mounts.",
    ),
    row(
        CONTAINERS,
        "names of containers",
        "all, without the sidecars of meshes and agents",
        "The containers that are pointed at the sidecar.",
    ),
    row(EXCLUDE_CONTAINERS, "names of containers", "none", "Containers that are left alone."),
    row(
        ENV,
        "names of clients, `all` or `none`",
        "see [variables](#variables)",
        "The clients whose base URL and placeholder key are set.",
    ),
    row(PORT, "1024 to 65535", "`4470`", "The sidecar's data port, on loopback."),
    row(ADMIN_PORT, "1024 to 65535", "`4471`", "Its port for probes, metrics and status."),
    row(
        NATIVE_SIDECAR,
        "`true` or `false`",
        "`true` from Kubernetes 1.29 on",
        "Whether it is an init container that stays, or a container beside the others.",
    ),
    row(IMAGE, "an image", "`--image` of the injector", "The sidecar's image."),
    row(CPU_REQUEST, "a quantity", "`--cpu-request`", "What the sidecar asks for."),
    row(CPU_LIMIT, "a quantity, or `none`", "`--cpu-limit`", "What it may use at most."),
    row(MEMORY_REQUEST, "a quantity", "`--memory-request`", "What the sidecar asks for."),
    row(MEMORY_LIMIT, "a quantity, or `none`", "`--memory-limit`", "What it may use at most."),
    row(
        LOG_LEVEL,
        "`off`, `error`, `warn`, `info`, `debug`, `trace`",
        "`info`",
        "What the sidecar logs; the configuration's `telemetry.logLevel` overrides it.",
    ),
    row(MODE, "`enforce`", "`enforce`", "Whether limits are enforced."),
    row(
        STATE_VOLUME,
        "a volume of the pod",
        "none",
        "Mounted at `/var/lib/keyweir`, the one place where the sidecar may keep state.",
    ),
    row(
        CA,
        "`CONFIGMAP` or `CONFIGMAP/ENTRY`",
        "none",
        "Certificate authorities, mounted at `/etc/keyweir/ca` (`ca.crt` unless an entry is named): \
         what `tls: {caBundle: system}` means in the sidecar.",
    ),
];
