//! Where a restore unpacks, and where it puts aside what was there.

use crate::error::{BackupError, Result};
use crate::manifest::{ETC, STATE};
use crate::restore::Wanted;
use aios_core::exchange;
use aios_core::paths::Paths;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How the directories begin that a restore unpacks to.
const NEW: &str = "restore-";
/// Where a dry run unpacks, below what is the backup's own: hidden from all services, which go on meanwhile.
const SCRATCH: &str = "dry-run";

/// State and administrator's files, in this order.
pub(crate) struct Beside {
    own: [PathBuf; 2],
    scratch: PathBuf,
    /// Where they are unpacked.
    pub(crate) new: [PathBuf; 2],
    /// Where the old ones go.
    pub(crate) before: [PathBuf; 2],
}

impl Beside {
    pub(crate) fn of(paths: &Paths, wanted: &Wanted) -> Result<Self> {
        let own = [paths.state.clone(), paths.etc.clone()];
        for (directory, mode) in [(&paths.state, 0o711), (&paths.etc, 0o755)] {
            let made = DirBuilder::new().recursive(true).mode(mode).create(directory);
            made.map_err(BackupError::io("make", directory))?;
            let above = directory.parent().unwrap_or(Path::new("/"));
            if mount(directory)? != mount(above)? {
                return Err(BackupError::MountPoint {
                    path: directory.clone(),
                });
            }
        }
        let scratch = paths.state.join(exchange::DIRECTORY).join(SCRATCH);
        let aside = |name: String| own.clone().map(|path| exchange::aside(&path).join(&name));
        let new = if wanted.dry_run {
            [scratch.join(STATE), scratch.join(ETC)]
        } else {
            aside(format!("{NEW}{}", wanted.stamp))
        };
        Ok(Self {
            new,
            before: aside(format!("before-restore-{}", wanted.stamp)),
            scratch,
            own,
        })
    }

    /// Makes the directories to unpack to.
    pub(crate) fn make(&self) -> Result<()> {
        for directory in &self.new {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(BackupError::io("make", directory))?;
        }
        Ok(())
    }

    /// Removes what a restore that did not come to its end left.
    pub(crate) fn clear(&self) -> Result<()> {
        remove(&self.scratch)?;
        for own in &self.own {
            let aside = exchange::aside(own);
            if !aside.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&aside).map_err(BackupError::io("list", &aside))? {
                let entry = entry.map_err(BackupError::io("list", &aside))?;
                if entry.file_name().to_string_lossy().starts_with(NEW) {
                    remove(&entry.path())?;
                }
            }
            // It stays while something of an earlier restore is in it.
            match fs::remove_dir(&aside) {
                Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => {
                    return Err(BackupError::io("remove", &aside)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where a member of the archive goes.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        let [state, etc] = &self.new;
        match path.split_once('/') {
            Some((STATE, below)) => state.join(below),
            Some((_, below)) => etc.join(below),
            None if path == ETC => etc.clone(),
            None => state.clone(),
        }
    }
}

/// Which mount a path is on, statx(2): a directory that is bound to itself has the device of the one above it.
fn mount(path: &Path) -> Result<(u32, u32, u64)> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID);
    let found = found.map_err(|error| BackupError::io("look at", path)(error.into()))?;
    Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_mnt_id))
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(BackupError::io("remove", directory)),
    }
}
