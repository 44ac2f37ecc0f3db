//! cgroup v2 directories: making, limiting, delegating, counting, killing, removing.
//!
//! Placement itself happens in the child ([`crate::plan::Plan::cgroup`]), so that no instruction of the
//! confined program runs outside its group.

use crate::error::{ConfineError, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, chown};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Controllers that services and agents use.
pub const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "io"];

/// A cgroup, by its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

/// Limits of a cgroup; none leaves the kernel's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes of memory from which on it is slowed down and has to give some back.
    pub memory_high_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Share of processor time, 1 to 10000.
    pub cpu_weight: Option<u64>,
    /// Share of disk time, 1 to 10000; without effect where the kernel knows no weights of disks.
    pub io_weight: Option<u64>,
    /// Whether all of it ends when memory runs out, not one process of it.
    pub whole: bool,
}

impl Cgroup {
    /// Makes the directory and those above it.
    ///
    /// # Errors
    /// The hierarchy is not writable.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let group = Self { path: path.into() };
        fs::create_dir_all(&group.path).map_err(|source| group.error(source))?;
        Ok(group)
    }

    /// One that exists, or existed.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets groups below this one use those of [`CONTROLLERS`] that the machine has; yields them.
    ///
    /// # Errors
    /// The group holds processes itself, or is not writable.
    pub fn enable_controllers(&self) -> Result<Vec<&'static str>> {
        let have = fs::read_to_string(self.path.join("cgroup.controllers")).map_err(|e| self.error(e))?;
        let mut enabled = Vec::new();
        for name in CONTROLLERS
            .into_iter()
            .filter(|name| have.split_whitespace().any(|h| h == *name))
        {
            self.write("cgroup.subtree_control", &format!("+{name}"))?;
            enabled.push(name);
        }
        Ok(enabled)
    }

    /// Sets limits; the controllers must be enabled above.
    ///
    /// # Errors
    /// A controller is missing.
    pub fn limit(&self, limits: &Limits) -> Result<()> {
        let wanted = [
            ("memory.max", limits.memory_bytes),
            ("memory.high", limits.memory_high_bytes),
            (
                "memory.oom.group",
                limits.memory_bytes.map(|_| u64::from(limits.whole)),
            ),
            ("pids.max", limits.pids),
            ("cpu.weight", limits.cpu_weight),
            (
                "io.weight",
                limits.io_weight.filter(|_| self.path.join("io.weight").exists()),
            ),
        ];
        for (file, value) in wanted {
            if let Some(value) = value {
                self.write(file, &value.to_string())?;
            }
        }
        Ok(())
    }

    /// Whether its processes run only where nobody else wants the processor (`cpu.idle`, Linux 5.15), or as others do.
    ///
    /// # Errors
    /// The controller is missing, or the kernel does not know it.
    pub fn stand_back(&self, idle: bool) -> Result<()> {
        self.write("cpu.idle", if idle { "1" } else { "0" })
    }

    /// Gives the group to a user: it may make groups below and move its own processes among them.
    ///
    /// # Errors
    /// Not root, or a file is missing.
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            let path = if name.is_empty() {
                self.path.clone()
            } else {
                self.path.join(name)
            };
            chown(&path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(|e| self.error(e.into()))?;
        }
        Ok(())
    }

    /// Processes in this group and all below it. A group that is gone has none.
    ///
    /// # Errors
    /// The hierarchy cannot be read.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut found = Vec::new();
        self.collect(&self.path, &mut found)
            .map_err(|source| self.error(source))?;
        Ok(found)
    }

    fn collect(&self, directory: &Path, found: &mut Vec<i32>) -> io::Result<()> {
        let text = match fs::read_to_string(directory.join("cgroup.procs")) {
            Ok(text) => text,
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        for child in subdirectories(directory)? {
            self.collect(&child, found)?;
        }
        Ok(())
    }

    /// Sends a signal to every process in it and below; how many were reached.
    ///
    /// # Errors
    /// The hierarchy cannot be read.
    pub fn signal(&self, signal: Signal) -> Result<usize> {
        let reached = self
            .processes()?
            .into_iter()
            .filter(|pid| kill(Pid::from_raw(*pid), signal).is_ok());
        Ok(reached.count())
    }

    /// Kills everything in it and below, at once where the kernel can (`cgroup.kill`).
    ///
    /// # Errors
    /// The hierarchy cannot be read.
    pub fn kill(&self) -> Result<()> {
        match fs::write(self.path.join("cgroup.kill"), "1") {
            Ok(()) => Ok(()),
            Err(error) if gone(&error) && !self.path.exists() => Ok(()),
            Err(_) => self.signal(Signal::SIGKILL).map(|_| ()),
        }
    }

    /// Removes the empty group and the empty groups below it. That it is gone is no error.
    ///
    /// # Errors
    /// A process is still in it.
    pub fn remove(&self) -> Result<()> {
        remove_tree(&self.path).map_err(|source| self.error(source))
    }

    /// Bytes of memory in use, or none without the memory controller.
    pub fn memory_bytes(&self) -> Option<u64> {
        fs::read_to_string(self.path.join("memory.current"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Processes in it and below that the kernel killed because memory ran out, or none without the memory
    /// controller.
    pub fn oom_kills(&self) -> Option<u64> {
        let text = fs::read_to_string(self.path.join("memory.events")).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill "))?
            .trim()
            .parse()
            .ok()
    }

    /// Processor time used, microseconds.
    pub fn cpu_us(&self) -> Option<u64> {
        let text = fs::read_to_string(self.path.join("cpu.stat")).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("usage_usec "))?
            .trim()
            .parse()
            .ok()
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.path.join(file);
        fs::write(&path, text).map_err(|source| ConfineError::Cgroup { path, source })
    }

    fn error(&self, source: io::Error) -> ConfineError {
        ConfineError::Cgroup {
            path: self.path.clone(),
            source,
        }
    }
}

/// A group that vanishes while it is read answers either of these.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENODEV)
}

fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut list = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list.push(entry.path());
        }
    }
    Ok(list)
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    for child in subdirectories(directory)? {
        remove_tree(&child)?;
    }
    match fs::remove_dir(directory) {
        Err(error) if !gone(&error) => Err(error),
        _ => Ok(()),
    }
}
