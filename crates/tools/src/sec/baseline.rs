//! Baselines: what a directory tree was like, kept in the worker's own state. A baseline is an object of a
//! store, under its digest; a small file by the digest of directory and name points to it. Making, replacing
//! and forgetting a baseline is one change of that pointer, so it is atomic and its undo is exact.
//!
//! It holds digests of content and never content.

use super::tree::{Thing, Tree, attributes, is_file};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use crate::fs::image::{Moment, moment};
use crate::fs::resolve::{kind_of, open_inode};
use crate::worker::store::{Limits, Store};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, Stat, openat, readlinkat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Most things in one baseline.
const MOST_ENTRIES: u64 = 500_000;
/// Most baselines.
const MOST_BASELINES: u64 = 1000;
/// Most that all baselines may take, bytes; also those that were replaced, which an undo brings back.
const MOST_BYTES: u64 = 2 << 30;

/// One thing as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) mtime: Moment,
    pub(super) links: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) xattrs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) device: Option<u64>,
}

/// A tree as it was: entries by their path below the top, which is the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Baseline {
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) skipped: u64,
}

/// What points to a baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pointer {
    /// The directory.
    pub(super) path: String,
    /// Name of the baseline.
    pub(super) name: String,
    /// The object, hex SHA-256.
    pub(super) sha256: String,
    /// When it was made, UTC milliseconds.
    pub(super) made_ms: i64,
    /// Things in it.
    pub(super) entries: u64,
}

impl Baseline {
    /// Takes the baseline of a tree.
    pub(super) fn take(tree: &Tree<'_>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut vanished = 0;
        let seen = tree.each(|thing| {
            if entries.len() as u64 >= MOST_ENTRIES {
                return Err(ToolError::TooLarge {
                    what: "the number of things in the directory",
                    actual: MOST_ENTRIES + 1,
                    limit: MOST_ENTRIES,
                });
            }
            match Entry::of(thing, tree.budget)? {
                Some(entry) => drop(entries.insert(thing.below.to_owned(), entry)),
                None => vanished += 1,
            }
            Ok(())
        })?;
        Ok(Self {
            entries,
            skipped: seen.skipped + vanished,
        })
    }

    /// Bytes of content that were digested.
    pub(super) fn bytes(&self) -> u64 {
        let files = self.entries.values().filter(|entry| entry.sha256.is_some());
        files.map(|entry| entry.size).sum()
    }

    /// Whether a thing has the rights now that it had then, and the same content.
    pub(super) fn has(&self, thing: &Thing<'_>) -> Result<bool> {
        let Some(then) = self.entries.get(thing.below) else {
            return Ok(false);
        };
        let Some(now) = Entry::of(thing, &Budget::of_ms(60_000))? else {
            return Ok(false);
        };
        let rights = |it: &Entry| (it.mode, it.uid, it.gid, it.xattrs.clone(), it.sha256.clone());
        Ok(rights(then) == rights(&now))
    }
}

impl Entry {
    /// A thing as it is; `None` when it is gone or became another meanwhile.
    fn of(thing: &Thing<'_>, budget: &Budget) -> Result<Option<Self>> {
        let Some(fd) = thing.handle()? else {
            return Ok(None);
        };
        let stat = thing.stat;
        let kind = kind_of(stat);
        let (mut sha256, mut size) = (None, 0);
        if is_file(stat) {
            let file = open_inode(fd.as_fd(), OFlags::RDONLY, thing.path)?;
            let (digest, length) = Store::digest(&file, thing.path, budget)?;
            (sha256, size) = (Some(digest), length);
        }
        Ok(Some(Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size,
            mtime: moment(stat.st_mtime, stat.st_mtime_nsec),
            links: stat.st_nlink,
            sha256,
            target: target_of(fd.as_fd(), stat, thing.path)?,
            xattrs: attributes(fd.as_fd(), thing.path)?,
            device: (kind == Kind::Other).then_some(stat.st_rdev),
        }))
    }
}

fn target_of(fd: BorrowedFd<'_>, stat: &Stat, path: &str) -> Result<Option<String>> {
    if kind_of(stat) != Kind::Symlink {
        return Ok(None);
    }
    let target =
        readlinkat(fd, "", Vec::new()).map_err(|errno| ToolError::io("read the link", path, errno))?;
    Ok(Some(target.to_string_lossy().into_owned()))
}

/// The baselines that the worker keeps.
#[derive(Debug)]
pub(super) struct Baselines {
    dir: PathBuf,
    objects: PathBuf,
    store: Store,
}

impl Baselines {
    /// Opens them under the worker's state directory.
    pub(super) fn open(state: &Path) -> Result<Self> {
        let (dir, objects) = (state.join("baselines"), state.join("store"));
        fs::create_dir_all(&dir).map_err(|error| ToolError::io("make", dir.to_string_lossy(), error))?;
        let store = Store::open(&objects, Limits::default())?;
        Ok(Self { dir, objects, store })
    }

    fn place(&self, path: &str, name: &str) -> PathBuf {
        // A path holds no NUL, so no two pairs make the same text.
        self.dir
            .join(Store::digest_of(format!("{path}\0{name}").as_bytes()))
    }

    /// What points to a baseline; `None` when there is none of this name.
    pub(super) fn pointer(&self, path: &str, name: &str) -> Result<Option<Pointer>> {
        let place = self.place(path, name);
        let text = match fs::read(&place) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ToolError::io("read", place.to_string_lossy(), error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|_| ToolError::Corrupt {
                what: format!("baseline `{name}` of {path}"),
            })
    }

    /// A baseline, which must be there, whole and undamaged.
    pub(super) fn load(&self, path: &str, name: &str) -> Result<(Pointer, Baseline)> {
        let pointer = self.pointer(path, name)?.ok_or_else(|| ToolError::NotFound {
            path: format!("baseline `{name}` of {path}"),
        })?;
        let mut text = Vec::new();
        self.store.copy_to(&pointer.sha256, &mut text, path)?;
        let baseline = serde_json::from_slice(&text).map_err(|_| ToolError::Corrupt {
            what: format!("baseline `{name}` of {path}"),
        })?;
        Ok((pointer, baseline))
    }

    /// Keeps a baseline's content; nothing points to it yet.
    pub(super) fn keep(&self, baseline: &Baseline, budget: &Budget) -> Result<String> {
        let held = used(&self.objects)?;
        if held > MOST_BYTES {
            return Err(ToolError::TooLarge {
                what: "the room that baselines take, in bytes,",
                actual: held,
                limit: MOST_BYTES,
            });
        }
        let shown = self.dir.to_string_lossy().into_owned();
        let text = serde_json::to_vec(baseline).map_err(|error| ToolError::Defect(error.to_string()))?;
        // The store takes content from a file; this one has no name and is gone with its handle.
        let mut file = self.nameless()?;
        file.write_all(&text)
            .map_err(|error| ToolError::io("write", &shown, error))?;
        Ok(self.store.put(&file, &shown, budget)?.0)
    }

    fn nameless(&self) -> Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        openat(rustix::fs::CWD, &self.dir, flags, Mode::from_raw_mode(0o600))
            .map(File::from)
            .map_err(|errno| ToolError::io("write", self.dir.to_string_lossy(), errno))
    }

    /// Refuses one baseline more than there may be.
    pub(super) fn has_room(&self) -> Result<()> {
        let failed = |error| ToolError::io("list", self.dir.to_string_lossy(), error);
        let count = fs::read_dir(&self.dir).map_err(failed)?.count() as u64;
        if count < MOST_BASELINES {
            return Ok(());
        }
        Err(ToolError::TooLarge {
            what: "the number of baselines",
            actual: count + 1,
            limit: MOST_BASELINES,
        })
    }

    /// Makes a name point to a baseline, or to none; durable when it returns.
    pub(super) fn point(&self, path: &str, name: &str, to: Option<&Pointer>) -> Result<()> {
        let place = self.place(path, name);
        let shown = place.to_string_lossy().into_owned();
        let failed = |error| ToolError::io("write", &shown, error);
        match to {
            None => match fs::remove_file(&place) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            },
            Some(pointer) => {
                let text =
                    serde_json::to_vec(pointer).map_err(|error| ToolError::Defect(error.to_string()))?;
                let aside = place.with_extension("new");
                let mut file = File::create(&aside).map_err(failed)?;
                file.write_all(&text).map_err(failed)?;
                file.sync_all().map_err(failed)?;
                fs::rename(&aside, &place).map_err(failed)?;
            }
        }
        let dir = File::open(&self.dir).map_err(failed)?;
        dir.sync_all().map_err(failed)
    }
}

/// Bytes in a directory of directories of files.
fn used(dir: &Path) -> Result<u64> {
    let failed = |error| ToolError::io("list", dir.to_string_lossy(), error);
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let meta = entry.metadata().map_err(failed)?;
        bytes += if meta.is_dir() {
            used(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(bytes)
}
