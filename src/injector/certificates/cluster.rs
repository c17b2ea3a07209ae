//! Carries out in the cluster what the keeper says, and tells it what is seen there.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use jiff::Timestamp;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, TestOperation};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use zeroize::Zeroizing;

use super::super::json::{at, list};
use super::bundle::Seen;
use super::keeper::{Act, Keeper, Write};
use super::stored::{ENTRIES, Entries, Observed};
use crate::lifecycle::Clock;

/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two changes, doubled while they fail.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// All is thought over at least so often: a machine that slept has lost its timers.
const OFTEN: Duration = Duration::from_mins(1);

/// What is kept, and where.
#[derive(Clone, Debug)]
pub struct Objects {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret of the authority.
    pub secret: String,
    /// The webhook configurations, mutating and validating.
    pub webhook: String,
    /// The Deployment that owns the Secret, so that it goes with it.
    pub deployment: String,
}

/// The two kinds of webhook configurations.
const KINDS: [(&str, &str); 2] = [
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
];

/// Something was seen.
enum Sight {
    Secret(Option<Secret>),
    Webhook(&'static str, Option<DynamicObject>),
    Nothing,
}

/// Keeps the certificates, for as long as the process lives. `trouble` is told why the API server
/// could not trust them, if so.
pub async fn keep(
    client: kube::Client,
    objects: Objects,
    keeper: Keeper,
    clock: Clock,
    trouble: watch::Sender<Option<String>>,
) {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &objects.namespace);
    let mut seen_secrets =
        pin!(watch_object(secrets.clone(), &objects.secret).default_backoff().map(secret));
    let [mutating, validating] = KINDS.map(|(kind, plural)| {
        let resource = resource(kind, plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        (kind, api)
    });
    let watched = |(kind, api): &(&'static str, Api<DynamicObject>)| {
        let kind = *kind;
        let stream = watch_object(api.clone(), &objects.webhook).default_backoff();
        stream.map(move |object| webhook(kind, object))
    };
    let mut seen_mutating = pin!(watched(&mutating));
    let mut seen_validating = pin!(watched(&validating));
    let webhooks = BTreeMap::from([mutating, validating]);
    let mut office = Office {
        objects: &objects,
        client: &client,
        secrets: &secrets,
        webhooks,
        present: BTreeMap::new(),
        keeper,
        pause: PAUSE,
    };
    let (mut next, mut quiet) = (clock.moment(), clock.moment());
    loop {
        let sight = tokio::select! {
            sight = seen_secrets.next() => sight,
            sight = seen_mutating.next() => sight,
            sight = seen_validating.next() => sight,
            () = sleep_until(clock.instant(next)) => Some(Sight::Nothing),
        };
        let now = clock.now();
        office.see(now.wall, sight.unwrap_or(Sight::Nothing));
        office.sign(now.wall);
        // Whatever is seen meanwhile, what was done or failed is not done again at once.
        if now.at >= quiet && office.act(now.wall).await {
            quiet = clock.moment() + office.pause;
        }
        let now = clock.now();
        office.sign(now.wall);
        next = now.moment_of(office.keeper.wake(now.wall)).min(now.at + OFTEN);
        if quiet > now.at {
            next = next.min(quiet);
        }
        trouble.send_replace(office.trouble(now.wall));
    }
}

struct Office<'a> {
    objects: &'a Objects,
    client: &'a kube::Client,
    secrets: &'a Api<Secret>,
    webhooks: BTreeMap<&'static str, Api<DynamicObject>>,
    /// The webhook configurations as they were last seen.
    present: BTreeMap<&'static str, DynamicObject>,
    keeper: Keeper,
    pause: Duration,
}

impl Office<'_> {
    fn see(&mut self, now: Timestamp, sight: Sight) {
        match sight {
            Sight::Secret(found) => self.keeper.saw_secret(observed(found)),
            Sight::Webhook(kind, Some(found)) => {
                self.keeper.saw_bundle(now, kind, Some(bundles(&found)));
                self.present.insert(kind, found);
            }
            Sight::Webhook(kind, None) => {
                self.keeper.saw_bundle(now, kind, None);
                self.present.remove(kind);
            }
            Sight::Nothing => {}
        }
    }

    fn sign(&mut self, now: Timestamp) {
        if let Err(error) = self.keeper.sign(now) {
            tracing::error!(%error, "A certificate could not be made");
        }
    }

    /// Does what is to be done; whether there was anything.
    async fn act(&mut self, now: Timestamp) -> bool {
        let acts = match self.keeper.step(now) {
            Ok(acts) => acts,
            Err(error) => {
                tracing::error!(%error, "A certificate could not be made");
                Vec::new()
            }
        };
        let (something, mut failed) = (!acts.is_empty(), false);
        for act in acts {
            let done = match act {
                Act::Write(write) => self.write(write).await,
                Act::Trust { name, pem } => self.trust(&name, &pem, now).await,
            };
            failed |= !done;
        }
        self.pause = if failed { LONGEST_PAUSE.min(self.pause * 2) } else { PAUSE };
        something
    }

    /// Writes the Secret; whether that went well, or another was faster.
    async fn write(&mut self, write: Write) -> bool {
        let name = &self.objects.secret;
        let written = match &write.replaces {
            None => {
                let Some(owner) = self.owner().await else { return false };
                let secret = new_secret(self.objects, owner, &write.entries);
                let params = PostParams::default();
                timeout(PATIENCE, self.secrets.create(&params, &secret)).await
            }
            Some(version) => {
                let patch = Patch::Merge(changed_secret(version, &write.entries));
                let params = PatchParams::default();
                timeout(PATIENCE, self.secrets.patch(name, &params, &patch)).await
            }
        };
        match written {
            Ok(Ok(secret)) => {
                tracing::info!(secret = name, "The authority's Secret is written");
                self.keeper.saw_secret(observed(Some(secret)));
                true
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, secret = name, "The authority's Secret cannot be written");
                false
            }
            Err(_) => {
                tracing::warn!(secret = name, "The API server did not answer in time");
                false
            }
        }
    }

    /// Puts the bundle into every webhook of a configuration.
    async fn trust(&mut self, name: &str, pem: &str, now: Timestamp) -> bool {
        let Some((kind, api)) = self.webhooks.get_key_value(name) else { return false };
        let Some(patch) = self.present.get(kind).and_then(|present| bundled(present, pem)) else {
            return false;
        };
        let webhook = &self.objects.webhook;
        let (params, patch) = (PatchParams::default(), Patch::<()>::Json(patch));
        match timeout(PATIENCE, api.patch(webhook, &params, &patch)).await {
            Ok(Ok(found)) => {
                tracing::info!(kind, name = webhook, "The caBundle is brought up to date");
                let kind = *kind;
                self.see(now, Sight::Webhook(kind, Some(found)));
                true
            }
            // Another version is there by now, and will be seen.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 409 | 422) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, kind, name = webhook, "The caBundle cannot be changed");
                false
            }
            Err(_) => {
                tracing::warn!(kind, name = webhook, "The API server did not answer in time");
                false
            }
        }
    }

    /// Whom the Secret belongs to. A Secret without an owner would be left behind, so without one
    /// there is none.
    async fn owner(&self) -> Option<OwnerReference> {
        let Objects { namespace, deployment, .. } = self.objects;
        let api: Api<PartialObjectMeta<Deployment>> =
            Api::namespaced(self.client.clone(), namespace);
        match timeout(PATIENCE, api.get(deployment)).await {
            Ok(Ok(found)) => Some(OwnerReference {
                api_version: "apps/v1".to_owned(),
                kind: "Deployment".to_owned(),
                name: deployment.clone(),
                uid: found.metadata.uid?,
                ..OwnerReference::default()
            }),
            Ok(Err(error)) => {
                tracing::warn!(%error, deployment, "The Secret's owner cannot be found");
                None
            }
            Err(_) => None,
        }
    }

    fn trouble(&self, now: Timestamp) -> Option<String> {
        let unready = self.keeper.readiness(now).err()?;
        let unusable =
            self.keeper.trouble().map(|why| format!("; what is there is unusable: {why}"));
        Some(format!("{unready}{}", unusable.unwrap_or_default()))
    }
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "admissionregistration.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "admissionregistration.k8s.io/v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

fn secret(seen: watcher::Result<Option<Secret>>) -> Sight {
    match seen {
        Ok(found) => Sight::Secret(found),
        Err(error) => {
            tracing::warn!(%error, "The authority's Secret cannot be watched");
            Sight::Nothing
        }
    }
}

fn webhook(kind: &'static str, seen: watcher::Result<Option<DynamicObject>>) -> Sight {
    match seen {
        Ok(found) => Sight::Webhook(kind, found),
        Err(error) => {
            tracing::warn!(%error, kind, "The webhook configuration cannot be watched");
            Sight::Nothing
        }
    }
}

fn observed(found: Option<Secret>) -> Observed {
    let Some(secret) = found else { return Observed::Missing };
    let data = secret.data.unwrap_or_default().into_iter();
    let entries = Entries(data.map(|(name, bytes)| (name, Zeroizing::new(bytes.0))).collect());
    Observed::read(secret.metadata.resource_version.unwrap_or_default(), &entries)
}

fn new_secret(objects: &Objects, owner: OwnerReference, entries: &Entries) -> Secret {
    let data = entries.0.iter();
    Secret {
        metadata: ObjectMeta {
            name: Some(objects.secret.clone()),
            namespace: Some(objects.namespace.clone()),
            labels: Some(BTreeMap::from([(
                "app.kubernetes.io/managed-by".to_owned(),
                "keyweir-injector".to_owned(),
            )])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(data.map(|(name, bytes)| (name.clone(), ByteString(bytes.to_vec()))).collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// The change to a Secret in that version; entries that are no longer there go.
fn changed_secret(version: &str, entries: &Entries) -> Value {
    let entry = |name: &&str| {
        let bytes = entries.0.get(*name).map(|bytes| BASE64_STANDARD.encode(&**bytes));
        ((*name).to_owned(), bytes.map_or(Value::Null, Value::from))
    };
    let data: Map<String, Value> = ENTRIES.iter().map(entry).collect();
    json!({"metadata": {"resourceVersion": version}, "data": data})
}

/// The bundles of a configuration's webhooks.
fn bundles(configuration: &DynamicObject) -> Seen {
    let webhooks = list(&configuration.data, "webhooks").iter();
    let bundles = webhooks.map(|webhook| {
        let encoded = at(webhook, &["clientConfig", "caBundle"]).as_str().unwrap_or_default();
        BASE64_STANDARD.decode(encoded).unwrap_or_default()
    });
    let bundles: Vec<Vec<u8>> = bundles.collect();
    Seen::read(bundles.iter().map(Vec::as_slice))
}

/// The change to a configuration in the version that was seen: nothing but the bundles.
fn bundled(present: &DynamicObject, pem: &str) -> Option<json_patch::Patch> {
    let version = present.metadata.resource_version.as_deref()?;
    let bundle = BASE64_STANDARD.encode(pem);
    let path = PointerBuf::from_tokens(["metadata", "resourceVersion"]);
    let test = PatchOperation::Test(TestOperation { path, value: version.into() });
    let webhooks = 0..list(&present.data, "webhooks").len();
    let adds = webhooks.map(|index| {
        let index = index.to_string();
        let path = PointerBuf::from_tokens(["webhooks", &index, "clientConfig", "caBundle"]);
        PatchOperation::Add(AddOperation { path, value: bundle.as_str().into() })
    });
    Some(json_patch::Patch(std::iter::once(test).chain(adds).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::authority::Authority;
    use super::super::stored::Stored;
    use super::*;

    fn configuration(webhooks: &Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "keyweir-injector", "resourceVersion": "7"},
            "webhooks": webhooks,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn only_the_bundles_of_the_version_that_was_seen_are_changed() {
        let two = json!([
            {"name": "a", "clientConfig": {"service": {}}, "namespaceSelector": {"x": 1}},
            {"name": "b", "clientConfig": {"service": {}, "caBundle": "b2xk"}},
        ]);
        let present = configuration(&two);
        let mut patched = serde_json::to_value(&present).unwrap();
        let patch = bundled(&present, "new").unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();
        let mut expected = serde_json::to_value(&present).unwrap();
        for index in [0, 1] {
            expected["webhooks"][index]["clientConfig"]["caBundle"] = "bmV3".into();
        }
        assert_eq!(patched, expected);
        expected["metadata"]["resourceVersion"] = "8".into();
        assert!(json_patch::patch(&mut expected, &patch).is_err(), "another was faster");
    }

    #[test]
    fn bundles_that_differ_are_not_clean_and_only_what_all_hold_is_trusted() {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let pem = |_: usize| {
            let authority = Authority::new(now, Duration::from_hours(1)).unwrap();
            authority.certificate().pem()
        };
        let [first, second] = [pem(1), pem(2)];
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        let webhooks = |bundles: [String; 2]| {
            let hooks = bundles.map(|bundle| json!({"clientConfig": {"caBundle": bundle}}));
            bundles_of(&json!(hooks))
        };
        let same = webhooks([encoded(&first), encoded(&first)]);
        assert!(same.is_clean && same.certificates.len() == 1);
        let both = format!("{first}{second}");
        let differing = webhooks([encoded(&both), encoded(&second)]);
        assert!(!differing.is_clean && differing.certificates.len() == 1);
        let empty = webhooks([encoded(&both), String::new()]);
        assert!(empty.certificates.is_empty());
    }

    fn bundles_of(webhooks: &Value) -> Seen {
        bundles(&configuration(webhooks))
    }

    #[test]
    fn a_secret_is_read_as_it_was_written_and_what_is_gone_goes() {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let [current, next] =
            [(), ()].map(|()| Authority::new(now, Duration::from_hours(1)).unwrap());
        let objects = Objects {
            namespace: "keyweir".to_owned(),
            secret: "keyweir-injector-ca".to_owned(),
            webhook: "keyweir-injector".to_owned(),
            deployment: "keyweir-injector".to_owned(),
        };
        let entries = Stored::entries_of(&current, Some(&next), now);
        let mut secret = new_secret(&objects, OwnerReference::default(), &entries);
        secret.metadata.resource_version = Some("7".to_owned());
        let Observed::Held { version, stored } = observed(Some(secret)) else { panic!() };
        assert_eq!((version.as_str(), stored.since), ("7", now));
        assert_eq!(stored.current.certificate(), current.certificate());
        assert_eq!(stored.next.unwrap().certificate(), next.certificate());

        let change = changed_secret("7", &Stored::entries_of(&next, None, now));
        assert_eq!(change["metadata"], json!({"resourceVersion": "7"}));
        assert!(change["data"]["next.key"].is_null() && change["data"]["ca.key"].is_string());
    }
}
