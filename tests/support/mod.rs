//! What the end-to-end tests stand on: the real binary in a process of its own, folders as the
//! kubelet mounts them, clients that show every byte, and upstreams that do what a test tells them.
//!
//! Everything here has a time limit, is on 127.0.0.1, and is cleaned up when it is dropped.
//!
//! A test program takes it in with `pub mod support;`: public, so that no program must use all of it.

#![cfg(test)]
#![expect(clippy::missing_panics_doc, reason = "a helper that panics is a test that fails")]

pub mod http;
pub mod mount;
pub mod process;
pub mod upstream;

use std::time::Duration;

/// How long anything that should happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
