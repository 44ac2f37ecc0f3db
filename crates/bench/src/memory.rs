//! Resident memory of each service after the load of the other measurements.

use crate::table::{Promise, Table};
use aios_harness::{Instance, Service};
use anyhow::{Context, Result};
use std::fs;

/// Reads `/proc/PID/status` of every service.
///
/// # Errors
/// A service does not run any more.
pub(crate) fn measure(aios: &Instance, services: &[Service], table: &mut Table) -> Result<()> {
    for service in services {
        let pid = aios.pid(*service).context("it was started")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context(service.program())?;
        let kib: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .context("the kernel tells the resident size")?
            .parse()?;
        let what = format!("{}, resident", service.program());
        table.add(what, kib / 1024.0, "MiB", Promise::AtMost(30.0));
    }
    Ok(())
}
