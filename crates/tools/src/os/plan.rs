//! What a call is going to do, and how it was before and afterwards. The journal keeps it.

use super::error::OsError;
use super::types::Deployment;
use crate::error::Result;
use aios_deployment::bootc::{Entry, Status};
use aios_deployment::derived::{Added, Recipe};
use aios_deployment::image::Reference;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is laid out, and what starts next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Photo {
    /// What runs.
    pub booted: Deployment,
    /// What the next shutdown finalizes.
    pub staged: Option<Deployment>,
    /// What a rollback goes to.
    pub rollback: Option<Deployment>,
    /// Whether that one starts next.
    pub rollback_queued: bool,
    /// What lies over `/usr` until the next start.
    #[serde(default)]
    pub laid: Option<String>,
}

impl Photo {
    /// What bootc says; it knows nothing of what lies over `/usr`.
    ///
    /// # Errors
    /// [`OsError::NotInstalled`].
    pub(crate) fn of(status: &Status) -> Result<Self> {
        let booted = status.booted.as_ref().and_then(deployment);
        let booted = booted.ok_or_else(|| OsError::NotInstalled {
            why: "bootc knows no image that runs".to_owned(),
        })?;
        Ok(Self {
            booted,
            staged: status.staged.as_ref().and_then(deployment),
            rollback: status.rollback.as_ref().and_then(deployment),
            rollback_queued: status.rollback_queued,
            laid: None,
        })
    }

    /// What starts next, and which of the three it is.
    pub(crate) fn next(&self) -> (&'static str, &Deployment) {
        match (&self.staged, &self.rollback) {
            (Some(staged), _) => ("staged", staged),
            (None, Some(rollback)) if self.rollback_queued => ("rollback", rollback),
            _ => ("running", &self.booted),
        }
    }

    /// In what it differs from a later one, in words.
    pub(crate) fn difference(&self, now: &Self) -> Option<String> {
        let word = |it: &Option<Deployment>| it.as_ref().map_or("nothing".to_owned(), Deployment::title);
        if self.booted.id != now.booted.id {
            Some(format!("{} runs now", now.booted.title()))
        } else if self.staged != now.staged {
            Some(format!("{} is staged now", word(&now.staged)))
        } else if self.rollback_queued != now.rollback_queued || self.rollback != now.rollback {
            Some(format!("{} starts next now", now.next().1.title()))
        } else {
            None
        }
    }
}

impl Work {
    /// Whether an undo could undo it.
    pub(crate) fn comes_back(&self) -> bool {
        !matches!(self, Self::Unstage { .. } | Self::Lay { recipe: None, .. })
    }

    /// In what the machine differs from how it was, as far as this work has to do with it, in words.
    pub(crate) fn difference(&self, then: &Photo, now: &Photo) -> Option<String> {
        let Self::Lay { .. } = self else {
            return then.difference(now);
        };
        let word = |it: &Photo| it.laid.clone().unwrap_or_else(|| "nothing".to_owned());
        if then.booted.id != now.booted.id {
            Some(format!("{} runs now", now.booted.title()))
        } else if then.laid != now.laid {
            let (then, now) = (word(then), word(now));
            Some(format!(
                "{now} lies over /usr now, and {then} did; a start takes away what lies there"
            ))
        } else {
            None
        }
    }
}

/// A deployment that has a name.
pub(crate) fn deployment(entry: &Entry) -> Option<Deployment> {
    let image = entry.image.as_ref();
    Some(Deployment {
        id: entry.id()?.to_string(),
        image: image.map(|it| it.image.to_string()).unwrap_or_default(),
        digest: entry.digest().to_owned(),
        version: image.and_then(|it| it.version.clone()),
        made_at: image.and_then(|it| it.timestamp.clone()),
    })
}

impl Deployment {
    /// Its name for a person.
    pub(crate) fn title(&self) -> String {
        let short = self.id.get(..12).unwrap_or(&self.id);
        match (&self.version, self.image.as_str()) {
            (Some(version), image) => format!("{image} version {version} ({short})"),
            (None, "") => short.to_owned(),
            (None, image) => format!("{image} ({short})"),
        }
    }
}

/// What the call does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Work {
    /// It is so already.
    Nothing,
    /// An image is fetched and staged.
    Stage {
        /// Which; `None` for a newer one of the same name.
        switch: Option<Reference>,
        /// Where it comes from.
        image: Reference,
        /// What its manifest must be: the digest, and that of an index that leads to it.
        digests: Vec<String>,
    },
    /// An image is made here of a base and packages, and staged.
    Derive {
        /// What of.
        recipe: Recipe,
        /// What it is called.
        image: Reference,
        /// Packages that the image that runs has beside its base.
        had: BTreeMap<String, String>,
        /// Those of them that were asked for.
        list_before: Vec<Added>,
        /// Whether it is the base that is new, and not the list of packages.
        upgrade: bool,
        /// Also when it failed here before.
        force: bool,
    },
    /// Packages are laid over `/usr` until the next start, instead of those that lie there.
    Lay {
        /// What lies there afterwards; `None` for nothing.
        name: Option<String>,
        /// What it is made of; `None` for what is there already.
        recipe: Option<Recipe>,
        /// Packages that there were before beside the base's.
        had: BTreeMap<String, String>,
    },
    /// The two entries of the boot loader change places.
    Rollback,
    /// What is staged is dropped.
    Unstage {
        /// Its name.
        id: String,
    },
    /// The machine starts again.
    Reboot {
        /// The kernel's number of the boot in which that was asked for.
        boot: String,
    },
}

/// What the call does, and how it was before and afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The call: task and step.
    pub call: String,
    /// What it does.
    pub work: Work,
    /// Whether an undo brings back exactly what was.
    pub reversible: bool,
    /// Before.
    pub before: Photo,
    /// Afterwards; known once it was done.
    pub after: Option<Photo>,
    /// What the call answers.
    pub result: Value,
}
