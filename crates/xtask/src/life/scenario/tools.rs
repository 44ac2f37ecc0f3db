//! An update and the way back by aiOS's own commands, each approved by a person; before that, images that nobody may stage.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

use super::Life;
use super::person::{ADMIN, NEEDS_APPROVAL, approved, restart, say_yes, staged, words};
use super::update::blessed;
use crate::life::install::Bed;

const IMAGE: &str = "/var/lib/life-image";
const ALTERED: &str = "/var/lib/life-altered";

pub(super) fn by_aiosctl(bed: &Bed, disk: PathBuf) -> Result<()> {
    let mut life = Life::begin(bed, disk)?;
    life.runs("1")?;
    life.done(&["aiosctl", "person", "enrol", "--user", "admin"])?;
    life.done(&["aiosctl", "os", "key", "/root/key"])?;
    life.done(&["cp", "/root/key.pub", "/etc/aios/trust/images/"])?;
    life.done(&["cp", "-r", "/run/images/v2", IMAGE])?;
    refused(&mut life, IMAGE, "AIOS-OS-0004").context("nobody signed it")?;
    life.done(&["aiosctl", "os", "sign", IMAGE, "--key", "/root/key"])?;
    life.done(&["cp", "-r", IMAGE, ALTERED])?;
    // One byte of its largest layer.
    let alter = format!(
        "f={ALTERED}/blobs/sha256/$(ls -S {ALTERED}/blobs/sha256 | head -1) && printf x | dd of=$f bs=1 seek=100000 conv=notrunc"
    );
    life.done(&["sh", "-c", &alter])?;
    refused(&mut life, ALTERED, "AIOS-DEPLOYMENT-0007").context("a layer was altered")?;
    approved(&mut life, &["os", "switch", &format!("oci:{IMAGE}")])?;
    ensure!(staged(&mut life)?, "nothing is staged");
    restart(&mut life)?;
    life.runs("2")?;
    blessed(&mut life)?;
    approved(&mut life, &["os", "rollback"])?;
    restart(&mut life)?;
    life.runs("1")?;
    life.end()
}

/// Asks for an image that nobody may stage: a signature is looked for before a person is asked, and the layers are read once
/// the person has said yes.
fn refused(life: &mut Life, image: &str, code: &str) -> Result<()> {
    let image = format!("oci:{image}");
    let mut done = life.run(&words(&ADMIN, &["os", "switch", &image]))?;
    if done.code == NEEDS_APPROVAL {
        let goal = say_yes(life)?;
        done = life.run(&words(&ADMIN, &["goal", "watch", &goal]))?;
    }
    ensure!(
        done.code != 0 && done.out.contains(code),
        "it was not refused by {code}, but ended with {}: {}{}",
        done.code,
        done.out,
        done.err
    );
    ensure!(!staged(life)?, "it was refused and staged all the same");
    Ok(())
}
