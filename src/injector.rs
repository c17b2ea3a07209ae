//! The gatehouse: what asks for the sidecar gets it on its way into the cluster.
//!
//! From `admission` to `patch` everything is pure: a pod and what is known around it go in, a patch
//! or a reason comes out.

pub mod admission;
pub mod annotations;
mod application;
pub mod clients;
mod draft;
mod identity;
mod json;
pub mod marks;
mod opt_in;
pub mod patch;
mod proxies;
mod quantity;
pub mod reason;
pub mod review;
pub mod settings;
mod sidecar;
pub mod surroundings;

pub use admission::{Opening, open};
pub use marks::Marks;
pub use patch::{Injection, inject};
pub use reason::Reason;
pub use review::{Answer, Review};
pub use settings::{Defaults, Resources, Settings};
pub use surroundings::{Surroundings, Workload};
