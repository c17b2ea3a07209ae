//! The injector itself: API server, webhook, certificates, Deployment.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::Value;

use super::super::certificates::Seen;
use super::super::json::{at, list, name_of, text};
use super::{Finding, Objects, WEBHOOK};

const INSTALL: &str = "helm install keyweir charts/keyweir --namespace keyweir --create-namespace";
/// The first minor versions with `matchConditions` and with native sidecars.
const CONDITIONS_SINCE: u64 = 28;
const NATIVE_SINCE: u64 = 29;
/// Whatever ends sooner should have been followed by another long ago.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 7);

pub(super) fn inspect(objects: &Objects) -> Vec<Finding> {
    let mut findings = vec![version(&objects.version)];
    let Some(configuration) = configuration(&objects.webhooks) else {
        findings.push(Finding::failed("there is no webhook that injects", INSTALL));
        return findings;
    };
    findings.push(policy(configuration));
    findings.push(trust(configuration, objects.now));
    findings.push(deployment(objects));
    findings
}

fn configuration(webhooks: &[Value]) -> Option<&Value> {
    let is_ours = |configuration: &&Value| {
        list(configuration, "webhooks").iter().any(|webhook| name_of(webhook) == WEBHOOK)
    };
    webhooks.iter().find(is_ours)
}

pub(super) fn service(webhooks: &[Value]) -> Option<(String, String)> {
    let webhook = list(configuration(webhooks)?, "webhooks").first()?;
    let service = at(webhook, &["clientConfig", "service"]);
    Some((text(service, "namespace").to_owned(), name_of(service).to_owned()))
}

fn version(version: &Value) -> Finding {
    let minor = text(version, "minor").trim_end_matches(|c: char| !c.is_ascii_digit());
    let shown = text(version, "gitVersion");
    match minor.parse::<u64>() {
        Ok(minor) if minor >= NATIVE_SINCE => {
            Finding::passed(format!("the API server answers ({shown})"))
        }
        Ok(minor) if minor >= CONDITIONS_SINCE => Finding::warning(
            format!("Kubernetes {shown} has no native sidecars: Jobs cannot be injected"),
            "upgrade to 1.29 or newer",
        ),
        _ => Finding::failed(
            format!("Kubernetes {shown} is too old for the webhook's conditions"),
            "upgrade to 1.28 or newer",
        ),
    }
}

fn policy(configuration: &Value) -> Finding {
    let name = text(at(configuration, &["metadata"]), "name");
    let ignores = list(configuration, "webhooks")
        .iter()
        .any(|webhook| text(webhook, "failurePolicy") == "Ignore");
    if ignores {
        let what = "failurePolicy is Ignore: while no injector answers, pods start without keys";
        return Finding::warning(what, "helm upgrade … --set webhook.failurePolicy=Fail");
    }
    Finding::passed(format!("the webhook {name} is registered"))
}

/// Whether the API server has somebody to trust.
fn trust(configuration: &Value, now: Timestamp) -> Finding {
    let name = text(at(configuration, &["metadata"]), "name");
    let bundles: Vec<Vec<u8>> = list(configuration, "webhooks")
        .iter()
        .map(|webhook| {
            let bundle = text(at(webhook, &["clientConfig"]), "caBundle");
            BASE64_STANDARD.decode(bundle).unwrap_or_default()
        })
        .collect();
    let (namespace, deployment) = service(std::slice::from_ref(configuration)).unwrap_or_default();
    let logs = format!("kubectl --namespace {namespace} logs deployment/{deployment}");
    let seen = Seen::read(bundles.iter().map(Vec::as_slice));
    let Some(until) = seen.certificates.iter().map(|certificate| certificate.until).max() else {
        let what = format!("nobody has put an authority into the caBundle of {name}");
        return Finding::failed(what, logs);
    };
    let shown = until.round(Unit::Second).unwrap_or(until);
    if until <= now {
        return Finding::failed(format!("the webhook's authority ended at {shown}"), logs);
    }
    if until.duration_since(now) < SOON {
        let what = format!("the webhook's authority ends at {shown}, and no other follows it");
        return Finding::warning(what, logs);
    }
    Finding::passed(format!("the webhook's authority is trusted until {shown}"))
}

fn deployment(objects: &Objects) -> Finding {
    let (namespace, name) = service(&objects.webhooks).unwrap_or_default();
    let number = |path: &[&str]| at(&objects.deployment, path).as_u64().unwrap_or(0);
    let (wanted, ready) = (number(&["spec", "replicas"]), number(&["status", "readyReplicas"]));
    let describe = format!("kubectl --namespace {namespace} describe deployment,pods");
    match ready {
        _ if objects.deployment.is_null() => {
            Finding::failed(format!("there is no Deployment {namespace}/{name}"), INSTALL)
        }
        0 => Finding::failed(format!("no injector is ready, of {wanted}"), describe),
        _ if ready < wanted => {
            Finding::warning(format!("{ready} of {wanted} injectors are ready"), describe)
        }
        _ => Finding::passed(format!("{ready} of {wanted} injectors are ready")),
    }
}
