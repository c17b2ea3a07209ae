//! The chart, the manifests that are rendered from it, and the examples beside them: held against
//! what helm and Kubernetes' own schemas say. `tests/cluster` installs them.

#![cfg(test)]

#[expect(dead_code, reason = "of what becomes of a pod, only the pod is looked at here")]
#[path = "../injector/case.rs"]
mod case;
mod manifests;
mod render;
mod schemas;
mod tools;
