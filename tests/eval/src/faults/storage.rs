//! Space: a full file system, forgotten temporary files, one directory that takes it all.

use super::file;
use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use anyhow::{Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(DiskFull),
        Box::new(OldTemporaryFiles),
        Box::new(BigDirectory),
    ]
}

/// A file system of its own, in memory; it goes away with this.
#[derive(Debug)]
pub(super) struct Mounted(PathBuf);

impl Mounted {
    pub(super) fn new(dir: &Path, mib: u64) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let options = CString::new(format!("size={mib}m,mode=755"))?;
        mount(
            "tmpfs",
            dir,
            "tmpfs",
            MountFlags::empty(),
            Some(options.as_c_str()),
        )?;
        Ok(Self(dir.to_owned()))
    }

    /// The same, belonging to somebody.
    pub(super) fn owned(self, uid: u32) -> Result<Self> {
        chown(&self.0, Some(uid), Some(uid))?;
        Ok(self)
    }

    /// The same, not to be written from now on.
    pub(super) fn read_only(self) -> Result<Self> {
        mount_remount(&self.0, MountFlags::RDONLY, "")?;
        Ok(self)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Detached, it goes away with the last process that still looks at it; the directory then cannot be removed, and
        // the next run says so.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Space used on the file system of a path, percent.
fn used_percent(path: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok((stat.f_blocks - stat.f_bfree) * 100 / stat.f_blocks.max(1))
}

/// A file system filled by rotated logs that nobody needs any more, beside data that must stay.
struct DiskFull;

impl Fault for DiskFull {
    fn name(&self) -> &'static str {
        "disk-full"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let dir = place.dir.join(random.name()?);
        let mib = random.between(24, 48);
        let held = Mounted::new(&dir, mib)?;
        let app = random.name()?;
        let data = dir.join("data").join(format!("{app}.db"));
        file(&data, mib * MIB / 5, 0)?;
        file(&dir.join("log").join(format!("{app}.log")), 40_000, 0)?;
        let rotated = random.between(3, 7);
        let each = if broken {
            mib * MIB * 78 / 100 / rotated
        } else {
            20_000
        };
        let mut needed = Vec::new();
        for number in 1..=rotated {
            let log = dir.join("log").join(format!("{app}.log.{number}"));
            file(&log, each, 3 + number * 2)?;
            needed.push(log);
        }
        let text = dir.display().to_string();
        Ok(Made {
            goal: format!("why is the disk {text} full? find out and fix it"),
            wanted: broken.then_some(Wanted {
                cause: "disk_full",
                subject: text,
                repairs: true,
            }),
            needed,
            healthy: Box::new(move || {
                let used = used_percent(&dir)?;
                ensure!(used < 85, "{used} % are used");
                ensure!(data.exists(), "the data is gone");
                Ok(())
            }),
            _held: vec![Box::new(held)],
        })
    }
}

/// Temporary files of long ago beside fresh ones.
struct OldTemporaryFiles;

impl Fault for OldTemporaryFiles {
    fn name(&self) -> &'static str {
        "old-temporary-files"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let dir = place.dir.join(random.name()?);
        let days = random.between(5, 40);
        let fresh = dir.join(format!("{}.tmp", random.name()?));
        file(&fresh, random.between(1, 90_000), 0)?;
        let mut needed = Vec::new();
        if broken {
            for number in 0..random.between(2, 9) {
                let old = dir.join(random.name()?).join(format!("session-{number}"));
                file(&old, random.between(0, 90_000), days + 1 + number)?;
                needed.push(old);
            }
        }
        let text = dir.display().to_string();
        let gone = needed.clone();
        Ok(Made {
            goal: format!("delete temporary files under {text} older than {days} days"),
            wanted: broken.then_some(Wanted {
                cause: "old_files",
                subject: text,
                repairs: true,
            }),
            needed,
            healthy: Box::new(move || {
                ensure!(fresh.exists(), "a fresh file is gone");
                let left = gone.iter().filter(|path| path.exists()).count();
                ensure!(left == 0, "{left} old files are still there");
                Ok(())
            }),
            _held: Vec::new(),
        })
    }
}

/// One directory of several takes nearly everything.
struct BigDirectory;

impl Fault for BigDirectory {
    fn name(&self) -> &'static str {
        "biggest-consumer"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let dir = place.dir.join(random.name()?);
        fs::create_dir_all(&dir)?;
        let names: Vec<String> = (0..4)
            .map(|number| Ok(format!("{}-{number}", random.name()?)))
            .collect::<Result<_>>()?;
        let big = random.one_of(&names)?.clone();
        if broken {
            for name in &names {
                let bytes = if *name == big {
                    random.between(9, 20) * MIB
                } else {
                    random.between(1, 200_000)
                };
                file(&dir.join(name).join("content"), bytes, 1)?;
            }
        }
        Ok(Made {
            goal: format!("what takes most space under {}", dir.display()),
            wanted: broken.then_some(Wanted {
                cause: "biggest_consumers",
                subject: dir.display().to_string(),
                repairs: false,
            }),
            needed: Vec::new(),
            healthy: Box::new(|| Ok(())),
            _held: Vec::new(),
        })
    }
}
