//! HTTP/1.1 (RFC 9112) and 1.0 on a client's connection, in one task with the handler.
//!
//! The way of a request is short: one read into the thread's buffer, one look at the head, the
//! handler, one write of head and body. A connection at rest, or a stream between two pieces, keeps
//! no buffer and no future of the handler.

mod body;
pub mod chunked;
mod connection;
mod encode;
mod exchange;
pub mod head;
mod inbox;
pub mod known;
mod patience;
mod reply;
mod wire;

pub(super) use body::Flow;
#[cfg(test)]
pub(crate) use body::{Feed, begin};
pub(super) use connection::{Connection, End};
#[cfg(test)]
pub(crate) use head::Length;
