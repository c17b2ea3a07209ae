//! What always holds, whatever the pod.

use json_patch::PatchOperation;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::case::{Became, Case, patched};
use crate::golden;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_a_pod_that_nothing_goes_wrong_with(pod in any_json(), asks: bool) {
        let mut pod = pod;
        if let (true, Some(fields)) = (asks, pod.as_object_mut()) {
            fields.insert("metadata".to_owned(), asking());
        }
        hold(&Case::around(pod));
    }

    #[test]
    fn a_pod_of_odd_parts_is_injected_once_and_loses_nothing(pod in odd_pod(), native: bool) {
        let mut case = Case::around(pod);
        case.defaults.native_sidecars = native;
        hold(&case);
    }
}

#[test]
fn the_laws_hold_for_every_pod_that_has_a_file() {
    for path in golden::files() {
        hold(&Case::read(&std::fs::read_to_string(path).unwrap()));
    }
}

/// What is injected is injected once, touches nothing that was there but exceptions from proxies,
/// and adds only in the places where it belongs.
fn hold(case: &Case) {
    let Became::Injected(injection) = case.admit(&case.pod) else { return };
    for operation in injection.patch.iter() {
        assert!(is_allowed(operation, &case.pod), "{operation}\n{}", case.pod);
    }
    let once = patched(&case.pod, &injection.patch);
    let Became::Injected(again) = case.admit(&once) else { panic!("{once}") };
    assert!(again.patch.is_empty(), "{}\n{once}", again.patch);
    assert_eq!(sidecars(&once), 1, "{once}");
}

fn sidecars(pod: &Value) -> usize {
    let rows = ["containers", "initContainers"].into_iter();
    let containers = rows.flat_map(|row| pod["spec"][row].as_array().cloned().unwrap_or_default());
    containers.filter(|container| container["name"] == "keyweir").count()
}

fn is_allowed(operation: &PatchOperation, pod: &Value) -> bool {
    let path = operation.path().as_str();
    let steps: Vec<&str> = path.split('/').skip(1).collect();
    match operation {
        PatchOperation::Add(operation) => match steps.as_slice() {
            ["metadata"] => pod["metadata"].is_null(),
            ["metadata", map @ ("labels" | "annotations")] => pod["metadata"][map].is_null(),
            ["metadata", "labels", name] => *name == "keyweir.dev~1injected",
            ["metadata", "annotations", name] => {
                matches!(*name, "keyweir.dev~1version" | "kubectl.kubernetes.io~1default-container")
            }
            ["spec", row @ "initContainers"] => pod["spec"][row].is_null(),
            ["spec", "initContainers" | "containers", "0"] => operation.value["name"] == "keyweir",
            ["spec", "volumes"] => pod["spec"]["volumes"].is_null(),
            ["spec", "volumes", "-"] => {
                operation.value["name"].as_str().is_some_and(|name| name.starts_with("keyweir-"))
            }
            ["spec", "initContainers" | "containers", _, "env" | "volumeMounts"] => {
                operation.value.as_array().is_some_and(|items| items.len() == 1)
            }
            ["spec", "initContainers" | "containers", _, "env" | "volumeMounts", "-"] => true,
            _ => false,
        },
        PatchOperation::Replace(operation) => {
            let new = operation.value.as_str().unwrap();
            steps.len() == 6
                && steps[3] == "env"
                && steps[5] == "value"
                && new.contains("127.0.0.1")
        }
        PatchOperation::Remove(_)
        | PatchOperation::Move(_)
        | PatchOperation::Copy(_)
        | PatchOperation::Test(_) => false,
    }
}

fn asking() -> Value {
    json!({"annotations": {"keyweir.dev/inject": "true"}})
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("containers"),
        Just("initContainers"),
        Just("volumes"),
        Just("env"),
        Just("name"),
        Just("annotations"),
        Just("keyweir.dev/inject"),
        Just("x"),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..5).prop_map(|fields| {
                let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(fields.collect::<Map<_, _>>())
            }),
        ]
    })
}

/// A pod as the API would take it, with everything in it that the injector looks at.
fn odd_pod() -> impl Strategy<Value = Value> {
    let list = |item: BoxedStrategy<Value>| {
        prop_oneof![
            1 => Just(Value::Null),
            6 => prop::collection::vec(item, 0..4).prop_map(Value::from),
        ]
    };
    let container = container().boxed();
    let main = prop::collection::vec(container.clone(), 1..4).prop_map(Value::from);
    let volumes = prop::sample::select(vec!["data", "token", "keyweir-ca", "keyweir-no-token"]);
    let volume = volumes.prop_map(|name| {
        let source = json!({"serviceAccountToken": {"path": "token"}});
        json!({"name": name, "projected": {"sources": [source]}})
    });
    let marks = (annotations(), prop::option::of(Just(json!({"keyweir.dev/injected": "true"}))));
    let policy = prop::sample::select(vec!["Always", "Never"]);
    (main, list(container), list(volume.boxed()), marks, policy).prop_map(
        |(main, init, volumes, (annotations, labels), policy)| {
            json!({
                "metadata": {"annotations": annotations, "labels": labels},
                "spec": {
                    "containers": main,
                    "initContainers": init,
                    "volumes": volumes,
                    "restartPolicy": policy,
                },
            })
        },
    )
}

fn container() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["app", "worker", "istio-proxy", "other"]);
    let variable = prop::sample::select(vec![
        json!({"name": "OPENAI_API_KEY", "value": "mine"}),
        json!({"name": "ANTHROPIC_BASE_URL", "value": "http://elsewhere"}),
        json!({"name": "HTTPS_PROXY", "value": "http://proxy"}),
        json!({"name": "NO_PROXY", "value": ".svc"}),
        json!({"name": "NO_PROXY", "value": null}),
        json!({"name": "no_proxy", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}),
        json!({"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/token/token"}),
        json!({"name": "AWS_ROLE_ARN", "value": "$(OTHER)"}),
        json!({"value": "nameless"}),
    ]);
    let env = prop::option::of(prop::collection::vec(variable, 0..4));
    let mounts = prop::option::of(Just(json!([{"name": "token", "mountPath": "/token"}])));
    (names, env, mounts).prop_map(|(name, env, mounts)| {
        let mut container = json!({"name": name, "image": "x"});
        if let Some(env) = env {
            container["env"] = env.into();
        }
        if let Some(mounts) = mounts {
            container["volumeMounts"] = mounts;
        }
        container
    })
}

fn annotations() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(
        keyweir::injector::annotations::ALL.iter().map(|known| known.name).collect::<Vec<_>>(),
    );
    let values = prop_oneof![
        Just("none".to_owned()),
        Just("app, worker".to_owned()),
        Just("data:team-keys".to_owned()),
        Just("5000".to_owned()),
        Just("false".to_owned()),
        Just("1Gi".to_owned()),
        Just("data".to_owned()),
        ".{0,12}",
    ];
    prop::collection::vec((names, values), 0..5).prop_map(|written| {
        let mut annotations = asking()["annotations"].take();
        for (name, value) in written {
            annotations[format!("keyweir.dev/{name}")] = value.into();
        }
        annotations
    })
}
