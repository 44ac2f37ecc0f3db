//! `aios-memory`: reads its configuration, opens its database, serves until it is told to end.

use aios_core::service;
use std::process::ExitCode;

fn main() -> ExitCode {
    service::main("aios-memory", service::FEW_BLOCKING, aios_memory::app::run)
}
