//! The gate by itself: what a client sees of it, byte by byte, whatever the function behind it does.

#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod kit;

mod answers;
mod differential;
mod endings;
mod requests;
