//! The fs worker: the only process that touches people's files.

use aios_core::error::Report;
use aios_core::service;
use aios_tools::run;
use std::process::ExitCode;

/// Threads for what may wait for a disk or a driver.
const THREADS: usize = run::FILE_LANES + run::SPARE_THREADS;

fn main() -> ExitCode {
    // What touches files runs on threads of its own, so that a slow disk holds up nothing.
    service::main("aios-worker-fs", THREADS, |paths| async move {
        run::worker_fs(&paths).await.map_err(|error| Report::of(&*error))
    })
}
