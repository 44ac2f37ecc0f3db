//! The process worker: watches, starts and ends processes.

use aios_core::error::Report;
use aios_core::service;
use aios_tools::run;
use std::process::ExitCode;

/// Threads for what may wait for a process.
const THREADS: usize = run::PROCESS_LANES + run::SPARE_THREADS;

fn main() -> ExitCode {
    // What looks and waits runs on threads of its own, so that a slow process holds up nothing.
    service::main("aios-worker-process", THREADS, |paths| async move {
        run::worker_process(&paths)
            .await
            .map_err(|error| Report::of(&*error))
    })
}
