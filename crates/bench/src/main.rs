//! `make bench`: starts real services under their own users and measures what is promised in
//! `docs/SPECIFICATION.md`, in one run, beside plain calls in this process. Needs root, as services do.
#![forbid(unsafe_code)]

mod audit;
mod calls;
mod idle;
mod memory;
mod table;

use aios_harness::{Instance, Options, Service};
use anyhow::Result;
use table::Table;

fn main() -> Result<()> {
    // One thread, as the orchestrator that makes such calls has.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let services = vec![
        Service::Guard,
        Service::WorkerFs,
        Service::Tools,
        Service::Memory,
        Service::Orchestrator,
        Service::Console,
    ];
    let mut table = Table::default();
    // Enrolling the person waits for a runtime of its own, so the start stays outside of this one.
    let aios = Instance::start(Options {
        services: services.clone(),
        // Another instance may hold the usual port. Changes are measured without a person in the way.
        config: "[console]\nlisten = \"127.0.0.1:0\"\n[guard]\nmax_autonomy = \"full\"\n".to_owned(),
        ..Options::default()
    })?;
    runtime.block_on(calls::measure(&aios, &mut table))?;
    memory::measure(&aios, &services, &mut table)?;
    drop(aios);
    runtime.block_on(audit::measure(&mut table))?;
    runtime.block_on(idle::measure(&mut table))?;
    table.print()
}
