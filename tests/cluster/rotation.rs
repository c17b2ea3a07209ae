//! Certificates rotate, replicas come and go, the authority's Secret is deleted: no admission fails.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::api::Api;
use crate::installation::Installation;
use crate::plane::{now, soon};

/// Lives of seconds, where they are of days.
const SHORT: [&str; 5] =
    ["--ca-lifetime=18s", "--certificate-lifetime=6s", "--settle=2s", "--notice=2s", "--drain=5s"];
/// Who asks for pods all the time.
const CLIENTS: usize = 3;
/// How many authorities there are to have been: the first, one after the Secret was deleted, and one
/// after its time.
const AUTHORITIES: usize = 4;

#[derive(Debug, Default)]
struct Churn {
    over: AtomicBool,
    admitted: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

impl Churn {
    fn go_on(&self, api: Api) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"generateName": "web-", "annotations": {"keyweir.dev/inject": "true"}},
            "spec": {"containers": [{"name": "app", "image": "web:1"}]}});
        while !self.over.load(Ordering::Relaxed) {
            let reply = api.create("/api/v1/namespaces/default/pods?dryRun=All", &pod);
            let body = reply.text();
            if reply.status == 201 && body.contains("\"name\":\"keyweir\"") {
                self.admitted.fetch_add(1, Ordering::Relaxed);
            } else {
                self.failed.lock().unwrap().push(body);
            }
        }
    }
}

#[test]
fn no_admission_fails_while_certificates_rotate_and_replicas_come_and_go() {
    let mut installation = Installation::new(&[]);
    installation.add(&SHORT);
    installation.add(&SHORT);
    let api = installation.plane.api;
    let churn = Churn::default();
    let mut authorities = BTreeSet::new();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| churn.go_on(api));
        }
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            replace_both(&mut installation);
            api.delete("/api/v1/namespaces/keyweir/secrets/keyweir-certificates");
            replace_both(&mut installation);
            let deadline = soon();
            while authorities.len() < AUTHORITIES {
                authorities.extend(trusted(&installation));
                assert!(now() < deadline, "{} authorities", authorities.len());
                thread::sleep(Duration::from_millis(100));
            }
        }));
        churn.over.store(true, Ordering::Relaxed);
        if let Err(panicked) = lived {
            std::panic::resume_unwind(panicked);
        }
    });
    let failed = churn.failed.into_inner().unwrap();
    let admitted = churn.admitted.into_inner();
    assert!(failed.is_empty(), "{} of {admitted}: {:#?}", failed.len(), failed.first());
    assert!(admitted > 300, "{admitted}");
}

/// A rolling update: for each replica another comes, and then it is told to end.
fn replace_both(installation: &mut Installation) {
    for _ in 0..2 {
        installation.add(&SHORT);
        let mut old = installation.replicas.remove(0);
        old.process.terminate();
        // It says that it is not ready, and the word takes a moment to go round.
        let deadline = soon();
        while old.is_ready() {
            assert!(now() < deadline, "it stays ready");
            thread::sleep(Duration::from_millis(20));
        }
        installation.balancer.lead_to(&installation.replicas);
        while !old.process.has_ended() {
            assert!(now() < deadline, "it does not end:\n{}", old.process.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The certificates in the `caBundle`.
fn trusted(installation: &Installation) -> Vec<String> {
    let pem = BASE64_STANDARD.decode(installation.bundle()).unwrap();
    let pem = String::from_utf8(pem).unwrap();
    let end = "-----END CERTIFICATE-----";
    pem.split(end).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}
