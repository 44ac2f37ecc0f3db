//! Everything at and below a place, for tools that change or copy whole directories. Unlike a search it
//! leaves nothing out: what it may not see, or cannot name, ends the call.

use super::Fs;
use super::args::{Kind, MAX_PLACES};
use super::image::Image;
use super::plan::{Depth, take};
use super::resolve::{Anchor, Place, identity_of, join, kind_of};
use super::walk::{entries, names_of, open_below};
use crate::error::{Result, ToolError};
use crate::worker::Call;
use aios_proto::common::v1::Identity;
use rustix::fd::OwnedFd;
use rustix::fs::{Stat, fstat};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};

/// One thing of a tree.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// Where.
    pub(super) anchor: Anchor,
    /// Absolute path.
    pub(super) path: String,
    /// What it is.
    pub(super) stat: Stat,
}

impl Leaf {
    /// The thing at a place, which must be there.
    pub(super) fn of(place: &Place) -> Result<Self> {
        let (_, stat) = place.existing()?;
        Ok(Self {
            anchor: place.anchor.clone(),
            path: place.path.clone(),
            stat: *stat,
        })
    }

    pub(super) fn kind(&self) -> Kind {
        kind_of(&self.stat)
    }

    pub(super) fn inode(&self) -> (u64, u64) {
        (self.stat.st_dev, self.stat.st_ino)
    }

    pub(super) fn identity(&self) -> Identity {
        identity_of(&self.path, &self.stat)
    }

    /// Its size when it is a file.
    pub(super) fn bytes(&self) -> u64 {
        if self.kind() == Kind::File {
            super::walk::size(&self.stat)
        } else {
            0
        }
    }
}

/// The thing at a place and, for a directory, everything in it, parents before what they hold. Each path
/// must be granted for `action`.
pub(super) fn whole(fs: &Fs, call: &Call<'_>, action: &str, place: &Place) -> Result<Vec<Leaf>> {
    let top = Leaf::of(place)?;
    let mut leaves = vec![top];
    if leaves.iter().any(|leaf| leaf.kind() == Kind::Dir) {
        let root = place.open_dir()?;
        let mut waiting = vec![String::new()];
        while let Some(below) = waiting.pop() {
            call.budget.check()?;
            for leaf in in_directory(call, place, &root, &below)? {
                fs.resolver.admit(call.caps, action, &leaf.path, &leaf.path)?;
                if leaf.kind() == Kind::Dir {
                    let name = leaf.anchor.name.as_str();
                    waiting.push(if below.is_empty() {
                        name.to_owned()
                    } else {
                        format!("{below}/{name}")
                    });
                }
                leaves.push(leaf);
            }
            within(leaves.len())?;
        }
    }
    leaves.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(leaves)
}

/// Whether a call touches no more places than one call may.
pub(super) fn within(places: usize) -> Result<()> {
    if places > MAX_PLACES {
        return Err(ToolError::TooLarge {
            what: "the number of files and directories in one call",
            actual: places as u64,
            limit: MAX_PLACES as u64,
        });
    }
    Ok(())
}

fn in_directory(call: &Call<'_>, place: &Place, root: &OwnedFd, below: &str) -> Result<Vec<Leaf>> {
    let opened;
    let (dir, path) = if below.is_empty() {
        (root, place.path.clone())
    } else {
        let path = join(&place.path, below);
        opened = open_below(root, below).map_err(|errno| match errno {
            Errno::XDEV => ToolError::LeavesRoot {
                path: path.clone(),
                root: place.path.clone(),
                by: "mount",
            },
            errno => ToolError::io("open", &path, errno),
        })?;
        (&opened, path)
    };
    let own = fstat(dir).map_err(|errno| ToolError::io("look at", &path, errno))?;
    let (found, unnamed) = entries(dir, &path, call.budget)?;
    if unnamed > 0 {
        return Err(ToolError::BadPath {
            path,
            problem: "it holds a name that is not UTF-8",
        });
    }
    let leaf = |(name, stat): (String, Stat)| Leaf {
        path: join(&path, &name),
        anchor: Anchor {
            root: place.anchor.root.clone(),
            parent: path.clone(),
            dev: own.st_dev,
            ino: own.st_ino,
            name,
        },
        stat,
    };
    Ok(found.into_iter().map(leaf).collect())
}

/// Names that share an inode with one of the leaves, in one walk of the granted directory.
pub(super) fn shared_names(call: &Call<'_>, leaves: &[Leaf]) -> Result<HashMap<(u64, u64), Vec<String>>> {
    let shared: HashSet<_> = leaves
        .iter()
        .filter(|leaf| leaf.kind() == Kind::File && leaf.stat.st_nlink > 1)
        .map(Leaf::inode)
        .collect();
    match leaves.first() {
        Some(first) => names_of(&first.anchor, &shared, call.budget),
        None => Ok(HashMap::new()),
    }
}

/// Refuses to change files that have names outside of what is granted for `action`.
pub(super) fn no_names_outside(call: &Call<'_>, action: &str, leaves: &[Leaf]) -> Result<()> {
    let names = shared_names(call, leaves)?;
    for leaf in leaves
        .iter()
        .filter(|leaf| leaf.kind() == Kind::File && leaf.stat.st_nlink > 1)
    {
        let granted = |name: &&String| call.caps.allows("fs", action, name);
        let inside = names
            .get(&leaf.inode())
            .map_or(0, |names| names.iter().filter(granted).count() as u64);
        if inside < leaf.stat.st_nlink {
            return Err(ToolError::HardLinked {
                path: leaf.path.clone(),
                names: leaf.stat.st_nlink,
                inside,
                root: leaf.anchor.root.clone(),
            });
        }
    }
    Ok(())
}

/// The image of a leaf with its content kept, and the other names of its file.
pub(super) fn keep(
    fs: &Fs,
    call: &Call<'_>,
    leaf: &Leaf,
    names: &HashMap<(u64, u64), Vec<String>>,
) -> Result<Image> {
    let mut image = take(&leaf.anchor, Some(&fs.store), Depth::Whole, call.budget)?;
    if let Image::File {
        nlink,
        dev,
        ino,
        others,
        ..
    } = &mut image
        && *nlink > 1
    {
        *others = names.get(&(*dev, *ino)).cloned().unwrap_or_default();
        others.retain(|name| *name != leaf.path);
    }
    Ok(image)
}
