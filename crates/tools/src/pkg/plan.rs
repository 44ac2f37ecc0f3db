//! What a call that changes packages is going to do, with all that brings back what was there: the
//! packages with their versions and marks, the content of their configuration files, and the links that
//! enable services. The journal keeps it.

use super::status::{Known, Package, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A package as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Was {
    /// Version.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// How far it was installed.
    pub state: State,
    /// Whether it came only because another one needs it.
    pub automatic: bool,
}

impl From<&Package> for Was {
    fn from(package: &Package) -> Self {
        Self {
            version: package.version.clone(),
            architecture: package.architecture.clone(),
            state: package.state,
            automatic: package.automatic,
        }
    }
}

/// Packages by name.
pub type Set = BTreeMap<String, Was>;

/// The whole set of packages.
pub(crate) fn set_of(known: &Known) -> Set {
    known
        .iter()
        .map(|(name, package)| (name.clone(), Was::from(package)))
        .collect()
}

/// A configuration file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Image {
    /// Nothing was there.
    Absent,
    /// A file, its content in the snapshot store.
    File {
        /// Content, hex SHA-256.
        sha256: String,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Change time, seconds and nanoseconds.
        mtime: (i64, i64),
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
    },
}

/// How it was: the whole set of packages, the configuration files that the call may touch, and every link
/// that enables a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Photo {
    /// Every package that dpkg knew.
    pub set: Set,
    /// Configuration files by path.
    pub files: BTreeMap<String, Image>,
    /// Links by path, with their targets.
    pub links: BTreeMap<String, String>,
}

/// What happens to one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Architecture of what is installed.
    pub architecture: String,
    /// Version before; `None` when nothing of it was there.
    pub from: Option<String>,
    /// Version afterwards; `None` for a removal.
    pub to: Option<String>,
    /// Whether its configuration files are removed too.
    pub purge: bool,
}

/// What is to be brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// Packages; `None` for one that shall not be there.
    pub set: BTreeMap<String, Option<Was>>,
    /// Configuration files.
    pub files: BTreeMap<String, Image>,
    /// Links; `None` for one that shall not be there.
    pub links: BTreeMap<String, Option<String>>,
}

/// What the call does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Work {
    /// Packages are installed, replaced or removed.
    Change {
        /// Each of them.
        items: Vec<Item>,
        /// Those that were asked for by name.
        asked: Vec<String>,
    },
    /// What is half done is finished.
    Configure,
    /// What was there comes back.
    Back {
        /// What.
        goal: Goal,
    },
}

/// What the call does, and how it was before and afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The call: task and step.
    pub call: String,
    /// What it does.
    pub work: Work,
    /// Before.
    pub before: Photo,
    /// Afterwards; known once it was done.
    pub after: Option<Photo>,
    /// What the call answers.
    pub result: Value,
}

impl Plan {
    /// Names of the packages that the call changes.
    pub(crate) fn names(&self) -> Vec<&String> {
        match &self.work {
            Work::Change { items, .. } => items.iter().map(|item| &item.name).collect(),
            Work::Configure => Vec::new(),
            Work::Back { goal } => goal.set.keys().collect(),
        }
    }

    /// What brings back what was there before, whatever is there now.
    pub(crate) fn way_back(&self, links_now: &BTreeMap<String, String>) -> Goal {
        let before = &self.before;
        let set = self.names().into_iter();
        Goal {
            set: set
                .map(|name| (name.clone(), before.set.get(name).cloned()))
                .collect(),
            files: before.files.clone(),
            links: differences(&before.links, links_now),
        }
    }

    /// What brings back exactly what the finished call changed.
    pub(crate) fn undoing(&self, after: &Photo) -> Goal {
        let before = &self.before;
        let mut set = BTreeMap::new();
        for name in self.names() {
            if before.set.get(name) != after.set.get(name) {
                set.insert(name.clone(), before.set.get(name).cloned());
            }
        }
        let files = before.files.iter();
        Goal {
            set,
            files: files
                .filter(|(path, image)| after.files.get(*path) != Some(*image))
                .map(|(path, image)| (path.clone(), image.clone()))
                .collect(),
            links: differences(&before.links, &after.links),
        }
    }
}

/// Links that are not the same in both, as the first has them.
pub(crate) fn differences(
    wanted: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    wanted
        .keys()
        .chain(now.keys())
        .filter(|path| wanted.get(*path) != now.get(*path))
        .map(|path| (path.clone(), wanted.get(path).cloned()))
        .collect()
}
