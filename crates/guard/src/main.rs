//! `aios-guard`: the reference monitor.

use aios_core::service;
use std::process::ExitCode;

fn main() -> ExitCode {
    // One thread decides, another, of its own, writes the log.
    service::main("aios-guard", service::FEW_BLOCKING, |paths| async move {
        aios_guard::run(&paths).await
    })
}
