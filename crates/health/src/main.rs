//! `aios-health`: looks once a boot, tells what it found, and ends.

use aios_core::service;
use std::process::ExitCode;

fn main() -> ExitCode {
    service::main("aios-health", service::FEW_BLOCKING, aios_health::run)
}
