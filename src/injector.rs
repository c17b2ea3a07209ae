//! The gatehouse: what asks for the sidecar gets it on its way into the cluster.
//!
//! From `admission` to `patch` everything is pure: a pod and what is known around it go in, a patch
//! or a reason comes out. `webhook` asks `knowledge` what is known around it and answers the API
//! server; `server` speaks TLS with the `certificates` of the moment.

pub mod admission;
pub mod annotations;
mod application;
pub mod certificates;
pub mod clients;
mod configuration;
mod door;
mod draft;
pub mod events;
mod identity;
pub mod inspection;
mod json;
pub mod knowledge;
pub mod marks;
mod opt_in;
pub mod patch;
mod proxies;
mod quantity;
pub mod reason;
pub mod review;
mod run;
pub mod server;
pub mod settings;
mod sidecar;
pub mod surroundings;
pub mod webhook;

pub use admission::{Opening, open};
pub use marks::Marks;
pub use patch::{Injection, inject};
pub use reason::Reason;
pub use review::{Answer, Review};
pub use run::{Fatal, Options, run};
pub use settings::{Defaults, Resources, Settings};
pub use surroundings::{Surroundings, Workload};
