//! Cloud identity that a pod has: variables that name a file, and the projected token at that file.
//! The sidecar is given the same, whole or not at all.

use serde_json::{Value, json};

use super::draft::Draft;
use super::json::{at, list, name_of, text, variable};
use super::marks::CONTAINER;

/// One cloud's way.
struct Identity {
    /// The variable that names the file of the token; without it there is no identity.
    file: &'static str,
    /// The variables that belong to it.
    beside: &'static [&'static str],
}

const IDENTITIES: [Identity; 4] = [
    // IAM roles for service accounts: amazon-eks-pod-identity-webhook.
    Identity {
        file: "AWS_WEB_IDENTITY_TOKEN_FILE",
        beside: &[
            "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_STS_REGIONAL_ENDPOINTS",
        ],
    },
    // EKS Pod Identity.
    Identity {
        file: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        beside: &[
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_STS_REGIONAL_ENDPOINTS",
        ],
    },
    // azure-workload-identity.
    Identity {
        file: "AZURE_FEDERATED_TOKEN_FILE",
        beside: &["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"],
    },
    // Google's workload identity federation: a projected file that names the token beside it.
    Identity { file: "GOOGLE_APPLICATION_CREDENTIALS", beside: &["GOOGLE_CLOUD_PROJECT"] },
];

/// The variables and mounts of every identity that a container of the pod has.
pub(super) fn of_pod(draft: &Draft) -> (Vec<Value>, Vec<Value>) {
    let mut variables = Vec::new();
    let mut mounts = Vec::new();
    for identity in &IDENTITIES {
        let others = draft.containers().filter(|(_, container)| name_of(container) != CONTAINER);
        let Some((container, mount)) = others
            .into_iter()
            .find_map(|(_, container)| Some((container, token(draft, container, identity)?)))
        else {
            continue;
        };
        let names = std::iter::once(&identity.file).chain(identity.beside);
        let held = names.filter_map(|name| variable(container, name).map(|(_, held)| held));
        variables.extend(held.filter(|held| is_portable(held)).cloned());
        mounts.push(mount);
    }
    (variables, mounts)
}

/// The mount of the token that the container's variable names, read-only.
fn token(draft: &Draft, container: &Value, identity: &Identity) -> Option<Value> {
    let (_, held) = variable(container, identity.file)?;
    let file = held.get("value")?.as_str()?;
    let mount = list(container, "volumeMounts").iter().find(|mount| {
        let path = text(mount, "mountPath").trim_end_matches('/');
        !path.is_empty() && file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
    })?;
    let volumes = list(draft.spec(), "volumes");
    let volume = volumes.iter().find(|volume| name_of(volume) == name_of(mount))?;
    // A token that is projected; a key in a Secret stays with the application.
    let mut sources = list(at(volume, &["projected"]), "sources").iter();
    let is_token = sources.any(|source| source.get("serviceAccountToken").is_some());
    is_token.then(
        || json!({"name": name_of(mount), "mountPath": text(mount, "mountPath"), "readOnly": true}),
    )
}

/// Whether a variable means the same in another container: it does not where it is put together
/// from others.
pub(super) fn is_portable(variable: &Value) -> bool {
    !text(variable, "value").contains("$(")
}
