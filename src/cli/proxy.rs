//! `keyweir proxy`.

use std::process::ExitCode;
use std::sync::Arc;

use super::{Mode, Places, ProxyArguments};
use crate::formats::known;
use crate::lifecycle::{DrainMode, termination};
use crate::proxy::{Fatal, Options, Proxy};
use crate::sources::{self, Environment, Pace, Watch, files};
use crate::telemetry::logging::Logging;

/// A mistake of the configuration, or misuse.
const MISTAKE: u8 = 2;

/// Runs the proxy until it is told to end.
pub(super) fn run(arguments: &ProxyArguments) -> ExitCode {
    let logging = Logging::start(arguments.log_level);
    match serve(arguments, &logging) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            for line in fatal.to_string().lines() {
                tracing::error!("{line}");
            }
            let left = termination::leave(&arguments.termination_log, &fatal.to_string());
            if let Err(error) = left {
                tracing::warn!(%error, "Could not leave a termination message");
            }
            ExitCode::from(if matches!(fatal, Fatal::Config(_)) { MISTAKE } else { 1 })
        }
    }
}

fn serve(arguments: &ProxyArguments, logging: &Logging) -> Result<(), Fatal> {
    let control = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Fatal::System("a runtime", error))?;
    control.block_on(async {
        let pace = Pace { poll: arguments.poll, ..Pace::default() };
        let watch = Watch::start(places(&arguments.places), pace);
        let proxy = Proxy::start(&options(arguments)?, watch.letter())?;
        let ended = proxy.run(Some(watch), Some(logging)).await;
        ended.map_err(|error| Fatal::System("a worker", error))
    })
}

/// Where configuration and Secrets are, with the environment's keys.
pub(super) fn places(places: &Places) -> sources::Places {
    let variables: Vec<_> =
        known::all().iter().flat_map(|known| known.variables).copied().collect();
    sources::Places {
        configs: places.config.clone(),
        secrets: places.secrets.clone(),
        environment: Environment::read(&variables),
    }
}

fn options(arguments: &ProxyArguments) -> Result<Options, Fatal> {
    let token = arguments.admin_token_file.as_deref().map(files::read_secret).transpose();
    let token = token.map_err(|problem| {
        Fatal::System("the admin token", std::io::Error::other(problem.to_string()))
    })?;
    Ok(Options {
        listen: arguments.listen,
        admin: arguments.admin,
        token: token.map(Arc::new),
        workers: arguments.workers,
        drain: arguments.drain,
        drain_mode: match arguments.drain_mode {
            Mode::Sidecar => DrainMode::Sidecar,
            Mode::Gateway => DrainMode::Gateway,
        },
        state: arguments.state.clone(),
    })
}
