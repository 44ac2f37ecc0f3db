//! Makes single things so that each stands in its place whole or not at all: a file without a name that
//! is linked, a directory or link under a temporary name that is renamed. What makes trees of them, and
//! what takes them back, is in [`super::apply`] and [`super::rollback`].

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use crate::fs::image::Meta;
use crate::fs::resolve::{Anchor, entry_in, kind_of, open_inode, proc_path, wrong_kind};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Stat, Uid, chownat, fchmod, fchown, fstat, fsync, linkat,
    mkdirat, openat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;

/// Bytes that are copied between two looks at the clock.
const STRIDE: u64 = 8 << 20;

/// Where something is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot<'a> {
    /// The directory.
    pub(crate) dir: BorrowedFd<'a>,
    /// The place in it.
    pub(crate) anchor: &'a Anchor,
    /// A name in the directory that may be used meanwhile.
    pub(crate) aside: &'a str,
}

impl Spot<'_> {
    /// Makes a whole file and then gives it its name, which must be free.
    pub(crate) fn file(&self, fill: impl FnOnce(&mut File, &str) -> Result<()>) -> Result<()> {
        let path = self.anchor.path();
        let (mut file, named) = match openat(
            self.dir,
            ".",
            OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o600),
        ) {
            Ok(fd) => (File::from(fd), false),
            // Not every file system makes files without a name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOSYS) => {
                let flags =
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let fd = openat(self.dir, self.aside, flags, Mode::from_raw_mode(0o600))
                    .map_err(|errno| ToolError::io("make", &path, errno))?;
                (File::from(fd), true)
            }
            Err(errno) => return Err(ToolError::io("make", path, errno)),
        };
        fill(&mut file, &path)?;
        fsync(&file).map_err(|errno| ToolError::io("make durable", &path, errno))?;
        if named {
            return self.name();
        }
        let from = proc_path(file.as_fd());
        let done = linkat(
            CWD,
            from,
            self.dir,
            self.anchor.name.as_str(),
            AtFlags::SYMLINK_FOLLOW,
        );
        done.map_err(|errno| taken(errno, path))
    }

    /// Makes an empty directory and then gives it its name, which must be free.
    pub(crate) fn directory(&self, finish: impl FnOnce(&File, &str) -> Result<()>) -> Result<()> {
        let path = self.anchor.path();
        mkdirat(self.dir, self.aside, Mode::from_raw_mode(0o700))
            .map_err(|errno| ToolError::io("make", &path, errno))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(self.dir, self.aside, flags, Mode::empty())
            .map_err(|errno| ToolError::io("open", &path, errno))?;
        finish(&File::from(made), &path)?;
        self.name()
    }

    /// Makes a symbolic link and then gives it its name, which must be free. `finish` gets the name that
    /// the link has meanwhile.
    pub(crate) fn symlink(&self, target: &str, finish: impl FnOnce(&str) -> Result<()>) -> Result<()> {
        symlinkat(target, self.dir, self.aside)
            .map_err(|errno| ToolError::io("make the link", self.anchor.path(), errno))?;
        finish(self.aside)?;
        self.name()
    }

    fn name(&self) -> Result<()> {
        let (dir, name) = (self.dir, self.anchor.name.as_str());
        renameat_with(dir, self.aside, dir, name, RenameFlags::NOREPLACE)
            .map_err(|errno| taken(errno, self.anchor.path()))
    }

    /// What the directory is, to whose owner new things belong.
    pub(crate) fn owner(&self) -> Result<Stat> {
        fstat(self.dir).map_err(|errno| ToolError::io("look at", &self.anchor.parent, errno))
    }
}

fn taken(errno: Errno, path: String) -> ToolError {
    match errno {
        Errno::EXIST => ToolError::Exists { path },
        errno => ToolError::io("name", path, errno),
    }
}

/// A new thing belongs to whoever its directory belongs to, not to the worker's own user; or it gets
/// everything that a copy is to have.
pub(crate) fn give(file: &File, directory: &Stat, mode: u32, meta: Option<&Meta>, path: &str) -> Result<()> {
    if let Some(meta) = meta {
        return meta.apply(file, path);
    }
    let own = fstat(file).map_err(|errno| ToolError::io("look at", path, errno))?;
    let (uid, gid) = (directory.st_uid, directory.st_gid);
    if (own.st_uid, own.st_gid) != (uid, gid) {
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| ToolError::io("set the owner of", path, errno))?;
    }
    fchmod(file, Mode::from_raw_mode(mode)).map_err(|errno| ToolError::io("set the mode of", path, errno))
}

/// The same for a symbolic link, which has no mode of its own.
pub(crate) fn give_link(
    dir: BorrowedFd<'_>,
    name: &str,
    directory: &Stat,
    meta: Option<&Meta>,
    path: &str,
) -> Result<()> {
    if let Some(meta) = meta {
        return meta.apply_to_link(dir, name, path);
    }
    let (uid, gid) = (Uid::from_raw(directory.st_uid), Gid::from_raw(directory.st_gid));
    chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| ToolError::io("set the owner of", path, errno))
}

/// Writes the content of the file at a place into another, which may share its blocks.
pub(crate) fn copy_content(from: &Anchor, to: &mut File, budget: &Budget) -> Result<()> {
    let path = from.path();
    let dir = from.open_parent()?;
    let Some((fd, stat)) = entry_in(dir.as_fd(), &from.name, &path, &from.root)? else {
        return Err(ToolError::NotFound { path });
    };
    if kind_of(&stat) != Kind::File {
        return Err(wrong_kind(&path, &stat, "a file"));
    }
    let source = open_inode(fd.as_fd(), OFlags::RDONLY, &path)?;
    loop {
        budget.check()?;
        let copied = std::io::copy(&mut (&source).take(STRIDE), to)
            .map_err(|error| ToolError::io("copy", &path, error))?;
        if copied == 0 {
            return Ok(());
        }
    }
}

pub(crate) fn link(from: BorrowedFd<'_>, name: &str, dir: BorrowedFd<'_>, anchor: &Anchor) -> Result<()> {
    linkat(from, name, dir, anchor.name.as_str(), AtFlags::empty())
        .map_err(|errno| ToolError::io("link", anchor.path(), errno))
}

/// Removes a name; of a directory only an empty one.
pub(crate) fn remove(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<()> {
    let done = match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => unlinkat(dir, name, AtFlags::REMOVEDIR),
        other => other,
    };
    match done {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Err(ToolError::Changed {
            path: path.to_owned(),
            difference: "somebody put something into it".to_owned(),
        }),
        done => done.map_err(|errno| ToolError::io("delete", path, errno)),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync(dir: BorrowedFd<'_>, path: &str) -> Result<()> {
    let open = openat(
        dir,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    open.and_then(fsync)
        .map_err(|errno| ToolError::io("make durable", path, errno))
}
