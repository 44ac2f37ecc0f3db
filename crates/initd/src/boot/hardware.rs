//! Kernel modules and devices, by the distribution's own tools (kmod, udev).

use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use std::path::Path;
use std::process::{Command, Stdio};

/// What rootless containers need, and what is usually not built in.
const MODULES: [&str; 4] = ["overlay", "tun", "loop", "fuse"];
const UDEVD: &str = "/usr/lib/systemd/systemd-udevd";

/// Loads modules; those that are built in are no error.
pub(super) fn modules(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    if !Path::new("/proc/modules").exists() {
        return Ok(Outcome::Skipped("this kernel has no modules"));
    }
    let mut failed = Vec::new();
    for module in MODULES {
        if tool("/usr/sbin/modprobe", &["--quiet", module]).is_err() {
            failed.push(module);
        }
    }
    Ok(Outcome::Done(if failed.is_empty() {
        MODULES.join(" ")
    } else {
        format!("not there: {}", failed.join(" "))
    }))
}

/// Starts udev and lets it see the devices that were there before it. It goes on with them while
/// services start; the devices that services need are the kernel's own.
pub(super) fn devices(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    if !Path::new(UDEVD).exists() {
        return Ok(Outcome::Skipped("no udev"));
    }
    tool(UDEVD, &["--daemon"])?;
    tool(
        "/usr/bin/udevadm",
        &["trigger", "--type=subsystems", "--action=add"],
    )?;
    tool("/usr/bin/udevadm", &["trigger", "--type=devices", "--action=add"])?;
    Ok(Outcome::Done("events are handled in the background".into()))
}

/// Runs a tool of the distribution to its end; its words go nowhere but into the error.
pub(super) fn tool(path: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(path)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(InitError::path("cannot run", path))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let message = format!("{}: {}", output.status, said.lines().last().unwrap_or_default());
    Err(InitError::path("failed:", path)(std::io::Error::other(message)))
}
