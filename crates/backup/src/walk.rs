//! What lies in a directory: each file once, with its path below it, parents first.

use crate::error::{BackupError, Result};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Something that was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Path below the root, `guard/guard.db`.
    pub(crate) path: String,
    /// Where it is.
    pub(crate) place: PathBuf,
    /// What it is; a link is not followed.
    pub(crate) meta: Metadata,
}

/// All below `root`, and into those directories that `enter` wants. What is gone before it is looked at is left out:
/// services work meanwhile.
pub(crate) fn walk(root: &Path, enter: impl Fn(&str) -> bool) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut queue = vec![(String::new(), root.to_owned())];
    while let Some((above, directory)) = queue.pop() {
        let list = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound && directory != root => continue,
            list => list.map_err(BackupError::io("list", &directory))?,
        };
        for entry in list {
            let entry = entry.map_err(BackupError::io("list", &directory))?;
            let place = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                return Err(BackupError::Strange {
                    path: place.display().to_string(),
                    what: "file whose name is no text",
                });
            };
            let meta = match fs::symlink_metadata(&place) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                meta => meta.map_err(BackupError::io("look at", &place))?,
            };
            let path = if above.is_empty() {
                name
            } else {
                format!("{above}/{name}")
            };
            if meta.is_dir() && enter(&path) {
                queue.push((path.clone(), place.clone()));
            }
            found.push(Found { path, place, meta });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}
