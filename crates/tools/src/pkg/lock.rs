//! dpkg's locks: whoever changes packages holds them. They are waited for, and who holds them is told.

use super::error::PkgError;
use super::program::pause;
use super::root::Root;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};
use std::fs::File;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// What apt holds for a whole change, and what dpkg holds for each of its runs.
const LOCKS: [&str; 2] = ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"];
const SLICE: Duration = Duration::from_millis(50);

/// Waits until nobody changes packages, at most until the budget ends.
///
/// # Errors
/// [`PkgError::Locked`] names the holder.
pub(crate) fn wait(root: &Root, budget: &Budget) -> Result<()> {
    let started = Instant::now();
    loop {
        let Some(holder) = holder(root)? else {
            return Ok(());
        };
        if let Err(error) = budget.check() {
            let ToolError::TimedOut { .. } = error else {
                return Err(error);
            };
            let (path, holder) = holder;
            return Err(PkgError::Locked {
                holder,
                path,
                waited_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            }
            .into());
        }
        pause(SLICE);
    }
}

/// A lock that is held, and by whom.
fn holder(root: &Root) -> Result<Option<(String, String)>> {
    for name in LOCKS {
        let path = root.at(name);
        let shown = path.to_string_lossy().into_owned();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(ToolError::io("open", shown, error)),
        };
        let found = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))
            .map_err(|errno| ToolError::io("ask who holds", &shown, errno))?;
        if let Some(lock) = found {
            return Ok(Some((shown, who(lock.pid))));
        }
    }
    Ok(None)
}

/// A process as a person knows it.
fn who(pid: Option<Pid>) -> String {
    let Some(pid) = pid else {
        return "a process outside of this machine's view".to_owned();
    };
    let pid = pid.as_raw_nonzero();
    // It may end while we look; its number still says something.
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}
