//! Settings of the kernel: mount propagation, a few sysctls, the loopback interface.

use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use crate::sys;
use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::Path;

/// Harder than the kernel's defaults where that costs nothing here.
const SYSCTLS: [(&str, &str); 9] = [
    ("kernel/kptr_restrict", "2"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/unprivileged_bpf_disabled", "1"),
    ("kernel/yama/ptrace_scope", "2"),
    ("fs/protected_hardlinks", "1"),
    ("fs/protected_symlinks", "1"),
    ("fs/protected_fifos", "2"),
    ("fs/protected_regular", "2"),
    // Pings without a right: every group may open the kernel's ping sockets, as on other distributions.
    ("net/ipv4/ping_group_range", "0 2147483647"),
];

/// Rootless containers need mounts below `/` to propagate.
pub(super) fn share_root(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    let flags = MsFlags::MS_REC | MsFlags::MS_SHARED;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(InitError::system("cannot share /"))?;
    Ok(Outcome::Done(String::new()))
}

/// Writes the sysctls that this kernel has.
pub(super) fn kernel(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    let mut failed = Vec::new();
    for (name, value) in SYSCTLS {
        let path = Path::new("/proc/sys").join(name);
        // Some can only be raised; being higher already is no failure.
        if path.exists() && fs::write(&path, value).is_err() {
            failed.push(name);
        }
    }
    Ok(Outcome::Done(if failed.is_empty() {
        String::new()
    } else {
        format!("kept: {}", failed.join(" "))
    }))
}

/// Brings `lo` up.
pub(super) fn loopback(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    sys::interface_up("lo").map_err(InitError::system("cannot bring lo up"))?;
    Ok(Outcome::Done(String::new()))
}
