//! `aios-sandbox`: agents' containers and their front doors.

use aios_core::service;
use std::process::ExitCode;

fn main() -> ExitCode {
    service::main("aios-sandbox", service::FEW_BLOCKING, |paths| async move {
        aios_sandbox::run::run(&paths).await
    })
}
