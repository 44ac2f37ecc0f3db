//! `aios-console`: see the library of this package.
#![forbid(unsafe_code)]

use aios_core::service;
use std::process::ExitCode;

fn main() -> ExitCode {
    service::main("aios-console", service::FEW_BLOCKING, |paths| async move {
        aios_console::run(&paths).await
    })
}
