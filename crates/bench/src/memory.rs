//! Resident memory of each service after the load of the other measurements.

use crate::table::{Promise, Table};
use aios_harness::{Instance, Service};
use anyhow::{Context, Result};
use std::fs;

/// Looks at every service.
///
/// # Errors
/// A service does not run any more.
pub(crate) fn measure(aios: &Instance, services: &[Service], table: &mut Table) -> Result<()> {
    for service in services {
        let pid = aios.pid(*service).context("it was started")?;
        let what = format!("{}, resident", service.unit());
        table.add(
            what,
            resident_mib(u32::try_from(pid)?)?,
            "MiB",
            Promise::AtMost(30.0),
        );
    }
    Ok(())
}

/// Resident size of a process, MiB (`VmRSS` of proc(5)).
///
/// # Errors
/// It does not run.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("the kernel tells the resident size")?
        .parse()?;
    Ok(kib / 1024.0)
}
