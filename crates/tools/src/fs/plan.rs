//! What one mutating call is going to change, written down before it is changed: each place with its
//! exact image before, and the step that changes it. The journal keeps the plan; rolling back,
//! finishing after a crash and undoing later all work from it and from nothing else.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::image::{Image, Meta, Moment, capture, capture_node, moment};
use crate::fs::resolve::{Anchor, entry_in};
use crate::worker::store::Store;
use rustix::fd::AsFd;
use rustix::fs::fstat;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};

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
    /// An empty directory is made.
    MakeDir {
        /// Permission bits.
        mode: u32,
        /// Everything that it gets; else it belongs to whoever its directory belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meta: Option<Meta>,
    },
    /// A symbolic link is made.
    MakeLink {
        /// Where it points, as it is written.
        target: String,
        /// Everything that it gets; else it belongs to whoever its directory belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meta: Option<Meta>,
    },
    /// A file is made with the content of another.
    Copy {
        /// The other.
        from: Anchor,
        /// Its content, hex SHA-256.
        sha256: String,
        /// Permission bits.
        mode: u32,
        /// Everything that it gets; else it belongs to whoever its directory belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meta: Option<Meta>,
    },
    /// Mode or owner of what is there is changed; content and times are left.
    SetMeta {
        /// New mode bits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
        /// New owner.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<u32>,
        /// New group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gid: Option<u32>,
    },
    /// A thing comes here from another place of the plan, which has the step [`Step::Leave`] or, in an
    /// undo, becomes again what it was. What was here is removed in the same moment.
    Rename {
        /// The other place.
        from: Anchor,
        /// Device of the thing.
        dev: u64,
        /// Its inode.
        ino: u64,
    },
    /// The thing here goes to the place of the plan that has the step [`Step::Rename`].
    Leave,
}

impl Step {
    /// Whether it makes or removes a directory at its place.
    fn makes_or_removes_dir(&self, before: &Image) -> bool {
        match self {
            Self::Delete => before.is_dir(),
            Self::Restore { image } => image.is_dir(),
            Self::MakeDir { .. } => true,
            _ => false,
        }
    }

    /// Whether it changes which names the directory of its place has.
    pub fn changes_names(&self) -> bool {
        !matches!(
            self,
            Self::Write { .. }
                | Self::SetMeta { .. }
                | Self::Restore {
                    image: Image::Node { .. }
                }
        )
    }
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
    /// For [`Step::Restore`]: a moment at which what is given back was there; see [`super::successors`].
    #[serde(default)]
    pub seen: u64,
}

impl Change {
    /// A change that is not made yet.
    pub fn new(anchor: Anchor, before: Image, step: Step) -> Self {
        Self {
            anchor,
            before,
            step,
            after: None,
            seen: 0,
        }
    }

    /// What is at the place now, looked at as its step needs it: things that are only moved or given
    /// other bits are known by their inode.
    pub(crate) fn look(&self, budget: &Budget) -> Result<Image> {
        match &self.step {
            Step::SetMeta { .. }
            | Step::Rename { .. }
            | Step::Leave
            | Step::Restore {
                image: Image::Node { .. },
            } => take(&self.anchor, None, Depth::Outside, budget),
            _ => take(&self.anchor, None, Depth::Whole, budget),
        }
    }
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
    /// The moment before the plan was made, for what was there before; see [`super::successors`].
    #[serde(default)]
    pub since: u64,
    /// The moment when it was done, for what is there afterwards.
    #[serde(default)]
    pub until: Option<u64>,
    /// Changes that this process began; `None` after a restart, when any may have been begun.
    #[serde(skip)]
    pub touched: Option<BTreeSet<usize>>,
}

impl Plan {
    /// A plan of `changes`, with the times of their directories as they are now.
    ///
    /// # Errors
    /// A directory is no longer the same.
    pub fn new(tag: String, mut changes: Vec<Change>, result: Value) -> Result<Self> {
        let own: HashSet<String> = changes
            .iter()
            .filter(|change| change.step.makes_or_removes_dir(&change.before))
            .map(|change| change.anchor.path())
            .collect();
        let mut dirs: Vec<DirTimes> = Vec::new();
        let mut seen = HashSet::new();
        for change in &mut changes {
            let anchor = &mut change.anchor;
            if own.contains(&anchor.parent) {
                (anchor.dev, anchor.ino) = (0, 0);
            }
            // A directory that the plan makes or removes has its times in its image.
            let counts = !anchor.is_own()
                && !matches!(
                    change.step,
                    Step::SetMeta { .. }
                        | Step::Restore {
                            image: Image::Node { .. }
                        }
                );
            if counts && seen.insert((anchor.dev, anchor.ino)) {
                dirs.push(DirTimes {
                    before: dir_times(anchor)?,
                    anchor: anchor.clone(),
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
            since: 0,
            until: None,
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

    /// From when on what the plan left there is to be followed.
    pub fn left_at(&self) -> u64 {
        self.until.unwrap_or(self.since)
    }

    /// Bytes that the changes touch.
    pub fn bytes(&self) -> u64 {
        self.changes.iter().map(|change| change.before.bytes()).sum()
    }
}

/// Access and change time of the directory that holds a place.
pub(crate) fn dir_times(anchor: &Anchor) -> Result<(Moment, Moment)> {
    let dir = anchor.open_parent()?;
    let stat = fstat(&dir).map_err(|errno| ToolError::io("look at", &anchor.parent, errno))?;
    Ok((
        moment(stat.st_atime, stat.st_atime_nsec),
        moment(stat.st_mtime, stat.st_mtime_nsec),
    ))
}

/// How closely a place is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// With content.
    Whole,
    /// Kind, inode and what is outside of the content.
    Outside,
}

impl Depth {
    /// As closely as an earlier image was taken.
    pub(crate) fn of(image: &Image) -> Self {
        if matches!(image, Image::Node { .. }) {
            Self::Outside
        } else {
            Self::Whole
        }
    }
}

/// What is at a place now, whole and digested but not kept.
pub(crate) fn look(anchor: &Anchor, budget: &Budget) -> Result<Image> {
    take(anchor, None, Depth::Whole, budget)
}

/// What is at a place now; with a store its content is kept there.
pub(crate) fn take(anchor: &Anchor, store: Option<&Store>, depth: Depth, budget: &Budget) -> Result<Image> {
    let Some(dir) = anchor.parent_if_there()? else {
        return Ok(Image::Absent);
    };
    let path = anchor.path();
    let entry = entry_in(dir.as_fd(), &anchor.name, &path, &anchor.root)?;
    match depth {
        Depth::Whole => capture(entry.as_ref(), &path, store, budget),
        Depth::Outside => capture_node(entry.as_ref(), &path),
    }
}

/// Which inode is at a place now; none also when its directory is gone.
pub(crate) fn inode_at(anchor: &Anchor) -> Result<Option<(u64, u64)>> {
    let dir = match anchor.open_parent() {
        Err(ToolError::NotFound { .. }) => return Ok(None),
        dir => dir?,
    };
    let entry = entry_in(dir.as_fd(), &anchor.name, &anchor.path(), &anchor.root)?;
    Ok(entry.map(|(_, stat)| (stat.st_dev, stat.st_ino)))
}
