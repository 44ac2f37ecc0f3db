//! The worker of addresses, routes and the firewall.

use aios_core::error::Report;
use aios_core::service;
use aios_tools::run;
use std::process::ExitCode;

/// Threads for what waits for the kernel, a program or the network.
const THREADS: usize = run::NET_LANES + run::LOOKING_LANES + run::SPARE_THREADS;

fn main() -> ExitCode {
    service::main("aios-worker-net", THREADS, |paths| async move {
        run::worker_net(&paths).await.map_err(|error| Report::of(&*error))
    })
}
