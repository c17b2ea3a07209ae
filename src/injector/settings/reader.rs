//! Reads annotations, the pod's before its namespace's, and gathers what is odd.

use super::super::annotations as known;
use super::super::clients::{self, Choice};
use super::super::marks::{INJECT, INJECTED, Marks, PREFIX, VERSION};
use super::super::quantity;
use super::values::{self, Limit, Wrong};
use super::{Defaults, Resources};
use crate::config::shown;

const DEFAULT_PORT: u16 = 4470;
const DEFAULT_ADMIN_PORT: u16 = 4471;
/// The most ConfigMaps, Secrets, volumes or containers that one annotation may name.
const MOST_NAMES: usize = 32;

pub(super) struct Reader<'a> {
    pub(super) pod: &'a Marks,
    pub(super) namespace: &'a Marks,
    pub(super) warnings: Vec<String>,
}

impl Reader<'_> {
    fn written(&self, name: &str) -> Option<&str> {
        let key = format!("{PREFIX}{name}");
        let of_namespace = || self.namespace.annotations.get(&key);
        let written = self.pod.annotations.get(&key).or_else(of_namespace);
        written.map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// What is written there, if it can be.
    pub(super) fn one<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        match read(self.written(name)?) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.leave_out(name, &wrong);
                None
            }
        }
    }

    /// A list with commas, or `none`. What cannot be is left out of it; where nothing is left, it
    /// counts as not written.
    pub(super) fn several<T: PartialEq>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Vec<T>> {
        let written = self.written(name)?.to_owned();
        let mut names = Vec::new();
        if written == "none" {
            return Some(names);
        }
        for text in written.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match read(text) {
                Ok(_) if names.len() == MOST_NAMES => {
                    let what = format!("`{}` is one more than {MOST_NAMES}", shown(text));
                    self.leave_out(name, &Wrong::new(what));
                }
                Ok(value) if names.contains(&value) => {}
                Ok(value) => names.push(value),
                Err(wrong) => self.leave_out(name, &wrong),
            }
        }
        (!names.is_empty()).then_some(names)
    }

    fn leave_out(&mut self, name: &str, wrong: &Wrong) {
        let sentence = wrong.sentence(", and is left out");
        self.warnings.push(format!("{PREFIX}{name}: {sentence}"));
    }

    pub(super) fn clients(&mut self) -> Choice {
        if self.written(known::ENV) == Some("all") {
            return Choice::Chosen(clients::ALL.iter().collect());
        }
        let client = |text: &str| {
            let names = clients::ALL.iter().map(|client| client.name);
            let found = clients::ALL.iter().find(|client| client.name == text);
            let what = || format!("`{}` is no client", shown(text));
            found.ok_or_else(|| Wrong::slip(what(), text, names))
        };
        self.several(known::ENV, client).map_or(Choice::ByConfiguration, Choice::Chosen)
    }

    pub(super) fn ports(&mut self) -> (u16, u16) {
        let port = self.one(known::PORT, values::port).unwrap_or(DEFAULT_PORT);
        let admin_port = self.one(known::ADMIN_PORT, values::port).unwrap_or(DEFAULT_ADMIN_PORT);
        if port != admin_port {
            return (port, admin_port);
        }
        self.warnings.push(format!(
            "{PREFIX}{} and {PREFIX}{} are both {port}; {DEFAULT_PORT} and {DEFAULT_ADMIN_PORT} \
             are used",
            known::PORT,
            known::ADMIN_PORT,
        ));
        (DEFAULT_PORT, DEFAULT_ADMIN_PORT)
    }

    pub(super) fn native(&mut self, defaults: &Defaults) -> bool {
        let words = ["true", "false"];
        let asked = self.one(known::NATIVE_SIDECAR, |text| values::one_of(text, &words));
        if asked.as_deref() == Some("true") && !defaults.native_sidecars {
            self.warnings.push(format!(
                "{PREFIX}{}: native sidecars need Kubernetes 1.29; a classic one is injected",
                known::NATIVE_SIDECAR
            ));
        }
        defaults.native_sidecars && asked.as_deref() != Some("false")
    }

    /// What the sidecar asks for and may use, and whether anything of it was asked for here.
    pub(super) fn resources(&mut self, defaults: &Resources) -> (Resources, bool) {
        let cpu = Pair {
            what: "cpu",
            request: self.one(known::CPU_REQUEST, values::amount),
            limit: self.one(known::CPU_LIMIT, values::limit),
        };
        let memory = Pair {
            what: "memory",
            request: self.one(known::MEMORY_REQUEST, values::amount),
            limit: self.one(known::MEMORY_LIMIT, values::limit),
        };
        let asked = cpu.is_asked_for() || memory.is_asked_for();
        let (cpu_request, cpu_limit) =
            self.agreed(cpu, &defaults.cpu_request, defaults.cpu_limit.as_deref());
        let (memory_request, memory_limit) =
            self.agreed(memory, &defaults.memory_request, defaults.memory_limit.as_deref());
        (Resources { cpu_request, cpu_limit, memory_request, memory_limit }, asked)
    }

    /// A request and a limit that the API server takes together: what was asked for stands, and of
    /// two that were the request raises the limit.
    fn agreed(
        &mut self,
        pair: Pair,
        request: &str,
        limit: Option<&str>,
    ) -> (String, Option<String>) {
        let asked = (pair.request.is_some(), pair.limit.is_some());
        let request = pair.request.unwrap_or_else(|| request.to_owned());
        let limit = match (pair.limit, limit) {
            (Some(Limit::At(limit)), _) => limit,
            (None, Some(limit)) => limit.to_owned(),
            (Some(Limit::Off), _) | (None, None) => return (request, None),
        };
        if quantity::parse(&request) <= quantity::parse(&limit) {
            return (request, Some(limit));
        }
        match asked {
            (false, true) => (limit.clone(), Some(limit)),
            (true, true) => {
                let what = pair.what;
                self.warnings.push(format!(
                    "{PREFIX}{what}-request is more than {PREFIX}{what}-limit, which is raised to it"
                ));
                (request.clone(), Some(request))
            }
            _ => (request.clone(), Some(request)),
        }
    }

    /// Annotations that have nothing to choose from in this version.
    pub(super) fn not_in_force(&mut self) {
        for (name, now, later, instead) in [
            (known::SOURCE, "mount", "watch", "changes are taken from what the kubelet mounts"),
            (known::MODE, "enforce", "observe", "limits are enforced"),
        ] {
            if self.written(name) == Some(later) {
                self.warnings.push(format!(
                    "{PREFIX}{name}: `{later}` is not in force in this version: {instead}"
                ));
            } else {
                let _known = self.one(name, |text| values::one_of(text, &[now]));
            }
        }
    }

    /// Warns of every mark that means nothing.
    pub(super) fn unknown(&mut self, whose: &str, marks: &Marks) {
        let names = || known::ALL.iter().map(|known| known.name).chain(["inject"]);
        for key in marks.annotations.keys() {
            let name = key.strip_prefix(PREFIX).unwrap_or(key);
            if *key != VERSION && !names().any(|known| known == name) {
                let what = format!("{whose}annotation {PREFIX}{} is unknown", shown(name));
                self.warnings.push(Wrong::slip(what, name, names()).sentence(""));
            }
        }
        for key in marks.labels.keys().filter(|key| **key != INJECT && **key != INJECTED) {
            let name = shown(key.strip_prefix(PREFIX).unwrap_or(key));
            self.warnings.push(format!(
                "{whose}label {PREFIX}{name} means nothing: of labels, only {INJECT} is read; write \
                 an annotation"
            ));
        }
    }
}

/// A request and a limit as they are asked for.
struct Pair {
    what: &'static str,
    request: Option<String>,
    limit: Option<Limit>,
}

impl Pair {
    const fn is_asked_for(&self) -> bool {
        self.request.is_some() || self.limit.is_some()
    }
}
