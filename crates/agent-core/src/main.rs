//! `aios-orchestrator`: reads its configuration, opens its journal, serves until it is told to end.

use aios_core::service;
use std::process::ExitCode;

fn main() -> ExitCode {
    service::main(
        "aios-orchestrator",
        service::FEW_BLOCKING,
        aios_orchestrator::app::run,
    )
}
