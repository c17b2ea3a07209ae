//! What the chart renders, and what it refuses to.

use clap::Parser;
use keyweir::cli::{Arguments, Command};
use serde_json::Value;

use crate::tools::{KUBERNETES, files, finish, helm, render, repository, text};

fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

fn rendered(values: &str) -> Vec<Value> {
    let values = repository("tests/chart/values").join(values);
    documents(&render(&values, KUBERNETES).unwrap())
}

fn find<'a>(documents: &'a [Value], kind: &str) -> Option<&'a Value> {
    documents.iter().find(|document| document["kind"] == kind)
}

#[test]
fn it_lints_with_every_set_of_values() {
    for values in files("tests/chart/values") {
        let mut helm = helm();
        helm.args(["lint", "--strict", "--kube-version", KUBERNETES, "--values"]);
        let output = finish(helm.arg(&values).arg(repository("charts/keyweir")));
        assert!(output.status.success(), "{values:?}: {}", text(&output.stdout));
    }
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    for values in files("tests/chart/values") {
        let twice = [(); 2].map(|()| render(&values, KUBERNETES).unwrap());
        assert_eq!(twice[0], twice[1], "{values:?}");
    }
}

#[test]
fn values_that_cannot_be_are_refused_with_their_place() {
    for values in files("tests/chart/refused") {
        let written = std::fs::read_to_string(&values).unwrap();
        let expected = written.lines().next().unwrap().trim_start_matches("# ");
        let refused = render(&values, KUBERNETES).expect_err(&format!("{values:?}"));
        assert!(refused.contains(expected), "{values:?}: {refused}");
    }
}

#[test]
fn the_injector_takes_the_arguments_that_it_is_given() {
    for values in files("tests/chart/values") {
        let documents = documents(&render(&values, KUBERNETES).unwrap());
        let deployment = find(&documents, "Deployment").unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().unwrap();
        let arguments = arguments.iter().map(|argument| argument.as_str().unwrap());
        let parsed = Arguments::try_parse_from(std::iter::once("keyweir").chain(arguments));
        let Ok(Arguments { command: Command::Injector(flags) }) = parsed else {
            panic!("{values:?}: {parsed:?}");
        };
        assert_eq!(flags.image, container["image"].as_str().unwrap());
        let port = container["ports"][0]["containerPort"].as_u64();
        assert_eq!(Some(u64::from(flags.listen.port())), port);
        assert_eq!(
            Some(u64::from(flags.admin.port())),
            container["ports"][1]["containerPort"].as_u64()
        );
    }
}

#[test]
fn a_bundle_is_rendered_for_an_own_secret_only() {
    for values in files("tests/chart/values") {
        let rendered = render(&values, KUBERNETES).unwrap();
        let is_own = values.ends_with("own-secret.yaml");
        assert_eq!(rendered.contains("caBundle: "), is_own, "{values:?}");
    }
}

#[test]
fn a_single_replica_has_no_disruption_budget_that_would_block_a_drain() {
    assert!(find(&rendered("default.yaml"), "PodDisruptionBudget").is_some());
    assert!(find(&rendered("bare.yaml"), "PodDisruptionBudget").is_none());
}

#[test]
fn admission_policies_are_left_out_where_the_cluster_has_none() {
    let values = repository("tests/chart/values/everything.yaml");
    let of = |version| documents(&render(&values, version).unwrap());
    assert!(find(&of("1.30.0"), "ValidatingAdmissionPolicy").is_some());
    assert!(find(&of("1.29.15"), "ValidatingAdmissionPolicy").is_none());
    assert!(render(&values, "1.27.0").unwrap_err().contains("kubeVersion"));
}

#[test]
fn the_webhook_is_asked_about_marked_pods_alone() {
    let documents = rendered("default.yaml");
    let webhooks = find(&documents, "MutatingWebhookConfiguration").unwrap()["webhooks"].clone();
    for webhook in webhooks.as_array().unwrap() {
        assert_eq!(webhook["failurePolicy"], "Fail");
        assert_eq!(webhook["sideEffects"], "NoneOnDryRun");
        assert_eq!(webhook["reinvocationPolicy"], "IfNeeded");
        assert!(!webhook["matchConditions"].as_array().unwrap().is_empty());
    }
}

#[test]
fn what_the_injector_may_do_is_what_its_page_says() {
    let documents = rendered("default.yaml");
    let rules = ["ClusterRole", "Role"].iter().flat_map(|kind| {
        let role = find(&documents, kind).unwrap();
        role["rules"].as_array().unwrap().clone()
    });
    let page = std::fs::read_to_string(repository("docs/injector.md")).unwrap();
    let table = page.split("## What it may do in the cluster").nth(1).unwrap();
    for rule in rules {
        for resource in rule["resources"].as_array().unwrap() {
            let resource = format!("`{}`", resource.as_str().unwrap());
            let rows: Vec<&str> = table.lines().filter(|row| row.contains(&resource)).collect();
            assert!(!rows.is_empty(), "no word of {resource}");
            for verb in rule["verbs"].as_array().unwrap() {
                let verb = verb.as_str().unwrap();
                assert!(rows.iter().any(|row| row.contains(verb)), "{verb} {resource}: {rows:?}");
            }
        }
    }
}
