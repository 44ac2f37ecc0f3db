//! Who has files of the state open: the kernel's word on whether aiOS runs, whoever started it.

use crate::contents::{self, Kind};
use crate::error::{BackupError, Result};
use crate::walk::walk;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Most that are named.
const NAMED: usize = 5;

/// Refuses while a process has a database or the log of this state open.
pub(crate) fn refuse(state: &Path) -> Result<()> {
    let holders = holders(state, Path::new("/proc"))?;
    if holders.is_empty() {
        return Ok(());
    }
    let more = holders.len().saturating_sub(NAMED);
    let mut named: Vec<String> = holders
        .into_iter()
        .take(NAMED)
        .map(|((name, pid), file)| format!("{name} (process {pid}) has {file} open"))
        .collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    Err(BackupError::Running {
        holders: named.join(", "),
    })
}

type Holder = (String, u32);

/// Name and number of each process, with a file that it has open.
fn holders(state: &Path, proc: &Path) -> Result<BTreeMap<Holder, String>> {
    let held = |kind| matches!(kind, Kind::Database(_) | Kind::Log);
    let mut files = BTreeMap::new();
    for found in walk(state, |directory| contents::may_hold(directory, held))? {
        let known = contents::find(&found.path).is_some_and(|(_, entry)| held(entry.kind));
        if known && found.meta.is_file() {
            files.insert((found.meta.dev(), found.meta.ino()), found.path);
        }
    }
    let mut holders = BTreeMap::new();
    let own = std::process::id();
    for entry in fs::read_dir(proc).map_err(BackupError::io("list", proc))? {
        let entry = entry.map_err(BackupError::io("list", proc))?;
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != own) else {
            continue;
        };
        if let Some(inode) = open_files(&entry.path())
            .iter()
            .find(|inode| files.contains_key(inode))
        {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let file = files.get(inode).cloned().unwrap_or_default();
            holders.insert((name.trim().to_owned(), pid), file);
        }
    }
    Ok(holders)
}

/// Device and inode of what a process has open; nothing of one that is gone meanwhile.
fn open_files(process: &Path) -> BTreeSet<(u64, u64)> {
    let list = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    // Through the link itself: a service has a file system view of its own.
    list.filter_map(|entry| fs::metadata(entry.path()).ok())
        .map(|meta| (meta.dev(), meta.ino()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_with_a_database_open_is_named() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("guard")).unwrap();
        let database = state.path().join("guard/guard.db");
        fs::write(&database, "").unwrap();
        fs::write(state.path().join("other"), "").unwrap();
        refuse(state.path()).unwrap();

        let hold = |path: &Path| {
            Command::new("sleep")
                .arg("600")
                .stdin(Stdio::from(fs::File::open(path).unwrap()))
                .spawn()
                .unwrap()
        };
        let mut other = hold(&state.path().join("other"));
        refuse(state.path()).unwrap();
        let mut child = hold(&database);
        let error = refuse(state.path()).unwrap_err().to_string();
        assert!(
            error.contains("guard/guard.db") && error.contains(&child.id().to_string()),
            "{error}"
        );
        for child in [&mut child, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        refuse(state.path()).unwrap();
    }
}
