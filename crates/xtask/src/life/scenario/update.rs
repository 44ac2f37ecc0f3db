//! A good update, and back.

use anyhow::{Result, ensure};
use std::path::PathBuf;
use std::time::Duration;

use super::{BOOT, Life};
use crate::life::install::Bed;

/// Emulated, services and a canary take minutes.
pub(super) const HEALTHY: Duration = Duration::from_mins(6);

/// v1 → v2, blessed → v1.
pub(super) fn update_and_back(bed: &Bed, disk: PathBuf) -> Result<()> {
    let mut life = Life::begin(bed, disk)?;
    life.runs("1")?;
    let status = life.json(&["bootc", "status", "--json"])?;
    ensure!(
        status
            .pointer("/status/booted/composefs")
            .is_some_and(|it| !it.is_null()),
        "no composefs root: {status}"
    );
    life.done(&[
        "sh",
        "-c",
        "echo kept >/var/lib/life-kept && echo admin >/etc/life-admin && echo changed >>/etc/issue",
    ])?;
    life.offer("v2")?;
    upgrade(&mut life)?;
    life.reboot()?;
    life.next_boot(BOOT)?;
    life.runs("2")?;
    for (file, text) in [
        ("/var/lib/life-kept", "kept"),
        ("/etc/life-admin", "admin"),
        ("/etc/aios-life-vendor", "vendor-2"),
    ] {
        let found = life.done(&["cat", file])?;
        ensure!(found.trim() == text, "{file} holds {found:?} instead of {text}");
    }
    ensure!(
        life.done(&["cat", "/etc/issue"])?.contains("changed"),
        "/etc/issue lost the admin's change"
    );
    blessed(&mut life)?;
    life.done(&["bootc", "rollback"])?;
    life.reboot()?;
    life.next_boot(BOOT)?;
    life.runs("1")?;
    ensure!(
        life.done(&["cat", "/var/lib/life-kept"])?.trim() == "kept",
        "/var was not kept by the rollback"
    );
    life.end()
}

/// Stages what is offered, and sees that the running image did not change.
pub(super) fn upgrade(life: &mut Life) -> Result<()> {
    life.done(&["bootc", "upgrade", "--quiet"])?;
    let status = life.json(&["bootc", "status", "--json"])?;
    ensure!(
        status.pointer("/status/staged").is_some_and(|it| !it.is_null()),
        "nothing is staged: {status}"
    );
    Ok(())
}

/// Waits until no entry has a counter.
pub(super) fn blessed(life: &mut Life) -> Result<()> {
    let entries = life.entries()?;
    ensure!(entries.len() == 2, "two entries expected: {entries:?}");
    life.until("the new image is blessed", HEALTHY, |life| {
        Ok(!life.entries()?.iter().any(|name| name.contains('+')))
    })
}
