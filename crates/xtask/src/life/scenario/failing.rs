//! Bad updates: each image breaks in one way, and the machine comes back with no hand on it, and says why.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::time::Duration;

use super::update::{blessed, upgrade};
use super::{BOOT, Life};
use crate::life::install::Bed;

/// Three tries, each as long as a trial lasts.
const FALLEN_BACK: Duration = Duration::from_mins(30);

pub(super) fn no_orchestrator(bed: &Bed, disk: PathBuf) -> Result<()> {
    let mut life = Life::begin(bed, disk)?;
    falls_back(&mut life, "v3", "aios-orchestrator")?;
    life.end()
}

pub(super) fn no_pid1(bed: &Bed, disk: PathBuf) -> Result<()> {
    let mut life = Life::begin(bed, disk)?;
    falls_back(&mut life, "v4", "never reached aiOS")?;
    life.end()
}

pub(super) fn broken_command_line(bed: &Bed, disk: PathBuf) -> Result<()> {
    let mut life = Life::begin(bed, disk)?;
    falls_back(&mut life, "v5", "never reached aiOS")?;
    life.end()
}

pub(super) fn truncated_initramfs(bed: &Bed, disk: PathBuf) -> Result<()> {
    let mut life = Life::begin(bed, disk)?;
    falls_back(&mut life, "v6", "never reached aiOS")?;
    life.end()
}

/// A machine that fell back is as good as new.
pub(super) fn good_after_bad(bed: &Bed, disk: PathBuf) -> Result<()> {
    let mut life = Life::begin(bed, disk)?;
    falls_back(&mut life, "v4", "never reached aiOS")?;
    life.offer("v2")?;
    upgrade(&mut life)?;
    life.reboot()?;
    life.next_boot(BOOT)?;
    life.runs("2")?;
    blessed(&mut life)?;
    life.done(&["bootc", "rollback"])?;
    life.reboot()?;
    life.next_boot(BOOT)?;
    life.runs("1")?;
    life.end()
}

/// Updates to a bad image, and waits until the old one runs again and knows why.
fn falls_back(life: &mut Life, version: &str, why: &str) -> Result<()> {
    life.offer(version)?;
    upgrade(life)?;
    life.reboot()?;
    loop {
        life.next_boot(FALLEN_BACK)?;
        if life.hello.version == "1" {
            break;
        }
    }
    let history = life.json(&["cat", "/var/lib/aios/os/history.json"])?;
    let said = history
        .pointer("/failed/0/why")
        .and_then(|it| it.as_str())
        .context("no failure is on record")?;
    ensure!(
        said.contains(why),
        "the reason is {said:?}, and should name {why:?}"
    );
    let goal = format!("update to oci:/var/images/current failed: {said}");
    life.until("a goal tells why", super::update::HEALTHY, |life| {
        let goals = life.run(&["aiosctl", "--json", "goal", "list"])?;
        Ok(goals.out.contains(&goal))
    })?;
    let status = life.json(&["bootc", "status", "--json"])?;
    ensure!(
        status.pointer("/status/booted").is_some_and(|it| !it.is_null()),
        "bootc has no status: {status}"
    );
    Ok(())
}
