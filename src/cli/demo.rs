//! `keyweir demo`.

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::DemoArguments;
use crate::lifecycle::DrainMode;
use crate::proxy::{Options, Proxy};
use crate::simulator::demo::{self, After, DemoConfig, ProxyAddress, Screen};
use crate::sources::Letter;
use crate::telemetry::logging::Logging;

/// Runs the storm against the very proxy that `keyweir proxy` is, on ports that are free.
pub(super) fn run(arguments: &DemoArguments) -> ExitCode {
    // What the view shows is not said twice.
    let _logging = Logging::start(arguments.log_level);
    let terminal = io::stdout().is_terminal();
    let options = demo::Options {
        seconds: arguments.seconds,
        after: if arguments.serve { After::Serve } else { After::End },
        screen: if terminal { Screen::Terminal } else { Screen::Lines },
    };
    match demo::run(options, &mut io::stdout(), start_proxy) {
        Ok(summary) if summary.is_clean() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!(%error, "The demo could not run");
            ExitCode::FAILURE
        }
    }
}

/// Starts the proxy on a control thread of its own, which lives as long as the process.
fn start_proxy(config: &DemoConfig) -> io::Result<ProxyAddress> {
    let entries = config.secrets.iter().flat_map(|secret| {
        secret.entries.iter().map(|(entry, value)| (secret.name, &**entry, &**value))
    });
    let keys: Vec<_> = entries.collect();
    let letter = Letter::in_memory("keyweir.yaml", &config.yaml, &keys);
    let (started, address) = mpsc::channel();
    thread::Builder::new().name("keyweir-demo".to_owned()).spawn(move || {
        let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        control.block_on(async {
            match Proxy::start(&options(), &letter) {
                Ok(proxy) => {
                    let (data, admin) = (proxy.listen, proxy.admin);
                    drop(started.send(Ok(ProxyAddress { data, admin })));
                    proxy.run(None, None).await
                }
                Err(fatal) => {
                    drop(started.send(Err(io::Error::other(fatal.to_string()))));
                    Ok(())
                }
            }
        })
    })?;
    address.recv().map_err(io::Error::other)?
}

fn options() -> Options {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Options {
        listen: anywhere,
        admin: anywhere,
        token: None,
        workers: None,
        drain: Duration::from_secs(1),
        drain_mode: DrainMode::Gateway,
        state: None,
    }
}
