//! The tool service: registry and call pipeline, itself without privilege.

use aios_core::error::Report;
use aios_core::paths::Paths;
use aios_core::telemetry;
use aios_tools::registry::Registry;
use aios_tools::run;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--print-registry") {
        return print_registry();
    }
    telemetry::init("aios-tools");
    // One thread: the work is passing on, and a hand-over between threads costs more than a step of it.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::tools(&Paths::from_env())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Report::of(&*error), "ended");
            ExitCode::FAILURE
        }
    }
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
