//! Brings a place to an exact earlier state: from the name it was moved aside to, from another name
//! of the same inode, or from the snapshot store.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use crate::fs::image::{Image, Meta, set_dir_times};
use crate::fs::make::{Spot, link, remove, sync};
use crate::fs::plan::{Change, Depth, Plan, Step, take};
use crate::fs::resolve::{Anchor, entry_in, kind_of, open_inode};
use crate::worker::store::Store;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, Stat, fsync, ftruncate, openat, renameat_with};
use rustix::io::Errno;
use std::collections::HashMap;

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
    /// For bringing the places of `plan` to where its steps lead.
    pub(crate) fn forward(store: &'a Store, plan: &Plan) -> Self {
        Self::towards(store, plan, |change| match &change.step {
            Step::Restore { image } => image,
            Step::Delete => &Image::Absent,
            _ => &change.before,
        })
    }

    /// For bringing them back to what was there before.
    pub(crate) fn backward(store: &'a Store, plan: &Plan) -> Self {
        Self::towards(store, plan, |change| &change.before)
    }

    /// Inode numbers tell siblings only among images of one moment, so `goal` has to name that of each place.
    fn towards(store: &'a Store, plan: &Plan, goal: impl Fn(&Change) -> &Image) -> Self {
        let mut siblings: HashMap<(u64, u64), Vec<Anchor>> = HashMap::new();
        for change in &plan.changes {
            if let Some(inode) = goal(change).inode() {
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

    /// Makes the place of `change` be `goal`. Directories get their times when all is done, from
    /// [`give_dir_times`].
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
        let aside = self.aside(index).to_owned();
        let spot = Spot {
            dir: dir.as_fd(),
            anchor,
            aside: &aside,
        };
        let entry = entry_in(dir.as_fd(), &anchor.name, &path, &anchor.root)?;
        match entry {
            None => self.make(spot, goal),
            Some(_) if *goal == Image::Absent => remove(dir.as_fd(), &anchor.name, &path),
            Some((fd, stat)) => {
                let inode = Some((stat.st_dev, stat.st_ino));
                if goal.inode() != inode && change.before.inode() != inode {
                    // Made by an earlier, interrupted taking back.
                    let now = take(anchor, None, Depth::of(goal), &Budget::of_ms(LONG_MS))?;
                    if !goal.same_as(&now) {
                        return Err(foreign(&path));
                    }
                    if let (Image::File { .. }, Some(inode)) = (goal, goal.inode()) {
                        self.made.insert(inode, anchor.clone());
                    }
                    return Ok(());
                }
                self.rewrite(spot, &fd, &stat, goal)
            }
        }
    }

    /// Gives back the name of what a deletion has moved aside and not removed yet.
    pub(crate) fn put_back_caught(&self, index: usize, change: &Change) -> Result<()> {
        if change.step == Step::Delete
            && !change.before.is_dir()
            && let Some(dir) = change.anchor.parent_if_there()?
        {
            self.take_from_aside(index, change, dir.as_fd(), &change.before)?;
        }
        Ok(())
    }

    /// Removes the temporary name that a killed making may have left.
    pub(crate) fn drop_aside(&self, index: usize, change: &Change) -> Result<()> {
        let Some(dir) = change.anchor.parent_if_there()? else {
            return Ok(());
        };
        let (aside, path) = (self.aside(index), change.anchor.path());
        match entry_in(dir.as_fd(), aside, &path, &change.anchor.root)? {
            Some(_) => remove(dir.as_fd(), aside, &path),
            None => Ok(()),
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
        // Whatever a deletion caught goes back, also when it was not what was authorized. Directories are
        // never caught: one that stands aside is half made.
        if !authorized && (change.step != Step::Delete || kind_of(&stat) == Kind::Dir) {
            // What is half made is made once more.
            remove(dir, aside, &path)?;
            return Ok(false);
        }
        match renameat_with(dir, aside, dir, anchor.name.as_str(), RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Err(foreign(&path)),
            Err(errno) => Err(ToolError::io("put back", path, errno)),
        }
    }

    fn make(&mut self, spot: Spot<'_>, goal: &Image) -> Result<()> {
        match goal {
            Image::Absent => Ok(()),
            Image::File {
                meta,
                sha256,
                others,
                nlink,
                ..
            } => {
                let inode = goal.inode().unwrap_or_default();
                // What had one name has no sibling, whatever has got its number since.
                if *nlink > 1 && self.link_to_sibling(inode, others, spot.anchor, spot.dir)? {
                    return Ok(());
                }
                spot.file(|file, path| {
                    self.store.copy_to(sha256, file, path)?;
                    meta.apply(file, path)
                })?;
                self.made.insert(inode, spot.anchor.clone());
                Ok(())
            }
            Image::Symlink { meta, target, .. } => spot.symlink(target, |name| {
                meta.apply_to_link(spot.dir, name, &spot.anchor.path())
            }),
            Image::Dir { meta, .. } => spot.directory(|dir, path| meta.apply_outside(dir, path)),
            Image::Node { .. } => Err(ToolError::Changed {
                path: spot.anchor.path(),
                difference: "nothing is there now".to_owned(),
            }),
        }
    }

    fn rewrite(&self, spot: Spot<'_>, fd: &OwnedFd, stat: &Stat, goal: &Image) -> Result<()> {
        let (anchor, path) = (spot.anchor, spot.anchor.path());
        match (goal, kind_of(stat)) {
            (Image::File { meta, sha256, .. }, Kind::File) => {
                let long = Budget::of_ms(LONG_MS);
                let reader = open_inode(fd.as_fd(), OFlags::RDONLY, &path)?;
                let mut file = open_inode(fd.as_fd(), OFlags::WRONLY, &path)?;
                if Store::digest(&reader, &path, &long)?.0 != *sha256 {
                    ftruncate(&file, 0).map_err(|errno| ToolError::io("cut", &path, errno))?;
                    self.store.copy_to(sha256, &mut file, &path)?;
                }
                meta.apply(&file, &path)?;
                fsync(&file).map_err(|errno| ToolError::io("make durable", &path, errno))
            }
            (Image::Symlink { meta, .. }, Kind::Symlink) => {
                if goal.inode() != Some((stat.st_dev, stat.st_ino)) {
                    return Err(foreign(&path));
                }
                meta.apply_to_link(spot.dir, &anchor.name, &path)
            }
            (Image::Dir { meta, .. }, Kind::Dir) => {
                meta.apply_outside(&open_inode(fd.as_fd(), OFlags::RDONLY, &path)?, &path)
            }
            (Image::Node { what, meta, .. }, kind) if *what == kind => {
                if kind == Kind::Symlink {
                    return meta.own_link(fd.as_fd(), &path);
                }
                meta.apply_outside(&open_inode(fd.as_fd(), OFlags::RDONLY, &path)?, &path)
            }
            _ => Err(foreign(&path)),
        }
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
            let Some(from) = sibling.parent_if_there()? else {
                continue;
            };
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
}

/// Gives a directory that was made, or whose names came and went, its times.
pub(crate) fn give_dir_times(anchor: &Anchor, meta: &Meta) -> Result<()> {
    let path = anchor.path();
    let dir = anchor.open_parent()?;
    let Some((fd, _)) = entry_in(dir.as_fd(), &anchor.name, &path, &anchor.root)? else {
        return Err(ToolError::NotFound { path });
    };
    let open = open_inode(fd.as_fd(), OFlags::RDONLY, &path)?;
    set_dir_times(open.as_fd(), meta.atime, meta.mtime, &path)?;
    sync(open.as_fd(), &path)
}

/// Restoring is not stopped by the caller's deadline.
const LONG_MS: u64 = 3_600_000;

pub(crate) fn foreign(path: &str) -> ToolError {
    ToolError::Changed {
        path: path.to_owned(),
        difference: "somebody else put something there".to_owned(),
    }
}
