//! What a process sees of the file system: a private mount namespace in which directories are
//! replaced by empty read-only ones, and a few paths are put back.
//!
//! This holds against CAP_DAC_OVERRIDE, which file modes do not. Two ways around it are closed here:
//! *aliases* (the same directory reached through another mount of its file system) are hidden too,
//! and whoever hides anything should hide `/dev`, or raw disks remain.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a process sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct View {
    /// Directories replaced by empty, read-only ones.
    pub hide: Vec<PathBuf>,
    /// The same, where a machine may not have the directory.
    pub hide_if_there: Vec<PathBuf>,
    /// Paths put back into hidden directories.
    pub bind: Vec<Bind>,
    /// Paths, not hidden, that become read-only with all mounts below them.
    pub read_only: Vec<PathBuf>,
}

/// A path put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// Path, the same inside and outside.
    pub path: PathBuf,
    /// Whether it can only be read.
    #[serde(default)]
    pub read_only: bool,
}

impl Bind {
    /// A path that stays writable.
    pub fn writable(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read_only: false,
        }
    }

    /// A path that can only be read.
    pub fn read_only(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read_only: true,
        }
    }
}

/// The directories strictly between `above` and `path`, outermost first.
pub(crate) fn between<'a>(above: &Path, path: &'a Path) -> Vec<&'a Path> {
    let mut list: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .take_while(|p| *p != above && p.starts_with(above))
        .collect();
    list.reverse();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_between_are_outermost_first() {
        let got = between(Path::new("/a"), Path::new("/a/b/c/d"));
        assert_eq!(got, [Path::new("/a/b"), Path::new("/a/b/c")]);
        assert!(between(Path::new("/a"), Path::new("/a/b")).is_empty());
        assert!(between(Path::new("/a"), Path::new("/x/b")).is_empty());
    }
}
