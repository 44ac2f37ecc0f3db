//! Looks at every place of a finished execution before it is undone: whether it is still as the
//! execution left it, and what it is to become again.

use super::Fs;
use super::args::LeftPlace;
use super::image::Image;
use super::plan::{Change, Depth, Plan, Step, take};
use super::resolve::{Anchor, Follow, join};
use super::walk::{entries, names_of};
use crate::error::{Result, ToolError};
use crate::worker::{Call, Target};
use aios_auth::capability::Access;
use std::collections::{HashMap, HashSet};

/// One place that can be undone.
#[derive(Debug)]
pub(super) struct Spot {
    /// Where, as it is now.
    pub(super) anchor: Anchor,
    /// What is there.
    pub(super) now: Image,
    /// What it becomes again, known by the inode that it has now.
    pub(super) back: Image,
    /// A moment at which that inode was there.
    pub(super) seen: u64,
}

impl Spot {
    pub(super) fn path(&self) -> String {
        self.anchor.path()
    }
}

/// All places of an execution.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// What is still as the execution left it, in the order in which it is to be undone.
    pub(super) spots: Vec<Spot>,
    /// What is not.
    pub(super) left: Vec<LeftPlace>,
}

struct Surveyor<'a> {
    fs: &'a Fs,
    call: &'a Call<'a>,
    plan: &'a Plan,
    /// Whether content is kept, because the undo is about to be done.
    kept: bool,
    /// What was needed, by path.
    needed: HashMap<&'a str, Vec<&'a Access>>,
    /// Directories that the execution removed.
    removed: HashSet<String>,
    /// Directories of those that will be there again.
    coming: HashSet<String>,
    /// Places that will be empty.
    going: HashSet<String>,
}

/// Looks at each place; the last change of the execution comes first.
pub(super) fn survey(fs: &Fs, call: &Call<'_>, target: &Target<Plan>, kept: bool) -> Result<Survey> {
    let mut needed: HashMap<&str, Vec<&Access>> = HashMap::new();
    for access in &target.required {
        needed.entry(access.resource()).or_default().push(access);
    }
    let changes = &target.plan.changes;
    let mut surveyor = Surveyor {
        fs,
        call,
        plan: &target.plan,
        kept,
        needed,
        removed: changes
            .iter()
            .filter(|change| change.before.is_dir() && change.step == Step::Delete)
            .map(|change| change.anchor.path())
            .collect(),
        coming: HashSet::new(),
        going: HashSet::new(),
    };
    let mut found = Survey::default();
    for change in changes.iter().rev() {
        call.budget.check()?;
        match surveyor.look_at(change)? {
            Ok(spot) => {
                surveyor.expect(&spot);
                found.spots.push(spot);
            }
            Err(why) => found.left.push(LeftPlace {
                path: change.anchor.path(),
                why,
            }),
        }
    }
    keep_pairs(changes, &mut found);
    Ok(found)
}

/// What moved is undone in both places or in none.
fn keep_pairs(changes: &[Change], found: &mut Survey) {
    for change in changes {
        let Step::Rename { from, .. } = &change.step else {
            continue;
        };
        let pair = [change.anchor.path(), from.path()];
        for (path, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            if found.left.iter().any(|it| it.path == *other)
                && let Some(at) = found.spots.iter().position(|spot| spot.path() == *path)
            {
                found.spots.remove(at);
                found.left.push(LeftPlace {
                    path: path.clone(),
                    why: format!("it belongs to `{other}`"),
                });
            }
        }
    }
}

/// A place that is as it was left, or why it is not.
type Looked = std::result::Result<Spot, String>;

impl Surveyor<'_> {
    fn expect(&mut self, spot: &Spot) {
        if spot.back.is_dir() && spot.now == Image::Absent {
            self.coming.insert(spot.path());
        }
        if spot.back == Image::Absent {
            self.going.insert(spot.path());
        }
    }

    /// The image with the inode that it has by now, and a moment at which that one was there.
    fn follow(&self, image: Image, since: u64) -> (Image, u64) {
        match image.inode() {
            Some(inode) => {
                let now = self.fs.successors.follow(inode, since);
                (image.with_inode(now.inode), now.at)
            }
            None => (image, since),
        }
    }

    fn look_at(&self, change: &Change) -> Result<Looked> {
        let looked = self.resolve(change).and_then(|found| match found {
            Ok(anchor) => self.compare(change, anchor),
            Err(why) => Ok(Err(why)),
        });
        match looked {
            Err(ToolError::Changed { difference, .. }) => Ok(Err(difference)),
            Err(ToolError::WrongKind { is, .. }) => Ok(Err(format!("a {is} is there now"))),
            Err(ToolError::NotFound { .. }) => Ok(Err("its directory is not there now".to_owned())),
            other => other,
        }
    }

    /// Resolves the place again within the undoing token's grants: it must still be in the same directory,
    /// or in the one that took its place.
    fn resolve(&self, change: &Change) -> Result<std::result::Result<Anchor, String>> {
        let (anchor, path) = (&change.anchor, change.anchor.path());
        let actions: Vec<&str> = match self.needed.get(path.as_str()) {
            Some(needed) => needed.iter().map(|access| access.action()).collect(),
            None => vec!["write"],
        };
        if self.coming.contains(&anchor.parent) {
            for action in actions {
                self.fs.resolver.admit(self.call.caps, action, &path, &path)?;
            }
            return Ok(Ok(Anchor {
                dev: 0,
                ino: 0,
                ..anchor.clone()
            }));
        }
        let mut now = None;
        for action in actions {
            let place = self.fs.resolve_name(self.call, action, &path, Follow::No)?;
            now = Some(place.anchor);
        }
        let now = now.ok_or_else(|| ToolError::Defect("a place needed nothing".to_owned()))?;
        let then = self
            .fs
            .successors
            .follow((anchor.dev, anchor.ino), self.plan.left_at())
            .inode;
        // A directory that the execution removed and somebody made again is as good as the old one.
        let same = anchor.is_own() || self.removed.contains(&anchor.parent) || then == (now.dev, now.ino);
        if now.path() != path || !same {
            return Ok(Err("its directory is another one now".to_owned()));
        }
        Ok(Ok(now))
    }

    fn compare(&self, change: &Change, anchor: Anchor) -> Result<Looked> {
        let after = change.after.clone().unwrap_or(Image::Absent);
        let (left, _) = self.follow(after, self.plan.left_at());
        let (back, seen) = self.follow(change.before.clone(), self.plan.since);
        let store = self.kept.then_some(&self.fs.store);
        let mut now = take(&anchor, store, Depth::of(&left), self.call.budget)?;
        if let Some(difference) = left.difference(&now) {
            return Ok(Err(difference));
        }
        if now.is_dir() && back == Image::Absent {
            let dir = self
                .fs
                .resolve(self.call, self.action_on(&anchor), &anchor.path(), Follow::No)?;
            let (inside, unnamed) = entries(&dir.open_dir()?, &dir.path, self.call.budget)?;
            let foreign = inside
                .iter()
                .find(|(name, _)| !self.going.contains(&join(&dir.path, name)));
            if let Some((name, _)) = foreign {
                return Ok(Err(format!("`{name}` is in it now")));
            }
            if unnamed > 0 {
                return Ok(Err("something is in it now".to_owned()));
            }
        }
        if let Image::File {
            nlink,
            dev,
            ino,
            others,
            ..
        } = &mut now
            && *nlink > 1
            && self.kept
        {
            let inodes = HashSet::from([(*dev, *ino)]);
            let names = names_of(&anchor, &inodes, self.call.budget)?.remove(&(*dev, *ino));
            *others = names.unwrap_or_default();
            others.retain(|name| *name != anchor.path());
        }
        Ok(Ok(Spot {
            anchor,
            now,
            back,
            seen,
        }))
    }

    fn action_on(&self, anchor: &Anchor) -> &str {
        self.needed
            .get(anchor.path().as_str())
            .and_then(|needed| needed.first())
            .map_or("write", |access| access.action())
    }
}
