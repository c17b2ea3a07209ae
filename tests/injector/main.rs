//! The injector from outside: what becomes of pods, and what always holds.

#![cfg(test)]

mod case;
mod golden;
mod kit;
mod laws;
mod outcome;
mod rotation;
mod webhook;
