//! Makes the changes of a plan, takes them back, and tells after a crash which of the two is right.
//!
//! A deletion first moves every name aside within its directory and proves that it caught the thing
//! that was authorized; only when all were caught are they removed. A new file is made without a name
//! and linked when it is whole. Content is written into an existing file in place, so that its other
//! names keep seeing it; taking that back writes the old content from the store.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use crate::fs::image::Image;
use crate::fs::plan::{Change, Plan, Step, dir_times, look};
use crate::fs::resolve::{absent, entry_in, identity_of, kind_of};
use crate::fs::restore::{Restorer, make_file, sync, unlink};
use crate::worker::store::Store;
use aios_core::failpoint;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    Gid, Mode, OFlags, RenameFlags, Stat, Uid, fchmod, fchown, fstat, fsync, ftruncate, renameat_with,
};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, SeekFrom};

/// Applies plans with the snapshots of one store.
#[derive(Debug, Clone, Copy)]
pub struct Applier<'a> {
    /// Where content comes from.
    pub store: &'a Store,
}

impl Applier<'_> {
    /// Makes all changes and makes them durable; fills in what is there afterwards.
    ///
    /// # Errors
    /// The first thing that went wrong; the caller then rolls back.
    pub fn apply(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        plan.touched = Some(BTreeSet::new());
        let made = self.make_all(plan, budget);
        for change in &plan.changes {
            if let Step::Create { sha256, .. } | Step::Write { sha256, .. } = &change.step {
                self.store.let_go(sha256);
            }
        }
        made?;
        self.settle(plan, budget)
    }

    fn make_all(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        self.check_targets(plan, budget)?;
        move_aside(plan, budget)?;
        self.make_changes(plan, budget)
    }

    fn make_changes(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        let mut restorer = Restorer::new(self.store, plan);
        let middle = plan.changes.len() / 2;
        for index in 0..plan.changes.len() {
            plan.touch(index);
            let Some(change) = plan.changes.get(index) else {
                break;
            };
            if change.step != Step::Delete {
                budget.check()?;
            }
            match &change.step {
                Step::Delete => {
                    let dir = change.anchor.open_parent()?;
                    unlink(dir.as_fd(), &plan.aside(index), &change.anchor.path())?;
                }
                Step::Create { sha256, mode } => {
                    let dir = change.anchor.open_parent()?;
                    let owner = fstat(&dir)
                        .map_err(|errno| ToolError::io("look at", &change.anchor.parent, errno))?;
                    make_file(
                        self.store,
                        dir.as_fd(),
                        &change.anchor,
                        &plan.aside(index),
                        sha256,
                        |file, path| give(file, &owner, *mode, path),
                    )?;
                }
                Step::Write { sha256, offset, .. } => self.write(change, sha256, *offset)?,
                Step::Restore { image } => restorer.bring(index, change, image)?,
            }
            if index == middle {
                failpoint::hit("worker.fs.mid_effect");
            }
        }
        Ok(())
    }

    /// Undo steps replace what was captured before; nobody may have changed it in between.
    fn check_targets(&self, plan: &Plan, budget: &Budget) -> Result<()> {
        for change in plan
            .changes
            .iter()
            .filter(|change| matches!(change.step, Step::Restore { .. }))
        {
            let now = look(&change.anchor, budget)?;
            if let Some(difference) = change.before.difference(&now) {
                return Err(ToolError::Changed {
                    path: change.anchor.path(),
                    difference,
                });
            }
        }
        Ok(())
    }

    fn write(&self, change: &Change, sha256: &str, offset: u64) -> Result<()> {
        let path = change.anchor.path();
        let dir = change.anchor.open_parent()?;
        let entry = entry_in(dir.as_fd(), &change.anchor.name, &path, &change.anchor.root)?;
        let caught = caught(change, entry.as_ref())?;
        let mut file = crate::fs::resolve::open_inode(caught.as_fd(), OFlags::WRONLY, &path)?;
        ftruncate(&file, offset).map_err(|errno| ToolError::io("cut", &path, errno))?;
        file.seek(SeekFrom::Start(offset))
            .map_err(|error| ToolError::io("write", &path, error))?;
        self.store.copy_to(sha256, &mut file, &path)?;
        fsync(&file).map_err(|errno| ToolError::io("make durable", &path, errno))
    }

    /// Syncs the directories, gives their times back where an undo asks it, and notes what is there.
    fn settle(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        let names = plan
            .changes
            .iter()
            .any(|change| !matches!(change.step, Step::Write { .. }));
        for dir in &plan.dirs {
            let fd = dir.anchor.open_parent()?;
            if let Some((atime, mtime)) = dir.restore {
                crate::fs::image::set_dir_times(fd.as_fd(), atime, mtime, &dir.anchor.parent)?;
            }
            // Content written in place changes no directory, and was made durable itself.
            if names || dir.restore.is_some() {
                sync(fd.as_fd(), &dir.anchor.parent)?;
            }
        }
        self.note(plan, budget)
    }

    fn note(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        for change in &mut plan.changes {
            let now = look(&change.anchor, budget)?;
            if !reached(change, &now) {
                return Err(ToolError::Changed {
                    path: change.anchor.path(),
                    difference: "it is not what was just made there".to_owned(),
                });
            }
            change.after = Some(now);
        }
        for dir in &mut plan.dirs {
            dir.after = Some(dir_times(&dir.anchor)?);
        }
        Ok(())
    }

    /// Takes back whatever of the plan was done; every place is then as it was before.
    ///
    /// # Errors
    /// Somebody else changed a place meanwhile, or the machine refuses. All other places are
    /// restored nevertheless.
    pub fn roll_back(&self, plan: &Plan) -> Result<()> {
        let budget = Budget::of_ms(ROLLBACK_MS);
        let mut restorer = Restorer::new(self.store, plan);
        let mut failures = Vec::new();
        for (index, change) in plan
            .changes
            .iter()
            .enumerate()
            .filter(|(index, _)| plan.was_touched(*index))
        {
            if let Err(error) = self.take_back(&mut restorer, index, change, &budget) {
                failures.push(error.report().message);
            }
        }
        for dir in &plan.dirs {
            let (atime, mtime) = dir.before;
            let done = dir.anchor.open_parent().and_then(|fd| {
                crate::fs::image::set_dir_times(fd.as_fd(), atime, mtime, &dir.anchor.parent)?;
                sync(fd.as_fd(), &dir.anchor.parent)
            });
            if let Err(error) = done {
                failures.push(error.report().message);
            }
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(ToolError::HalfDone {
                key: plan.tag.clone(),
                why: failures.join("; "),
            })
        }
    }

    fn take_back(
        &self,
        restorer: &mut Restorer<'_>,
        index: usize,
        change: &Change,
        budget: &Budget,
    ) -> Result<()> {
        if change.before != Image::Absent {
            return restorer.bring(index, change, &change.before);
        }
        restorer.drop_aside(index, change)?;
        let now = look(&change.anchor, budget)?;
        // What somebody else put there is not ours to remove: our own making of it then failed.
        if now == Image::Absent || !reached(change, &now) {
            return Ok(());
        }
        let dir = change.anchor.open_parent()?;
        unlink(dir.as_fd(), &change.anchor.name, &change.anchor.path())
    }

    /// Whether all of the plan was done when the process died, or can be completed without touching
    /// anything that was not caught; then completes it and notes what is there.
    ///
    /// # Errors
    /// A place cannot be looked at.
    pub fn finish(&self, plan: &mut Plan) -> Result<bool> {
        let budget = Budget::of_ms(ROLLBACK_MS);
        if deletion_was_decided(plan)? {
            for (index, change) in plan.changes.iter().enumerate() {
                if change.step == Step::Delete {
                    drop_name(change, &plan.aside(index))?;
                }
            }
        }
        for (index, change) in plan.changes.iter().enumerate() {
            if is_there(change, &plan.aside(index))? || !reached(change, &look(&change.anchor, &budget)?) {
                return Ok(false);
            }
        }
        self.settle(plan, &budget)?;
        Ok(true)
    }
}

/// Names are removed only when all of them were caught. So when none stands in its place any more and
/// one is gone for good, the rest is to go too: bringing that one back would make another inode of it.
fn deletion_was_decided(plan: &Plan) -> Result<bool> {
    let mut gone = false;
    for (index, change) in plan.changes.iter().enumerate() {
        if change.step == Step::Delete && !is_there(change, &plan.aside(index))? {
            if is_there(change, &change.anchor.name)? {
                return Ok(false);
            }
            gone = true;
        }
    }
    Ok(gone)
}

fn is_there(change: &Change, name: &str) -> Result<bool> {
    let dir = change.anchor.open_parent()?;
    Ok(entry_in(dir.as_fd(), name, &change.anchor.path(), &change.anchor.root)?.is_some())
}

fn drop_name(change: &Change, name: &str) -> Result<()> {
    if is_there(change, name)? {
        unlink(change.anchor.open_parent()?.as_fd(), name, &change.anchor.path())?;
    }
    Ok(())
}

/// Rolling back is not stopped by the caller's deadline, only by this one.
const ROLLBACK_MS: u64 = 600_000;

/// A new file belongs to whoever its directory belongs to, not to the worker's own user.
fn give(file: &File, directory: &Stat, mode: u32, path: &str) -> Result<()> {
    let own = fstat(file).map_err(|errno| ToolError::io("look at", path, errno))?;
    let (uid, gid) = (directory.st_uid, directory.st_gid);
    if (own.st_uid, own.st_gid) != (uid, gid) {
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| ToolError::io("set the owner of", path, errno))?;
    }
    fchmod(file, Mode::from_raw_mode(mode)).map_err(|errno| ToolError::io("set the mode of", path, errno))
}

/// Whether a place is as its step leaves it.
fn reached(change: &Change, now: &Image) -> bool {
    match (&change.step, now) {
        (Step::Delete, now) => *now == Image::Absent,
        (Step::Create { sha256: wanted, mode }, Image::File { sha256, meta, .. }) => {
            sha256 == wanted && meta.mode == *mode
        }
        (Step::Write { whole, .. }, Image::File { sha256, .. }) => sha256 == whole,
        (Step::Restore { image }, now) => image.same_as(now),
        _ => false,
    }
}

fn move_aside(plan: &mut Plan, budget: &Budget) -> Result<()> {
    for index in 0..plan.changes.len() {
        let Some(change) = plan
            .changes
            .get(index)
            .filter(|change| change.step == Step::Delete)
        else {
            continue;
        };
        budget.check()?;
        move_one_aside(change, &plan.aside(index))?;
        plan.touch(index);
    }
    Ok(())
}

/// Moves a name aside, and back again when it was not the thing that was authorized.
fn move_one_aside(change: &Change, aside: &str) -> Result<()> {
    let (name, path) = (&change.anchor.name, change.anchor.path());
    let dir = change.anchor.open_parent()?;
    let rename = |from: &str, to: &str| renameat_with(&dir, from, &dir, to, RenameFlags::NOREPLACE);
    match rename(name, aside) {
        Ok(()) => {}
        Err(Errno::NOENT) => {
            return Err(ToolError::Changed {
                path,
                difference: "nothing is there now".to_owned(),
            });
        }
        Err(errno) => return Err(ToolError::io("delete", path, errno)),
    }
    let entry = entry_in(dir.as_fd(), aside, &path, &change.anchor.root)?;
    if let Err(changed) = caught(change, entry.as_ref()) {
        rename(aside, name).map_err(|errno| ToolError::io("put back", path, errno))?;
        return Err(changed);
    }
    Ok(())
}

/// The thing at hand, when it is still the one that was captured before.
fn caught<'a>(change: &Change, entry: Option<&'a (OwnedFd, Stat)>) -> Result<&'a OwnedFd> {
    let path = change.anchor.path();
    let found = entry.map_or_else(|| absent(&path), |(_, stat)| identity_of(&path, stat));
    if let Some((fd, stat)) = entry
        && change.before.inode() == Some((stat.st_dev, stat.st_ino))
        && unwritten(&change.before, fd, stat)?
    {
        return Ok(fd);
    }
    Err(ToolError::Changed {
        path,
        difference: format!("another {} is there now, or its content was changed", found.kind),
    })
}

/// Whether a file still has the size and change time that it had when its content was captured.
fn unwritten(before: &Image, fd: &OwnedFd, stat: &Stat) -> Result<bool> {
    let Image::File { meta, size, .. } = before else {
        return Ok(kind_of(stat) == Kind::Symlink);
    };
    let now = fstat(fd).map_err(|errno| ToolError::io("look at", "an open file", errno))?;
    let mtime = crate::fs::image::moment(now.st_mtime, now.st_mtime_nsec);
    Ok(kind_of(stat) == Kind::File && mtime == meta.mtime && u64::try_from(now.st_size) == Ok(*size))
}
