//! What fs.chmod and fs.chown have in common: finding what is to be changed, and planning it.

use super::args::{Kind, MetaResult};
use super::plan::{Change, Depth, Plan, Step, take};
use super::resolve::{Follow, wrong_kind};
use super::tree::{Leaf, no_names_outside, whole};
use super::{Fs, accesses, same_identities, tag, value_of};
use crate::error::{Result, ToolError};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;

/// What a thing is to get; `None` when it has it already.
pub(super) type Wish<'a> = dyn Fn(&Leaf) -> Option<Bits> + 'a;

/// Mode and owner to set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

/// What is asked for.
pub(super) struct Order<'a> {
    /// The verb that must be granted.
    pub(super) action: &'static str,
    /// Path as it was given.
    pub(super) path: &'a str,
    /// Whether everything in a directory is meant too.
    pub(super) recursive: bool,
    /// Whether symbolic links can have it.
    pub(super) links: bool,
}

/// What is changed and what is not.
pub(super) struct Found {
    pub(super) path: String,
    pub(super) changing: Vec<(Leaf, Bits)>,
    unchanged: u64,
    links_left: u64,
}

/// Finds everything that an order changes.
pub(super) fn find(fs: &Fs, call: &Call<'_>, order: &Order<'_>, wish: &Wish<'_>) -> Result<Found> {
    let place = fs.resolve_name(call, order.action, order.path, Follow::Yes)?;
    let leaves = if order.recursive {
        whole(fs, call, order.action, &place)?
    } else {
        vec![Leaf::of(&place)?]
    };
    let mut found = Found {
        path: place.path,
        changing: Vec::new(),
        unchanged: 0,
        links_left: 0,
    };
    for leaf in leaves {
        match leaf.kind() {
            Kind::Other => {
                return Err(wrong_kind(
                    &leaf.path,
                    &leaf.stat,
                    "a file, a directory or a symbolic link",
                ));
            }
            Kind::Symlink if !order.links => found.links_left += 1,
            _ => match wish(&leaf) {
                Some(bits) => found.changing.push((leaf, bits)),
                None => found.unchanged += 1,
            },
        }
    }
    let changing: Vec<Leaf> = found.changing.iter().map(|(leaf, _)| leaf.clone()).collect();
    no_names_outside(call, order.action, &changing)?;
    Ok(found)
}

impl Found {
    fn identities(&self) -> Vec<Identity> {
        self.changing.iter().map(|(leaf, _)| leaf.identity()).collect()
    }

    /// What Prepare answers.
    pub(super) fn prepared(&self, order: &Order<'_>, what: &str, risk: Risk) -> Result<Prepared> {
        let paths = self.changing.iter().map(|(leaf, _)| leaf.path.as_str());
        let files = self.changing.len() as u64;
        Ok(Prepared {
            identities: self.identities(),
            required: accesses(order.action, paths)?,
            risk,
            mutating: true,
            reversible: true,
            files,
            bytes: 0,
            summary: match self.changing.as_slice() {
                [] => format!("Nothing: {} is so already", self.path),
                [(one, _)] => format!("{what} of {}", one.path),
                _ => format!("{what} of {files} files and directories from {} on", self.path),
            },
        })
    }

    /// The plan that does it.
    pub(super) fn plan(self, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
        same_identities(identities, &self.identities())?;
        let result = value_of(&MetaResult {
            path: self.path,
            changed: self.changing.len() as u64,
            unchanged: self.unchanged,
            links_left: self.links_left,
        })?;
        let mut changes = Vec::with_capacity(self.changing.len());
        let mut inodes = std::collections::HashSet::new();
        for (leaf, bits) in self.changing {
            call.budget.check()?;
            let before = take(&leaf.anchor, None, Depth::Outside, call.budget)?;
            if before.inode() != Some(leaf.inode()) {
                return Err(ToolError::Changed {
                    path: leaf.path,
                    difference: "another thing is there now".to_owned(),
                });
            }
            // Names of one file share its bits: they are set once.
            if inodes.insert(leaf.inode()) {
                let Bits { mode, uid, gid } = bits;
                changes.push(Change::new(leaf.anchor, before, Step::SetMeta { mode, uid, gid }));
            }
        }
        Plan::new(tag(call), changes, result)
    }
}
