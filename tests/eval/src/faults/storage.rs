//! Space: a full file system, forgotten temporary files, one directory that takes it all.

use super::file;
use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use anyhow::{Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use std::cell::RefCell;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::rc::Rc;

const MIB: u64 = 1 << 20;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(DiskFull),
        Box::new(OldTemporaryFiles),
        Box::new(BigDirectory),
        Box::new(DeletedButOpen),
        Box::new(NoInodes),
    ]
}

/// A file system of its own, in memory; it goes away with this.
#[derive(Debug)]
pub(super) struct Mounted(PathBuf);

impl Mounted {
    pub(super) fn new(dir: &Path, mib: u64) -> Result<Self> {
        Self::with(dir, &format!("size={mib}m,mode=755"))
    }

    fn with(dir: &Path, options: &str) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let options = CString::new(options)?;
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

/// A process that sleeps with files open; ended when this goes away.
struct Holder(Rc<RefCell<Child>>);

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have been ended by the repair.
        let mut child = self.0.borrow_mut();
        drop(child.kill());
        drop(child.wait());
    }
}

/// A deleted file whose space a process keeps.
struct DeletedButOpen;

impl Fault for DeletedButOpen {
    fn name(&self) -> &'static str {
        "deleted-but-open"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let dir = place.dir.join(random.name()?);
        let mib = random.between(8, 40);
        let held = Mounted::new(&dir, mib)?;
        let name = random.name()?;
        // Named as its process is to be.
        let program = place.dir.join(&name);
        fs::copy("/bin/sleep", &program)?;
        let log = dir.join(format!("{}.log", random.name()?));
        let bytes = mib * MIB * random.between(50, 80) / 100;
        file(&log, if broken { bytes } else { 4_000 }, 0)?;
        // One with a name beside it, and one too small to be worth anything.
        let (kept, small) = (dir.join("kept"), dir.join("small"));
        file(&kept, mib * MIB / 10, 0)?;
        file(&small, random.between(1, 4_000), 0)?;
        let child = Command::new(&program)
            .arg("3600")
            .stdin(File::open(&kept)?)
            .stdout(File::options().append(true).open(&log)?)
            .stderr(File::options().append(true).open(&small)?)
            .spawn()?;
        let pid = child.id();
        let child = Rc::new(RefCell::new(child));
        fs::remove_file(&log)?;
        fs::remove_file(&small)?;
        let text = dir.display().to_string();
        let holder = Rc::clone(&child);
        Ok(Made {
            goal: random
                .one_of(&[
                    format!("find deleted files that are still open under {text} and fix it"),
                    format!("which processes hold deleted files open under {text}? fix it"),
                ])?
                .clone(),
            wanted: broken.then(|| Wanted {
                cause: "deleted_open",
                subject: format!("process {pid}\n{name}\n{}", log.display()),
                repairs: true,
            }),
            needed: Vec::new(),
            healthy: Box::new(move || {
                let ended = holder.borrow_mut().try_wait()?.is_some();
                ensure!(ended == broken, "process {pid} has ended: {ended}");
                let used = used_percent(&dir)?;
                ensure!(used < 20, "{used} % are used");
                ensure!(kept.exists(), "a file with a name is gone");
                Ok(())
            }),
            _held: vec![Box::new(Holder(child)), Box::new(held)],
        })
    }
}

/// A file system with much space and no room for another file: sessions that nobody tidied up.
struct NoInodes;

impl Fault for NoInodes {
    fn name(&self) -> &'static str {
        "out-of-inodes"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let dir = place.dir.join(random.name()?);
        let inodes = random.between(300, 1500);
        let held = Mounted::with(&dir, &format!("size=32m,nr_inodes={inodes},mode=755"))?;
        let data = dir.join(random.name()?).join("letter-1");
        file(&data, 1_000, 30)?;
        let sessions = dir.join(random.name()?);
        let style = random.between(0, 2);
        let name = |number: u64| match style {
            0 => sessions.join(format!("sess_{number:x}")),
            1 => sessions.join(format!("upload{number}.tmp")),
            _ => sessions.join("tmp").join(format!("{number}")),
        };
        let fresh = name(0);
        file(&fresh, 20, 0)?;
        let mut needed = Vec::new();
        for number in 1.. {
            let left = rustix::fs::statvfs(&dir)?.f_ffree;
            if left == 0 || (!broken && number > inodes / 10) {
                break;
            }
            file(&name(number), random.between(0, 60), 3 + number % 20)?;
            needed.push(name(number));
        }
        let text = dir.display().to_string();
        let crowded = fresh.parent().unwrap_or(&sessions).display().to_string();
        Ok(Made {
            goal: random
                .one_of(&[
                    format!("why is the disk {text} out of inodes? find out and fix it"),
                    format!("why can no more files be made in {text}? fix it"),
                    format!("check the inodes of {text} and fix it"),
                ])?
                .clone(),
            wanted: broken.then(|| Wanted {
                cause: "inodes_full",
                subject: format!("{text}\nmost files are in {crowded}"),
                repairs: true,
            }),
            needed,
            healthy: Box::new(move || {
                let left = rustix::fs::statvfs(&dir)?.f_ffree;
                ensure!(left > inodes / 2, "only {left} of {inodes} inodes are free");
                ensure!(
                    data.exists() && fresh.exists(),
                    "data, or a fresh session, is gone"
                );
                let new = dir.join("new");
                fs::write(&new, "")?;
                Ok(fs::remove_file(new)?)
            }),
            _held: vec![Box::new(held)],
        })
    }
}
