//! What the injector knows of a pod besides the pod itself.

use super::settings::Defaults;
use crate::config::Names;

/// What is known besides the pod.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Whom the pod belongs to.
    pub workload: &'a Workload,
    /// What its configuration names; `None` where there is none.
    pub configuration: Option<&'a Names>,
    /// What a sidecar gets that is not asked for otherwise.
    pub defaults: &'a Defaults,
}

/// Whom a pod belongs to: what a user wrote, not what a controller made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Its name; the pod's own for one that stands alone.
    pub name: String,
    /// How many pods it wants, where that is known.
    pub replicas: Option<u32>,
}
