//! The back door against servers on the loopback: honest ones, broken ones, and proxies.
#![expect(clippy::disallowed_methods, reason = "a test's servers are the test's own tasks")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails a test")]

mod support;

mod exchanges;
mod faults;
mod http1;
mod http2;
mod proxies;
mod timeouts;
mod tls;
mod tunnels;
