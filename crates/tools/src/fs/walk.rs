//! Walks a directory tree without following links or entering other mounts. Every directory is opened
//! from the walk's own root, so that nothing renamed meanwhile leads out of it.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use crate::fs::resolve::{Anchor, join, kind_of};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags, Stat, openat2, statat};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};

const STRICT: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::NO_SYMLINKS);

/// One thing met on a walk.
#[derive(Debug)]
pub(crate) struct Met<'a> {
    /// Absolute path.
    pub(crate) path: &'a str,
    /// Name without directory.
    pub(crate) name: &'a str,
    /// What it is.
    pub(crate) stat: &'a Stat,
}

/// What a walk left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Directories not entered.
    pub(crate) dirs: u64,
    /// Entries whose names are not UTF-8.
    pub(crate) unnamed: u64,
}

/// Entries of one directory in the order of the file system: name and what it is.
pub(crate) fn entries(dir: &OwnedFd, path: &str, budget: &Budget) -> Result<(Vec<(String, Stat)>, u64)> {
    let mut found = Vec::new();
    let mut unnamed = 0;
    let reader = Dir::read_from(dir).map_err(|errno| ToolError::io("list", path, errno))?;
    for entry in reader {
        budget.check()?;
        let entry = entry.map_err(|errno| ToolError::io("list", path, errno))?;
        let Ok(name) = entry.file_name().to_str() else {
            unnamed += 1;
            continue;
        };
        if name == "." || name == ".." {
            continue;
        }
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => found.push((name.to_owned(), stat)),
            // Deleted between listing and looking: it is not there.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(ToolError::io("look at", join(path, name), errno)),
        }
    }
    Ok((found, unnamed))
}

/// Visits everything below `root`, which is open for listing at `path`. `enter` says for each
/// directory (by absolute path) whether to go into it.
pub(crate) fn walk(
    root: &OwnedFd,
    path: &str,
    budget: &Budget,
    mut enter: impl FnMut(&str) -> bool,
    mut visit: impl FnMut(&Met<'_>) -> Result<()>,
) -> Result<LeftOut> {
    let mut left_out = LeftOut::default();
    let mut waiting = vec![String::new()];
    while let Some(below) = waiting.pop() {
        budget.check()?;
        let here = if below.is_empty() {
            path.to_owned()
        } else {
            join(path, &below)
        };
        let opened;
        let dir = if below.is_empty() {
            root
        } else {
            match open_below(root, &below) {
                Ok(fd) => {
                    opened = fd;
                    &opened
                }
                Err(
                    Errno::XDEV | Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::NOTDIR | Errno::LOOP,
                ) => {
                    left_out.dirs += 1;
                    continue;
                }
                Err(errno) => return Err(ToolError::io("open", here, errno)),
            }
        };
        let (found, unnamed) = entries(dir, &here, budget)?;
        left_out.unnamed += unnamed;
        for (name, stat) in found {
            let whole = join(&here, &name);
            visit(&Met {
                path: &whole,
                name: &name,
                stat: &stat,
            })?;
            if kind_of(&stat) == Kind::Dir {
                if enter(&whole) {
                    waiting.push(if below.is_empty() {
                        name
                    } else {
                        format!("{below}/{name}")
                    });
                } else {
                    left_out.dirs += 1;
                }
            }
        }
    }
    Ok(left_out)
}

pub(crate) fn open_below(root: &OwnedFd, below: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat2(
        root.as_fd(),
        below,
        flags | OFlags::NOATIME,
        Mode::empty(),
        STRICT,
    ) {
        Err(Errno::PERM) => openat2(root.as_fd(), below, flags, Mode::empty(), STRICT),
        other => other,
    }
}

/// Names of one inode below a granted directory, other than `except`.
pub(crate) fn other_names(
    anchor: &Anchor,
    except: &str,
    inode: (u64, u64),
    budget: &Budget,
) -> Result<Vec<String>> {
    let mut names = names_of(anchor, &HashSet::from([inode]), budget)?
        .remove(&inode)
        .unwrap_or_default();
    names.retain(|name| name != except);
    Ok(names)
}

/// Names of inodes below a granted directory, sorted, in one walk.
pub(crate) fn names_of(
    anchor: &Anchor,
    inodes: &HashSet<(u64, u64)>,
    budget: &Budget,
) -> Result<HashMap<(u64, u64), Vec<String>>> {
    let mut names: HashMap<(u64, u64), Vec<String>> = HashMap::new();
    if inodes.is_empty() {
        return Ok(names);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let root = openat2(
        rustix::fs::CWD,
        anchor.root.as_str(),
        flags,
        Mode::empty(),
        resolve,
    )
    .map_err(|errno| ToolError::io("open", &anchor.root, errno))?;
    walk(
        &root,
        &anchor.root,
        budget,
        |_| true,
        |met| {
            let inode = (met.stat.st_dev, met.stat.st_ino);
            if inodes.contains(&inode) {
                names.entry(inode).or_default().push(met.path.to_owned());
            }
            Ok(())
        },
    )?;
    names.values_mut().for_each(|names| names.sort());
    Ok(names)
}

/// Modification time in milliseconds since 1970, UTC.
pub(crate) fn mtime_ms(stat: &Stat) -> i64 {
    let nanos: i64 = stat.st_mtime_nsec.try_into().unwrap_or(0);
    stat.st_mtime
        .saturating_mul(1000)
        .saturating_add(nanos / 1_000_000)
}

/// Size in bytes.
pub(crate) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
