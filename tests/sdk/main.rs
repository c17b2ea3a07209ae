//! The official SDKs, unmodified but for their base URL: straight against the simulator, and through
//! the real proxy in front of it. `tests/sdk/README.md` says what the suites are told, and how.

#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod install;
mod world;

use world::{Door, Way, World};

#[test]
fn python_is_content_with_the_simulator() {
    install::python(&World::start(Way::Straight), &["any", "direct"]);
}

#[test]
fn python_is_content_at_the_unified_door() {
    install::python(&World::start(Way::Through(Door::Unified)), &["any", "proxy"]);
}

#[test]
fn python_is_content_at_each_provider_s_own_door() {
    install::python(&World::start(Way::Through(Door::Own)), &["any"]);
}

#[test]
fn node_is_content_with_the_simulator() {
    install::node(&World::start(Way::Straight), &["any", "direct"]);
}

#[test]
fn node_is_content_at_the_unified_door() {
    install::node(&World::start(Way::Through(Door::Unified)), &["any", "proxy"]);
}

#[test]
fn node_is_content_at_each_provider_s_own_door() {
    install::node(&World::start(Way::Through(Door::Own)), &["any"]);
}

#[test]
fn python_reaches_every_provider_through_any_sdk() {
    install::python(&World::start(Way::Through(Door::Unified)), &["across"]);
}

#[test]
fn node_reaches_every_provider_through_any_sdk() {
    install::node(&World::start(Way::Through(Door::Unified)), &["across"]);
}
