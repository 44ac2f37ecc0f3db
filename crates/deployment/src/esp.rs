//! The EFI system partition: the one that this machine's boot loader was started from.
//!
//! systemd-boot leaves its partition's number in the EFI variable `LoaderDevicePartUUID` (Boot Loader Interface); the kernel
//! names partitions by that number in `/sys/class/block`. Nothing is guessed from types or labels: a second disk may have an EFI
//! system partition too.

use crate::error::{DeploymentError, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows EFI's variables, when they are mounted.
pub const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// The boot loader's own variables.
const VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Bytes before a variable's value: its attributes.
const ATTRIBUTES: usize = 4;

/// A mounted partition; unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// Mounts the partition that the boot loader came from at `at`, which is made if needed. Only root may read it, and
    /// nothing on it is run.
    ///
    /// # Errors
    /// The machine was not started by a boot loader that tells its partition; the partition cannot be found or mounted.
    pub fn open(at: &Path, read_only: bool) -> Result<Self> {
        let device = device(Path::new(VARIABLES), Path::new("/sys/class/block"))?;
        fs::create_dir_all(at).map_err(DeploymentError::path("cannot make", at))?;
        let mut flags = MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOSUID;
        if read_only {
            flags |= MsFlags::MS_RDONLY;
        }
        mount(
            Some(&device),
            at,
            Some("vfat"),
            flags,
            Some("umask=0077,shortname=winnt"),
        )
        .map_err(|error| DeploymentError::path("cannot mount the boot partition", &device)(error.into()))?;
        Ok(Self { at: at.to_owned() })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Every change was synced when it was made, so detaching loses nothing.
        let _still_used = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

/// The block device of the boot loader's partition.
fn device(variables: &Path, blocks: &Path) -> Result<PathBuf> {
    let uuid = variable(variables, "LoaderDevicePartUUID").ok_or_else(|| {
        DeploymentError::NoEsp("no boot loader told the partition that it was started from".into())
    })?;
    partition(blocks, &uuid).ok_or_else(|| {
        DeploymentError::NoEsp(format!(
            "no disk has a partition {uuid}, from which the boot loader was started"
        ))
    })
}

/// A variable of the boot loader: text in UTF-16.
fn variable(variables: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(variables.join(format!("{name}-{VENDOR}"))).ok()?;
    let words: Vec<u16> = bytes
        .get(ATTRIBUTES..)?
        .as_chunks()
        .0
        .iter()
        .map(|unit| u16::from_le_bytes(*unit))
        .take_while(|word| *word != 0)
        .collect();
    String::from_utf16(&words).ok()
}

/// The partition of that number, from the kernel's own list.
fn partition(blocks: &Path, uuid: &str) -> Option<PathBuf> {
    let wanted = format!("PARTUUID={uuid}");
    fs::read_dir(blocks).ok()?.flatten().find_map(|block| {
        let text = fs::read_to_string(block.path().join("uevent")).ok()?;
        let here = text.lines().any(|line| line.eq_ignore_ascii_case(&wanted));
        let name = text.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
        here.then(|| Path::new("/dev").join(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_is_the_one_that_the_boot_loader_told() {
        let home = tempfile::tempdir().unwrap();
        let (variables, blocks) = (home.path().join("efivars"), home.path().join("block"));
        let missing = device(&variables, &blocks).unwrap_err();
        assert!(missing.to_string().contains("no boot loader"), "{missing}");
        fs::create_dir_all(&variables).unwrap();
        let mut value = vec![6, 0, 0, 0];
        for unit in "7C9B1F00-1122\0".encode_utf16() {
            value.extend(unit.to_le_bytes());
        }
        fs::write(variables.join(format!("LoaderDevicePartUUID-{VENDOR}")), value).unwrap();
        for (name, uuid) in [("sda1", "aaaa"), ("nvme0n1p1", "7c9b1f00-1122")] {
            fs::create_dir_all(blocks.join(name)).unwrap();
            let text = format!("MAJOR=8\nDEVNAME={name}\nDEVTYPE=partition\nPARTUUID={uuid}\n");
            fs::write(blocks.join(name).join("uevent"), text).unwrap();
        }
        assert_eq!(device(&variables, &blocks).unwrap(), Path::new("/dev/nvme0n1p1"));
        fs::remove_dir_all(blocks.join("nvme0n1p1")).unwrap();
        let gone = device(&variables, &blocks).unwrap_err();
        assert!(gone.to_string().contains("7C9B1F00-1122"), "{gone}");
    }
}
