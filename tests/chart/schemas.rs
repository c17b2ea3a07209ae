//! Everything that is applied to a cluster fits the schemas of every Kubernetes from 1.30 to the
//! newest, strictly: no unknown field passes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::case::{Became, Case, patched};
use crate::tools::{KUBERNETES, files, finish, render, repository, script, text};

/// Where kubeconform finds the schema of an object.
const OF_VERSION: &str =
    "{{ .NormalizedKubernetesVersion }}/{{ .ResourceKind }}{{ .KindSuffix }}.json";
const CUSTOM: &str = "custom/{{ .ResourceKind }}{{ .KindSuffix }}.json";

#[test]
fn chart_manifests_and_injected_pods_fit_every_supported_version() {
    let folder = tempfile::tempdir().unwrap();
    let (manifests, schemas) = (folder.path().join("manifests"), folder.path().join("schemas"));
    fs::create_dir(&manifests).unwrap();
    gather(&manifests);
    let versions = prepare(&schemas, &kinds(&manifests));
    assert!(versions.first().unwrap().starts_with("1.30."), "{versions:?}");
    assert!(versions.iter().any(|version| version == KUBERNETES), "{versions:?}");
    let kubeconform = script("go-tool", "kubeconform");
    for version in versions {
        let location = |template: &str| schemas.join(template).to_string_lossy().into_owned();
        let mut command = Command::new(&kubeconform);
        command.args(["-strict", "-summary", "-kubernetes-version", &version]);
        for template in [OF_VERSION, CUSTOM] {
            command.args(["-schema-location", &location(template)]);
        }
        let output = finish(command.arg(&manifests));
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "Kubernetes {version}:\n{said}");
        assert!(said.contains("Invalid: 0, Errors: 0, Skipped: 0"), "{said}");
    }
}

#[test]
fn a_field_that_is_none_does_not_pass() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let (manifests, schemas) = (folder.path().join("manifests"), folder.path().join("schemas"));
    fs::create_dir(&manifests).unwrap();
    let wrong = "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, imagePolicy: Never}]}\n";
    fs::write(manifests.join("pod.yaml"), wrong).unwrap();
    prepare(&schemas, &kinds(&manifests));
    let mut command = Command::new(script("go-tool", "kubeconform"));
    let location = schemas.join(OF_VERSION).to_string_lossy().into_owned();
    command.args(["-strict", "-kubernetes-version", KUBERNETES, "-schema-location", &location]);
    let output = finish(command.arg(&manifests));
    assert!(!output.status.success() && text(&output.stdout).contains("imagePolicy"));
}

/// Writes down all that is to be looked at.
fn gather(folder: &Path) {
    let name = |file: &Path| file.file_name().unwrap().to_string_lossy().into_owned();
    for values in files("tests/chart/values") {
        let rendered = render(&values, KUBERNETES).unwrap();
        fs::write(folder.join(format!("chart-{}", name(&values))), rendered).unwrap();
    }
    for file in [files("manifests"), files("manifests/examples")].concat() {
        fs::copy(&file, folder.join(format!("manifests-{}", name(&file)))).unwrap();
    }
    for file in files("tests/injector/golden") {
        let case = Case::read(&fs::read_to_string(&file).unwrap());
        // It has fields that no Kubernetes knows yet.
        if name(&file) == "of-the-future.yaml" {
            continue;
        }
        if let Became::Injected(injection) = case.admit(&case.pod) {
            let pod = patched(&case.pod, &injection.patch);
            let path = folder.join(format!("pod-{}.json", name(&file)));
            fs::write(path, pod.to_string()).unwrap();
        }
    }
}

/// The groups and kinds of all that is in a folder.
fn kinds(folder: &Path) -> BTreeSet<(String, String)> {
    let mut kinds = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let written = fs::read_to_string(file.unwrap().path()).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&written).unwrap();
        for document in documents.iter().filter(|document| !document.is_null()) {
            let field = |name: &str| document[name].as_str().unwrap().to_owned();
            kinds.insert((field("apiVersion"), field("kind")));
        }
    }
    kinds
}

/// Writes the schemas of these kinds below a folder, and returns the versions of Kubernetes.
fn prepare(folder: &Path, kinds: &BTreeSet<(String, String)>) -> Vec<String> {
    let list = repository("tests/chart/schemas.txt");
    let modules = script("module-files", &list.to_string_lossy());
    let mut versions = Vec::new();
    let custom = folder.join("custom");
    fs::create_dir_all(&custom).unwrap();
    for line in fs::read_to_string(&list).unwrap().lines().filter(|line| !line.starts_with('#')) {
        let [module, version, path, _] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let file: PathBuf = modules.join(format!("{module}@{version}")).join(path);
        let written = fs::read_to_string(&file).unwrap();
        if module == "k8s.io/kubernetes" {
            let versioned = folder.join(version);
            fs::create_dir_all(&versioned).unwrap();
            of_version(&written, kinds, &versioned);
            versions.push(version.trim_start_matches('v').to_owned());
        } else {
            of_custom(&written, &custom);
        }
    }
    versions
}

/// `deployment-apps-v1.json`, as kubeconform looks for it.
fn file_name(api_version: &str, kind: &str) -> String {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let group = group.split('.').next().filter(|group| !group.is_empty());
    let suffix = group.map(|group| format!("-{group}")).unwrap_or_default();
    format!("{}{suffix}-{version}.json", kind.to_lowercase())
}

/// Of a Kubernetes' own description of its API, the kinds that are asked for, each with all that it
/// rests on.
fn of_version(swagger: &str, kinds: &BTreeSet<(String, String)>, folder: &Path) {
    let mut swagger: Value = serde_json::from_str(swagger).unwrap();
    let definitions: BTreeMap<String, Value> =
        serde_json::from_value(swagger["definitions"].take()).unwrap();
    for (name, definition) in &definitions {
        let own = definition["x-kubernetes-group-version-kind"].as_array();
        for own in own.into_iter().flatten() {
            let field = |name: &str| own[name].as_str().unwrap().to_owned();
            let group = Some(field("group")).filter(|group| !group.is_empty());
            let api_version = [group, Some(field("version"))].into_iter().flatten();
            let api_version = api_version.collect::<Vec<_>>().join("/");
            if !kinds.contains(&(api_version.clone(), field("kind"))) {
                continue;
            }
            let mut reached = Map::new();
            reach(name, &definitions, &mut reached);
            let schema = json!({"$ref": format!("#/definitions/{name}"), "definitions": reached});
            let path = folder.join(file_name(&api_version, &field("kind")));
            fs::write(path, schema.to_string()).unwrap();
        }
    }
}

fn reach(name: &str, definitions: &BTreeMap<String, Value>, reached: &mut Map<String, Value>) {
    if reached.contains_key(name) {
        return;
    }
    let mut definition = definitions[name].clone();
    // What the description calls a string may be a number too.
    let numeric = ["util.intstr.IntOrString", "api.resource.Quantity"];
    if numeric.iter().any(|numeric| name.ends_with(numeric)) {
        definition = json!({"type": ["string", "number"]});
    }
    close(&mut definition);
    reached.insert(name.to_owned(), definition.clone());
    for next in references(&definition) {
        reach(&next, definitions, reached);
    }
}

fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|path| path.strip_prefix("#/definitions/")).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// The schemas of a custom resource.
fn of_custom(definition: &str, folder: &Path) {
    let definition: Value = serde_saphyr::from_str(definition).unwrap();
    let spec = &definition["spec"];
    for version in spec["versions"].as_array().unwrap() {
        let mut schema = version["schema"]["openAPIV3Schema"].clone();
        close(&mut schema);
        let field = |value: &Value| value.as_str().unwrap().to_owned();
        let api_version = format!("{}/{}", field(&spec["group"]), field(&version["name"]));
        let path = folder.join(file_name(&api_version, &field(&spec["names"]["kind"])));
        fs::write(path, schema.to_string()).unwrap();
    }
}

/// Lets no field pass that is not described.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_open = fields.contains_key("additionalProperties")
                || fields.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
            if fields.get("properties").is_some_and(Value::is_object) && !is_open {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
