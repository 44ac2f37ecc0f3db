//! What lies in a directory: each file once, with its path below it, parents first.

use crate::error::{BackupError, Result};
use rustix::fs::{Mode, OFlags, ResolveFlags, open as open_directory, openat2};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
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

/// Opens what was found below `root`, and nothing else: services own their directories and could lay a link there since,
/// to a file that is none of theirs.
pub(crate) fn open(root: &Path, place: &Path) -> io::Result<File> {
    let below = place.strip_prefix(root).map_err(io::Error::other)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let directory = open_directory(root, flags | OFlags::DIRECTORY, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    // A pipe must not hold the backup up.
    let file = openat2(directory, below, flags | OFlags::NONBLOCK, Mode::empty(), resolve)?;
    Ok(File::from(file))
}

/// Reads a small file that was found below `root`.
pub(crate) fn read(root: &Path, place: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(root, place)?.read_to_end(&mut content)?;
    Ok(content)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_was_laid_since_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let (root, other) = (home.path().join("root"), home.path().join("other"));
        for directory in [&root, &other] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("file"), "content").unwrap();
        }
        assert_eq!(read(&root, &root.join("file")).unwrap(), b"content");
        std::os::unix::fs::symlink(&other, root.join("directory")).unwrap();
        std::os::unix::fs::symlink(other.join("file"), root.join("link")).unwrap();
        for place in ["directory/file", "link", "../other/file"] {
            assert!(read(&root, &root.join(place)).is_err(), "{place}");
        }
        assert!(read(&root, &other.join("file")).is_err());
    }
}
