//! Arguments and results of the os tools.

use aios_deployment::derived::{Added, Recipe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoArgs {}

/// Arguments of os.upgrade, os.rollback and os.reset.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceArgs {
    /// Also an image that failed on this machine before.
    #[serde(default)]
    pub force: bool,
}

/// Arguments of os.switch.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchArgs {
    /// The image: `quay.io/org/os:7`, `docker://…`, `oci:/DIR:TAG`, `containers-storage:NAME`.
    pub image: String,
    /// Also an image that failed on this machine before.
    #[serde(default)]
    pub force: bool,
}

/// Arguments of os.undo.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoArgs {
    /// Task of the call.
    pub task_id: String,
    /// Step of the call.
    pub step: u64,
}

/// An image that is laid out on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deployment {
    /// Its name: digest of its root file system, hexadecimal.
    pub id: String,
    /// The image that it came from, `oci:/DIR:TAG`; empty when that is not known.
    pub image: String,
    /// Digest of that image's manifest, `sha256:…`; empty when that is not known.
    pub digest: String,
    /// Its version, where the image says one.
    pub version: Option<String>,
    /// When it was made, RFC 3339, where the image says so.
    pub made_at: Option<String>,
}

/// A boot that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// Tries that the boot loader has left.
    pub tries_left: u32,
    /// Until when the image must have been found healthy, UTC milliseconds; `null` when nobody says.
    pub deadline_ms: Option<i64>,
}

/// An image that did not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    /// Its deployment's name.
    pub id: String,
    /// The image, `oci:/DIR:TAG`.
    pub image: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Why it was given up.
    pub why: String,
    /// How many of its boots came as far as aiOS.
    pub boots: u64,
    /// When that was found out, UTC milliseconds.
    pub found_ms: u64,
}

/// A package that was added to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddedPackage {
    /// Name.
    pub name: String,
    /// Version that is in the image; `null` when it is not known.
    pub version: Option<String>,
    /// Version that was asked for; `null` for the newest.
    pub wanted_version: Option<String>,
    /// Task of the call that added it.
    pub task_id: String,
    /// When that was, UTC milliseconds.
    pub asked_ms: i64,
}

impl AddedPackage {
    /// Those of an image, by name.
    pub(crate) fn all(recipe: &Recipe) -> Vec<Self> {
        let added = |it: &Added| Self {
            name: it.name.clone(),
            version: recipe.brought.get(&it.name).cloned(),
            wanted_version: it.version.clone(),
            task_id: it.call.split('/').next().unwrap_or_default().to_owned(),
            asked_ms: it.asked_ms,
        };
        recipe.packages.iter().map(added).collect()
    }
}

/// What an image with added packages was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Base {
    /// The image that updates come from.
    pub image: String,
    /// Digest of its manifest when it was taken.
    pub digest: String,
    /// Its version, where it says one.
    pub version: Option<String>,
}

impl Base {
    pub(crate) fn of(recipe: &Recipe) -> Self {
        Self {
            image: recipe.follows.to_string(),
            digest: recipe.base.to_string(),
            version: recipe.base_version.clone(),
        }
    }
}

/// Result of os.status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// What runs.
    pub running: Deployment,
    /// What it was made of, when packages were added to it.
    #[serde(default)]
    pub base: Option<Base>,
    /// Those packages.
    #[serde(default)]
    pub packages: Vec<AddedPackage>,
    /// Packages that are there until the next start only.
    #[serde(default)]
    pub transient: Vec<AddedPackage>,
    /// What the next shutdown finalizes and the next start tries.
    pub staged: Option<Deployment>,
    /// What os.rollback goes to.
    pub rollback: Option<Deployment>,
    /// Further ones on the boot loader's menu.
    pub others: Vec<Deployment>,
    /// What starts next: `running`, `staged`, `rollback`.
    pub next_boot: String,
    /// Set while what runs is on trial.
    pub trial: Option<Trial>,
    /// The deployment that was found healthy last.
    pub blessed: Option<String>,
    /// When, UTC milliseconds.
    pub blessed_ms: Option<u64>,
    /// Those that failed, the oldest first.
    pub failed: Vec<Failed>,
    /// What is being done that takes minutes, in words; `null` when nothing is.
    pub doing: Option<String>,
}

/// Room for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Room {
    /// Bytes that the layers take when they are unpacked, an estimate from above.
    pub needed_bytes: u64,
    /// Bytes free where images lie.
    pub free_bytes: u64,
    /// Bytes that kernel and initramfs take, as large as those that run.
    pub boot_needed_bytes: u64,
    /// Bytes free on the boot partition.
    pub boot_free_bytes: u64,
    /// Whether it fits, with the reserve of the configuration.
    pub enough: bool,
}

/// Result of os.check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// The image that an upgrade follows.
    pub image: String,
    /// Whether it is another one than what is laid out: what runs, what is staged, and what a rollback goes to.
    pub available: bool,
    /// Digest of its manifest.
    pub digest: String,
    /// Its version, where it says one.
    pub version: Option<String>,
    /// When it was made, RFC 3339, where it says so.
    pub made_at: Option<String>,
    /// Bytes of its layers, as they are fetched.
    pub size_bytes: u64,
    /// Bytes of those layers that are not here.
    pub fetch_bytes: u64,
    /// Room for it.
    pub room: Room,
    /// Whether its signature is enough.
    pub signed: bool,
    /// What its signature is worth, in words.
    pub signature: String,
    /// Why it failed on this machine before; `null` when it did not.
    pub failed_before: Option<String>,
    /// Why os.upgrade would refuse it now, one sentence each.
    pub blocked_by: Vec<String>,
}

/// Result of a call that changes what starts next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Whether anything is otherwise than before.
    pub changed: bool,
    /// What starts next: `running`, `staged`, `rollback`.
    pub next_boot: String,
    /// That deployment.
    pub next: Deployment,
    /// What a person does next, or what follows by itself.
    pub then: String,
}
