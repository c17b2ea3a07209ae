//! The real binary over loopback: one test program, so that the tests link once.

#[path = "../support/mod.rs"]
pub mod support;
