//! What one mutating call is going to change, written down before it is changed: each place with its
//! exact image before, and the step that changes it. The journal keeps the plan; rolling back,
//! finishing after a crash and undoing later all work from it and from nothing else.

use crate::budget::Budget;
use crate::error::Result;
use crate::fs::image::{Image, Moment, capture, moment};
use crate::fs::resolve::{Anchor, entry_in};
use crate::worker::store::Store;
use rustix::fd::AsFd;
use rustix::fs::fstat;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// How one place is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The name is removed.
    Delete,
    /// A file is made with content from the store.
    Create {
        /// Content, hex SHA-256.
        sha256: String,
        /// Permission bits.
        mode: u32,
    },
    /// Content from the store is written into the file that is there.
    Write {
        /// Bytes to write, hex SHA-256.
        sha256: String,
        /// First byte to write at; what was behind is cut off.
        offset: u64,
        /// Content of the whole file afterwards, hex SHA-256.
        whole: String,
    },
    /// The place becomes exactly this again.
    Restore {
        /// What it becomes.
        image: Image,
    },
}

/// One place and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where.
    pub anchor: Anchor,
    /// What was there.
    pub before: Image,
    /// What is done.
    pub step: Step,
    /// What is there afterwards; known once it was done.
    pub after: Option<Image>,
}

/// Times of a directory whose entries change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirTimes {
    /// A place in the directory; its name does not matter.
    pub anchor: Anchor,
    /// Access and change time before.
    pub before: (Moment, Moment),
    /// The same afterwards.
    pub after: Option<(Moment, Moment)>,
    /// For an undo: the times to give back.
    pub restore: Option<(Moment, Moment)>,
}

/// Everything that one call changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Names the call within temporary file names: task and step.
    pub tag: String,
    /// The changes, in the order in which they are made.
    pub changes: Vec<Change>,
    /// The directories concerned.
    pub dirs: Vec<DirTimes>,
    /// What the call answers when all of it is done.
    pub result: Value,
    /// Changes that this process began; `None` after a restart, when any may have been begun.
    #[serde(skip)]
    pub touched: Option<BTreeSet<usize>>,
}

impl Plan {
    /// A plan of `changes`, with the times of their directories as they are now.
    ///
    /// # Errors
    /// A directory is no longer the same.
    pub fn new(tag: String, changes: Vec<Change>, result: Value) -> Result<Self> {
        let mut dirs: Vec<DirTimes> = Vec::new();
        for change in &changes {
            let anchor = &change.anchor;
            if !dirs
                .iter()
                .any(|dir| (dir.anchor.dev, dir.anchor.ino) == (anchor.dev, anchor.ino))
            {
                let before = dir_times(anchor)?;
                dirs.push(DirTimes {
                    anchor: anchor.clone(),
                    before,
                    after: None,
                    restore: None,
                });
            }
        }
        Ok(Self {
            tag,
            changes,
            dirs,
            result,
            touched: None,
        })
    }

    /// The temporary name that change number `index` may use while it is made.
    pub fn aside(&self, index: usize) -> String {
        format!(".aios-aside-{}-{index}", self.tag)
    }

    pub(crate) fn touch(&mut self, index: usize) {
        self.touched.get_or_insert_default().insert(index);
    }

    pub(crate) fn was_touched(&self, index: usize) -> bool {
        self.touched
            .as_ref()
            .is_none_or(|touched| touched.contains(&index))
    }

    /// Bytes that the changes touch.
    pub fn bytes(&self) -> u64 {
        self.changes.iter().map(|change| change.before.bytes()).sum()
    }
}

/// Access and change time of the directory that holds a place.
pub(crate) fn dir_times(anchor: &Anchor) -> Result<(Moment, Moment)> {
    let dir = anchor.open_parent()?;
    let stat = fstat(&dir).map_err(|errno| crate::error::ToolError::io("look at", &anchor.parent, errno))?;
    Ok((
        moment(stat.st_atime, stat.st_atime_nsec),
        moment(stat.st_mtime, stat.st_mtime_nsec),
    ))
}

/// What is at a place now, digested but not kept.
pub(crate) fn look(anchor: &Anchor, budget: &Budget) -> Result<Image> {
    take(anchor, None, budget)
}

/// What is at a place now, with its content kept in the store.
pub(crate) fn keep(anchor: &Anchor, store: &Store, budget: &Budget) -> Result<Image> {
    take(anchor, Some(store), budget)
}

fn take(anchor: &Anchor, store: Option<&Store>, budget: &Budget) -> Result<Image> {
    let dir = anchor.open_parent()?;
    let path = anchor.path();
    let entry = entry_in(dir.as_fd(), &anchor.name, &path, &anchor.root)?;
    capture(entry.as_ref(), &path, store, budget)
}
