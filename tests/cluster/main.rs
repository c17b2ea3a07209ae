//! The chart and the injector in a real Kubernetes: etcd, API server and controllers of their own, on
//! loopback, gone when the test is. `README.md` beside this file says where their binaries come from.

#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod api;
#[expect(dead_code, reason = "of what becomes of a pod, not everything is looked at here")]
#[path = "../injector/case.rs"]
mod case;
mod golden;
mod images;
mod injected;
mod installation;
mod node;
mod parts;
mod people;
mod plane;
mod provider;
mod replicas;
mod rotation;
mod running;
