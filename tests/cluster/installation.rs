//! The chart, installed by helm; where its pods would run, processes of this machine.

use std::process::Command;

use serde_json::{Value, json};

use crate::parts::{helm, repository, run};
use crate::plane::Plane;
use crate::replicas::{Balancer, Replica};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1";

/// The chart in a control plane of its own.
#[derive(Debug)]
pub(crate) struct Installation {
    // The replicas go first.
    pub(crate) replicas: Vec<Replica>,
    started: usize,
    pub(crate) balancer: Balancer,
    pub(crate) plane: Plane,
}

impl Installation {
    /// Installs it with these values set, its Service leading to processes of this machine.
    pub(crate) fn new(values: &[&str]) -> Self {
        let installation = Self::within(Plane::start(), values);
        installation.lead_here();
        installation
    }

    /// Installs it in that cluster with these values set.
    pub(crate) fn within(plane: Plane, values: &[&str]) -> Self {
        let installation =
            Self { replicas: Vec::new(), started: 0, balancer: Balancer::start(), plane };
        let mut helm = installation.helm();
        helm.args(["install", "keyweir", "--create-namespace"]).arg(repository("charts/keyweir"));
        for value in values {
            helm.args(["--set", value]);
        }
        run(&mut helm);
        installation
    }

    pub(crate) fn helm(&self) -> Command {
        let mut command = Command::new(helm());
        command.arg("--kubeconfig").arg(self.plane.kubeconfig());
        command.args(["--namespace", "keyweir"]).env("HOME", self.plane.folder());
        command
    }

    /// A cluster without nodes has no network: the Service leads to this machine.
    pub(crate) fn lead_here(&self) {
        let api = self.plane.api;
        let external = json!({"spec": {"type": "ExternalName", "externalName": "127.0.0.1"}});
        api.patch("/api/v1/namespaces/keyweir/services/keyweir", "merge", &external);
        for kind in ["mutating", "validating"] {
            let path = format!("{CONFIGURATIONS}/{kind}webhookconfigurations/keyweir");
            let present = api.get(&path).expect("the chart has it");
            let webhooks = 0..present["webhooks"].as_array().map_or(0, Vec::len);
            let changes = webhooks.map(|index| {
                let path = format!("/webhooks/{index}/clientConfig/service/port");
                json!({"op": "replace", "path": path, "value": self.balancer.address.port()})
            });
            api.patch(&path, "json", &changes.collect());
        }
    }

    /// The arguments that the chart gives the injector, but for those, which are given here.
    pub(crate) fn arguments(&self, instead: &[&str]) -> Vec<String> {
        let path = "/apis/apps/v1/namespaces/keyweir/deployments/keyweir";
        let deployment = self.plane.api.get(path).expect("the chart has it");
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let written = container["args"].as_array().expect("arguments").iter();
        let written = written.filter_map(Value::as_str).map(str::to_owned);
        let name = |argument: &str| argument.split('=').next().unwrap_or_default().to_owned();
        let ours: Vec<String> = instead.iter().map(|argument| name(argument)).collect();
        let kept = written.filter(|argument| name(argument) != "--listen");
        let kept = kept.filter(|argument| !ours.contains(&name(argument)));
        kept.chain(instead.iter().map(|argument| (*argument).to_owned())).collect()
    }

    /// Starts one more replica, and leads to it once it is ready.
    pub(crate) fn add(&mut self, instead: &[&str]) {
        let arguments = self.arguments(instead);
        self.started += 1;
        let name = format!("injector-{}", self.started);
        let mut replica = Replica::start(&self.plane, &name, &arguments);
        replica.until_ready();
        self.replicas.push(replica);
        self.balancer.lead_to(&self.replicas);
    }

    /// The `caBundle` of the webhooks that inject, as the API server has it.
    pub(crate) fn bundle(&self) -> String {
        let path = format!("{CONFIGURATIONS}/mutatingwebhookconfigurations/keyweir");
        let present = self.plane.api.get(&path).expect("the chart has it");
        let bundle = &present["webhooks"][0]["clientConfig"]["caBundle"];
        bundle.as_str().unwrap_or_default().to_owned()
    }
}
