//! Installing: a machine that boots the image from a plain disk, and has bootc lay it on an empty one. Done once an image; each
//! scenario begins with a copy of the installed disk.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::handlaid::insert;
use super::images;
use super::machine::{Disk, Machine, ROOT, Start};
use crate::cached::Inputs;
use crate::host::{Host, copy, say};
use crate::image::{mounted, take};

/// Apparent size of the disk that is installed on; the file is sparse.
const SIZE: u64 = 12 << 30;
/// Emulated, an installation takes one to two minutes on an idle machine.
const LIMIT: Duration = Duration::from_mins(15);
/// Size of the file system that the installer boots from.
const INSTALLER: &str = "3G";
/// Where its partition begins, bytes.
const FIRST: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// The images of one life, and the disk on which the first is installed.
pub(crate) struct Bed {
    dir: PathBuf,
}

impl Bed {
    /// Makes what is missing.
    pub(crate) fn prepare(host: &Host, image: &str, fresh: bool) -> Result<Self> {
        let digest = Inputs::default()
            .text(&host.image_id(image)?)
            .path(&host.root.join("tests/life"))?
            .digest();
        let cache = host.cache.join("life");
        let bed = Self {
            dir: cache.join(digest),
        };
        if fresh || !bed.installed().exists() {
            // Only the newest image's disks are worth their room.
            host.root_cmd("rm").arg("-rf").arg(&cache).run()?;
            host.shell.create_dir(&bed.dir)?;
            images::disk(host, image, &bed.dir, &bed.images())?;
            bed.install(host, image)?;
        }
        Ok(bed)
    }

    /// Where everything of it lies.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The disk with the images that a machine updates to.
    pub(crate) fn images(&self) -> PathBuf {
        self.dir.join("images.ext4")
    }

    fn installed(&self) -> PathBuf {
        self.dir.join("installed.raw")
    }

    /// A copy of the installed disk.
    pub(crate) fn disk(&self, name: &str) -> Result<PathBuf> {
        let to = self.dir.join(format!("{name}.raw"));
        copy(&self.installed(), &to)?;
        let _old = std::fs::remove_file(to.with_extension("vars"));
        Ok(to)
    }

    fn install(&self, host: &Host, image: &str) -> Result<()> {
        let installer = images::build(host, image, "install")?;
        let (root, kernel) = (self.dir.join("installer.raw"), self.dir.join("vmlinuz"));
        let tree = self.dir.join("installer.tree");
        mounted::with(host, &installer, |mounted| {
            take::kernel(host, mounted, &kernel)?;
            take::ext4(host, mounted, &tree, INSTALLER)
        })?;
        partitioned(host, &tree, &root)?;
        std::fs::remove_file(tree)?;
        say("life: installing by bootc in a virtual machine (one to two minutes)");
        let target = self.dir.join("target.raw");
        std::fs::File::create(&target)?.set_len(SIZE)?;
        let (report, console) = (self.dir.join("install.report"), self.dir.join("install.console"));
        let disk = |file: &Path, serial, keep| Disk {
            file: file.to_owned(),
            serial,
            keep,
            log: None,
        };
        let machine = Machine {
            start: Start::Kernel(kernel),
            disks: vec![
                disk(&root, "root", false),
                disk(&self.images(), "images", false),
                disk(&target, "target", true),
            ],
            console: console.clone(),
            port: None,
            report: Some(report.clone()),
            network: None,
            given: Vec::new(),
            once: true,
        };
        machine.start()?.wait(LIMIT)?;
        let said = std::fs::read(&report).with_context(|| report.display().to_string())?;
        let said = String::from_utf8_lossy(&said);
        ensure!(
            said.contains("{\"installed\": true}"),
            "bootc did not install; it said:\n{}\nand the console ends with:\n{}",
            tail(&said, 30),
            tail(
                &String::from_utf8_lossy(&std::fs::read(&console).unwrap_or_default()),
                30
            )
        );
        std::fs::remove_file(root)?;
        std::fs::rename(target, self.installed())?;
        Ok(())
    }
}

/// A disk with one partition, by whose number the kernel finds it.
fn partitioned(host: &Host, file: &Path, disk: &Path) -> Result<()> {
    let (sh, size) = (&host.shell, std::fs::metadata(file)?.len());
    // Before it and after it there is room for the table.
    std::fs::File::create(disk)?.set_len(FIRST + size + FIRST)?;
    let sectors = (FIRST / SECTOR, size / SECTOR);
    let script = format!(
        "label: gpt\nstart={}, size={}, uuid={ROOT}\n",
        sectors.0, sectors.1
    );
    xshell::cmd!(sh, "sfdisk --quiet {disk}")
        .stdin(script)
        .quiet()
        .run()?;
    insert(file, disk, FIRST)
}

/// The last lines of a text.
pub(super) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default()
        .join("\n")
}
