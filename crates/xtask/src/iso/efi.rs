//! The EFI system partition of a medium: boot loader, its menu, kernel and initramfs.

use anyhow::{Context, Result};
use std::path::Path;

use crate::host::Host;

/// What every entry of the menu has: PID 1, and not to wait for a root file system on some disk.
const OPTIONS: &str = "init=/usr/lib/aios/bin/aios-init systemd.gpt_auto=0 panic=30";
/// Room for the file system itself, bytes.
const SPARE: u64 = 4 << 20;

/// Writes `boot/efi.img` of the medium, with what `tree` has, and `append` for the first entry's kernel.
pub(super) fn write(host: &Host, tree: &Path, append: &str) -> Result<()> {
    let sh = &host.shell;
    let (files, boot) = (tree.join("efi"), tree.join("cd/boot"));
    sh.remove_path(&files)?;
    sh.remove_path(&boot)?;
    sh.create_dir(&boot)?;
    sh.create_dir(files.join("EFI/BOOT"))?;
    sh.create_dir(files.join("loader/entries"))?;
    sh.copy_file(tree.join("loader.efi"), files.join("EFI/BOOT/BOOTX64.EFI"))?;
    for name in ["vmlinuz", "initramfs.img"] {
        sh.copy_file(tree.join(name), files.join(name))?;
    }
    sh.write_file(
        files.join("loader/loader.conf"),
        "timeout 5\ndefault 1-install.conf\n",
    )?;
    for (name, text) in entries(append) {
        sh.write_file(files.join("loader/entries").join(name), text)?;
    }
    let mut size = SPARE;
    for name in ["vmlinuz", "initramfs.img", "loader.efi"] {
        size += std::fs::metadata(tree.join(name))
            .with_context(|| tree.join(name).display().to_string())?
            .len();
    }
    let image = boot.join("efi.img");
    std::fs::File::create(&image)?.set_len(size.next_multiple_of(1 << 20))?;
    xshell::cmd!(sh, "mkfs.vfat -n AIOS_EFI {image}")
        .quiet()
        .ignore_stdout()
        .run()
        .context("mkfs.vfat: run `cargo xtask setup --for image` first")?;
    let mut names = std::fs::read_dir(&files)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    xshell::cmd!(sh, "mcopy -s -i {image}")
        .args(names)
        .arg("::/")
        .quiet()
        .run()
        .context("mcopy: run `cargo xtask setup --for image` first")
}

/// The menu. The last console of a command line is the one on which a person is asked.
fn entries(append: &str) -> [(&'static str, String); 3] {
    let entry = |title: &str, consoles: &str, more: &str| {
        format!("title {title}\nlinux /vmlinuz\ninitrd /initramfs.img\noptions {OPTIONS} {consoles} {more}\n")
    };
    let (screen, serial) = (
        "console=ttyS0 console=tty1 quiet",
        "console=tty1 console=ttyS0 quiet",
    );
    [
        ("1-install.conf", entry("Install aiOS", screen, append)),
        (
            "2-serial.conf",
            entry(
                "Install aiOS, asked on the serial console",
                serial,
                "aios.install=ask",
            ),
        ),
        ("3-live.conf", entry("Try aiOS without installing it", screen, "")),
    ]
}

#[cfg(test)]
mod tests {
    use super::entries;

    #[test]
    fn only_the_first_entry_installs_without_asking_and_the_last_never_does() {
        let [(_, first), (_, serial), (_, live)] = entries("aios.install=auto");
        assert!(
            first.contains("console=tty1 quiet aios.install=auto\n"),
            "{first}"
        );
        assert!(
            serial.contains("console=ttyS0 quiet aios.install=ask\n"),
            "{serial}"
        );
        assert!(!live.contains("aios.install"), "{live}");
        for entry in [first, serial, live] {
            assert!(entry.contains("init=/usr/lib/aios/bin/aios-init"), "{entry}");
        }
    }
}
