//! Whether a machine that is off had closed its file systems. A journal that the next mount has to replay was left open: nothing
//! is lost by that, and nothing was in order either.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where ext4's superblock lies in its file system, and what it is known by
/// (<https://docs.kernel.org/filesystems/ext4/super.html>).
const SUPERBLOCK: u64 = 1024;
const MAGIC: u16 = 0xEF53;
/// `s_state`: unmounted in order, without errors.
const VALID: u16 = 1;
/// `s_feature_incompat`: the journal has to be replayed.
const RECOVER: u32 = 0x4;
/// `s_feature_ro_compat`: files were deleted while somebody had them open.
const ORPHANS: u32 = 0x1_0000;
const SECTOR: u64 = 512;

/// Looks at every ext4 of a disk, which is one itself or has a partition table.
///
/// # Errors
/// One was left open, or there is none.
pub(crate) fn all(disk: &Path) -> Result<()> {
    let file = File::open(disk).with_context(|| disk.display().to_string())?;
    let mut found = 0;
    for at in starts(&file, disk)? {
        if let Some(superblock) = superblock(&file, at)? {
            closed(&superblock)
                .with_context(|| format!("the file system at byte {at} of {}", disk.display()))?;
            found += 1;
        }
    }
    ensure!(found > 0, "{} has no ext4", disk.display());
    Ok(())
}

/// Bytes at which file systems may begin.
fn starts(file: &File, disk: &Path) -> Result<Vec<u64>> {
    if superblock(file, 0)?.is_some() {
        return Ok(vec![0]);
    }
    let shell = xshell::Shell::new()?;
    let table = xshell::cmd!(shell, "sfdisk --json {disk}").quiet().read()?;
    let table: Value = serde_json::from_str(&table).context("sfdisk's table")?;
    let partitions = table.pointer("/partitiontable/partitions");
    let partitions = partitions.and_then(Value::as_array).context("no partition")?;
    let start = |part: &Value| Some(part.get("start")?.as_u64()? * SECTOR);
    Ok(partitions.iter().filter_map(start).collect())
}

/// The superblock of an ext4 that begins here; none where there is something else.
fn superblock(file: &File, at: u64) -> Result<Option<[u8; 0x68]>> {
    let mut bytes = [0; 0x68];
    file.read_exact_at(&mut bytes, at + SUPERBLOCK)?;
    Ok((word(&bytes, 0x38) == MAGIC).then_some(bytes))
}

fn closed(superblock: &[u8]) -> Result<()> {
    let long = |at| u32::from(word(superblock, at)) | u32::from(word(superblock, at + 2)) << 16;
    ensure!(word(superblock, 0x3A) == VALID, "has errors");
    ensure!(
        long(0x60) & RECOVER == 0,
        "was left open: its journal has to be replayed"
    );
    ensure!(long(0x64) & ORPHANS == 0, "was left open: it has orphans");
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> u16 {
    let pair = bytes.get(at..at + 2).and_then(|pair| pair.try_into().ok());
    pair.map_or(0, u16::from_le_bytes)
}
