//! The mounts without which nothing else works. Those that are there already are left alone, so the
//! same code serves a machine, whose initramfs mounted some, and a container, whose runtime did.

use super::finish::say;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, umask};
use std::path::Path;

struct Essential {
    target: &'static str,
    kind: &'static str,
    flags: MsFlags,
    data: &'static str,
    /// Something that is only there when it is mounted.
    sign: &'static str,
}

const PLAIN: MsFlags = MsFlags::MS_NOSUID;

/// Mounts them; yields start after boot and duration, milliseconds.
pub(super) fn essentials() -> [u64; 2] {
    let start = super::now();
    // The kernel starts process 1 with an umask of 0.
    umask(Mode::from_bits_truncate(0o022));
    let closed = PLAIN | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let list = [
        Essential {
            target: "/proc",
            kind: "proc",
            flags: closed,
            data: "",
            sign: "/proc/self",
        },
        Essential {
            target: "/sys",
            kind: "sysfs",
            flags: closed,
            data: "",
            sign: "/sys/kernel",
        },
        Essential {
            target: "/dev",
            kind: "devtmpfs",
            flags: PLAIN,
            data: "mode=0755",
            sign: "/dev/null",
        },
        Essential {
            target: "/dev/pts",
            kind: "devpts",
            flags: PLAIN | MsFlags::MS_NOEXEC,
            data: "gid=5,mode=0620,ptmxmode=0666",
            sign: "/dev/pts/ptmx",
        },
        Essential {
            target: "/dev/shm",
            kind: "tmpfs",
            flags: PLAIN | MsFlags::MS_NODEV,
            data: "mode=1777",
            sign: "",
        },
        Essential {
            target: "/run",
            kind: "tmpfs",
            flags: PLAIN | MsFlags::MS_NODEV,
            data: "mode=0755,size=20%",
            sign: "",
        },
        Essential {
            target: "/tmp",
            kind: "tmpfs",
            flags: PLAIN | MsFlags::MS_NODEV,
            data: "mode=1777",
            sign: "",
        },
        Essential {
            target: "/sys/kernel/security",
            kind: "securityfs",
            flags: closed,
            data: "",
            sign: "/sys/kernel/security/lsm",
        },
        Essential {
            target: "/sys/fs/cgroup",
            kind: "cgroup2",
            flags: closed,
            data: "",
            sign: "/sys/fs/cgroup/cgroup.procs",
        },
    ];
    for essential in &list {
        if !is_mounted(essential) {
            mount_one(essential);
        }
    }
    let spent = super::now().saturating_sub(start);
    [start, spent].map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn mount_one(essential: &Essential) {
    // Only fails where the mount below will fail too, and say so.
    let _there = std::fs::create_dir(essential.target);
    let kind = Some(essential.kind);
    match mount(
        kind,
        essential.target,
        kind,
        essential.flags,
        Some(essential.data),
    ) {
        Ok(()) | Err(Errno::EBUSY) => {}
        // A container may not mount; its runtime decides what it has.
        Err(error) => {
            say("aios-init: cannot mount ", essential.target);
            say("aios-init:   ", error.desc());
        }
    }
}

fn is_mounted(essential: &Essential) -> bool {
    if !essential.sign.is_empty() {
        return Path::new(essential.sign).exists();
    }
    // `/proc` comes first, so its table can be read here.
    std::fs::read_to_string("/proc/self/mountinfo").is_ok_and(|table| {
        table
            .lines()
            .any(|line| line.split(' ').nth(4) == Some(essential.target))
    })
}
