//! What a thing is, exactly enough to make it again: content by digest, mode, owner, times, extended
//! attributes (POSIX ACLs are among them), where a link points, and which names share an inode.
//!
//! The change time (`ctime`) and the inode number cannot be given back by any program; everything
//! else is.

use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use crate::fs::resolve::{kind_of, proc_path, wrong_kind};
use crate::worker::store::Store;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Stat, Timespec, Timestamps, Uid, chownat, fchmod, fchown, futimens, readlinkat,
    utimensat,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use xattr::FileExt;

/// A time as the file system keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds since 1970, UTC.
    pub sec: i64,
    /// Nanoseconds within the second.
    pub nsec: u32,
}

/// What a thing has besides its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Permission bits, with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access.
    pub atime: Moment,
    /// Last change of content.
    pub mtime: Moment,
    /// Extended attributes, values in hex.
    pub xattrs: BTreeMap<String, String>,
}

/// A thing, or its absence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Image {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// Everything but the content.
        meta: Meta,
        /// Size, bytes.
        size: u64,
        /// SHA-256 of the content, hex; the snapshot store holds it under this name.
        sha256: String,
        /// Device.
        dev: u64,
        /// Inode.
        ino: u64,
        /// Names that the inode has.
        nlink: u64,
        /// Other names of the inode that were found under the granted directory.
        others: Vec<String>,
    },
    /// A symbolic link.
    Symlink {
        /// Everything but the target.
        meta: Meta,
        /// Where it points, as it is written.
        target: String,
        /// Device.
        dev: u64,
        /// Inode.
        ino: u64,
    },
    /// A directory, without what is in it.
    Dir {
        /// Everything but the entries.
        meta: Meta,
        /// Device.
        dev: u64,
        /// Inode.
        ino: u64,
    },
    /// Anything, known by its inode and not looked into: for changes that leave the content alone.
    Node {
        /// Kind.
        what: Kind,
        /// Everything but the content.
        meta: Meta,
        /// Device.
        dev: u64,
        /// Inode.
        ino: u64,
    },
}

impl Image {
    /// Whether the two are the same to a reader: kind, content and everything of [`Meta`] but the
    /// access time, which reading alone changes. Of directories the time of change does not count: it
    /// tells of their entries. Of a [`Image::Node`] the inode counts instead of the content.
    pub fn same_as(&self, other: &Self) -> bool {
        self.difference(other).is_none()
    }

    /// What differs, in words; `None` when nothing that matters does.
    pub fn difference(&self, now: &Self) -> Option<String> {
        match (self, now) {
            (Self::Absent, Self::Absent) => None,
            (Self::Absent, _) => Some("something is there now".to_owned()),
            (_, Self::Absent) => Some("nothing is there now".to_owned()),
            (
                Self::File {
                    meta: a,
                    sha256: x,
                    size: s,
                    ..
                },
                Self::File {
                    meta: b,
                    sha256: y,
                    size: t,
                    ..
                },
            ) => {
                if x == y {
                    a.difference(b)
                } else {
                    Some(format!("other content ({s} bytes then, {t} now)"))
                }
            }
            (
                Self::Symlink {
                    meta: a, target: x, ..
                },
                Self::Symlink {
                    meta: b, target: y, ..
                },
            ) => {
                if x == y {
                    a.difference(b)
                } else {
                    Some(format!("points to `{y}` now, to `{x}` then"))
                }
            }
            (Self::Dir { meta: a, .. }, Self::Dir { meta: b, .. }) => a.outside(b),
            (Self::Node { meta: a, what: k, .. }, Self::Node { meta: b, what: l, .. }) if k == l => {
                if self.inode() == now.inode() {
                    a.outside(b)
                } else {
                    Some("another thing is there now".to_owned())
                }
            }
            _ => Some("another kind of thing is there now".to_owned()),
        }
    }

    /// Kind, when something is there.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Absent => return None,
            Self::File { .. } => Kind::File,
            Self::Symlink { .. } => Kind::Symlink,
            Self::Dir { .. } => Kind::Dir,
            Self::Node { what, .. } => *what,
        })
    }

    /// Whether it is a directory that is to be removed or made, and not only moved or given other bits.
    pub fn is_dir(&self) -> bool {
        matches!(self, Self::Dir { .. })
    }

    /// Device and inode, when something is there.
    pub fn inode(&self) -> Option<(u64, u64)> {
        match self {
            Self::Absent => None,
            Self::File { dev, ino, .. }
            | Self::Symlink { dev, ino, .. }
            | Self::Dir { dev, ino, .. }
            | Self::Node { dev, ino, .. } => Some((*dev, *ino)),
        }
    }

    /// The same thing, known by another inode.
    #[must_use]
    pub fn with_inode(mut self, inode: (u64, u64)) -> Self {
        match &mut self {
            Self::Absent => {}
            Self::File { dev, ino, .. }
            | Self::Symlink { dev, ino, .. }
            | Self::Dir { dev, ino, .. }
            | Self::Node { dev, ino, .. } => (*dev, *ino) = inode,
        }
        self
    }

    /// Bytes of content.
    pub fn bytes(&self) -> u64 {
        if let Self::File { size, .. } = self {
            *size
        } else {
            0
        }
    }
}

impl Meta {
    fn difference(&self, now: &Self) -> Option<String> {
        if self.mtime != now.mtime && (self.mode, self.uid, self.gid) == (now.mode, now.uid, now.gid) {
            return Some("changed at another time".to_owned());
        }
        self.outside(now)
    }

    /// What differs besides the times.
    pub(crate) fn outside(&self, now: &Self) -> Option<String> {
        if self.mode != now.mode {
            return Some(format!("mode {:04o} then, {:04o} now", self.mode, now.mode));
        }
        if (self.uid, self.gid) != (now.uid, now.gid) {
            return Some(format!(
                "owner {}:{} then, {}:{} now",
                self.uid, self.gid, now.uid, now.gid
            ));
        }
        (self.xattrs != now.xattrs).then(|| "other extended attributes".to_owned())
    }

    pub(crate) fn of_stat(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            atime: moment(stat.st_atime, stat.st_atime_nsec),
            mtime: moment(stat.st_mtime, stat.st_mtime_nsec),
            xattrs: BTreeMap::new(),
        }
    }

    /// Times in the form of the system call.
    fn timestamps(&self) -> Timestamps {
        let spec = |m: Moment| Timespec {
            tv_sec: m.sec,
            tv_nsec: i64::from(m.nsec),
        };
        Timestamps {
            last_access: spec(self.atime),
            last_modification: spec(self.mtime),
        }
    }

    /// Gives a file everything but its content. Content must be complete: a write changes the times.
    ///
    /// # Errors
    /// The machine refuses one of them.
    pub fn apply(&self, file: &File, path: &str) -> Result<()> {
        self.apply_outside(file, path)?;
        futimens(file, &self.timestamps())
            .map_err(|errno| ToolError::io("give back the times of", path, errno))
    }

    /// Gives a file or directory everything but content and times.
    ///
    /// # Errors
    /// The machine refuses one of them.
    pub fn apply_outside(&self, file: &File, path: &str) -> Result<()> {
        let io = |doing| move |source: io::Error| ToolError::io(doing, path, source);
        // The owner goes first, because changing it clears set-id bits and capabilities.
        fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
            .map_err(|errno| ToolError::io("give back the owner of", path, errno))?;
        fchmod(file, Mode::from_raw_mode(self.mode))
            .map_err(|errno| ToolError::io("give back the mode of", path, errno))?;
        for name in file.list_xattr().map_err(io("list the attributes of"))? {
            let keep = name.to_str().is_some_and(|name| self.xattrs.contains_key(name));
            if !keep {
                file.remove_xattr(&name).map_err(io("remove an attribute of"))?;
            }
        }
        for (name, value) in &self.xattrs {
            let value = hex::decode(value).map_err(|_| ToolError::Corrupt {
                what: format!("attribute {name} of {path}"),
            })?;
            if file
                .get_xattr(name)
                .map_err(io("read an attribute of"))?
                .as_deref()
                != Some(&value)
            {
                file.set_xattr(name, &value)
                    .map_err(io("give back an attribute of"))?;
            }
        }
        Ok(())
    }

    /// Gives the symbolic link behind an `O_PATH` handle its owner.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn own_link(&self, link: BorrowedFd<'_>, path: &str) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        chownat(link, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
            .map_err(|errno| ToolError::io("give back the owner of", path, errno))
    }

    /// Gives a symbolic link its owner and times; its mode cannot be changed on Linux.
    ///
    /// # Errors
    /// The machine refuses one of them.
    pub fn apply_to_link(&self, dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| ToolError::io("give back the owner of", path, errno))?;
        utimensat(dir, name, &self.timestamps(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| ToolError::io("give back the times of", path, errno))
    }
}

pub(crate) fn moment(sec: i64, nsec: impl TryInto<u32>) -> Moment {
    Moment {
        sec,
        nsec: nsec.try_into().unwrap_or(0),
    }
}

/// Takes the image of what is behind an `O_PATH` handle. With a store the content is kept there;
/// without one it is only digested.
///
/// # Errors
/// A kind that cannot be made again, or the machine refuses.
pub fn capture(
    entry: Option<&(rustix::fd::OwnedFd, Stat)>,
    path: &str,
    store: Option<&Store>,
    budget: &crate::budget::Budget,
) -> Result<Image> {
    let Some((fd, stat)) = entry else {
        return Ok(Image::Absent);
    };
    let mut meta = Meta::of_stat(stat);
    match kind_of(stat) {
        Kind::File => {
            let file = crate::fs::resolve::open_inode(fd.as_fd(), rustix::fs::OFlags::RDONLY, path)?;
            meta.xattrs = xattrs(&file, path)?;
            let (sha256, size) = match store {
                Some(store) => store.put(&file, path, budget)?,
                None => Store::digest(&file, path, budget)?,
            };
            Ok(Image::File {
                meta,
                size,
                sha256,
                dev: stat.st_dev,
                ino: stat.st_ino,
                nlink: stat.st_nlink,
                others: Vec::new(),
            })
        }
        Kind::Symlink => {
            // An empty path reads the link behind an O_PATH handle itself.
            let target = readlinkat(fd, "", Vec::new())
                .map_err(|errno| ToolError::io("read the link", path, errno))?
                .into_string()
                .map_err(|_| ToolError::BadPath {
                    path: path.to_owned(),
                    problem: "the link points to a name that is not UTF-8",
                })?;
            Ok(Image::Symlink {
                meta,
                target,
                dev: stat.st_dev,
                ino: stat.st_ino,
            })
        }
        Kind::Dir => {
            let dir = crate::fs::resolve::open_inode(fd.as_fd(), rustix::fs::OFlags::RDONLY, path)?;
            meta.xattrs = xattrs(&dir, path)?;
            Ok(Image::Dir {
                meta,
                dev: stat.st_dev,
                ino: stat.st_ino,
            })
        }
        Kind::Other => Err(wrong_kind(path, stat, "a file, a directory or a symbolic link")),
    }
}

/// Takes the image of what is behind an `O_PATH` handle without looking at its content.
///
/// # Errors
/// A kind that cannot be opened without effect, or the machine refuses.
pub fn capture_node(entry: Option<&(rustix::fd::OwnedFd, Stat)>, path: &str) -> Result<Image> {
    let Some((fd, stat)) = entry else {
        return Ok(Image::Absent);
    };
    let mut meta = Meta::of_stat(stat);
    let what = kind_of(stat);
    match what {
        Kind::File | Kind::Dir => {
            let file = crate::fs::resolve::open_inode(fd.as_fd(), rustix::fs::OFlags::RDONLY, path)?;
            meta.xattrs = xattrs(&file, path)?;
        }
        Kind::Symlink => {}
        Kind::Other => {
            return Err(wrong_kind(path, stat, "a file, a directory or a symbolic link"));
        }
    }
    Ok(Image::Node {
        what,
        meta,
        dev: stat.st_dev,
        ino: stat.st_ino,
    })
}

fn xattrs(file: &File, path: &str) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let names = match file.list_xattr() {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(found),
        Err(error) => return Err(ToolError::io("list the attributes of", path, error)),
    };
    for name in names {
        let text = name.to_str().ok_or_else(|| ToolError::BadPath {
            path: path.to_owned(),
            problem: "it has an extended attribute whose name is not UTF-8",
        })?;
        let value = file
            .get_xattr(&name)
            .map_err(|error| ToolError::io("read an attribute of", path, error))?;
        if let Some(value) = value {
            found.insert(text.to_owned(), hex::encode(value));
        }
    }
    Ok(found)
}

/// Gives a directory its times back.
///
/// # Errors
/// The machine refuses.
pub(crate) fn set_dir_times(dir: BorrowedFd<'_>, atime: Moment, mtime: Moment, path: &str) -> Result<()> {
    let spec = |m: Moment| Timespec {
        tv_sec: m.sec,
        tv_nsec: i64::from(m.nsec),
    };
    let times = Timestamps {
        last_access: spec(atime),
        last_modification: spec(mtime),
    };
    utimensat(CWD, proc_path(dir), &times, AtFlags::empty())
        .map_err(|errno| ToolError::io("give back the times of", path, errno))
}
