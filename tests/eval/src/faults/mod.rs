//! Every fault. One file a family.

mod access;
mod machine;
mod network;
mod packages;
mod ports;
mod program;
mod services;
mod storage;
mod trusted;

use crate::fault::Fault;
use anyhow::Result;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Fault>> {
    [
        storage::all(),
        services::all(),
        access::all(),
        trusted::all(),
        ports::all(),
        packages::all(),
        machine::all(),
        network::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A file with so many bytes, last changed so many days ago.
fn file(path: &Path, bytes: u64, days: u64) -> Result<()> {
    aios_tests_e2e::tree::file(path, &vec![b'x'; usize::try_from(bytes)?], days);
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    Ok(())
}
