//! A look through a directory tree that a call was granted: no link is followed, no other mount entered,
//! nothing protected is named, and only what must be is opened.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::resolve::{kind_of, proc_path};
use crate::fs::walk::{Met, walk};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

const STRICT: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::NO_SYMLINKS);

/// A tree that may be looked through.
pub(super) struct Tree<'a> {
    /// The top, open for listing.
    pub(super) root: &'a OwnedFd,
    /// Its absolute path.
    pub(super) path: &'a str,
    /// Time.
    pub(super) budget: &'a Budget,
    /// Which paths may be named.
    pub(super) granted: &'a dyn Fn(&str) -> bool,
}

/// How much was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) looked_at: u64,
    pub(super) skipped: u64,
}

/// One thing in a tree.
pub(super) struct Thing<'a> {
    pub(super) path: &'a str,
    /// Path below the top; empty for the top itself.
    pub(super) below: &'a str,
    pub(super) stat: &'a Stat,
    root: &'a OwnedFd,
}

impl Tree<'_> {
    /// Visits the top and everything below it.
    pub(super) fn each(&self, mut visit: impl FnMut(&Thing<'_>) -> Result<()>) -> Result<Seen> {
        let mut seen = Seen::default();
        let top = fstat(self.root).map_err(|errno| ToolError::io("look at", self.path, errno))?;
        let mut visited = |path: &str, stat: &Stat| {
            if !(self.granted)(path) {
                // A directory that is not entered is counted by the walk.
                seen.skipped += u64::from(FileType::from_raw_mode(stat.st_mode) != FileType::Directory);
                return Ok(());
            }
            seen.looked_at += 1;
            let below = path.get(self.path.len()..).unwrap_or_default();
            visit(&Thing {
                path,
                below: below.trim_start_matches('/'),
                stat,
                root: self.root,
            })
        };
        visited(self.path, &top)?;
        let left_out = walk(
            self.root,
            self.path,
            self.budget,
            |path| (self.granted)(path),
            |met: &Met<'_>| visited(met.path, met.stat),
        )?;
        seen.skipped += left_out.dirs + left_out.unnamed;
        Ok(seen)
    }
}

impl Thing<'_> {
    /// A handle on the very thing, not open for reading; `None` when it is gone or another.
    pub(super) fn handle(&self) -> Result<Option<OwnedFd>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let below = if self.below.is_empty() { "." } else { self.below };
        match openat2(self.root.as_fd(), below, flags, Mode::empty(), STRICT) {
            Ok(fd) => {
                let now = fstat(&fd).map_err(|errno| ToolError::io("look at", self.path, errno))?;
                let same = (now.st_dev, now.st_ino) == (self.stat.st_dev, self.stat.st_ino);
                Ok(same.then_some(fd))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(errno) => Err(ToolError::io("open", self.path, errno)),
        }
    }
}

/// An extended attribute of what is behind a handle; `None` where there is none, or no such thing.
pub(super) fn attribute(fd: BorrowedFd<'_>, name: &str, path: &str) -> Result<Option<Vec<u8>>> {
    match xattr::get_deref(proc_path(fd), name) {
        Ok(value) => Ok(value),
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(ToolError::io("read an attribute of", path, error)),
    }
}

/// SHA-256 (hex) over all extended attributes of what is behind a handle; `None` when it has none.
pub(super) fn attributes(fd: BorrowedFd<'_>, path: &str) -> Result<Option<String>> {
    let failed = |error: std::io::Error| ToolError::io("list the attributes of", path, error);
    let place = proc_path(fd);
    let mut names = match xattr::list_deref(&place) {
        Ok(names) => names.collect::<Vec<_>>(),
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if names.is_empty() {
        return Ok(None);
    }
    names.sort_unstable();
    let mut hasher = Sha256::new();
    for name in names {
        let value = xattr::get_deref(&place, &name)
            .map_err(failed)?
            .unwrap_or_default();
        for part in [name.as_encoded_bytes(), &value] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(Some(hex::encode(hasher.finalize())))
}

/// Permission bits as people write them.
pub(super) fn octal(mode: u32) -> String {
    format!("{:04o}", mode & 0o7777)
}

/// Whether it is a regular file.
pub(super) fn is_file(stat: &Stat) -> bool {
    kind_of(stat) == crate::fs::args::Kind::File
}
