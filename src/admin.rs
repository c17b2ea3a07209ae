//! The side door: what the proxy says about itself, for machines and for people.

pub mod page;
pub mod status;

pub use page::Page;
pub use status::Status;
