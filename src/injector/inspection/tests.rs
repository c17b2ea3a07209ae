use serde_json::json;

use super::*;

const NOW: &str = "2026-11-20T12:00:00Z";

/// A whole installation with one pod, which asks and has its sidecar.
fn whole() -> Objects {
    let bundle = authority();
    let webhook = |name: &str| {
        json!({"name": name, "failurePolicy": "Fail", "clientConfig": {
            "caBundle": bundle, "service": {"namespace": "keyweir", "name": "keyweir"}}})
    };
    let webhooks = ["pods.keyweir.dev", "namespaces.keyweir.dev"].map(webhook);
    Objects {
        now: NOW.parse().unwrap(),
        version: json!({"major": "1", "minor": "34", "gitVersion": "v1.34.4"}),
        webhooks: vec![json!({"metadata": {"name": "keyweir"}, "webhooks": webhooks})],
        deployment: json!({
            "metadata": {"labels": {"app.kubernetes.io/version": "0.1.0"}},
            "spec": {"replicas": 2}, "status": {"readyReplicas": 2},
        }),
        namespaces: vec![json!({"metadata": {"name": "shop"}})],
        pods: vec![json!({
            "metadata": {
                "name": "web-7d4b9c-x", "namespace": "shop",
                "labels": {"pod-template-hash": "7d4b9c"},
                "annotations": {"keyweir.dev/inject": "true", "keyweir.dev/version": "0.1.0"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d4b9c"}],
            },
            "spec": {"initContainers": [{"name": "keyweir"}], "containers": [{"name": "app"}]},
        })],
        config_maps: BTreeMap::from([(
            ("shop".to_owned(), "keyweir".to_owned()),
            json!({"data": {"keyweir.yaml": "providers: {openai: {keys: [{secret: openai-keys}]}}"}}),
        )]),
        secrets: BTreeMap::from([("shop".to_owned(), BTreeSet::from(["openai-keys".to_owned()]))]),
    }
}

/// An authority that has begun today, in base64.
fn authority() -> String {
    use base64::Engine;
    let now: Timestamp = NOW.parse().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let year = std::time::Duration::from_hours(8760);
    let begun = std::time::Duration::from_secs(now.as_second().try_into().unwrap());
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + begun + year;
    let key = rcgen::KeyPair::generate().unwrap();
    base64::prelude::BASE64_STANDARD.encode(params.self_signed(&key).unwrap().pem())
}

/// What is wrong, with how it is mended.
fn wrong(objects: &Objects) -> Vec<(Grade, String, String)> {
    let findings = inspect(objects).into_iter().filter(|it| it.grade != Grade::Passed);
    findings.map(|it| (it.grade, it.what, it.remedy.unwrap())).collect()
}

fn only(objects: &Objects) -> (Grade, String, String) {
    let wrong = wrong(objects);
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    wrong.into_iter().next().unwrap()
}

#[test]
fn a_whole_installation_passes() {
    assert_eq!(wrong(&whole()), []);
    assert!(inspect(&whole()).len() >= 6);
}

#[test]
fn without_a_webhook_the_first_thing_to_do_is_to_install_it() {
    let mut objects = whole();
    objects.webhooks.clear();
    let (grade, what, remedy) = only(&objects);
    assert_eq!((grade, what.as_str()), (Grade::Failed, "there is no webhook that injects"));
    assert!(remedy.starts_with("helm install"));
}

#[test]
fn an_authority_that_nobody_put_in_or_that_has_ended_is_a_failure() {
    let mut objects = whole();
    objects.webhooks[0]["webhooks"][1]["clientConfig"]["caBundle"] = "".into();
    assert!(only(&objects).1.contains("nobody has put an authority"));
    let mut objects = whole();
    objects.now = "2027-11-20T12:00:01Z".parse().unwrap();
    assert!(only(&objects).1.contains("ended at 2027-11-20T12:00:00Z"));
    objects.now = "2027-11-18T12:00:00Z".parse().unwrap();
    let (grade, what, _) = only(&objects);
    assert!(grade == Grade::Warning && what.contains("no other follows"), "{what}");
}

#[test]
fn replicas_that_are_not_ready_are_told_of() {
    let mut objects = whole();
    objects.deployment["status"]["readyReplicas"] = 1.into();
    assert_eq!(only(&objects).0, Grade::Warning);
    objects.deployment["status"] = Value::Null;
    assert_eq!(only(&objects).0, Grade::Failed);
}

#[test]
fn a_pod_without_its_sidecar_is_told_of_with_what_makes_it_anew() {
    let mut objects = whole();
    objects.pods[0]["spec"]["initContainers"] = Value::Null;
    let (grade, what, remedy) = only(&objects);
    assert_eq!(grade, Grade::Failed);
    assert_eq!(what, "shop/web-7d4b9c-x was made while nobody injected");
    assert_eq!(remedy, "kubectl --namespace shop rollout restart deployment/web");
    objects.pods[0]["spec"]["hostNetwork"] = true.into();
    let (grade, what, _) = only(&objects);
    assert!(grade == Grade::Warning && what.contains("hostNetwork"), "{what}");
    objects.pods[0]["status"]["phase"] = "Succeeded".into();
    assert_eq!(only(&objects).1, "no pod asks for the sidecar yet");
}

#[test]
fn a_sidecar_of_another_version_is_told_of() {
    let mut objects = whole();
    objects.pods[0]["metadata"]["annotations"]["keyweir.dev/version"] = "0.0.9".into();
    let (grade, what, _) = only(&objects);
    assert!(grade == Grade::Warning && what.ends_with("has the sidecar of 0.0.9"), "{what}");
}

#[test]
fn mistakes_and_missing_secrets_are_told_of_by_namespace() {
    let mut objects = whole();
    objects.secrets.insert("shop".to_owned(), BTreeSet::new());
    let (_, what, remedy) = only(&objects);
    assert_eq!(what, "shop: there is no Secret openai-keys");
    assert!(remedy.contains("create secret generic openai-keys"));
    let key = ("shop".to_owned(), "keyweir".to_owned());
    let text = "providers: {openai: {bseUrl: x}}";
    objects.config_maps.insert(key, json!({"data": {"keyweir.yaml": text}}));
    objects.secrets = whole().secrets;
    let found = wrong(&objects);
    assert!(found.iter().any(|it| it.1.contains("did you mean") || it.1.contains("baseUrl")));
    objects.secrets.clear();
    assert!(wrong(&objects).iter().any(|it| it.1.contains("may not be listed")));
}
