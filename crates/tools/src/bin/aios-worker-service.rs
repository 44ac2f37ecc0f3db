//! The worker that asks init about services, and to change them; it has no privilege.

use aios_core::error::Report;
use aios_core::service;
use aios_tools::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    // What asks init waits on threads of its own, so that a service that is slow to start holds up nothing.
    service::main(
        "aios-worker-service",
        run::LOOKING_LANES + run::SPARE_THREADS,
        |paths| async move {
            run::worker_service(&paths)
                .await
                .map_err(|error| Report::of(&*error))
        },
    )
}
