//! Packages until the next start: what they bring lies in a directory beside what runs, and init mounts both together over
//! `/usr`, read-only. Nothing is staged, no disk image changes, and a start has forgotten them.
//!
//! They are made like those that stay ([`super::derive`]): by Podman, on top of the image that runs. Of the layer that comes of
//! it only `/usr` can be had in this way: what needs a file in `/etc` or `/var`, or a user, is refused with what it needs.

use super::Os;
use super::change::Intent;
use super::derive::{Wish, names};
use super::error::OsError;
use super::plan::{Photo, Plan, Work};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::worker::Call;
use aios_core::failpoint;
use aios_deployment::derived::Recipe;
use aios_deployment::image::{Digest, Layout};
use aios_deployment::overlay;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry};

/// Places of an image that are not laid out: what a build leaves there says nothing of the packages.
const NOT_LAID_OUT: [&str; 5] = ["dev", "proc", "run", "tmp", "var"];
/// Files that every build writes. Users that are new are found by their own list; libraries are found without a cache.
const OF_EVERY_BUILD: [&str; 13] = [
    "etc/.pwd.lock",
    "etc/group",
    "etc/group-",
    "etc/gshadow",
    "etc/gshadow-",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/ld.so.cache",
    "etc/passwd",
    "etc/passwd-",
    "etc/resolv.conf",
    "etc/shadow",
];
/// aiOS itself.
const OWN: &str = "usr/lib/aios";
/// Most of them that an error lists.
const SHOWN: usize = 5;

impl Os {
    /// What lies over `/usr`.
    pub(super) fn laid(&self) -> Result<Option<String>> {
        let path = self.settings.at("/proc/self/mountinfo");
        match fs::read_to_string(&path) {
            Ok(mounts) => Ok(overlay::laid(&mounts).map(str::to_owned)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ToolError::io("read", path.to_string_lossy(), error)),
        }
    }

    /// What that was made of.
    pub(crate) fn laid_recipe(&self, now: &Photo) -> Result<Option<Recipe>> {
        let Some(name) = &now.laid else { return Ok(None) };
        let path = self.transient.join(name).join("recipe");
        let text = fs::read(&path).map_err(|error| ToolError::io("read", path.to_string_lossy(), error))?;
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|_| ToolError::Corrupt {
                what: path.display().to_string(),
            })
    }

    /// What runs with other packages, until the next start.
    pub(crate) fn intent_lay(&self, call: &Call<'_>, wish: Wish) -> Result<Intent> {
        // Only init can mount them; who cannot reach it learns that before an image is made.
        self.init.deployment(call.budget)?;
        self.has_room_for(&wish, call.budget)?;
        let work = Work::Lay {
            name: Some(super::derive::tag_of(&call.key)),
            recipe: Some(Recipe {
                brought: BTreeMap::new(),
                ..wish.recipe
            }),
            had: wish.now.brought,
        };
        Ok(Intent::derive(
            work,
            wish.before,
            wish.identities,
            wish.required,
            wish.summary,
            None,
        ))
    }

    /// Has that lie over `/usr` which the plan says.
    pub(super) fn lay(&self, plan: &Plan, budget: &Budget) -> Result<()> {
        let Work::Lay { name, recipe, .. } = &plan.work else {
            return Err(ToolError::Defect("nothing is to be laid over /usr".to_owned()));
        };
        if let (Some(name), Some(recipe)) = (name, recipe) {
            self.unpack(&plan.before, name, recipe, budget)?;
            failpoint::hit("worker.os.unpacked");
        }
        self.init
            .lay_packages(name.as_deref().unwrap_or_default(), budget)?;
        failpoint::hit("worker.os.mid_lay");
        let now = self.laid()?;
        if now == *name {
            return Ok(());
        }
        let why = format!("{} lies over /usr", now.as_deref().unwrap_or("nothing"));
        Err(OsError::Otherwise { why }.into())
    }

    /// Makes the packages, and unpacks what they bring.
    fn unpack(&self, before: &Photo, name: &str, recipe: &Recipe, budget: &Budget) -> Result<()> {
        let made = self.made(before, recipe, false, budget)?;
        let _doing = self.activity.begin(&format!("unpacking {}", names(recipe)));
        let dir = self.transient.join(name);
        remove(&dir)?;
        fs::create_dir_all(&dir).map_err(|error| ToolError::io("make", dir.to_string_lossy(), error))?;
        let mut other = Vec::new();
        for layer in made.new_layers()? {
            budget.check()?;
            other.extend(usr_of(&made.built.layout, layer, &dir)?);
        }
        other.extend(self.left_for_the_next_start(&dir)?);
        if !other.is_empty() {
            let more = other.len().saturating_sub(SHOWN);
            other.truncate(SHOWN);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let what = format!("{}{more}", other.join(", "));
            return Err(OsError::NotTransient { what }.into());
        }
        let recipe = Recipe {
            brought: made.built.brought,
            ..recipe.clone()
        };
        let text = serde_json::to_string(&recipe).map_err(|error| ToolError::Defect(error.to_string()))?;
        super::write_file(&dir.join("recipe"), &text)
    }

    /// What the packages have made at a start: users and places in `/var`.
    fn left_for_the_next_start(&self, dir: &Path) -> Result<Vec<String>> {
        let list = |path: &str| crate::pkg::root::text_or_empty(&dir.join("usr/lib").join(path));
        let mut left = Vec::new();
        for (file, kind) in [("passwd", "u"), ("group", "g")] {
            let known = crate::pkg::root::text_or_empty(&self.settings.at("/etc").join(file))?;
            let known: BTreeSet<&str> = known.lines().filter_map(|line| line.split(':').next()).collect();
            let users = list("sysusers.d/aios-packages.conf")?;
            let new = users
                .lines()
                .filter_map(|line| line.strip_prefix(kind)?.split_whitespace().next())
                .filter(|name| !known.contains(name))
                .map(|name| {
                    if kind == "u" {
                        format!("the user {name}")
                    } else {
                        format!("the group {name}")
                    }
                });
            left.extend(new);
        }
        let places = list("tmpfiles.d/aios-packages.conf")?;
        left.extend(
            places
                .lines()
                .filter_map(|line| line.split(' ').nth(1))
                .map(str::to_owned),
        );
        Ok(left)
    }

    /// Takes back what a call laid over `/usr`, or was about to. `own` is what it unpacked.
    pub(super) fn take_off(&self, plan: &Plan, own: Option<&str>, budget: &Budget) -> Result<()> {
        if self.laid()? != plan.before.laid {
            self.init
                .lay_packages(plan.before.laid.as_deref().unwrap_or_default(), budget)?;
        }
        own.map_or(Ok(()), |own| remove(&self.transient.join(own)))
    }

    /// Removes what nothing goes back to any more: once nothing lies over `/usr`, nothing does.
    pub(super) fn collect_laid(&self) -> Result<()> {
        match self.laid()? {
            Some(_) => Ok(()),
            None => remove(&self.transient),
        }
    }
}

/// Unpacks `/usr` of a layer into a directory; answers what else there is in it that packages have brought.
fn usr_of(layout: &Layout, layer: &Digest, to: &Path) -> Result<Vec<String>> {
    let blob = layout.dir().join("blobs").join("sha256").join(layer.hex());
    let failed = |error: io::Error| ToolError::io("unpack", blob.to_string_lossy(), error);
    let mut archive = Archive::new(File::open(&blob).map_err(failed)?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_unpack_xattrs(true);
    let mut other = Vec::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = plain(&entry.path().map_err(failed)?);
        match whose(&path, &entry) {
            Whose::Packages => {
                entry.unpack_in(to).map_err(failed)?;
            }
            Whose::Builds => {}
            Whose::Elsewhere => other.push(format!("/{}", path.display())),
        }
    }
    Ok(other)
}

/// The path without `./` before it.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|it| !matches!(it, Component::CurDir | Component::RootDir))
        .collect()
}

enum Whose {
    /// In `/usr`.
    Packages,
    /// Nobody's.
    Builds,
    /// A file that only a new image can bring, replace or take away.
    Elsewhere,
}

fn whose<R: io::Read>(path: &Path, entry: &Entry<'_, R>) -> Whose {
    let top = path
        .components()
        .next()
        .map(|it| it.as_os_str().to_string_lossy().into_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match top.as_deref() {
        // A layer says so of what it takes away from those below it.
        Some("usr") if name.starts_with(".wh.") => Whose::Elsewhere,
        // What runs this machine comes by a signed image alone.
        Some("usr") if path.starts_with(OWN) && !entry.header().entry_type().is_dir() => Whose::Elsewhere,
        Some("usr") => Whose::Packages,
        None => Whose::Builds,
        Some(top) if NOT_LAID_OUT.contains(&top) => Whose::Builds,
        Some(_) if entry.header().entry_type().is_dir() => Whose::Builds,
        Some(_) if OF_EVERY_BUILD.iter().any(|it| Path::new(it) == path) => Whose::Builds,
        Some(_) => Whose::Elsewhere,
    }
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(ToolError::io("remove", dir.to_string_lossy(), error))
        }
        _ => Ok(()),
    }
}
