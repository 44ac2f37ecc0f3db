//! `aios-guard`: the reference monitor.

use aios_core::error::Report;
use aios_core::paths::Paths;
use std::process::ExitCode;

fn main() -> ExitCode {
    aios_core::telemetry::init("aios-guard");
    // One thread decides, another writes the log: a hand-over between threads costs more than a decision.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime could not be started");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(aios_guard::run(&Paths::from_env())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let report = Report::of(&error);
            tracing::error!(code = report.code, next = report.next_step, "{}", report.message);
            ExitCode::FAILURE
        }
    }
}
