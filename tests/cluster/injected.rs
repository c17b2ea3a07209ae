//! What people meet in a cluster with the injector.

use serde_json::{Value, json};

use crate::api::{Api, warnings};
use crate::installation::Installation;
use crate::parts::{repository, run};

/// The restricted level of the Pod Security Standards, in force.
const RESTRICTED: &str = "pod-security.kubernetes.io/enforce";

fn container() -> Value {
    json!({"name": "app", "image": "web:1", "securityContext": {
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1000,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    }})
}

fn pod(name: &str, annotations: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"containers": [container()]}})
}

fn deployment(name: &str, annotations: &Value, spec: &Value) -> Value {
    let mut whole = json!({"containers": [container()]});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}, "annotations": annotations},
            "spec": whole,
        },
    }})
}

fn asks() -> Value {
    json!({"keyweir.dev/inject": "true"})
}

fn namespace(installation: &Installation, name: &str, labels: &Value) {
    let object = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": labels}});
    installation.plane.namespace(name, &object);
}

fn deployments(namespace: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments")
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

fn items(api: Api, path: &str) -> Vec<Value> {
    let list = api.get(path).unwrap_or_default();
    list["items"].as_array().cloned().unwrap_or_default()
}

fn is_injected(pod: &Value) -> bool {
    pod["spec"]["initContainers"][0]["name"] == "keyweir"
}

#[test]
fn an_installation_does_what_its_pages_say_and_leaves_nothing_behind() {
    let mut installation = Installation::new(&["policies.requireSidecar.enabled=true"]);
    installation.add(&["--settle=1s"]);
    namespace(&installation, "shop", &json!({(RESTRICTED): "restricted"}));
    namespace(&installation, "opted-in", &json!({"keyweir.dev/inject": "true"}));
    a_deployment_is_injected_and_its_sidecar_has_no_token(&installation);
    whoever_cannot_be_injected_is_told_of_in_an_event(&installation);
    a_namespace_opts_in_and_a_pod_of_it_out(&installation);
    what_is_misplaced_or_misspelt_is_warned_of(&installation);
    a_config_map_with_mistakes_is_refused(&installation);
    a_restricted_namespace_takes_the_sidecar(&installation);
    quotas_and_ranges_are_kept_to(&installation);
    an_upgrade_changes_neither_authority_nor_bundle(&installation);
    the_injector_may_read_no_secret_but_its_own(&installation);
    nothing_is_written_on_a_dry_run(&installation);
    the_command_line_says_what_is_wrong(&installation);
    while_nobody_answers_only_those_who_ask_wait(&mut installation);
    uninstalling_leaves_nothing_behind(&installation);
}

fn a_deployment_is_injected_and_its_sidecar_has_no_token(installation: &Installation) {
    let api = installation.plane.api;
    api.must_create(&deployments("shop"), &deployment("web", &asks(), &json!({})));
    let made = api.until("two pods", |api| {
        let pods = items(api, &(pods("shop") + "?labelSelector=keyweir.dev/injected%3Dtrue"));
        (pods.len() == 2).then_some(pods)
    });
    for pod in made {
        let sidecar = &pod["spec"]["initContainers"][0];
        let value = |name: &str| {
            let all = sidecar["env"].as_array().unwrap().iter();
            all.filter(|it| it["name"] == name).map(|it| it["value"].clone()).next()
        };
        assert_eq!(value("KEYWEIR_WORKLOAD"), Some("web".into()));
        assert_eq!(value("KEYWEIR_REPLICAS"), Some("2".into()));
        let mounts = sidecar["volumeMounts"].as_array().unwrap().iter();
        let of_token = mounts
            .filter(|mount| mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount");
        let of_token: Vec<_> = of_token.map(|mount| mount["name"].clone()).collect();
        assert_eq!(of_token, ["keyweir-no-token"], "{sidecar}");
        let own = pod["spec"]["containers"][0].to_string();
        assert!(own.contains("kube-api-access") && !own.contains("keyweir-secret"), "{own}");
    }
}

fn whoever_cannot_be_injected_is_told_of_in_an_event(installation: &Installation) {
    let api = installation.plane.api;
    namespace(installation, "hosts", &json!({}));
    let spec = json!({"hostNetwork": true});
    api.must_create(&deployments("hosts"), &deployment("agent", &asks(), &spec));
    let event = api.until("an event", |api| {
        let events = items(api, "/apis/events.k8s.io/v1/namespaces/hosts/events");
        events.into_iter().find(|event| event["reason"] == "InjectionSkipped")
    });
    assert_eq!(event["regarding"]["kind"], "ReplicaSet");
    assert!(event["note"].as_str().unwrap().contains("hostNetwork"), "{event}");
    // What the policy says that is there for such pods.
    let denied = api.until("the policy's word", |api| {
        let events = items(api, "/apis/events.k8s.io/v1/namespaces/hosts/events");
        events.into_iter().find(|event| event["reason"] == "FailedCreate")
    });
    assert!(denied["note"].as_str().unwrap().contains("asks for the keyweir sidecar"), "{denied}");
    let counted = "keyweir_injections_total{reason=\"host_network\",result=\"skipped\"}";
    assert!(installation.replicas[0].metrics().contains(counted));
}

fn a_namespace_opts_in_and_a_pod_of_it_out(installation: &Installation) {
    let api = installation.plane.api;
    let create = |name, annotations| {
        let reply = api.create(&pods("opted-in"), &pod(name, &annotations));
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    };
    assert!(is_injected(&create("in", json!({}))));
    assert!(!is_injected(&create("out", json!({"keyweir.dev/inject": "false"}))));
}

fn what_is_misplaced_or_misspelt_is_warned_of(installation: &Installation) {
    let api = installation.plane.api;
    let mut misplaced = deployment("elsewhere", &json!({}), &json!({"hostname": "x"}));
    misplaced["metadata"]["annotations"] = asks();
    let said = warnings(&api.create(&deployments("shop"), &misplaced));
    assert!(said.iter().any(|it| it.contains("belong on its pod template")), "{said:?}");
    let annotations = json!({"keyweir.dev/inject": "true", "keyweir.dev/log-levle": "debug"});
    let said = warnings(&api.create(&pods("shop"), &pod("slip", &annotations)));
    assert!(said.iter().any(|it| it.contains("did you mean `log-level`")), "{said:?}");
    let unclear = pod("unclear", &json!({"keyweir.dev/inject": "yes"}));
    let denied = api.create(&pods("shop"), &unclear);
    assert_eq!(denied.status, 403);
    assert!(denied.text().contains("must be"), "{}", denied.text());
}

fn a_config_map_with_mistakes_is_refused(installation: &Installation) {
    let config_map = |text: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: team, namespace: shop, labels: \
             {{keyweir.dev/config: \"true\"}}}}\ndata: {{keyweir.yaml: {text:?}}}\n"
        )
    };
    let said = installation.plane.apply(&config_map("providers: {openai: {bseUrl: x}}"));
    let said = said.unwrap_err();
    assert!(said.contains("team/keyweir.yaml") && said.contains("baseUrl"), "{said}");
    installation.plane.apply(&config_map("providers: {openai: }")).unwrap();
}

fn a_restricted_namespace_takes_the_sidecar(installation: &Installation) {
    let reply = installation.plane.api.create(&pods("shop"), &pod("strict", &asks()));
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert!(is_injected(&reply.json()));
    assert!(warnings(&reply).is_empty(), "{:?}", warnings(&reply));
}

fn quotas_and_ranges_are_kept_to(installation: &Installation) {
    let api = installation.plane.api;
    let create = |namespace: &str| {
        let mut asking = pod("asking", &asks());
        let limits = json!({"cpu": "100m", "memory": "64Mi"});
        asking["spec"]["containers"][0]["resources"] =
            json!({"requests": limits, "limits": limits});
        api.create(&(pods(namespace) + "?dryRun=All"), &asking)
    };
    let quota = |hard: Value| {
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all"},
            "spec": {"hard": hard}})
    };
    namespace(installation, "quota", &json!({}));
    let usual = json!({"requests.cpu": "1", "requests.memory": "1Gi", "limits.memory": "2Gi"});
    api.must_create("/api/v1/namespaces/quota/resourcequotas", &quota(usual));
    let admitted = api.until("admitted within the quota", |_| {
        // The quota is in force once it has been counted.
        let reply = create("quota");
        (!reply.text().contains("status unknown")).then_some(reply)
    });
    assert_eq!(admitted.status, 201, "{}", admitted.text());

    // Who limits CPU says how much a sidecar may have, for the whole namespace.
    let strict = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict",
        "annotations": {"keyweir.dev/cpu-limit": "200m", "keyweir.dev/memory-limit": "96Mi"}}});
    installation.plane.namespace("strict", &strict);
    api.must_create("/api/v1/namespaces/strict/resourcequotas", &quota(json!({"limits.cpu": "1"})));
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "all"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "500m", "memory": "128Mi"}}]}});
    api.must_create("/api/v1/namespaces/strict/limitranges", &range);
    let admitted = api.until("admitted within the strict quota", |_| {
        let reply = create("strict");
        (!reply.text().contains("status unknown")).then_some(reply)
    });
    assert_eq!(admitted.status, 201, "{}", admitted.text());
    let limits = &admitted.json()["spec"]["initContainers"][0]["resources"]["limits"];
    assert_eq!(*limits, json!({"cpu": "200m", "memory": "96Mi"}));
}

fn an_upgrade_changes_neither_authority_nor_bundle(installation: &Installation) {
    let api = installation.plane.api;
    let secret = "/api/v1/namespaces/keyweir/secrets/keyweir-certificates";
    let state = || (installation.bundle(), api.get(secret).unwrap()["data"].clone());
    let before = state();
    let chart = repository("charts/keyweir");
    run(installation
        .helm()
        .args(["upgrade", "keyweir", "--reuse-values", "--set"])
        .args(["webhook.timeoutSeconds=5"])
        .arg(chart));
    assert_eq!(state(), before);
    // Helm has led the webhook back to where it leads in a cluster with nodes.
    installation.lead_here();
    assert_eq!(api.create(&pods("shop"), &pod("upgraded", &asks())).status, 201);
}

fn the_injector_may_read_no_secret_but_its_own(installation: &Installation) {
    let may = |verb: &str, what: &str, namespace: &str| {
        let account = "--as=system:serviceaccount:keyweir:keyweir";
        let asked =
            installation.plane.says(&["auth", "can-i", verb, what, account, "-n", namespace]);
        asked.is_ok_and(|(said, _)| said.trim() == "yes")
    };
    assert!(may("get", "secret/keyweir-certificates", "keyweir"));
    for (verb, what, namespace) in [
        ("get", "secrets", "keyweir"),
        ("list", "secrets", "keyweir"),
        ("get", "secret/keyweir-keys", "shop"),
        ("create", "secrets", "shop"),
        ("get", "pods", "shop"),
        ("update", "configmaps", "shop"),
        ("patch", "mutatingwebhookconfigurations/other", "keyweir"),
        ("delete", "mutatingwebhookconfigurations/keyweir", "keyweir"),
    ] {
        assert!(!may(verb, what, namespace), "it may {verb} {what} in {namespace}");
    }
    let log = installation.replicas[0].process.log();
    assert!(!log.contains("orbidden"), "{log}");
}

fn nothing_is_written_on_a_dry_run(installation: &Installation) {
    let path = pods("shop") + "?dryRun=All";
    let reply = installation.plane.api.create(&path, &pod("dry", &asks()));
    assert!(is_injected(&reply.json()), "{}", reply.text());
    assert!(installation.plane.api.get(&(pods("shop") + "/dry")).is_none());
}

fn the_command_line_says_what_is_wrong(installation: &Installation) {
    let api = installation.plane.api;
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "keyweir"},
        "data": {"keyweir.yaml": "providers: {openai: {keys: [{secret: openai-keys}]}}"}});
    api.must_create("/api/v1/namespaces/shop/configmaps", &config_map);
    let said = installation.plane.keyweir(&["check", "--cluster"]).unwrap_err();
    for expected in [
        "ok    the API server answers (v1.34.4)",
        "ok    the webhook's authority is trusted until",
        "FAIL  no injector is ready, of 2",
        "FAIL  shop: there is no Secret openai-keys",
        "kubectl --namespace shop create secret generic openai-keys",
    ] {
        assert!(said.contains(expected), "{expected}:\n{said}");
    }
}

fn while_nobody_answers_only_those_who_ask_wait(installation: &mut Installation) {
    installation.replicas.clear();
    installation.balancer.lead_to([]);
    let api = installation.plane.api;
    let status = |namespace: &str, name: &str, annotations: Value| {
        let reply = api.create(&pods(namespace), &pod(name, &annotations));
        (reply.status, reply.text())
    };
    let (refused, said) = status("shop", "asking", asks());
    assert!(refused == 500 && said.contains("pods.keyweir.dev"), "{refused}: {said}");
    assert_eq!(status("shop", "plain", json!({})).0, 201);
    assert_eq!(status("shop", "opted-out", json!({"keyweir.dev/inject": "false"})).0, 201);
    assert_eq!(status("opted-in", "asked-by-namespace", json!({})).0, 500);
    let out = json!({"keyweir.dev/inject": "false"});
    assert_eq!(status("opted-in", "opted-out", out).0, 201);
    // A ConfigMap is let be meanwhile.
    let labels = json!({"keyweir.dev/config": "true"});
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "later", "labels": labels}});
    api.must_create("/api/v1/namespaces/shop/configmaps", &config_map);
}

fn uninstalling_leaves_nothing_behind(installation: &Installation) {
    run(installation.helm().args(["uninstall", "keyweir", "--wait"]));
    let api = installation.plane.api;
    let secret = "/api/v1/namespaces/keyweir/secrets/keyweir-certificates";
    api.until("the Secret gone", |api| api.get(secret).is_none().then_some(()));
    let left = installation.plane.says(&[
        "get",
        "all,configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,\
         clusterrolebindings,networkpolicies,poddisruptionbudgets,mutatingwebhookconfigurations,\
         validatingwebhookconfigurations,validatingadmissionpolicies,\
         validatingadmissionpolicybindings,events",
        "--namespace=keyweir",
        "--selector=app.kubernetes.io/part-of=keyweir",
        "--output=name",
    ]);
    assert_eq!(left.unwrap().0, "");
    let secrets = items(api, "/api/v1/namespaces/keyweir/secrets");
    assert!(secrets.is_empty(), "{secrets:?}");
}
