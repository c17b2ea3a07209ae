//! A pod in, a patch out: a pure function, whose every step adds what is missing and leaves alone
//! what is there. So twice is once, and being called again after other webhooks is right.

use json_patch::Patch;
use serde_json::Value;

use super::application;
use super::draft::{Draft, Seat};
use super::identity;
use super::json::{at, list, name_of, text};
use super::marks::{CONTAINER, DEFAULT_CONTAINER, INJECTED, VERSION};
use super::proxies;
use super::quantity;
use super::reason::Reason;
use super::settings::Settings;
use super::sidecar;
use super::surroundings::Surroundings;

/// The annotation by which the kubelet tells of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What is done to a pod.
#[derive(Clone, Debug)]
pub struct Injection {
    /// The operations; none where all is as it should be.
    pub patch: Patch,
    /// What whoever applied the pod should know.
    pub warnings: Vec<String>,
}

/// Gives the pod its sidecar, or says why it cannot have one.
pub fn inject(
    pod: &Value,
    settings: &Settings,
    around: &Surroundings<'_>,
) -> Result<Injection, Reason> {
    let draft = Draft::new(pod);
    refuse(pod, &draft, settings)?;
    Ok(Work { draft, settings, around, warnings: Vec::new() }.done())
}

struct Work<'a> {
    draft: Draft,
    settings: &'a Settings,
    around: &'a Surroundings<'a>,
    warnings: Vec<String>,
}

impl Work<'_> {
    fn done(mut self) -> Injection {
        self.warn_of_the_pod();
        self.mark();
        let secrets = self.secrets();
        let (mounts, warnings) = sidecar::mounts(&self.draft, self.settings, &secrets);
        self.warnings.extend(warnings);
        let sidecar = self.seat();
        for mount in mounts {
            if let Some(volume) = mount.volume {
                self.draft.add_volume(volume);
            }
            self.draft.add_to_container(sidecar, "volumeMounts", "mountPath", mount.mount);
        }
        for variable in sidecar::variables(self.settings, self.around) {
            self.draft.add_to_container(sidecar, "env", "name", variable);
        }
        let (seats, warnings) = application::chosen(&self.draft, self.settings, sidecar);
        self.warnings.extend(warnings);
        let providers = self.around.configuration.map(|names| names.providers.as_slice());
        let clients = self.settings.clients.clients(providers);
        for seat in &seats {
            let port = self.settings.port;
            self.warnings.extend(application::point(&mut self.draft, *seat, &clients, port));
        }
        self.share(sidecar, &seats);
        Injection { patch: self.draft.into_patch(), warnings: self.warnings }
    }

    /// Label and annotations that tell of the sidecar.
    fn mark(&mut self) {
        self.draft.set_metadata("labels", INJECTED, "true");
        if !is_ours(&self.draft) {
            self.draft.set_metadata("annotations", VERSION, env!("CARGO_PKG_VERSION"));
        }
        let written = at(self.draft.metadata(), &["annotations", DEFAULT_CONTAINER]);
        if let (Some(first), true) = (application::first(&self.draft), written.is_null()) {
            let first = first.to_owned();
            self.draft.set_metadata("annotations", DEFAULT_CONTAINER, &first);
        }
    }

    /// The sidecar's place; it is put there unless it has one.
    fn seat(&mut self) -> Seat {
        self.draft.find(CONTAINER).unwrap_or_else(|| {
            let container = sidecar::container(&self.draft, self.settings, self.around);
            self.draft.add_first(sidecar::row(self.settings), container)
        })
    }

    /// What the application was given and the sidecar needs as well: the way out, and who the pod
    /// is.
    fn share(&mut self, sidecar: Seat, application: &[Seat]) {
        let said =
            application.iter().map(|seat| proxies::of_container(self.draft.container(*seat)));
        let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
        let (mut variables, odd): (Vec<_>, Vec<_>) =
            said.into_iter().partition(identity::is_portable);
        self.warnings.extend(odd.iter().map(|variable| {
            let name = name_of(variable);
            format!("{name} is put together from other variables: the sidecar is not given it")
        }));
        let (identity, mounts) = identity::of_pod(&self.draft);
        variables.extend(identity);
        for variable in variables {
            self.draft.add_to_container(sidecar, "env", "name", variable);
        }
        for mount in mounts {
            self.draft.add_to_container(sidecar, "volumeMounts", "mountPath", mount);
        }
    }

    fn secrets(&mut self) -> Vec<String> {
        let named = self.around.configuration.map_or(&[][..], |names| &names.secrets);
        let secrets = self.settings.mounted_secrets(named);
        let is_mounted = |name: &str| {
            secrets.iter().any(|held| held == name)
                || self.settings.secret_volumes.iter().any(|(_, secret)| secret == name)
        };
        let missing: Vec<&str> =
            named.iter().map(|name| &**name).filter(|name| !is_mounted(name)).collect();
        if !missing.is_empty() {
            self.warnings.push(format!(
                "the configuration names {}, which keyweir.dev/secrets does not: not mounted",
                missing.join(", ")
            ));
        }
        secrets
    }

    fn warn_of_the_pod(&mut self) {
        let spec = self.draft.spec();
        if at(spec, &["shareProcessNamespace"]) == true {
            self.warnings.push(
                "the pod shares its process namespace: containers that run as root can read the \
                 keys in the sidecar's memory"
                    .to_owned(),
            );
        }
        if !self.settings.resources_are_asked_for && is_guaranteed(&self.draft) {
            self.warnings.push(
                "the pod's quality of service was Guaranteed; with the sidecar it stays so only if \
                 keyweir.dev/cpu-limit and memory-limit are what cpu-request and memory-request are"
                    .to_owned(),
            );
        }
    }
}

/// Whoever cannot have a sidecar, and why.
fn refuse(pod: &Value, draft: &Draft, settings: &Settings) -> Result<(), Reason> {
    if !is_readable(pod) {
        return Err(Reason::Unreadable);
    }
    let spec = draft.spec();
    let windows = at(spec, &["os", "name"]) == "windows"
        || at(spec, &["nodeSelector", "kubernetes.io/os"]) == "windows";
    if windows {
        return Err(Reason::Windows);
    }
    if at(spec, &["hostNetwork"]) == true {
        return Err(Reason::HostNetwork);
    }
    if !at(pod, &["metadata", "annotations", MIRROR]).is_null() {
        return Err(Reason::StaticPod);
    }
    if draft.find(CONTAINER).is_some() {
        // Whatever of it is ours is left as it is, whoever changed it since.
        return if is_ours(draft) { Ok(()) } else { Err(Reason::NameTaken) };
    }
    if !settings.native && matches!(text(spec, "restartPolicy"), "Never" | "OnFailure") {
        return Err(Reason::NeedsNativeSidecar);
    }
    free_ports(draft, settings)
}

fn free_ports(draft: &Draft, settings: &Settings) -> Result<(), Reason> {
    for (wanted, annotation) in [(settings.port, "port"), (settings.admin_port, "admin-port")] {
        let has_it = |container: &Value| {
            list(container, "ports").iter().any(|port| at(port, &["containerPort"]) == wanted)
        };
        let taken = draft.containers().find(|(_, container)| has_it(container));
        if let Some((_, container)) = taken {
            let container = name_of(container).to_owned();
            return Err(Reason::PortTaken { container, port: wanted, annotation });
        }
    }
    Ok(())
}

/// Whether the pod has been through our hands.
fn is_ours(draft: &Draft) -> bool {
    draft.find(CONTAINER).is_some()
        && at(draft.metadata(), &["annotations", VERSION]).is_string()
        && at(draft.metadata(), &["labels", INJECTED]).is_string()
}

/// Whether everything that is looked at or added to has the shape that the API gives it.
fn is_readable(pod: &Value) -> bool {
    let is_map = |path: &[&str]| at(pod, path).is_null() || at(pod, path).is_object();
    let is_list = |object: &Value, field: &str| {
        let value = at(object, &[field]);
        value.is_null() || value.as_array().is_some_and(|items| items.iter().all(Value::is_object))
    };
    let spec = at(pod, &["spec"]);
    let rows = ["containers", "initContainers"];
    pod.is_object()
        && is_map(&["metadata"])
        && is_map(&["metadata", "labels"])
        && is_map(&["metadata", "annotations"])
        && at(spec, &["containers"]).is_array()
        && rows.iter().chain(&["volumes"]).all(|field| is_list(spec, field))
        && rows.iter().flat_map(|row| list(spec, row)).all(|container| {
            let lists = ["env", "envFrom", "volumeMounts", "ports"];
            lists.iter().all(|field| is_list(container, field))
        })
}

/// Whether every container has limits that are its requests, which makes a pod's quality of service
/// Guaranteed. Requests that are not written are the limits.
fn is_guaranteed(draft: &Draft) -> bool {
    let mut others =
        draft.containers().filter(|(_, container)| name_of(container) != CONTAINER).peekable();
    others.peek().is_some()
        && others.all(|(_, container)| {
            ["cpu", "memory"].iter().all(|resource| {
                let limit = amount(at(container, &["resources", "limits", resource]));
                let request = at(container, &["resources", "requests", resource]);
                limit.is_some() && (request.is_null() || amount(request) == limit)
            })
        })
}

fn amount(quantity: &Value) -> Option<f64> {
    quantity.as_str().map_or_else(|| quantity.as_f64(), quantity::parse)
}
