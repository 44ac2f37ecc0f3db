//! The fs worker: the only process that touches people's files.

use aios_core::error::Report;
use aios_core::paths::Paths;
use aios_core::telemetry;
use aios_tools::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    telemetry::init("aios-worker-fs");
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
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
