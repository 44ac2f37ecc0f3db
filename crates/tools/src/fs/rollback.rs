//! Takes back what of a plan was done, and tells after a crash whether that or finishing is right.
//!
//! Changes are taken back in the opposite order: a directory that was removed is there again before what
//! was in it, and one that was made is empty before it goes.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::apply::{Applier, reached};
use crate::fs::image::{Image, set_dir_times};
use crate::fs::make::{remove, sync};
use crate::fs::plan::{Change, Plan, Step, inode_at};
use crate::fs::resolve::{Anchor, entry_in};
use crate::fs::restore::{Restorer, foreign, give_dir_times};
use crate::fs::successors::Known;
use rustix::fd::AsFd;
use rustix::fs::{RenameFlags, renameat_with};

/// Rolling back is not stopped by the caller's deadline, only by this one.
const ROLLBACK_MS: u64 = 600_000;

impl Applier<'_> {
    /// Takes back whatever of the plan was done; every place is then as it was before.
    ///
    /// # Errors
    /// Somebody else changed a place meanwhile, or the machine refuses. All other places are
    /// restored nevertheless.
    pub fn roll_back(&self, plan: &Plan) -> Result<()> {
        let mut failures = Vec::new();
        let mut note = |done: Result<()>| {
            if let Err(error) = done {
                failures.push(error.report().message);
            }
        };
        let mut restorer = Restorer::backward(self.store, plan);
        // Names that were caught go back first: what shares their inode is linked to them.
        for (index, change) in touched(plan) {
            note(restorer.put_back_caught(index, change));
        }
        let budget = Budget::of_ms(ROLLBACK_MS);
        for (index, change) in touched(plan).rev() {
            note(take_back(&mut restorer, index, change, &budget));
        }
        for (_, change) in touched(plan) {
            if let (Step::Delete, Image::Dir { meta, .. }) = (&change.step, &change.before) {
                note(give_dir_times(&change.anchor, meta));
            }
        }
        for dir in &plan.dirs {
            let (atime, mtime) = dir.before;
            note(dir.anchor.open_parent().and_then(|fd| {
                set_dir_times(fd.as_fd(), atime, mtime, &dir.anchor.parent)?;
                sync(fd.as_fd(), &dir.anchor.parent)
            }));
        }
        note(self.note_replaced(plan));
        if failures.is_empty() {
            Ok(())
        } else {
            Err(ToolError::HalfDone {
                key: plan.tag.clone(),
                why: failures.join("; "),
            })
        }
    }

    /// Withdraws what was written down of the plan, and writes down which inodes are others than before.
    fn note_replaced(&self, plan: &Plan) -> Result<()> {
        let mut replaced = Vec::new();
        for (_, change) in touched(plan) {
            let now = inode_at(&change.anchor)?;
            if let (Some(old), Some(new)) = (change.before.inode(), now)
                && old != new
            {
                let old = Known {
                    inode: old,
                    at: plan.since,
                };
                replaced.push((old, new));
            }
        }
        self.successors.withdraw(&plan.tag, plan.since)?;
        self.successors.add(&plan.tag, &replaced)
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
                    complete_deletion(change, &plan.aside(index))?;
                }
            }
        }
        for change in &plan.changes {
            complete_rename(change)?;
        }
        for (index, change) in plan.changes.iter().enumerate() {
            if is_there(&change.anchor, &plan.aside(index))? || !reached(change, &change.look(&budget)?) {
                return Ok(false);
            }
        }
        self.settle(plan, &budget)?;
        Ok(true)
    }
}

fn touched(plan: &Plan) -> impl DoubleEndedIterator<Item = (usize, &Change)> {
    plan.changes
        .iter()
        .enumerate()
        .filter(|(index, _)| plan.was_touched(*index))
}

fn take_back(restorer: &mut Restorer<'_>, index: usize, change: &Change, budget: &Budget) -> Result<()> {
    if let Step::Rename { from, dev, ino } = &change.step {
        rename_back(change, from, (*dev, *ino))?;
    }
    if change.step == Step::Leave {
        return Ok(());
    }
    if is_left_by_rename(change) && inode_at(&change.anchor)? == change.before.inode() {
        return Ok(());
    }
    if change.before != Image::Absent && !is_left_by_rename(change) {
        return restorer.bring(index, change, &change.before);
    }
    restorer.drop_aside(index, change)?;
    let now = change.look(budget)?;
    // What somebody else put there is not ours to remove: our own making of it then failed.
    if now == Image::Absent || !reached(change, &now) {
        return Ok(());
    }
    let dir = change.anchor.open_parent()?;
    remove(dir.as_fd(), &change.anchor.name, &change.anchor.path())
}

/// Whether another place's rename takes the thing away before this step makes something else here.
/// Taking that back only frees the place; the thing comes with the rename.
fn is_left_by_rename(change: &Change) -> bool {
    matches!((&change.before, &change.step), (Image::Node { .. }, Step::Restore { image }) if !matches!(image, Image::Node { .. }))
}

/// Brings a renamed thing back to where it was. What was replaced comes back with it when it still
/// stands there; else the caller restores it.
fn rename_back(change: &Change, from: &Anchor, inode: (u64, u64)) -> Result<()> {
    if inode_at(&change.anchor)? != Some(inode) {
        return if inode_at(from)? == Some(inode) {
            Ok(())
        } else {
            Err(foreign(&from.path()))
        };
    }
    let (source, target) = (from.open_parent()?, change.anchor.open_parent()?);
    let flags = match inode_at(from)? {
        None => RenameFlags::NOREPLACE,
        there if there == change.before.inode() => RenameFlags::EXCHANGE,
        Some(_) => return Err(foreign(&from.path())),
    };
    renameat_with(
        &target,
        change.anchor.name.as_str(),
        &source,
        from.name.as_str(),
        flags,
    )
    .map_err(|errno| ToolError::io("put back", from.path(), errno))
}

/// A rename that replaced something has begun when the two have changed places; what was replaced is
/// then still to be removed.
fn complete_rename(change: &Change) -> Result<()> {
    if let Step::Rename { from, dev, ino } = &change.step
        && change.before != Image::Absent
        && inode_at(&change.anchor)? == Some((*dev, *ino))
        && inode_at(from)? == change.before.inode()
    {
        remove(from.open_parent()?.as_fd(), &from.name, &from.path())?;
    }
    Ok(())
}

/// Names are removed only when all of them were caught. So when none stands in its place any more and
/// one is gone for good, the rest is to go too: bringing that one back would make another inode of it.
/// Directories are not caught; they go last.
fn deletion_was_decided(plan: &Plan) -> Result<bool> {
    let mut gone = false;
    for (index, change) in plan.changes.iter().enumerate() {
        if change.step == Step::Delete
            && !change.before.is_dir()
            && !is_there(&change.anchor, &plan.aside(index))?
        {
            if is_there(&change.anchor, &change.anchor.name)? {
                return Ok(false);
            }
            gone = true;
        }
    }
    Ok(gone)
}

fn is_there(anchor: &Anchor, name: &str) -> Result<bool> {
    let Some(dir) = anchor.parent_if_there()? else {
        return Ok(false);
    };
    Ok(entry_in(dir.as_fd(), name, &anchor.path(), &anchor.root)?.is_some())
}

fn complete_deletion(change: &Change, aside: &str) -> Result<()> {
    let anchor = &change.anchor;
    let name = if change.before.is_dir() {
        anchor.name.as_str()
    } else {
        aside
    };
    let ours = !change.before.is_dir() || inode_at(anchor)? == change.before.inode();
    if ours && is_there(anchor, name)? {
        remove(anchor.open_parent()?.as_fd(), name, &anchor.path())?;
    }
    Ok(())
}
