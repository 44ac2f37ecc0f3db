//! The tool service: registry and call pipeline, itself without privilege.

use aios_core::service;
use aios_tools::registry::Registry;
use aios_tools::run;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--print-registry") {
        return print_registry();
    }
    service::main("aios-tools", service::FEW_BLOCKING, |paths| async move {
        run::tools(&paths).await
    })
}

/// Prints every tool as JSON, for generating clients and reference pages.
fn print_registry() -> ExitCode {
    let printed = serde_json::to_string_pretty(Registry::builtin().all())
        .map_err(std::io::Error::other)
        .and_then(|text| writeln!(std::io::stdout(), "{text}"));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
