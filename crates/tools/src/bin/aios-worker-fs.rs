//! The fs worker: the only process that touches people's files.

use aios_core::error::Report;
use aios_core::paths::Paths;
use aios_core::telemetry;
use aios_tools::run;
use std::process::ExitCode;

/// Reads and preparations at the same time; more wait their turn.
const FILE_THREADS: usize = 32;

fn main() -> ExitCode {
    telemetry::init("aios-worker-fs");
    // One thread listens; what touches files runs on threads of its own, so that a slow disk holds up nothing.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(FILE_THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::worker_fs(&Paths::from_env())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Report::of(&*error), "ended");
            ExitCode::FAILURE
        }
    }
}
