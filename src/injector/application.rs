//! The application's side: its containers learn where the sidecar is.

use serde_json::json;

use super::annotations as known;
use super::clients::{Client, PLACEHOLDER};
use super::draft::{Draft, Row, Seat};
use super::json::{list, name_of, variable};
use super::marks::{CONTAINER, PREFIX};
use super::proxies;
use super::settings::Settings;
use crate::config::closest;

/// Containers that other injectors add, or that work for the pod and not for its users: they are
/// left alone unless `keyweir.dev/containers` names them.
const SERVANTS: [&str; 18] = [
    // Istio, Linkerd, Consul, Kuma.
    "istio-proxy",
    "istio-init",
    "istio-validation",
    "linkerd-proxy",
    "linkerd-init",
    "linkerd-network-validator",
    "consul-dataplane",
    "kuma-sidecar",
    "kuma-init",
    // Vault, Dapr, OpenTelemetry, Datadog.
    "vault-agent",
    "vault-agent-init",
    "daprd",
    "otc-container",
    "datadog-agent",
    "datadog-init-apm-inject",
    // Cloud SQL, Cloud Storage, CloudWatch.
    "cloud-sql-proxy",
    "gke-gcsfuse-sidecar",
    "cloudwatch-agent",
];

/// The container that people mean when they name none: the first that works for them.
pub(super) fn first(draft: &Draft) -> Option<&str> {
    let names = || draft.row(Row::Main).map(|(_, container)| name_of(container));
    let own = |name: &&str| *name != CONTAINER;
    names().filter(own).find(|name| !SERVANTS.contains(name)).or_else(|| names().find(own))
}

/// The application's containers that are to ask the sidecar: those that the annotations choose, and
/// of the init containers those that start after it. Warnings name what is chosen and is not there.
pub(super) fn chosen(
    draft: &Draft,
    settings: &Settings,
    sidecar: Seat,
) -> (Vec<Seat>, Vec<String>) {
    let names: Vec<&str> = draft.containers().map(|(_, container)| name_of(container)).collect();
    let asked = settings.containers.iter().flatten().map(|name| (known::CONTAINERS, name));
    let spared = settings.exclude_containers.iter().map(|name| (known::EXCLUDE_CONTAINERS, name));
    let missing = asked.chain(spared).filter(|(_, name)| !names.contains(&name.as_str()));
    let warnings = missing.map(|(annotation, name)| {
        let what = format!("{PREFIX}{annotation}: the pod has no container `{name}`");
        match closest(name, names.iter().copied()) {
            Some(meant) => format!("{what}; did you mean `{meant}`?"),
            None => what,
        }
    });
    let warnings = warnings.collect();
    let is_chosen = |name: &str| match &settings.containers {
        Some(asked) => asked.iter().any(|asked| asked == name),
        None => !SERVANTS.contains(&name),
    };
    let starts_after = |seat: Seat| {
        seat.row == Row::Main || (sidecar.row == Row::Init && seat.index > sidecar.index)
    };
    let seats = draft.containers().filter(|(seat, container)| {
        let name = name_of(container);
        name != CONTAINER
            && starts_after(*seat)
            && is_chosen(name)
            && !settings.exclude_containers.iter().any(|spared| spared == name)
    });
    (seats.map(|(seat, _)| seat).collect(), warnings)
}

/// Points one container at the sidecar. Returns what its owner should know.
pub(super) fn point(
    draft: &mut Draft,
    seat: Seat,
    clients: &[&'static Client],
    port: u16,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = name_of(draft.container(seat)).to_owned();
    if !clients.is_empty() && !list(draft.container(seat), "envFrom").is_empty() {
        warnings.push(format!(
            "container {name}: what its envFrom brings is not seen here; of base URLs and keys, \
             those that are set here win ({PREFIX}{} says which are)",
            known::ENV
        ));
    }
    let own = format!("http://127.0.0.1:{port}");
    for client in clients {
        let container = draft.container(seat);
        let is_written = |name: &&'static str| variable(container, name).is_some();
        let own_base = client.base_variables().any(|name| is_written(&name));
        let own_key = client.key_variables().find(is_written);
        if !own_base && own_key.is_none() {
            for (variable, path) in client.bases {
                let item = json!({"name": variable, "value": format!("{own}{path}")});
                draft.add_to_container(seat, "env", "name", item);
            }
            for variable in client.keys {
                let item = json!({"name": variable, "value": PLACEHOLDER});
                draft.add_to_container(seat, "env", "name", item);
            }
        } else if let (false, Some(own_key)) = (own_base, own_key) {
            let base = client.base_variables().next().unwrap_or_default();
            warnings.push(format!(
                "container {name} sets {own_key} and no base URL, so it asks {} past Keyweir: \
                 remove it, or set {base} too",
                client.name
            ));
        }
    }
    warnings.extend(
        proxies::except_loopback(draft, seat).map(|what| format!("container {name}: {what}")),
    );
    warnings
}
