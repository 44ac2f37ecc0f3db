//! A disk that somebody put in for the first boot, known by the name of its file system.

use super::{Given, cloud};
use crate::boot::hardware::tool;
use crate::error::{InitError, Result};
use aios_core::paths::Paths;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LABELS: [&str; 3] = ["AIOS-CONFIG", "CIDATA", "cidata"];
/// What such disks are formatted with.
const KINDS: [&str; 3] = ["iso9660", "vfat", "ext4"];
const FILES: [&str; 2] = ["meta-data", "user-data"];
/// Longest file that is read, bytes.
const LARGEST: u64 = 64 * 1024;

/// What the disk gives; nothing where there is none.
pub(super) fn given(paths: &Paths) -> Result<Given> {
    // Only at a first boot: disks may still be on their way, and it is worth a moment to wait for them.
    if let Err(error) = tool("/usr/bin/udevadm", &["settle", "--timeout=5"]) {
        tracing::warn!(%error, "not every device is there yet");
    }
    let Some(device) = LABELS.iter().find_map(|label| device_called(label)) else {
        return Ok(Given::default());
    };
    let place = paths.run.join("init").join("given");
    fs::create_dir_all(&place).map_err(InitError::path("cannot make", &place))?;
    mount_any(&device, &place)?;
    let given = read(&place);
    umount2(&place, MntFlags::MNT_DETACH).map_err(InitError::system("cannot unmount the given disk"))?;
    given
}

fn device_called(label: &str) -> Option<PathBuf> {
    let output = Command::new("/usr/sbin/blkid")
        .args(["--cache-file", "/dev/null", "--label", label])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let path = text.lines().next()?.trim();
    (output.status.success() && path.starts_with("/dev/")).then(|| PathBuf::from(path))
}

/// Mounts it so that nothing on it can run or be a device.
fn mount_any(device: &Path, place: &Path) -> Result<()> {
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let mut last = nix::errno::Errno::ENODEV;
    for kind in KINDS {
        match mount(Some(device), place, Some(kind), flags, None::<&str>) {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(InitError::path("cannot mount", device)(last.into()))
}

fn read(place: &Path) -> Result<Given> {
    let mut given = Given::default();
    for name in FILES {
        let path = place.join(name);
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        if !meta.is_file() || meta.len() > LARGEST {
            given
                .ignored
                .push(format!("{name}, which is no file of at most 64 KiB"));
            continue;
        }
        let text = fs::read_to_string(&path).map_err(InitError::path("cannot read", &path))?;
        given = given.and("a disk", cloud::read(name, &text));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read_and_what_is_no_file_is_not() {
        let disk = tempfile::tempdir().unwrap();
        assert_eq!(read(disk.path()).unwrap(), Given::default());
        fs::write(disk.path().join("meta-data"), "local-hostname: box\n").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", disk.path().join("user-data")).unwrap();
        let given = read(disk.path()).unwrap();
        assert_eq!(given.hostname.as_deref(), Some("box"));
        assert!(given.ignored[0].starts_with("user-data"), "{given:?}");
        fs::remove_file(disk.path().join("user-data")).unwrap();
        fs::write(
            disk.path().join("user-data"),
            "ssh_authorized_keys: [ssh-rsa AAAA]\n",
        )
        .unwrap();
        assert_eq!(read(disk.path()).unwrap().keys, ["ssh-rsa AAAA"]);
    }
}
