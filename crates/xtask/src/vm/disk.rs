//! Writes an image of root's store to a disk file, and takes its kernel out.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

use crate::cached::Inputs;
use crate::host::{Host, say};
use crate::image::{mounted, take};

/// Apparent size; the file is sparse.
const SIZE: &str = "4G";

/// What QEMU starts.
pub(super) struct Boot {
    pub(super) kernel: PathBuf,
    pub(super) disk: PathBuf,
    /// Where a copy of it may be made.
    pub(super) scratch: PathBuf,
}

/// What an image gets beside what it is.
#[derive(Clone, Copy)]
pub(super) enum Extra {
    /// The self-test.
    Test,
    /// A root shell on the serial console.
    Shell,
}

/// The same image with a person to approve and one more service.
pub(super) fn with(host: &Host, image: &str, extra: Extra) -> Result<String> {
    let target = match extra {
        Extra::Test => "test",
        Extra::Shell => "shell",
    };
    let dir = host.root.join("tests/vm");
    let digest = Inputs::default()
        .text(&host.image_id(image)?)
        .path(&dir)?
        .digest();
    let name = format!("localhost/aios-vm-{target}");
    let tagged = format!("{name}:{digest}");
    if !host.has_image(&tagged)? {
        host.podman()
            .args([
                "build",
                "--quiet",
                "--isolation",
                "chroot",
                "--layers=false",
                "--target",
                target,
            ])
            .arg("--build-arg")
            .arg(format!("IMAGE={image}"))
            .args(["--tag", &tagged])
            .arg(&dir)
            .ignore_stdout()
            .ignore_stderr()
            .run()
            .with_context(|| format!("add the {target} to the image"))?;
        host.keep_only(&name, &digest)?;
    }
    Ok(tagged)
}

/// The image's kernel and disk, made once an image. `kept` names a disk that outlives the boot.
pub(super) fn ensure(host: &Host, image: &str, kept: Option<&Path>) -> Result<Boot> {
    let id = host.image_id(image)?;
    let cache = host.cache.join("vm");
    let dir = cache.join(id.chars().take(16).collect::<String>());
    let boot = Boot {
        kernel: dir.join("vmlinuz"),
        scratch: dir.join("scratch.ext4"),
        disk: kept.map_or_else(|| dir.join("root.ext4"), |path| host.root.join(path)),
    };
    if !dir.join("root.ext4").exists() {
        // Only the newest image's disk is worth its room.
        host.root_cmd("rm").arg("-rf").arg(&cache).run()?;
        host.shell.create_dir(&dir)?;
        write(host, &id, &dir)?;
        say(&format!("vm: disk of {image} written"));
    }
    if !boot.disk.exists() {
        host.shell.copy_file(dir.join("root.ext4"), &boot.disk)?;
    }
    Ok(boot)
}

fn write(host: &Host, id: &str, dir: &Path) -> Result<()> {
    mounted::with(host, id, |root| {
        take::kernel(host, root, &dir.join("vmlinuz"))?;
        take::ext4(host, root, &dir.join("root.ext4"), SIZE)
    })
}
