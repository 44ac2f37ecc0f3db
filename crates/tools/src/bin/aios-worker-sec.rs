//! The worker that looks for weaknesses: it reads any file, and changes nothing but what is its own user's.

use aios_core::error::Report;
use aios_core::service;
use aios_tools::run;
use std::process::ExitCode;

/// Threads for what may wait for a disk.
const THREADS: usize = run::LOOKING_LANES + run::SPARE_THREADS;

fn main() -> ExitCode {
    // What walks trees runs on threads of its own, so that a slow disk holds up nothing.
    service::main("aios-worker-sec", THREADS, |paths| async move {
        run::worker_sec(&paths).await.map_err(|error| Report::of(&*error))
    })
}
