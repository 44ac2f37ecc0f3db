//! `aios-orchestrator`: reads its configuration, opens its journal, serves until it is told to end.

use aios_core::paths::Paths;
use std::process::ExitCode;

fn main() -> ExitCode {
    aios_core::telemetry::init("aios-orchestrator");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(aios_orchestrator::app::run(Paths::from_env())),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the orchestrator cannot run");
            ExitCode::FAILURE
        }
    }
}
