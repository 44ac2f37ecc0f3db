//! The worker of what only looks at the machine; it has no privilege.

use aios_core::error::Report;
use aios_core::paths::Paths;
use aios_core::telemetry;
use aios_tools::run;
use std::process::ExitCode;

/// Looks at the same time; more wait their turn.
const LOOKING_THREADS: usize = 8;

fn main() -> ExitCode {
    telemetry::init("aios-worker-host");
    // One thread listens; what looks runs on threads of its own, so that a slow driver holds up nothing.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(LOOKING_THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::worker_host(&Paths::from_env())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Report::of(&*error), "ended");
            ExitCode::FAILURE
        }
    }
}
