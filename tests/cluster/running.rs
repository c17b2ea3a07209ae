//! Pods that run: the chart with helm, and applications beside their sidecars.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::api::Api;
use crate::images::{BUSYBOX, KEYWEIR};
use crate::installation::Installation;
use crate::node::{self, ADDRESS, Cluster};
use crate::parts::{run, said};
use crate::provider::Provider;
use crate::support::http::Raw;

/// Asks again and again, says how it went, and ends when it is told to.
const LOOP: &str = r#"
trap 'exit 0' TERM
while true; do
  wget -q -O /dev/null --header 'content-type: application/json' --header "authorization: Bearer $OPENAI_API_KEY" \
    --post-data '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}' \
    "$OPENAI_BASE_URL/chat/completions" 2>/dev/null && echo ok || echo failed
  sleep 0.1
done"#;
/// The same, once.
const ONCE: &str = r#"
wget -q -O - --header 'content-type: application/json' \
  --post-data '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}' \
  "$OPENAI_BASE_URL/chat/completions""#;
const FIRST: &str = "sk-first-0123456789abcdef";
const SECOND: &str = "sk-second-0123456789abcdef";

#[test]
fn pods_run_with_their_sidecars() {
    node::in_a_world_of_its_own("running::inside");
}

#[test]
#[ignore = "it runs in a world of its own"]
fn inside() {
    let (repository, tag) = KEYWEIR.split_once(':').unwrap();
    let Cluster { plane, node } = Cluster::start();
    let installation = Installation::within(
        plane,
        &[
            &format!("image.repository={repository}"),
            &format!("image.tag={tag}"),
            "image.pullPolicy=Never",
            "injector.replicas=1",
            "injector.extraArgs={--settle=1s}",
        ],
    );
    let story = Story {
        provider: Provider::start(SocketAddr::new(ADDRESS, 0)),
        api: installation.plane.api,
        installation: &installation,
    };
    story.the_chart_is_ready_and_its_own_test_passes();
    story.a_pod_starts_before_its_configuration_and_takes_it_when_it_comes();
    story.no_value_of_a_secret_is_in_the_application();
    story.a_rotated_secret_is_used_and_nothing_is_lost();
    story.a_broken_configuration_changes_nothing();
    story.the_commands_tell_of_it();
    story.jobs_complete();
    story.pods_that_are_replaced_lose_nothing();
    story.a_drained_node_comes_back_whole();
    story.where_nothing_injects_the_chart_s_own_test_fails();
    drop(node);
}

struct Story<'a> {
    provider: Provider,
    api: Api,
    installation: &'a Installation,
}

impl Story<'_> {
    fn kubectl(&self, arguments: &[&str]) -> String {
        let said = self.installation.plane.says(arguments);
        said.unwrap_or_else(|said| panic!("kubectl {arguments:?}: {said}{}", self.pods())).0
    }

    fn pods(&self) -> String {
        let plane = &self.installation.plane;
        let pods = plane.says(&["get", "pods,events", "-A", "-o", "wide"]);
        let logs = plane.says(&["logs", "-n", "keyweir", "deployment/keyweir", "--tail=20"]);
        format!("{pods:?} {logs:?}")
    }

    fn the_chart_is_ready_and_its_own_test_passes(&self) {
        self.kubectl(&[
            "-n",
            "keyweir",
            "rollout",
            "status",
            "deployment/keyweir",
            "--timeout=60s",
        ]);
        // The node learns of a Service's endpoints a little later than the API server does.
        let plane = &self.installation.plane;
        let probe = ["run", "probe", "--image=probe", "--annotations=keyweir.dev/inject=true"];
        self.api.until("the webhook answers through its Service", |_| {
            plane.says(&[&probe[..], &["-n", "default", "--dry-run=server"]].concat()).ok()
        });
        run(self.installation.helm().args(["test", "keyweir", "--timeout", "60s"]));
    }

    fn a_pod_starts_before_its_configuration_and_takes_it_when_it_comes(&self) {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let object = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "shop", "labels": labels}});
        self.installation.plane.namespace("shop", &object);
        let path = "/apis/apps/v1/namespaces/shop/deployments";
        self.api.must_create(path, &deployment());
        self.kubectl(&["-n", "shop", "rollout", "status", "deployment/web", "--timeout=60s"]);
        let config = format!(
            "version: 1\nproviders:\n  openai:\n    baseUrl: http://{}\n    keys: [{{secret: \
             keyweir-keys}}]\n",
            self.provider.address
        );
        self.api.must_create(
            "/api/v1/namespaces/shop/configmaps",
            &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "keyweir"},
                "data": {"keyweir.yaml": config}}),
        );
        self.api.must_create(
            "/api/v1/namespaces/shop/secrets",
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keyweir-keys"},
                "stringData": {"OPENAI_API_KEY": FIRST}}),
        );
        self.api.until("asked with the first key", |_| self.has_asked(FIRST));
        self.api.until("an answer", |_| self.log().ends_with("ok\n").then_some(()));
    }

    fn no_value_of_a_secret_is_in_the_application(&self) {
        let pod = self.pod("web");
        let name = pod["metadata"]["name"].as_str().unwrap();
        assert!(!pod.to_string().contains(FIRST));
        let search = format!(
            "env; cat /proc/1/environ; grep -rl {FIRST} /etc /run /var /tmp /home 2>/dev/null; true"
        );
        let shown =
            self.kubectl(&["-n", "shop", "exec", name, "-c", "app", "--", "sh", "-c", &search]);
        assert!(shown.contains("OPENAI_API_KEY=held-by-keyweir"), "{shown}");
        assert!(!shown.contains(FIRST), "{shown}");
        assert!(!shown.contains("keyweir-keys"), "{shown}");
    }

    fn a_rotated_secret_is_used_and_nothing_is_lost(&self) {
        let before = self.failures();
        let change = json!({"stringData": {"OPENAI_API_KEY": SECOND}});
        self.api.patch("/api/v1/namespaces/shop/secrets/keyweir-keys", "merge", &change);
        self.api.until("asked with the second key", |_| self.has_asked(SECOND));
        let (first, second) = (self.provider.asked_with(FIRST), self.provider.asked_with(SECOND));
        self.api.until("more of them", |_| {
            (self.provider.asked_with(SECOND) > second + 10).then_some(())
        });
        // What was under way may still have come with the first.
        assert!(self.provider.asked_with(FIRST) <= first + 2);
        assert_eq!(self.failures(), before, "{}", self.log());
    }

    fn a_broken_configuration_changes_nothing(&self) {
        let path = "/api/v1/namespaces/shop/configmaps/keyweir";
        let good = self.api.get(path).unwrap()["data"].clone();
        let before = self.failures();
        let bad = json!({"data": {"keyweir.yaml": "providers: {openai: {bseUrl: x}}"}});
        self.api.patch(path, "merge", &bad);
        let status = self.api.until("the refusal", |_| {
            let status = self.status();
            (status["config"]["state"] == "refused").then_some(status)
        });
        assert!(status["config"]["message"].as_str().unwrap().contains("baseUrl"), "{status}");
        self.api.patch(path, "merge", &json!({"data": good}));
        self.api.until("in force again", |_| {
            (self.status()["config"]["state"] == "inForce").then_some(())
        });
        assert_eq!(self.failures(), before, "{}", self.log());
    }

    fn the_commands_tell_of_it(&self) {
        let told = self.installation.plane.keyweir(&["check", "--cluster"]);
        let told = told.unwrap_or_else(|said| panic!("{said}")).0;
        for expected in ["1 of 1 injectors are ready", "1 pods have the sidecar"] {
            assert!(told.contains(expected), "{told}");
        }
        assert!(told.contains("shop: configuration keyweir: without mistakes"), "{told}");
        let pod = self.pod("web");
        let name = pod["metadata"]["name"].as_str().unwrap();
        let told = self.installation.plane.keyweir(&["status", name, "--namespace=shop"]);
        let told = told.unwrap_or_else(|said| panic!("{said}")).0;
        assert!(told.contains("OPENAI_API_KEY") && told.contains("healthy"), "{told}");
        assert!(!told.contains(SECOND), "{told}");
    }

    fn jobs_complete(&self) {
        let template = json!({
            "metadata": {"annotations": {"keyweir.dev/inject": "true"}},
            "spec": {"restartPolicy": "Never", "containers": [container(ONCE)]},
        });
        let job = json!({"backoffLimit": 0, "template": template});
        self.api.must_create(
            "/apis/batch/v1/namespaces/shop/jobs",
            &json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"},
                "spec": job}),
        );
        self.api.must_create(
            "/apis/batch/v1/namespaces/shop/cronjobs",
            &json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "often"},
                "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}}),
        );
        self.kubectl(&["-n", "shop", "create", "job", "by-cron", "--from=cronjob/often"]);
        for name in ["job/once", "job/by-cron"] {
            self.kubectl(&[
                "-n",
                "shop",
                "wait",
                "--for=condition=complete",
                name,
                "--timeout=60s",
            ]);
            let said = self.kubectl(&["-n", "shop", "logs", name, "-c", "app"]);
            assert!(said.contains("Hello"), "{said}");
        }
    }

    fn pods_that_are_replaced_lose_nothing(&self) {
        let old = self.pod("web");
        let name = old["metadata"]["name"].as_str().unwrap();
        let plane = &self.installation.plane;
        let mut follow = plane.kubectl();
        follow.args(["-n", "shop", "logs", "-f", "--tail=1", "-c", "app", name]);
        let follow = crate::parts::Running::start(plane.folder(), "followed", &follow);
        self.kubectl(&["-n", "shop", "rollout", "restart", "deployment/web"]);
        let path = format!("/api/v1/namespaces/shop/pods/{name}");
        self.api.until("the old pod gone", |api| api.get(&path).is_none().then_some(()));
        let log = follow.log();
        assert!(log.contains("ok") && !log.contains("failed"), "{log}");
        self.api.until("an answer", |_| self.log().ends_with("ok\n").then_some(()));
        assert_eq!(self.failures(), 0, "{}", self.log());
    }

    /// On the only node, the injector goes together with the pods that need it.
    fn a_drained_node_comes_back_whole(&self) {
        let drain = ["drain", "node1", "--force", "--delete-emptydir-data", "--timeout=60s"];
        self.kubectl(&drain);
        self.kubectl(&["uncordon", "node1"]);
        for (namespace, name) in [("keyweir", "deployment/keyweir"), ("shop", "deployment/web")] {
            self.kubectl(&["-n", namespace, "rollout", "status", name, "--timeout=60s"]);
        }
        let pod = self.pod("web");
        assert_eq!(pod["spec"]["initContainers"][0]["name"], "keyweir");
    }

    fn where_nothing_injects_the_chart_s_own_test_fails(&self) {
        self.kubectl(&["delete", "mutatingwebhookconfiguration", "keyweir"]);
        let mut test = self.installation.helm();
        let said = said(test.args(["test", "keyweir", "--timeout", "60s"])).unwrap_err();
        assert!(said.contains("keyweir-test failed"), "{said}");
        // The same is seen from outside.
        let told = self.installation.plane.keyweir(&["check", "--cluster"]).unwrap_err();
        assert!(told.contains("FAIL  there is no webhook that injects"), "{told}");
    }

    /// The pod of an application that is there to stay.
    fn pod(&self, app: &str) -> Value {
        self.api.until("a pod", |api| {
            let path = format!("/api/v1/namespaces/shop/pods?labelSelector=app%3D{app}");
            let list = api.get(&path)?;
            let mut pods = list["items"].as_array()?.iter();
            let stays = pods.find(|pod| {
                pod["metadata"]["deletionTimestamp"].is_null()
                    && pod["status"]["phase"] == "Running"
            });
            stays.cloned()
        })
    }

    fn log(&self) -> String {
        let pod = self.pod("web");
        let name = pod["metadata"]["name"].as_str().unwrap();
        self.kubectl(&["-n", "shop", "logs", name, "-c", "app"])
    }

    /// How often the application was not answered, once it had been.
    fn failures(&self) -> usize {
        let log = self.log();
        let since = log.split_once("ok\n").map_or("", |(_, rest)| rest);
        since.lines().filter(|line| *line == "failed").count()
    }

    fn has_asked(&self, key: &str) -> Option<()> {
        (self.provider.asked_with(key) > 0).then_some(())
    }

    fn status(&self) -> Value {
        let pod = self.pod("web");
        let address = pod["status"]["podIP"].as_str().unwrap();
        let mut connection = Raw::connect(format!("{address}:4471").parse().unwrap());
        connection.get("/status", &[("connection", "close")]);
        connection.reply().json()
    }
}

fn container(script: &str) -> Value {
    json!({
        "name": "app",
        "image": BUSYBOX,
        "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", script],
        "securityContext": {
            "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1000,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}, "annotations": {"keyweir.dev/inject": "true"}},
            "spec": {"containers": [container(LOOP)]},
        },
    }})
}
