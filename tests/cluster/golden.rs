//! Every golden pod, admitted by a real API server, is what its file says.

use std::fs;

use keyweir::injector::Injection;
use serde_json::{Value, json};

use crate::api::{Api, warnings};
use crate::case::{Became, Case, patched};
use crate::installation::Installation;
use crate::parts::repository;

/// Pods that no API server admits, with a sidecar or without.
const IMPOSSIBLE: [&str; 1] = ["static-pod"];

#[test]
fn every_golden_pod_is_admitted_as_its_file_says() {
    let mut installation = Installation::new(&["image.repository=registry.example/keyweir"]);
    installation.add(&["--image=registry.example/keyweir:1", "--settle=1s"]);
    let api = installation.plane.api;
    account(api, "kube-public", "default");
    account(api, "kube-public", "web");
    let mut impossible = Vec::new();
    let mut wrong = Vec::new();
    for (name, text) in files() {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let around = documents.iter().find(|document| document["kind"] == "Around");
        if around.is_some_and(|around| around["workload"].is_null()) {
            continue; // an injector with other flags, or an older cluster
        }
        let namespace = prepare(&installation, &name, &documents);
        let case = Case::read(&text);
        // Where the webhook is never asked.
        let bare = api.create(&pods("kube-public"), &case.pod);
        if bare.status != 201 {
            impossible.push(name);
            continue;
        }
        if let Err(why) = compare(api, &namespace, &case, &bare.json()) {
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(impossible, IMPOSSIBLE);
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods?dryRun=All")
}

fn files() -> Vec<(String, String)> {
    let entries = fs::read_dir(repository("tests/injector/golden")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &std::path::Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// What stands around the pod; the namespace's name.
fn prepare(installation: &Installation, name: &str, documents: &[Value]) -> String {
    let api = installation.plane.api;
    let namespace = format!("golden-{name}");
    let written = documents.iter().find(|document| document["kind"] == "Namespace");
    let mut object = written.cloned().unwrap_or_else(|| json!({"apiVersion": "v1"}));
    object["kind"] = "Namespace".into();
    object["metadata"]["name"] = namespace.as_str().into();
    installation.plane.namespace(&namespace, &object);
    account(api, &namespace, "web");
    for document in documents.iter().filter(|document| document["kind"] == "ConfigMap") {
        let mut object = document.clone();
        object["apiVersion"] = "v1".into();
        api.must_create(&format!("/api/v1/namespaces/{namespace}/configmaps"), &object);
    }
    namespace
}

fn account(api: Api, namespace: &str, name: &str) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    let made = api.create(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), &account);
    assert!(matches!(made.status, 201 | 409), "{}", made.text());
}

/// A pod but for the service account's token, whose volume has another name every time.
fn without_tokens(pod: Value) -> Value {
    let is_token = |item: &Value| {
        item["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-"))
    };
    let drop_from = |items: &mut Value| {
        items.as_array_mut().into_iter().for_each(|items| items.retain(|item| !is_token(item)));
    };
    let mut pod = pod;
    drop_from(&mut pod["spec"]["volumes"]);
    for row in ["containers", "initContainers"] {
        for container in pod["spec"][row].as_array_mut().into_iter().flatten() {
            drop_from(&mut container["volumeMounts"]);
        }
    }
    pod
}

/// `seen` is the pod as the API server hands it to webhooks, with its own defaults.
fn compare(api: Api, namespace: &str, case: &Case, seen: &Value) -> Result<(), String> {
    let reply = api.create(&pods(namespace), &case.pod);
    let said = warnings(&reply);
    let (expected, told) = match case.admit(seen) {
        Became::Injected(Injection { patch, warnings }) => (patched(seen, &patch), warnings),
        Became::Left(_, warnings) => (seen.clone(), warnings),
        Became::Denied(message) => {
            let denied = reply.status == 403 && reply.text().contains("must be \\\"true\\\"");
            return if denied { Ok(()) } else { Err(format!("{message}: {}", reply.text())) };
        }
    };
    if reply.status != 201 {
        return Err(reply.text());
    }
    for warning in told {
        let begin: String = format!("keyweir: {warning}").chars().take(200).collect();
        if !said.iter().any(|said| said.starts_with(&begin)) {
            return Err(format!("nobody said {begin}: {said:?}"));
        }
    }
    let (expected, admitted) = (without_tokens(expected), without_tokens(reply.json()));
    let sidecars = |pod: &Value| {
        let rows = ["containers", "initContainers"].iter();
        let all = rows.filter_map(|row| pod["spec"][row].as_array()).flatten();
        all.filter(|container| container["name"] == "keyweir").count()
    };
    if sidecars(&admitted) != sidecars(&expected) {
        return Err(format!("{} sidecars", sidecars(&admitted)));
    }
    contained(&expected["spec"], &admitted["spec"], "spec")?;
    contained(&expected["metadata"]["labels"], &admitted["metadata"]["labels"], "labels")?;
    let [expected, admitted] = [&expected, &admitted].map(|pod| &pod["metadata"]["annotations"]);
    contained(expected, admitted, "annotations")
}

/// Whether all that was expected is there; the API server adds its defaults.
fn contained(expected: &Value, admitted: &Value, place: &str) -> Result<(), String> {
    match (expected, admitted) {
        (Value::Null, _) => Ok(()),
        (Value::Object(expected), _) => {
            let is_owners = expected.get("name").and_then(Value::as_str);
            // Who owns the pod is not the same here.
            if matches!(is_owners, Some("KEYWEIR_WORKLOAD" | "KEYWEIR_REPLICAS")) {
                return Ok(());
            }
            expected.iter().try_for_each(|(name, value)| {
                contained(value, &admitted[name], &format!("{place}.{name}"))
            })
        }
        (Value::Array(expected), Value::Array(admitted)) => {
            for (index, value) in expected.iter().enumerate() {
                let place = format!("{place}[{index}]");
                let key = ["name", "mountPath"].into_iter().find(|key| value[key].is_string());
                let key = if place.contains("volumeMounts") { Some("mountPath") } else { key };
                let other = match key {
                    Some(key) => admitted.iter().find(|other| other[key] == value[key]),
                    None => admitted.get(index),
                };
                contained(value, other.unwrap_or(&Value::Null), &place)?;
            }
            Ok(())
        }
        (Value::Array(expected), Value::Null) if expected.is_empty() => Ok(()),
        _ if expected == admitted => Ok(()),
        _ => Err(format!("{place}: {expected}, and not {admitted}")),
    }
}
