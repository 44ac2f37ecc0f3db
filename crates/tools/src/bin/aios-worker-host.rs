//! The worker of what only looks at the machine; it has no privilege.

use aios_core::error::Report;
use aios_core::service;
use aios_tools::run;
use std::process::ExitCode;

/// Threads for what may wait for a disk or a driver.
const THREADS: usize = 2 * run::LOOKING_LANES + run::SPARE_THREADS;

fn main() -> ExitCode {
    // What looks runs on threads of its own, so that a slow driver holds up nothing.
    service::main("aios-worker-host", THREADS, |paths| async move {
        run::worker_host(&paths)
            .await
            .map_err(|error| Report::of(&*error))
    })
}
