//! `keyweir simulate`: the figures of `docs/simulation.md` on shorter runs, and the command itself.

#![cfg(test)]

mod command;
mod figures;
mod study;
