//! Makes the changes of a plan. Taking them back, and telling after a crash which of the two is right,
//! is in [`super::rollback`].
//!
//! A deletion first moves every name aside within its directory and proves that it caught the thing
//! that was authorized; only when all were caught are they removed, and last the directories, which are
//! then empty. New things are made without a name or under a temporary one and get their name when they
//! are whole. Content is written into an existing file in place, so that its other names keep seeing it;
//! taking that back writes the old content from the store.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use crate::fs::image::{Image, Meta, capture_node, set_dir_times};
use crate::fs::make::{Spot, copy_content, give, give_link, remove, sync};
use crate::fs::plan::{Change, Depth, Plan, Step, dir_times, take};
use crate::fs::resolve::{absent, entry_in, identity_of, kind_of, open_inode};
use crate::fs::restore::{Restorer, give_dir_times};
use crate::fs::successors::{Known, Successors};
use crate::worker::store::Store;
use aios_core::failpoint;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, RenameFlags, Stat, Uid, chownat, fchmod, fchown, fstat, fsync, ftruncate,
    renameat_with, syncfs,
};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io::{Seek, SeekFrom};

/// More changes of mode or owner than these are made durable all at once, with the whole file system.
const SYNCED_ONE_BY_ONE: usize = 64;

/// Applies plans with the snapshots of one store.
#[derive(Debug, Clone, Copy)]
pub struct Applier<'a> {
    /// Where content comes from.
    pub store: &'a Store,
    /// Where it is written down that an inode took the place of another.
    pub successors: &'a Successors,
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
        check_targets(plan, budget)?;
        move_aside(plan, budget)?;
        self.make_changes(plan, budget)
    }

    fn make_changes(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        let mut restorer = Restorer::forward(self.store, plan);
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
                Step::Restore { image } => restorer.bring(index, change, image)?,
                _ => self.make(change, &plan.aside(index), budget)?,
            }
            if index == middle {
                failpoint::hit("worker.fs.mid_effect");
            }
        }
        Ok(())
    }

    fn make(&self, change: &Change, aside: &str, budget: &Budget) -> Result<()> {
        let dir = change.anchor.open_parent()?;
        let spot = Spot {
            dir: dir.as_fd(),
            anchor: &change.anchor,
            aside,
        };
        match &change.step {
            Step::Delete => delete(change, &dir, aside),
            Step::Create { sha256, mode } => {
                let owner = spot.owner()?;
                spot.file(|file, path| {
                    self.store.copy_to(sha256, file, path)?;
                    give(file, &owner, *mode, None, path)
                })
            }
            Step::Copy { from, mode, meta, .. } => {
                let owner = spot.owner()?;
                spot.file(|file, path| {
                    copy_content(from, file, budget)?;
                    give(file, &owner, *mode, meta.as_ref(), path)
                })
            }
            Step::MakeDir { mode, meta } => {
                let owner = spot.owner()?;
                spot.directory(|dir, path| give(dir, &owner, *mode, meta.as_ref(), path))
            }
            Step::MakeLink { target, meta } => {
                let owner = spot.owner()?;
                let path = change.anchor.path();
                spot.symlink(target, |name| {
                    give_link(dir.as_fd(), name, &owner, meta.as_ref(), &path)
                })
            }
            Step::Write { sha256, offset, .. } => self.write(change, &dir, sha256, *offset),
            Step::SetMeta { mode, uid, gid } => set_meta(change, &dir, *mode, (*uid, *gid)),
            Step::Rename { .. } => rename(change),
            Step::Restore { .. } | Step::Leave => Ok(()),
        }
    }

    fn write(&self, change: &Change, dir: &OwnedFd, sha256: &str, offset: u64) -> Result<()> {
        let path = change.anchor.path();
        let entry = entry_in(dir.as_fd(), &change.anchor.name, &path, &change.anchor.root)?;
        let caught = caught(change, entry.as_ref())?;
        let mut file = open_inode(caught.as_fd(), OFlags::WRONLY, &path)?;
        ftruncate(&file, offset).map_err(|errno| ToolError::io("cut", &path, errno))?;
        file.seek(SeekFrom::Start(offset))
            .map_err(|error| ToolError::io("write", &path, error))?;
        self.store.copy_to(sha256, &mut file, &path)?;
        fsync(&file).map_err(|errno| ToolError::io("make durable", &path, errno))
    }

    /// Gives directories their times, makes their names durable, and notes what is there.
    pub(crate) fn settle(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        for change in &plan.changes {
            if let Some(meta) = times_of_made_dir(&change.step) {
                give_dir_times(&change.anchor, meta)?;
            }
        }
        let names = plan.changes.iter().any(|change| change.step.changes_names());
        for dir in &plan.dirs {
            let fd = dir.anchor.open_parent()?;
            if let Some((atime, mtime)) = dir.restore {
                set_dir_times(fd.as_fd(), atime, mtime, &dir.anchor.parent)?;
            }
            // Content written in place changes no directory, and was made durable itself.
            if names || dir.restore.is_some() {
                sync(fd.as_fd(), &dir.anchor.parent)?;
            }
        }
        sync_made(plan)?;
        self.note(plan, budget)
    }

    fn note(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        let mut replaced = Vec::new();
        for change in &mut plan.changes {
            let now = change.look(budget)?;
            if !reached(change, &now) {
                return Err(ToolError::Changed {
                    path: change.anchor.path(),
                    difference: "it is not what was just made there".to_owned(),
                });
            }
            if let (Step::Restore { image }, Some(new)) = (&change.step, now.inode())
                && let Some(old) = image.inode()
                && old != new
            {
                let old = Known {
                    inode: old,
                    at: change.seen,
                };
                replaced.push((old, new));
            }
            if change.anchor.is_own()
                && let Some(dir) = change.anchor.parent_if_there()?
            {
                let stat =
                    fstat(&dir).map_err(|errno| ToolError::io("look at", &change.anchor.parent, errno))?;
                (change.anchor.dev, change.anchor.ino) = (stat.st_dev, stat.st_ino);
            }
            change.after = Some(now);
        }
        for dir in &mut plan.dirs {
            dir.after = Some(dir_times(&dir.anchor)?);
        }
        self.successors.withdraw(&plan.tag, plan.since)?;
        self.successors.add(&plan.tag, &replaced)?;
        plan.until = Some(self.successors.now()?);
        Ok(())
    }
}

fn times_of_made_dir(step: &Step) -> Option<&Meta> {
    match step {
        Step::Restore {
            image: Image::Dir { meta, .. },
        } => Some(meta),
        Step::MakeDir { meta, .. } => meta.as_ref(),
        _ => None,
    }
}

/// Makes durable what has no handle of its own that was synced: new directories without own times, and
/// bits and owners.
fn sync_made(plan: &Plan) -> Result<()> {
    let unsynced = |change: &&Change| {
        matches!(
            change.step,
            Step::MakeDir { meta: None, .. }
                | Step::SetMeta { .. }
                | Step::Restore {
                    image: Image::Node { .. }
                }
        )
    };
    let made: Vec<&Change> = plan.changes.iter().filter(unsynced).collect();
    if made.len() > SYNCED_ONE_BY_ONE
        && let Some(change) = made.first()
    {
        let (anchor, dir) = (&change.anchor, change.anchor.open_parent()?);
        let open = open_inode(dir.as_fd(), OFlags::RDONLY, &anchor.parent)?;
        return syncfs(&open).map_err(|errno| ToolError::io("make durable", anchor.path(), errno));
    }
    for change in made {
        let (anchor, path) = (&change.anchor, change.anchor.path());
        let dir = anchor.open_parent()?;
        let entry = entry_in(dir.as_fd(), &anchor.name, &path, &anchor.root)?;
        if let Some((fd, stat)) = entry
            && kind_of(&stat) != Kind::Symlink
        {
            let open = open_inode(fd.as_fd(), OFlags::RDONLY, &path)?;
            fsync(&open).map_err(|errno| ToolError::io("make durable", &path, errno))?;
        }
    }
    Ok(())
}

/// Undo steps replace what was captured before; nobody may have changed it in between.
fn check_targets(plan: &Plan, budget: &Budget) -> Result<()> {
    for change in plan
        .changes
        .iter()
        .filter(|change| matches!(change.step, Step::Restore { .. }))
    {
        let now = take(&change.anchor, None, Depth::of(&change.before), budget)?;
        if let Some(difference) = change.before.difference(&now) {
            return Err(ToolError::Changed {
                path: change.anchor.path(),
                difference,
            });
        }
    }
    Ok(())
}

/// Whether a place is as its step leaves it.
pub(crate) fn reached(change: &Change, now: &Image) -> bool {
    match (&change.step, now) {
        (Step::Delete | Step::Leave, now) => *now == Image::Absent,
        (Step::Create { sha256: wanted, mode }, Image::File { sha256, meta, .. }) => {
            sha256 == wanted && meta.mode == *mode
        }
        (
            Step::Copy {
                sha256: wanted,
                mode,
                meta: given,
                ..
            },
            Image::File { sha256, meta, .. },
        ) => sha256 == wanted && has(given.as_ref(), *mode, meta),
        (Step::MakeDir { mode, meta: given }, Image::Dir { meta, .. }) => has(given.as_ref(), *mode, meta),
        (Step::MakeLink { target: wanted, .. }, Image::Symlink { target, .. }) => target == wanted,
        (Step::Write { whole, .. }, Image::File { sha256, .. }) => sha256 == whole,
        (Step::SetMeta { mode, uid, gid }, Image::Node { meta, .. }) => {
            now.inode() == change.before.inode()
                && mode.is_none_or(|mode| mode == meta.mode)
                && uid.is_none_or(|uid| uid == meta.uid)
                && gid.is_none_or(|gid| gid == meta.gid)
        }
        (Step::Rename { dev, ino, .. }, now) => now.inode() == Some((*dev, *ino)),
        (Step::Restore { image }, now) => image.same_as(now),
        _ => false,
    }
}

fn has(given: Option<&Meta>, mode: u32, now: &Meta) -> bool {
    given.map_or(mode == now.mode, |given| given.outside(now).is_none())
}

fn move_aside(plan: &mut Plan, budget: &Budget) -> Result<()> {
    for index in 0..plan.changes.len() {
        let Some(change) = plan
            .changes
            .get(index)
            .filter(|change| change.step == Step::Delete && !change.before.is_dir())
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

/// Removes what was moved aside, or a directory that must be empty by now.
fn delete(change: &Change, dir: &OwnedFd, aside: &str) -> Result<()> {
    let path = change.anchor.path();
    if !change.before.is_dir() {
        return remove(dir.as_fd(), aside, &path);
    }
    let entry = entry_in(dir.as_fd(), &change.anchor.name, &path, &change.anchor.root)?;
    caught(change, entry.as_ref())?;
    remove(dir.as_fd(), &change.anchor.name, &path)
}

fn set_meta(
    change: &Change,
    dir: &OwnedFd,
    mode: Option<u32>,
    (uid, gid): (Option<u32>, Option<u32>),
) -> Result<()> {
    let path = change.anchor.path();
    let entry = entry_in(dir.as_fd(), &change.anchor.name, &path, &change.anchor.root)?;
    let now = capture_node(entry.as_ref(), &path)?;
    if let Some(difference) = change.before.difference(&now) {
        return Err(ToolError::Changed { path, difference });
    }
    let Some((fd, stat)) = &entry else {
        return Err(ToolError::NotFound { path });
    };
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    let owning = |errno| ToolError::io("set the owner of", &path, errno);
    if kind_of(stat) == Kind::Symlink {
        return chownat(fd, "", uid, gid, AtFlags::EMPTY_PATH).map_err(owning);
    }
    let file = open_inode(fd.as_fd(), OFlags::RDONLY, &path)?;
    if uid.is_some() || gid.is_some() {
        fchown(&file, uid, gid).map_err(owning)?;
    }
    if let Some(mode) = mode {
        fchmod(&file, Mode::from_raw_mode(mode))
            .map_err(|errno| ToolError::io("set the mode of", &path, errno))?;
    }
    Ok(())
}

/// Brings a thing here from another place. What is here goes there in the same moment and is then
/// removed; both are proven to be what was authorized, or go back.
fn rename(change: &Change) -> Result<()> {
    let Step::Rename { from, dev, ino } = &change.step else {
        return Err(ToolError::Defect("only a rename renames".to_owned()));
    };
    let (path, name) = (change.anchor.path(), change.anchor.name.as_str());
    let (source, target) = (from.open_parent()?, change.anchor.open_parent()?);
    let replacing = change.before != Image::Absent;
    let flags = if replacing {
        RenameFlags::EXCHANGE
    } else {
        RenameFlags::NOREPLACE
    };
    renameat_with(&source, from.name.as_str(), &target, name, flags)
        .map_err(|errno| cannot_move(errno, from.path(), &path))?;
    let came = entry_in(target.as_fd(), name, &path, &change.anchor.root)?;
    let right = came.is_some_and(|(_, stat)| (stat.st_dev, stat.st_ino) == (*dev, *ino));
    let went = entry_in(source.as_fd(), &from.name, &from.path(), &from.root)?;
    let proven = match (right, replacing) {
        (false, _) => Err(ToolError::Changed {
            path: from.path(),
            difference: "another thing is there now".to_owned(),
        }),
        (true, false) => Ok(()),
        (true, true) => caught(change, went.as_ref()).map(drop),
    };
    if let Err(changed) = proven {
        renameat_with(&target, name, &source, from.name.as_str(), flags)
            .map_err(|errno| ToolError::io("put back", path, errno))?;
        return Err(changed);
    }
    if replacing {
        failpoint::hit("worker.fs.mid_rename");
        remove(source.as_fd(), &from.name, &path)?;
    }
    Ok(())
}

fn cannot_move(errno: Errno, source: String, target: &str) -> ToolError {
    match errno {
        Errno::XDEV => ToolError::OtherFileSystem {
            from: source,
            to: target.to_owned(),
        },
        Errno::EXIST => ToolError::Exists {
            path: target.to_owned(),
        },
        Errno::NOENT => ToolError::Changed {
            path: source,
            difference: "nothing is there now".to_owned(),
        },
        errno => ToolError::io("move", source, errno),
    }
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
        return Ok(before.kind() == Some(kind_of(stat)));
    };
    let now = fstat(fd).map_err(|errno| ToolError::io("look at", "an open file", errno))?;
    let mtime = crate::fs::image::moment(now.st_mtime, now.st_mtime_nsec);
    Ok(kind_of(stat) == Kind::File && mtime == meta.mtime && u64::try_from(now.st_size) == Ok(*size))
}
