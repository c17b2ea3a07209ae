//! The side door: what the proxy says about itself, for machines and for people.

pub mod door;
pub mod page;
pub mod status;

pub use door::Admin;
pub use page::Page;
pub use status::Status;
