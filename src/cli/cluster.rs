//! `keyweir check --cluster`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{ClusterArguments, Output};
use crate::config::check;
use crate::injector::inspection::{self, Finding, Grade, Objects};
use crate::lifecycle::Clock;
use crate::sources::kubectl::{Kubectl, Unanswered};

/// Looks at an installation and prints what it finds. Exit code 0: nothing failed; 1: something did.
pub(super) fn run(arguments: &ClusterArguments, output: Output) -> ExitCode {
    let kubectl = arguments.kubectl();
    let findings = match fetch(&kubectl) {
        Ok(objects) => inspection::inspect(&objects),
        Err(why) => vec![Finding {
            grade: Grade::Failed,
            what: format!("the cluster cannot be asked: {why}"),
            remedy: Some("kubectl cluster-info".to_owned()),
        }],
    };
    let text = match output {
        Output::Text => text(&findings),
        Output::Json => json(&findings).to_string() + "\n",
    };
    // Whoever reads may have stopped reading; the exit code still tells.
    drop(io::stdout().write_all(text.as_bytes()));
    let failed = findings.iter().any(|finding| finding.grade == Grade::Failed);
    ExitCode::from(if failed { check::MISTAKES } else { check::PASSED })
}

fn fetch(kubectl: &Kubectl) -> Result<Objects, Unanswered> {
    let version = kubectl.get("/version")?;
    let admission = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let webhooks = kubectl.list(admission)?;
    let deployment = inspection::service(&webhooks).and_then(|(namespace, name)| {
        kubectl.get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")).ok()
    });
    let namespaces = kubectl.list("/api/v1/namespaces")?;
    let pods = kubectl.list("/api/v1/pods")?;
    let (mut config_maps, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    let asked = inspection::asked(&namespaces, &pods);
    let wanted: BTreeSet<(String, String)> = asked
        .iter()
        .flat_map(|it| it.settings.configs.iter().map(|name| (it.namespace.clone(), name.clone())))
        .collect();
    for (namespace, name) in wanted {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
        // One that is not there need not be.
        if let Ok(found) = kubectl.get(&path) {
            config_maps.insert((namespace.clone(), name), found);
        }
        if !secrets.contains_key(&namespace)
            && let Ok(names) = kubectl.secrets(&namespace)
        {
            secrets.insert(namespace, names);
        }
    }
    Ok(Objects {
        now: Clock::start().now().wall,
        version,
        webhooks,
        deployment: deployment.unwrap_or_default(),
        namespaces,
        pods,
        config_maps,
        secrets,
    })
}

fn text(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| {
        let mark = match finding.grade {
            Grade::Passed => "ok  ",
            Grade::Warning => "warn",
            Grade::Failed => "FAIL",
        };
        let remedy = finding.remedy.as_ref().map(|remedy| format!("      → {remedy}\n"));
        format!("{mark}  {}\n{}", finding.what, remedy.unwrap_or_default())
    });
    lines.collect()
}

fn json(findings: &[Finding]) -> Value {
    let finding = |finding: &Finding| {
        let grade = match finding.grade {
            Grade::Passed => "passed",
            Grade::Warning => "warning",
            Grade::Failed => "failed",
        };
        json!({"grade": grade, "what": finding.what, "remedy": finding.remedy})
    };
    findings.iter().map(finding).collect()
}
