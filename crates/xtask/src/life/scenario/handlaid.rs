//! Counting, blessing and falling back, without bootc.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

use super::update::{HEALTHY, blessed, upgrade};
use super::{BOOT, Fittings, Life};

/// 1 → bad, which falls back and says why → 2, blessed.
pub(in crate::life) fn on_a_hand_laid_disk(disk: PathBuf) -> Result<()> {
    let mut life = Life::begin_with(disk, Fittings::default())?;
    life.runs("1")?;
    life.offer("bad")?;
    upgrade(&mut life)?;
    life.reboot()?;
    // Its three tries end in the kernel: the next that speaks is the old one.
    life.next_boot(BOOT)?;
    life.runs("1")?;
    let history = life.json(&["cat", "/var/lib/aios/os/history.json"])?;
    let said = history
        .pointer("/failed/0/why")
        .and_then(|it| it.as_str())
        .context("no failure is on record")?;
    ensure!(said.contains("never reached aiOS"), "the reason is {said:?}");
    let entries = life.entries()?;
    ensure!(
        entries.iter().any(|name| name.contains("+0-3")),
        "no entry was tried three times: {entries:?}"
    );
    life.healthy()?;
    life.offer("2")?;
    upgrade(&mut life)?;
    life.reboot()?;
    life.next_boot(BOOT)?;
    life.runs("2")?;
    blessed(&mut life)?;
    let goal = format!("update to oci:/var/images/current failed: {said}");
    life.until("a goal tells why the first failed", HEALTHY, |life| {
        Ok(life
            .run(&["aiosctl", "--json", "goal", "list"])?
            .out
            .contains(&goal))
    })?;
    life.end()
}
