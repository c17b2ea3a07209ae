//! The real binary over loopback: one test program, so that the tests link once.

#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod kit;

mod admin;
mod bad_input;
mod drain;
mod endings;
mod headers;
mod http2;
mod leak;
mod limits;
mod queue;
mod reload;
mod stored;
mod streams;
mod translation;
mod uploads;
mod verdicts;
mod websocket;
