//! The webhook, asked as the API server asks it: real reviews, over TLS.

use std::sync::Arc;

use http::StatusCode;
use keyweir::injector::Marks;
use serde_json::{Value, json};

use crate::case::patched;
use crate::kit::{ApiServer, Served, certified, now, patch, review, serve};

fn pod() -> Value {
    json!({
        "kind": "Pod",
        "metadata": {
            "generateName": "web-7d4b9c-",
            "labels": {"pod-template-hash": "7d4b9c"},
            "annotations": {"keyweir.dev/inject": "true"},
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": "web-7d4b9c",
                "uid": "rs-1",
                "controller": true,
            }],
        },
        "spec": {"containers": [{"name": "app", "image": "web:1"}]},
    })
}

fn on_host_network() -> Value {
    let mut pod = pod();
    pod["spec"]["hostNetwork"] = true.into();
    pod
}

async fn started() -> (Served, ApiServer) {
    let (shown, bundle) = certified();
    (serve(shown).await, ApiServer::new(&bundle, now()))
}

fn counted(served: &Served, result: &str, reason: &str) -> u64 {
    served.metrics.injections.with_label_values(&[result, reason]).get()
}

#[tokio::test]
async fn a_pod_is_injected_and_told_whose_it_is() {
    let (served, api) = started().await;
    let response = api.review(served.address, "/inject", json!({"object": pod()})).await.unwrap();
    assert_eq!(response["allowed"], true);
    let pod = patched(&pod(), &patch(&response));
    let sidecar = &pod["spec"]["initContainers"][0];
    assert_eq!(sidecar["name"], "keyweir");
    assert_eq!(sidecar["env"][0], json!({"name": "KEYWEIR_WORKLOAD", "value": "web"}));
    assert_eq!(counted(&served, "injected", "asked"), 1);
    let again = api.review(served.address, "/inject", json!({"object": pod})).await.unwrap();
    assert!(again["patch"].is_null(), "{again}");
    assert_eq!(counted(&served, "injected", "complete"), 1);
    assert_eq!(served.metrics.admission_duration.get_sample_count(), 2);
}

#[tokio::test]
async fn what_the_namespace_and_its_config_map_say_is_heeded() {
    let (served, api) = started().await;
    let mut marks = Marks::default();
    marks.labels.insert("keyweir.dev/inject".to_owned(), "true".to_owned());
    marks.annotations.insert("keyweir.dev/config".to_owned(), "platform".to_owned());
    served.knowledge.knows_namespace("shop", Some(&Arc::new(marks)));
    let text = "providers: {openai: {keys: [{secret: openai-keys}], bseUrl: x}}";
    served.knowledge.knows_config_map("shop", "platform", Some(text));
    let mut pod = pod();
    pod["metadata"]["annotations"] = Value::Null;
    let response = api.review(served.address, "/inject", json!({"object": pod})).await.unwrap();
    let warnings = response["warnings"].to_string();
    assert!(warnings.contains("will not start") && warnings.contains("`baseUrl`"), "{warnings}");
    let pod = patched(&pod, &patch(&response));
    let mounts = pod["spec"]["initContainers"][0]["volumeMounts"].to_string();
    assert!(mounts.contains("/etc/keyweir/config/platform"), "{mounts}");
    assert!(mounts.contains("/etc/keyweir/secrets/openai-keys"), "{mounts}");
}

#[tokio::test]
async fn who_cannot_be_injected_is_admitted_and_everybody_hears_why() {
    let (mut served, api) = started().await;
    let request = json!({"object": on_host_network()});
    let response = api.review(served.address, "/inject", request).await.unwrap();
    assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null));
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("keyweir: nothing is injected: the pod has hostNetwork"));
    assert_eq!(counted(&served, "skipped", "host_network"), 1);
    let news = served.news.recv().await.unwrap();
    assert_eq!((news.reason, news.namespace.as_str()), ("InjectionSkipped", "shop"));
    assert_eq!((news.owner.kind.as_str(), news.owner.name.as_str()), ("ReplicaSet", "web-7d4b9c"));
    assert!(news.note.contains("hostNetwork"));
}

#[tokio::test]
async fn a_pod_that_says_neither_yes_nor_no_is_denied() {
    let (mut served, api) = started().await;
    let mut unclear = pod();
    unclear["metadata"]["annotations"]["keyweir.dev/inject"] = "yes".into();
    let response = api.review(served.address, "/inject", json!({"object": unclear})).await.unwrap();
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 403);
    assert!(response["status"]["message"].as_str().unwrap().contains("must be \"true\""));
    assert_eq!(served.news.recv().await.unwrap().reason, "InjectionDenied");
    assert_eq!(counted(&served, "denied", "unclear_opt_in"), 1);
}

#[tokio::test]
async fn nothing_comes_of_a_dry_run_but_the_answer() {
    let (mut served, api) = started().await;
    let request = json!({"object": on_host_network(), "dryRun": true});
    let response = api.review(served.address, "/inject", request).await.unwrap();
    assert!(response["warnings"][0].as_str().unwrap().contains("hostNetwork"));
    assert_eq!(counted(&served, "skipped", "host_network"), 0);
    assert!(served.news.try_recv().is_err());
}

#[tokio::test]
async fn whatever_is_neither_a_new_pod_nor_a_config_map_is_let_be() {
    let (served, api) = started().await;
    let update = json!({"object": pod(), "operation": "UPDATE"});
    let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    let other = json!({"object": pod(), "kind": kind});
    for (path, request) in
        [("/inject", update), ("/inject", other), ("/validate", json!({"object": pod()}))]
    {
        let response = api.review(served.address, path, request).await.unwrap();
        assert_eq!(response, json!({"uid": "u-1", "allowed": true}), "{path}");
    }
}

#[tokio::test]
async fn a_configuration_with_mistakes_is_refused_with_all_of_them() {
    let (served, api) = started().await;
    let config_map = |text: &str| {
        let metadata = json!({"name": "team", "labels": {"keyweir.dev/config": "true"}});
        let object =
            json!({"kind": "ConfigMap", "metadata": metadata, "data": {"keyweir.yaml": text}});
        json!({"object": object})
    };
    let wrong = config_map("providers:\n  openai: {bseUrl: x}\n  what: {}\n");
    let response = api.review(served.address, "/validate", wrong).await.unwrap();
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(422)));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("team/keyweir.yaml:2:12: providers.openai.bseUrl"), "{message}");
    assert!(message.contains("providers.what") && message.ends_with("2 mistakes"), "{message}");
    let right = config_map("providers: {openai: }");
    let response = api.review(served.address, "/validate", right).await.unwrap();
    assert_eq!(response, json!({"uid": "u-1", "allowed": true}));
}

#[tokio::test]
async fn what_is_no_review_is_refused_and_counted() {
    let (served, api) = started().await;
    for (path, body, expected) in [
        ("/inject", b"no JSON".to_vec(), StatusCode::BAD_REQUEST),
        ("/inject", b"{}".to_vec(), StatusCode::BAD_REQUEST),
        ("/inject", vec![b' '; 9 * 1024 * 1024], StatusCode::BAD_REQUEST),
        ("/elsewhere", b"{}".to_vec(), StatusCode::NOT_FOUND),
    ] {
        let length = body.len();
        let (status, _) = api.post(served.address, path, body).await.unwrap();
        assert_eq!(status, expected, "{path}, {length} bytes");
    }
    assert_eq!(counted(&served, "failed", "unreadable_review"), 3);
}

#[tokio::test]
async fn a_review_as_large_as_the_api_server_sends_is_answered() {
    let (served, api) = started().await;
    let mut large = pod();
    large["metadata"]["annotations"]["large"] = "x".repeat(3 * 1024 * 1024).into();
    let response = api.review(served.address, "/inject", json!({"object": large})).await.unwrap();
    assert_eq!(response["allowed"], true);
}

#[tokio::test]
async fn once_it_is_not_ready_each_answer_is_the_last_on_its_connection() {
    let (served, api) = started().await;
    served.lifecycle.readiness.configured();
    served.lifecycle.readiness.listening();
    let request = review(&json!({"object": pod()})).to_string().into_bytes();
    let response = api.exchange(served.address, "/inject", request.clone()).await.unwrap();
    assert!(!response.headers().contains_key("connection"), "{response:?}");
    served.lifecycle.readiness.draining();
    let response = api.exchange(served.address, "/inject", request).await.unwrap();
    assert_eq!(response.headers()["connection"], "close");
}

#[tokio::test]
async fn a_drain_ends_after_the_answer_and_closes_the_port() {
    let (served, api) = started().await;
    let request = review(&json!({"object": pod()})).to_string().into_bytes();
    let (status, _) = api.post(served.address, "/inject", request.clone()).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    served.lifecycle.drain.signal();
    served.lifecycle.drain.carry_through().await;
    served.lifecycle.tasks.drained().await;
    assert!(api.post(served.address, "/inject", request).await.is_err());
}

#[tokio::test]
async fn who_is_not_trusted_is_not_spoken_to() {
    let (served, _) = started().await;
    let (_, another) = certified();
    let api = ApiServer::new(&another, now());
    let refused = api.review(served.address, "/inject", json!({"object": pod()})).await;
    assert!(refused.unwrap_err().contains("invalid peer certificate"));
}
