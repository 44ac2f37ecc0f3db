//! What a machine is started from, taken out of an image's root directory ([`super::mounted`]): kernel, boot loader, and the root
//! itself as a file system. Only root may look into that directory; what is taken belongs to who runs this.

use anyhow::{Context, Result, ensure};
use std::path::Path;

use crate::host::Host;

/// A copy of one file.
pub(crate) fn file(host: &Host, from: &Path, to: &Path) -> Result<()> {
    host.root_cmd("install")
        .args(["-m", "0644"])
        .arg(from)
        .arg(to)
        .run()
        .with_context(|| format!("take {}", from.display()))?;
    owned(host, to)
}

/// The kernel, of which an image has exactly one.
pub(crate) fn kernel(host: &Host, root: &Path, to: &Path) -> Result<()> {
    let modules = root.join("usr/lib/modules");
    let listed = host.root_cmd("ls").arg(&modules).read()?;
    let versions: Vec<&str> = listed.split_whitespace().collect();
    ensure!(
        versions.len() == 1,
        "one kernel expected in the image, found {versions:?}"
    );
    file(host, &modules.join(versions.concat()).join("vmlinuz"), to)
}

/// systemd-boot: Debian's signed one where there is one, as bootctl(1) takes it.
pub(crate) fn loader(host: &Host, root: &Path, to: &Path) -> Result<()> {
    let dir = root.join("usr/lib/systemd/boot/efi");
    let listed = host.root_cmd("ls").arg(&dir).read()?;
    let name = ["systemd-bootx64.efi.signed", "systemd-bootx64.efi"]
        .into_iter()
        .find(|name| listed.split_whitespace().any(|it| it == *name))
        .with_context(|| format!("no systemd-boot in {}", dir.display()))?;
    file(host, &dir.join(name), to)
}

/// The whole root as an ext4 file system named `aios-root`; `size` as mke2fs(8) reads it. It appears when it is complete.
pub(crate) fn ext4(host: &Host, root: &Path, to: &Path, size: &str) -> Result<()> {
    let part = to.with_extension("part");
    // Eager inode tables cost time at every boot of a disk that is thrown away.
    host.root_cmd("mkfs.ext4")
        .args(["-q", "-F", "-L", "aios-root"])
        .args(["-E", "lazy_itable_init=1,root_owner=0:0", "-d"])
        .arg(root)
        .arg(&part)
        .arg(size)
        .ignore_stdout()
        .run()
        .context("mkfs.ext4: run `cargo xtask setup --for vm` first")?;
    owned(host, &part)?;
    std::fs::rename(&part, to).with_context(|| format!("write {}", to.display()))
}

/// Gives a file that root made to who runs this.
pub(crate) fn owned(host: &Host, file: &Path) -> Result<()> {
    let owner = format!(
        "{}:{}",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
    host.root_cmd("chown").arg(owner).arg(file).run()?;
    Ok(())
}
