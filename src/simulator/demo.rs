//! A storm to watch: simulated providers with tight limits, a proxy in front of them, and an
//! application that must not notice. No cluster, no account, nothing beyond the loopback interface.
//!
//! The proxy is not known here: the caller starts one with the [`DemoConfig`] it is handed, and says
//! where it listens.

mod cast;
mod client;
mod serve;
mod status;
mod storm;
mod summary;
mod view;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

pub use cast::{DemoConfig, DemoSecret};
pub use summary::Summary;

use super::server::Simulator;
use storm::Storm;

/// How the demo is to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long the storm lasts, in seconds: at most [`Options::LONGEST`]; 0 for none at all.
    pub seconds: u32,
    /// What happens afterwards.
    pub after: After,
    /// Where it is shown.
    pub screen: Screen,
}

/// What happens after the storm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// It ends.
    #[default]
    End,
    /// Proxy and providers stay up for `curl` and SDKs, until Ctrl-C.
    Serve,
}

/// Where the demo is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// A terminal: a few lines, redrawn five times a second.
    Terminal,
    /// Anything else: a line each second.
    #[default]
    Lines,
}

/// Where the proxy listens.
#[derive(Clone, Copy, Debug)]
pub struct ProxyAddress {
    /// The data port.
    pub data: SocketAddr,
    /// The admin port, for `/status`.
    pub admin: SocketAddr,
}

impl Options {
    /// The longest storm: with start and end the demo stays under a minute.
    pub const LONGEST: u32 = 50;
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 22, after: After::default(), screen: Screen::default() }
    }
}

/// Runs the demo on the calling thread, which must not be inside a runtime, and writes to `out` what
/// there is to see. The proxy that `start_proxy` starts must live on threads of its own.
///
/// # Errors
/// When the simulator or the proxy cannot be started, or `out` cannot be written.
pub fn run<W: Write>(
    options: Options,
    out: &mut W,
    start_proxy: impl FnOnce(&DemoConfig) -> io::Result<ProxyAddress>,
) -> io::Result<Summary> {
    let simulator = Simulator::start(cast::plan())?;
    cast::break_what_is_broken(&simulator);
    let config = cast::config(&simulator.url());
    let proxy = start_proxy(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let length = Duration::from_secs(u64::from(options.seconds.min(Options::LONGEST)));
    let storm = Storm { simulator: &simulator, proxy, length, screen: options.screen };
    let mut summary = Summary::default();
    if options.seconds > 0 {
        summary = runtime.block_on(storm.run(out))?;
        summary.write(out)?;
    }
    if options.after == After::Serve {
        serve::write(out, proxy, &simulator)?;
        runtime.block_on(serve::until_told())?;
    }
    Ok(summary)
}
