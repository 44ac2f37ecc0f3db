//! `make bench`: starts real services under their own users and measures what is promised in
//! `docs/SPECIFICATION.md`, in one run, beside plain calls in this process. Needs root, as services do.
//! `aios-bench calls audit` measures only these parts, for whoever works on one.
#![forbid(unsafe_code)]

mod audit;
mod calls;
mod goals;
mod idle;
mod memory;
mod table;
mod undo;

use aios_harness::{Instance, Options, Service, client};
use anyhow::{Result, bail};
use table::Table;

const PARTS: [&str; 6] = ["calls", "undo", "goals", "memory", "audit", "idle"];

fn main() -> Result<()> {
    let only: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!("there is no part {unknown:?}; the parts are {}", PARTS.join(", "));
    }
    let wanted = |part: &str| only.is_empty() || only.iter().any(|it| it == part);
    // One thread, as the orchestrator that makes such calls has.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut table = Table::default();
    if ["calls", "undo", "goals", "memory"].into_iter().any(wanted) {
        let (services, aios) = started()?;
        if wanted("calls") {
            runtime.block_on(calls::measure(&aios, &mut table))?;
        }
        if wanted("undo") {
            runtime.block_on(undo::measure(&aios, &mut table))?;
        }
        if wanted("goals") {
            runtime.block_on(goals::measure(&aios, &mut table))?;
        }
        if wanted("memory") {
            memory::measure(&aios, &services, &mut table)?;
        }
    }
    if wanted("audit") {
        runtime.block_on(audit::measure(&mut table))?;
    }
    if wanted("idle") {
        runtime.block_on(idle::measure(&mut table))?;
    }
    table.print()
}

/// Every service but those of containers. Enrolling the person waits for a runtime of its own, so the
/// start stays outside of the caller's.
fn started() -> Result<(Vec<Service>, Instance)> {
    let services = vec![
        Service::Guard,
        Service::WorkerFs,
        Service::Tools,
        Service::Memory,
        Service::Orchestrator,
        Service::Console,
    ];
    let mut aios = Instance::prepare(Options {
        services: services.clone(),
        // Another instance may hold the usual port. Changes are measured without a person in the way.
        config: "[console]\nlisten = \"127.0.0.1:0\"\n[guard]\nmax_autonomy = \"full\"\n".to_owned(),
        failpoints: false,
        ..Options::default()
    })?;
    goals::runbooks(&aios.paths().etc)?;
    for service in &services {
        aios.restart(*service)?;
    }
    client::enrol(&aios)?;
    Ok((services, aios))
}
