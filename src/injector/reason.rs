//! Why a pod is admitted as it was.

use std::fmt;

/// Every reason, with what the user has to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Pod or namespace say no.
    OptedOut,
    /// Nobody asks for the sidecar.
    NotAsked,
    /// The pod shares the node's network, where its port would be open to every other pod there.
    HostNetwork,
    /// Another container has the port.
    PortTaken {
        /// Which container.
        container: String,
        /// Which port.
        port: u16,
        /// The annotation that chooses another.
        annotation: &'static str,
    },
    /// There is no such image for it.
    Windows,
    /// It only mirrors a pod of the kubelet's own, which no webhook can change.
    StaticPod,
    /// It has a container of that name that is not ours.
    NameTaken,
    /// It ends when its containers end, which a classic sidecar never does.
    NeedsNativeSidecar,
    /// It is no pod as the API writes one.
    Unreadable,
}

impl Reason {
    /// Its name in metrics, logs and events.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::OptedOut => "opted_out",
            Self::NotAsked => "not_opted_in",
            Self::HostNetwork => "host_network",
            Self::PortTaken { .. } => "port_taken",
            Self::Windows => "windows",
            Self::StaticPod => "static_pod",
            Self::NameTaken => "name_taken",
            Self::NeedsNativeSidecar => "needs_native_sidecar",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether the pod was to have the sidecar, so that somebody has to hear of it.
    pub const fn is_refusal(&self) -> bool {
        !matches!(self, Self::OptedOut | Self::NotAsked)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OptedOut => f.write_str("it is opted out"),
            Self::NotAsked => f.write_str("nobody asks for it"),
            Self::HostNetwork => f.write_str(
                "the pod has hostNetwork: every pod of the node could use the keys through its \
                 port; run a gateway behind a Service instead",
            ),
            Self::PortTaken { container, port, annotation } => write!(
                f,
                "container {container} has port {port} already: choose another with \
                 keyweir.dev/{annotation}"
            ),
            Self::Windows => f.write_str("there is no image for Windows"),
            Self::StaticPod => f.write_str("it is a static pod, which no webhook can change"),
            Self::NameTaken => {
                f.write_str("the pod has a container `keyweir` of its own: rename or remove it")
            }
            Self::NeedsNativeSidecar => f.write_str(
                "the pod ends when its containers end, and a classic sidecar does not: it needs \
                 Kubernetes 1.29 and no keyweir.dev/native-sidecar: \"false\"",
            ),
            Self::Unreadable => f.write_str("its containers cannot be read"),
        }
    }
}
