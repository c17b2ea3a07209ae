//! What a configuration says about limits is in force.

mod bounds;
mod callers;
mod observe;
mod state;
mod times;

use crate::kit::{self, CHAT, CHAT_PATH};
use crate::support::http::Reply;
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::Upstream;

/// Does not want to wait.
const AT_ONCE: (&str, &str) = ("x-keyweir-max-wait", "0s");

/// A proxy before that provider, in every wire format, with these callers.
fn setup(upstream: &Upstream, callers: &str) -> Setup {
    let config = kit::all_at(&upstream.url(), &format!("callers:\n{callers}\n"));
    kit::with_keys(Setup::default().config(&config), &["one"])
}

fn proxy(upstream: &Upstream, callers: &str) -> Proxy {
    setup(upstream, callers).start()
}

/// A chat of somebody who does not want to wait.
fn ask(proxy: &Proxy, headers: &[(&str, &str)]) -> Reply {
    kit::post_with(proxy, CHAT_PATH, &[headers, &[AT_ONCE]].concat(), CHAT)
}

/// The statuses of as many of them.
fn statuses(proxy: &Proxy, headers: &[(&str, &str)], count: usize) -> Vec<u16> {
    (0..count).map(|_| ask(proxy, headers).status).collect()
}
