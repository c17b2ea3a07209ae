//! What lies in `manifests/`.

use std::fs;

use keyweir::config::{self, Severity, Source};
use serde_json::Value;

use crate::tools::{KUBERNETES, files, render, repository};

#[test]
fn the_rendered_manifest_is_what_the_chart_renders_now() {
    let path = repository("manifests/keyweir.yaml");
    let head = "\
# The chart charts/keyweir with its own values, rendered: `make manifests` writes it anew.
#   kubectl apply --server-side -f manifests/keyweir.yaml
apiVersion: v1
kind: Namespace
metadata:
  name: keyweir
  labels: {pod-security.kubernetes.io/enforce: restricted}
";
    let rendered = render(&repository("charts/keyweir/values.yaml"), KUBERNETES).unwrap();
    // The test of `helm test` is nobody else's.
    let objects = rendered.split_inclusive("\n---\n").map(|it| it.trim_end_matches("---\n"));
    let objects = objects.filter(|object| !object.contains("helm.sh/hook: test"));
    let objects: Vec<&str> = objects.map(|it| it.trim_start_matches("---\n").trim_end()).collect();
    let wanted = format!("{head}---\n{}\n", objects.join("\n---\n"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, wanted, "`make manifests` writes it anew");
}

#[test]
fn every_configuration_in_the_examples_is_one() {
    let mut seen = 0;
    for file in files("manifests/examples") {
        let written = fs::read_to_string(&file).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&written).unwrap();
        for text in documents.iter().filter_map(|it| it["data"]["keyweir.yaml"].as_str()) {
            let source = Source { name: "keyweir.yaml".into(), text: text.into() };
            let outcome = config::read(&[source], None);
            let mistakes = outcome.diagnostics.iter();
            let mistakes: Vec<_> = mistakes.filter(|it| it.severity == Severity::Error).collect();
            assert!(mistakes.is_empty(), "{file:?}: {mistakes:#?}");
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn every_example_is_in_the_list_of_examples() {
    let list = fs::read_to_string(repository("manifests/README.md")).unwrap();
    for file in files("manifests/examples") {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            list.contains(&format!("(examples/{name})")),
            "{name} is not in manifests/README.md"
        );
    }
}
