//! A root file system that somebody else made, read without leaving it.
//!
//! Links are followed as they would be with the tree as `/`: an absolute target starts at the tree's top, and `..` ends
//! there (`RESOLVE_IN_ROOT`, openat2(2)). A directory that another file system covers is not entered.

use anyhow::{Context, Result};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RawMode, ResolveFlags, Statx, StatxAttributes, StatxFlags, open,
    openat2, readlinkat, statx,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Which directory this is, however it was reached: device and inode.
pub(super) type Identity = (u32, u32, u64);

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    /// Its type.
    pub(super) kind: FileType,
    /// In bytes.
    pub(super) size: u64,
    /// Its device and inode.
    pub(super) identity: Identity,
    /// Whether another file system, or a file of one, is mounted here: no part of the image.
    pub(super) covered: bool,
}

impl From<Statx> for Meta {
    fn from(stat: Statx) -> Self {
        Self {
            kind: FileType::from_raw_mode(RawMode::from(stat.stx_mode)),
            size: stat.stx_size,
            identity: (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino),
            covered: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        }
    }
}

/// One name in a directory.
pub(super) struct Entry {
    /// From the top of the tree, without a leading slash.
    pub(super) path: PathBuf,
    /// What it is; a link is not followed.
    pub(super) meta: Meta,
    /// The directory that it is in.
    pub(super) parent: Identity,
    /// Where a link leads; nothing for all else.
    pub(super) target: Option<OsString>,
}

impl Entry {
    /// The last part of its path.
    pub(super) fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }
}

/// An open tree.
pub(super) struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// Opens a directory as the top of a tree.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(path, flags, Mode::empty()).with_context(|| format!("open {}", path.display()))?;
        Ok(Self { root })
    }

    /// A directory of this tree as the top of its own; nothing where there is none.
    pub(super) fn below(&self, path: &str) -> Result<Option<Self>> {
        let root = self.find(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(root.map(|root| Self { root }))
    }

    /// What lies at the path; a link there is not followed, links on the way are.
    pub(super) fn meta(&self, path: &str) -> Result<Option<Meta>> {
        self.find(Path::new(path), OFlags::PATH | OFlags::NOFOLLOW)?
            .map(|file| meta_at(file.as_fd(), OsStr::new("")))
            .transpose()
    }

    /// Where the link at the path leads; nothing where there is no link.
    pub(super) fn link(&self, path: &str) -> Result<Option<OsString>> {
        let Some(file) = self.find(Path::new(path), OFlags::PATH | OFlags::NOFOLLOW)? else {
            return Ok(None);
        };
        if meta_at(file.as_fd(), OsStr::new(""))?.kind != FileType::Symlink {
            return Ok(None);
        }
        Ok(Some(target(file.as_fd(), OsStr::new(""))?))
    }

    /// The text of the file at the path, links followed; nothing where there is none.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>> {
        // Nothing in an image should make this wait: a named pipe would.
        let Some(file) = self.find(Path::new(path), OFlags::RDONLY | OFlags::NONBLOCK)? else {
            return Ok(None);
        };
        let mut text = String::new();
        File::from(file)
            .read_to_string(&mut text)
            .with_context(|| format!("read /{path}"))?;
        Ok(Some(text))
    }

    /// The directory that a path's last part would be in, links followed; nothing where it is missing.
    pub(super) fn parent_identity(&self, path: &Path) -> Result<Option<Identity>> {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let found = self.find(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        found
            .map(|dir| Ok(meta_at(dir.as_fd(), OsStr::new(""))?.identity))
            .transpose()
    }

    /// The names in the directory at the path, sorted; nothing where there is no directory.
    pub(super) fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let Some(dir) = self.find(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY)? else {
            return Ok(None);
        };
        Ok(Some(entries(dir.as_fd(), Path::new(path))?))
    }

    /// All below the directory at the path, a directory before what is in it. Empty where there is no such directory.
    pub(super) fn walk(&self, path: &str) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        if let Some(dir) = self.find(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY)? {
            descend(dir.as_fd(), Path::new(path), &mut found)?;
        }
        Ok(found)
    }

    fn find(&self, path: &Path, flags: OFlags) -> Result<Option<OwnedFd>> {
        // A path of a configuration file starts with a slash; within the tree that means the same as none.
        let relative = path.strip_prefix("/").unwrap_or(path);
        let relative = if relative.as_os_str().is_empty() {
            Path::new(".")
        } else {
            relative
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match openat2(
            &self.root,
            relative,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        ) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno).with_context(|| format!("open /{}", relative.display())),
        }
    }
}

fn descend(dir: BorrowedFd<'_>, path: &Path, found: &mut Vec<Entry>) -> Result<()> {
    for entry in entries(dir, path)? {
        let enter = entry.meta.kind == FileType::Directory && !entry.meta.covered;
        let (name, path) = (entry.name().to_owned(), entry.path.clone());
        found.push(entry);
        if enter {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = openat2(dir, name.as_os_str(), flags, Mode::empty(), ResolveFlags::NO_XDEV)
                .with_context(|| format!("open /{}", path.display()))?;
            descend(below.as_fd(), &path, found)?;
        }
    }
    Ok(())
}

fn entries(dir: BorrowedFd<'_>, path: &Path) -> Result<Vec<Entry>> {
    let context = || format!("list /{}", path.display());
    let parent = meta_at(dir, OsStr::new(""))?.identity;
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let meta = meta_at(dir, &name).with_context(context)?;
            let target = (meta.kind == FileType::Symlink)
                .then(|| target(dir, &name))
                .transpose()?;
            let path = path.join(&name);
            Ok(Entry {
                path,
                meta,
                parent,
                target,
            })
        })
        .collect()
}

fn meta_at(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Meta> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let stat = statx(dir, name, flags, StatxFlags::BASIC_STATS)
        .with_context(|| format!("look at {}", Path::new(name).display()))?;
    Ok(stat.into())
}

fn target(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OsString> {
    let target = readlinkat(dir, name, Vec::new())
        .with_context(|| format!("read the link {}", Path::new(name).display()))?;
    Ok(OsString::from_vec(target.into_bytes()))
}
