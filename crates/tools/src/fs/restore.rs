//! Brings a place to an exact earlier state: from the name it was moved aside to, from another name
//! of the same inode, or from the snapshot store.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use crate::fs::image::{Image, Meta};
use crate::fs::plan::{Change, Plan, Step, look};
use crate::fs::resolve::{Anchor, entry_in, kind_of, open_inode, proc_path};
use crate::worker::store::Store;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, fsync, ftruncate, linkat, openat, renameat_with, symlinkat,
    unlinkat,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;

/// Restores places of one plan. It remembers which inodes it made, so that names that shared one
/// share one again.
#[derive(Debug)]
pub(crate) struct Restorer<'a> {
    store: &'a Store,
    asides: Vec<String>,
    /// Places of the plan by the inode that was there before.
    siblings: HashMap<(u64, u64), Vec<Anchor>>,
    /// Places that hold the successor of an inode that is gone.
    made: HashMap<(u64, u64), Anchor>,
}

impl<'a> Restorer<'a> {
    pub(crate) fn new(store: &'a Store, plan: &Plan) -> Self {
        let mut siblings: HashMap<(u64, u64), Vec<Anchor>> = HashMap::new();
        for change in &plan.changes {
            let image = if let Step::Restore { image } = &change.step {
                image
            } else {
                &change.before
            };
            if let Some(inode) = image.inode() {
                siblings.entry(inode).or_default().push(change.anchor.clone());
            }
        }
        let asides = (0..plan.changes.len()).map(|index| plan.aside(index)).collect();
        Self {
            store,
            asides,
            siblings,
            made: HashMap::new(),
        }
    }

    /// Makes the place of `change` be `goal`.
    ///
    /// # Errors
    /// Something foreign is there, or the machine refuses.
    pub(crate) fn bring(&mut self, index: usize, change: &Change, goal: &Image) -> Result<()> {
        let anchor = &change.anchor;
        let path = anchor.path();
        let dir = anchor.open_parent()?;
        if self.take_from_aside(index, change, dir.as_fd(), goal)? {
            return Ok(());
        }
        let entry = entry_in(dir.as_fd(), &anchor.name, &path, &anchor.root)?;
        match (goal, entry) {
            (Image::Absent, None) => Ok(()),
            (Image::Absent, Some(_)) => unlink(dir.as_fd(), &anchor.name, &path),
            (Image::File { .. }, None) => self.make(index, anchor, dir.as_fd(), goal),
            (Image::File { meta, sha256, .. }, Some((fd, stat))) if kind_of(&stat) == Kind::File => {
                let inode = Some((stat.st_dev, stat.st_ino));
                if goal.inode() != inode && change.before.inode() != inode {
                    return Err(foreign(&path));
                }
                self.rewrite(&fd, meta, sha256, &path)
            }
            (Image::Symlink { meta, target, .. }, None) => {
                symlinkat(target.as_str(), &dir, anchor.name.as_str())
                    .map_err(|errno| ToolError::io("make the link", &path, errno))?;
                meta.apply_to_link(dir.as_fd(), &anchor.name, &path)
            }
            (Image::Symlink { meta, .. }, Some(_)) => {
                let now = look(anchor, &Budget::of_ms(u64::from(u32::MAX)))?;
                if now.inode() != goal.inode() {
                    return Err(foreign(&path));
                }
                meta.apply_to_link(dir.as_fd(), &anchor.name, &path)
            }
            (Image::File { .. }, Some(_)) => Err(foreign(&path)),
        }
    }

    /// Removes the temporary name that a killed making of a file may have left.
    pub(crate) fn drop_aside(&self, index: usize, change: &Change) -> Result<()> {
        let dir = change.anchor.open_parent()?;
        match unlinkat(&dir, self.aside(index), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(ToolError::io("clean up", change.anchor.path(), errno)),
        }
    }

    fn aside(&self, index: usize) -> &str {
        self.asides.get(index).map_or("", String::as_str)
    }

    fn take_from_aside(
        &self,
        index: usize,
        change: &Change,
        dir: BorrowedFd<'_>,
        goal: &Image,
    ) -> Result<bool> {
        let anchor = &change.anchor;
        let (aside, path) = (self.aside(index), anchor.path());
        let Some((_, stat)) = entry_in(dir, aside, &path, &anchor.root)? else {
            return Ok(false);
        };
        let authorized = goal.inode() == Some((stat.st_dev, stat.st_ino));
        // Whatever a deletion caught goes back, also when it was not what was authorized.
        if !authorized && change.step != Step::Delete {
            // A half-made file: its content comes from the store once more.
            unlink(dir, aside, &path)?;
            return Ok(false);
        }
        match renameat_with(dir, aside, dir, anchor.name.as_str(), RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Err(foreign(&path)),
            Err(errno) => Err(ToolError::io("put back", path, errno)),
        }
    }

    fn make(&mut self, index: usize, anchor: &Anchor, dir: BorrowedFd<'_>, goal: &Image) -> Result<()> {
        let Image::File {
            meta, sha256, others, ..
        } = goal
        else {
            return Err(ToolError::Defect("only files are made from the store".to_owned()));
        };
        let inode = goal.inode().unwrap_or_default();
        if self.link_to_sibling(inode, others, anchor, dir)? {
            return Ok(());
        }
        make_file(
            self.store,
            dir,
            anchor,
            self.aside(index),
            sha256,
            |file, path| meta.apply(file, path),
        )?;
        self.made.insert(inode, anchor.clone());
        Ok(())
    }

    /// Gives the inode that is still there under another name this name too.
    fn link_to_sibling(
        &self,
        inode: (u64, u64),
        others: &[String],
        anchor: &Anchor,
        dir: BorrowedFd<'_>,
    ) -> Result<bool> {
        if let Some(made) = self.made.get(&inode) {
            let from = made.open_parent()?;
            link(from.as_fd(), &made.name, dir, anchor)?;
            return Ok(true);
        }
        let same = |from: BorrowedFd<'_>, name: &str| -> Result<bool> {
            let entry = entry_in(from, name, &anchor.path(), &anchor.root)?;
            Ok(entry.is_some_and(|(_, stat)| (stat.st_dev, stat.st_ino) == inode))
        };
        for sibling in self
            .siblings
            .get(&inode)
            .into_iter()
            .flatten()
            .filter(|sibling| *sibling != anchor)
        {
            let from = sibling.open_parent()?;
            if same(from.as_fd(), &sibling.name)? {
                link(from.as_fd(), &sibling.name, dir, anchor)?;
                return Ok(true);
            }
        }
        for other in others {
            let (parent, name) = other.rsplit_once('/').unwrap_or(("", other));
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(from) = openat(
                CWD,
                if parent.is_empty() { "/" } else { parent },
                flags,
                Mode::empty(),
            ) else {
                continue;
            };
            if same(from.as_fd(), name)? {
                link(from.as_fd(), name, dir, anchor)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn rewrite(&self, fd: &OwnedFd, meta: &Meta, sha256: &str, path: &str) -> Result<()> {
        let long = Budget::of_ms(u64::from(u32::MAX));
        let reader = open_inode(fd.as_fd(), OFlags::RDONLY, path)?;
        let mut file = open_inode(fd.as_fd(), OFlags::WRONLY, path)?;
        if Store::digest(&reader, path, &long)?.0 != sha256 {
            ftruncate(&file, 0).map_err(|errno| ToolError::io("cut", path, errno))?;
            self.store.copy_to(sha256, &mut file, path)?;
        }
        meta.apply(&file, path)?;
        fsync(&file).map_err(|errno| ToolError::io("make durable", path, errno))
    }
}

/// Makes a whole file with content from the store and then gives it its name, which must be free.
pub(crate) fn make_file(
    store: &Store,
    dir: BorrowedFd<'_>,
    anchor: &Anchor,
    aside: &str,
    sha256: &str,
    finish: impl FnOnce(&File, &str) -> Result<()>,
) -> Result<()> {
    let path = anchor.path();
    let (mut file, named) = match openat(
        dir,
        ".",
        OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o600),
    ) {
        Ok(fd) => (File::from(fd), false),
        // Not every file system makes files without a name.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOSYS) => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let fd = openat(dir, aside, flags, Mode::from_raw_mode(0o600))
                .map_err(|errno| ToolError::io("make", &path, errno))?;
            (File::from(fd), true)
        }
        Err(errno) => return Err(ToolError::io("make", path, errno)),
    };
    store.copy_to(sha256, &mut file, &path)?;
    finish(&file, &path)?;
    fsync(&file).map_err(|errno| ToolError::io("make durable", &path, errno))?;
    let done = if named {
        renameat_with(dir, aside, dir, anchor.name.as_str(), RenameFlags::NOREPLACE)
    } else {
        linkat(
            CWD,
            proc_path(file.as_fd()),
            dir,
            anchor.name.as_str(),
            AtFlags::SYMLINK_FOLLOW,
        )
    };
    match done {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(ToolError::Exists { path }),
        Err(errno) => Err(ToolError::io("name", path, errno)),
    }
}

fn link(from: BorrowedFd<'_>, name: &str, dir: BorrowedFd<'_>, anchor: &Anchor) -> Result<()> {
    linkat(from, name, dir, anchor.name.as_str(), AtFlags::empty())
        .map_err(|errno| ToolError::io("link", anchor.path(), errno))
}

pub(crate) fn unlink(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<()> {
    unlinkat(dir, name, AtFlags::empty()).map_err(|errno| ToolError::io("delete", path, errno))
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

fn foreign(path: &str) -> ToolError {
    ToolError::Changed {
        path: path.to_owned(),
        difference: "somebody else put something there".to_owned(),
    }
}
