//! Keyweir stands between an application and the LLM providers it calls, holds the keys, knows what
//! each may still do, and spends that capacity so well that the application never meets a 429.
//!
//! The rooms stand in the order in which a request walks through them; `ARCHITECTURE.md` tells the
//! walk. `clock` is the vocabulary of time that every room is handed and none reads for itself.

pub mod clock;

pub mod cli;
pub mod proxy;
pub mod lifecycle;
pub mod serve;
pub mod pipeline;
pub mod callers;
pub mod formats;
pub mod limits;
pub mod keys;
pub mod routes;
pub mod translate;
pub mod upstream;
pub mod telemetry;
pub mod admin;
pub mod config;
pub mod sources;
pub mod injector;
pub mod simulator;
