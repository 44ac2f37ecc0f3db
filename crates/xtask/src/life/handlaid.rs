//! A disk laid by hand, for machines without bootc: a partition table, a boot partition with systemd-boot, and the image's root as it is.
//! A double of bootc's command line stands in for it (`tests/bootc`), recorded from the real one.
//!
//! All deployments run from the one root, and differ in what the boot loader starts: that is what is tried, counted, blessed and
//! fallen back from. `tests/life/handlaid.py` writes them.

use anyhow::Result;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::images;
use crate::cached::Inputs;
use crate::host::{Host, copy, say};
use crate::image::{mounted, take};

/// Bytes of a sector, and where the partitions lie, in sectors.
const SECTOR: u64 = 512;
const BOOT_AT: u64 = 2048;
const BOOT: u64 = 262_144;
const ROOT_AT: u64 = BOOT_AT + BOOT;
/// Bytes of the root's file system.
const ROOT: u64 = 3 << 30;

/// Makes the disk when an input changed; answers a copy of it.
pub(super) fn disk(host: &Host, image: &str) -> Result<PathBuf> {
    let digest = Inputs::default()
        .text(&host.image_id(image)?)
        .path(&host.root.join("tests/life"))?
        .path(&host.root.join("tests/bootc/bootc"))?
        .digest();
    let cache = host.cache.join("hand-laid");
    let dir = cache.join(digest);
    let made = dir.join("made.raw");
    if !made.exists() {
        host.root_cmd("rm").arg("-rf").arg(&cache).run()?;
        host.shell.create_dir(&dir)?;
        lay(host, image, &dir, &made)?;
        say("life: a disk is laid by hand");
    }
    let disk = dir.join("hand-laid.raw");
    copy(&made, &disk)?;
    // Other firmware variables would name another boot.
    let _old = std::fs::remove_file(disk.with_extension("vars"));
    Ok(disk)
}

fn lay(host: &Host, image: &str, dir: &Path, made: &Path) -> Result<()> {
    let (kernel, loader) = (dir.join("vmlinuz"), dir.join("loader.efi"));
    mounted::with(host, image, |root| {
        take::kernel(host, root, &kernel)?;
        take::loader(host, root, &loader)
    })?;
    let (laid, double) = (dir.join("laid"), host.root.join("tests/bootc/bootc"));
    host.shell.create_dir(&laid)?;
    let script = host.root.join("tests/life/handlaid.py");
    let sh = &host.shell;
    xshell::cmd!(sh, "python3 {script} {double} {kernel} {laid}")
        .quiet()
        .run()?;
    let name = images::build_with(
        host,
        image,
        "handlaid",
        &[("laid", &laid), ("double", &host.root.join("tests/bootc"))],
    )?;
    let (boot, root) = (dir.join("boot.vfat"), dir.join("root.ext4"));
    boot_partition(host, &laid.join("esp"), &loader, &boot)?;
    mounted::with(host, &name, |tree| {
        take::ext4(host, tree, &root, &format!("{}k", ROOT >> 10))
    })?;
    let part = made.with_extension("part");
    table(host, &part)?;
    for (file, at) in [(&boot, BOOT_AT), (&root, ROOT_AT)] {
        insert(file, &part, at * SECTOR)?;
        std::fs::remove_file(file)?;
    }
    std::fs::rename(part, made)?;
    Ok(())
}

/// The boot partition's file system, by mtools: this machine's kernel may not know FAT.
fn boot_partition(host: &Host, files: &Path, loader: &Path, to: &Path) -> Result<()> {
    let sh = &host.shell;
    std::fs::File::create(to)?.set_len(BOOT * SECTOR)?;
    let sectors = BOOT.to_string();
    xshell::cmd!(sh, "mformat -i {to} -F -T {sectors} -v EFI-SYSTEM ::")
        .quiet()
        .run()?;
    let (entries, kernels) = (files.join("loader"), files.join("EFI"));
    xshell::cmd!(sh, "mcopy -s -i {to} {entries} {kernels} ::")
        .quiet()
        .run()?;
    xshell::cmd!(sh, "mmd -i {to} ::/EFI/BOOT").quiet().run()?;
    xshell::cmd!(sh, "mcopy -i {to} {loader} ::/EFI/BOOT/BOOTX64.EFI")
        .quiet()
        .run()?;
    Ok(())
}

/// An empty disk with a partition table. The numbers are those that `tests/life/handlaid.py` writes on the kernel's command line.
fn table(host: &Host, disk: &Path) -> Result<()> {
    let sh = &host.shell;
    let root = ROOT / SECTOR;
    let end = ROOT_AT * SECTOR + ROOT + (1 << 20);
    std::fs::File::create(disk)?.set_len(end)?;
    let script = format!(
        "label: gpt\n\
         start={BOOT_AT}, size={BOOT}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=A105A105-0000-4000-8000-000000000001\n\
         start={ROOT_AT}, size={root}, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=A105A105-0000-4000-8000-000000000002\n"
    );
    xshell::cmd!(sh, "sfdisk --quiet {disk}")
        .stdin(script)
        .quiet()
        .run()?;
    Ok(())
}

/// Writes a file system's file into a disk, and leaves its holes holes.
pub(super) fn insert(file: &Path, disk: &Path, at: u64) -> Result<()> {
    let (from, to) = (
        std::fs::File::open(file)?,
        std::fs::File::options().write(true).open(disk)?,
    );
    let mut bytes = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let count = from.read_at(&mut bytes, done)?;
        let Some(read) = bytes.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(());
        };
        if read.iter().any(|byte| *byte != 0) {
            to.write_all_at(read, at + done)?;
        }
        done += count as u64;
    }
}
