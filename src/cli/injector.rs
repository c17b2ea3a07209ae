//! `keyweir injector`.

use std::process::ExitCode;

use super::InjectorArguments;
use crate::injector::certificates::Terms;
use crate::injector::{self, Options, Resources};
use crate::lifecycle::termination;
use crate::telemetry::logging::Logging;

/// Runs the injector until it is told to end.
pub(super) fn run(arguments: &InjectorArguments) -> ExitCode {
    let _logging = Logging::start(arguments.log_level);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(injector::run(options(arguments))),
        Err(error) => Err(injector::Fatal::System("a runtime", error.to_string())),
    };
    let Err(fatal) = ended else { return ExitCode::SUCCESS };
    tracing::error!("{fatal}");
    if let Err(error) = termination::leave(&arguments.termination_log, &fatal.to_string()) {
        tracing::warn!(%error, "Could not leave a termination message");
    }
    ExitCode::FAILURE
}

fn options(arguments: &InjectorArguments) -> Options {
    let InjectorArguments { service, .. } = arguments;
    let of_service = |written: &Option<String>| written.clone().unwrap_or_else(|| service.clone());
    Options {
        listen: arguments.listen,
        admin: arguments.admin,
        image: arguments.image.clone(),
        image_pull_policy: arguments.image_pull_policy.clone(),
        resources: Resources {
            cpu_request: arguments.cpu_request.clone(),
            cpu_limit: arguments.cpu_limit.clone(),
            memory_request: arguments.memory_request.clone(),
            memory_limit: Some(arguments.memory_limit.clone()).filter(|limit| limit != "none"),
        },
        service_account: arguments.service_account.clone(),
        service: service.clone(),
        webhook: of_service(&arguments.webhook),
        deployment: of_service(&arguments.deployment),
        ca_secret: arguments.ca_secret.clone().unwrap_or_else(|| format!("{service}-ca")),
        certificates: arguments.certificates.clone(),
        terms: Terms {
            authority: arguments.ca_lifetime,
            leaf: arguments.certificate_lifetime,
            settle: arguments.settle,
        },
        notice: arguments.notice,
        drain: arguments.drain,
    }
}
