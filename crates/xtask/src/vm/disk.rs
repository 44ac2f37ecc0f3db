//! Writes an image of root's store to a disk file, and takes its kernel out.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

use crate::cached::Inputs;
use crate::host::{Host, say};

/// Apparent size; the file is sparse.
const SIZE: &str = "4G";

/// What QEMU starts.
pub(super) struct Boot {
    pub(super) kernel: PathBuf,
    pub(super) disk: PathBuf,
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
    let mounted = host.podman().args(["image", "mount", id]).read()?;
    let root = PathBuf::from(mounted.trim());
    let written = copy_out(host, &root, dir);
    host.podman()
        .args(["image", "unmount", id])
        .ignore_stdout()
        .run()?;
    written
}

fn copy_out(host: &Host, root: &Path, dir: &Path) -> Result<()> {
    let kernels = root.join("usr/lib/modules");
    let sh = &host.shell;
    let listed = host.root_cmd("ls").arg(&kernels).read()?;
    let versions: Vec<&str> = listed.split_whitespace().collect();
    ensure!(
        versions.len() == 1,
        "one kernel expected in the image, found {versions:?}"
    );
    let kernel = kernels.join(versions.concat()).join("vmlinuz");
    host.root_cmd("install")
        .args(["-m", "0644"])
        .arg(&kernel)
        .arg(dir)
        .run()?;
    let (part, disk) = (dir.join("root.part"), dir.join("root.ext4"));
    // The journal and eager inode tables cost time at every boot of a disk that is thrown away.
    host.root_cmd("mkfs.ext4")
        .args([
            "-q",
            "-F",
            "-L",
            "aios-root",
            "-E",
            "lazy_itable_init=1,root_owner=0:0",
            "-d",
        ])
        .arg(root)
        .arg(&part)
        .arg(SIZE)
        .ignore_stdout()
        .run()
        .context("mkfs.ext4: run `cargo xtask setup` first")?;
    let owner = format!(
        "{}:{}",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
    host.root_cmd("chown").arg(owner).arg(&part).run()?;
    xshell::cmd!(sh, "mv {part} {disk}").quiet().run()?;
    Ok(())
}
