//! Kernel modules and directories, by the distribution's own tools (kmod, systemd-tmpfiles).

use super::{Outcome, Setup, drop_in};
use crate::error::{InitError, Result};
use crate::supervise::World;
use std::path::Path;
use std::process::{Command, Stdio};

const MODPROBE: &str = "/usr/sbin/modprobe";
const TMPFILES: &str = "/usr/bin/systemd-tmpfiles";

/// Loads what `modules-load.d` lists (modules-load.d(5)); those that are built in are no error.
pub(super) fn modules(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    if !Path::new("/proc/modules").exists() {
        return Ok(Outcome::Skipped("this kernel has no modules"));
    }
    let lines = drop_in::lines(Path::new("/"), "modules-load.d")?;
    let names: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    if names.is_empty() {
        return Ok(Outcome::Done(String::new()));
    }
    let load = |names: &[&str]| tool(MODPROBE, &[&["--quiet", "--all", "--"], names].concat());
    if load(&names).is_ok() {
        return Ok(Outcome::Done(names.join(" ")));
    }
    let missing: Vec<&str> = lines
        .iter()
        .filter(|line| load(&[&line.text]).is_err())
        .map(|line| line.text.as_str())
        .collect();
    Ok(Outcome::Done(format!("not there: {}", missing.join(" "))))
}

/// Directories, links and modes of `tmpfiles.d` (tmpfiles.d(5)), ours among them: what everybody expects in an empty
/// `/var` and `/run`. 7 ms, and more kinds of lines than anything of ours would know.
pub(super) fn tmpfiles(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    if !Path::new(TMPFILES).exists() {
        return Ok(Outcome::Skipped("no systemd-tmpfiles"));
    }
    // What is below /run/systemd is systemd's own, and nobody would take its word away that the machine is still booting.
    let own = ["--exclude-prefix=/run/systemd", "--exclude-prefix=/run/nologin"];
    tool(TMPFILES, &[&["--create", "--boot"], &own[..]].concat())?;
    Ok(Outcome::Done(String::new()))
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
