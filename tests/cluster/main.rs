//! The chart and the injector in a real Kubernetes: etcd, API server and controllers of their own, on
//! loopback, gone when the test is. `README.md` beside this file says where their binaries come from.

#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

#[path = "../injector/case.rs"]
mod case;
mod api;
mod golden;
mod injected;
mod installation;
mod parts;
mod plane;
mod replicas;
mod rotation;
