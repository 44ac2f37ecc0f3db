//! `aios-console`: see the library of this package.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use aios_core::error::Coded;
use aios_core::paths::Paths;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    aios_core::telemetry::init("aios-console");
    match aios_console::run(&Paths::from_env()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(code = error.code(), next = error.next_step(), "{error}");
            ExitCode::FAILURE
        }
    }
}
