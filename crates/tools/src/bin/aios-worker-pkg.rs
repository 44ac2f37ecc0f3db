//! The package worker: the only process that installs, replaces and removes packages.

use aios_core::error::Report;
use aios_core::service;
use aios_tools::run;
use std::process::ExitCode;

/// Threads for what may wait for apt, dpkg or a disk.
const THREADS: usize = run::PACKAGE_LANES + run::SPARE_THREADS;

fn main() -> ExitCode {
    // What runs programs does so on threads of its own, so that a slow one holds up nothing.
    service::main("aios-worker-pkg", THREADS, |paths| async move {
        run::worker_pkg(&paths).await.map_err(|error| Report::of(&*error))
    })
}
