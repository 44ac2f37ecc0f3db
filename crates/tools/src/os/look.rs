//! os.status and os.check.

use super::error::OsError;
use super::plan::{Photo, deployment};
use super::source::Source;
use super::types::{self, AddedPackage, Check, Deployment, Failed, Room, Status, Trial};
use super::{Os, change};
use crate::budget::Budget;
use crate::error::Result;
use aios_core::error::Report;
use aios_deployment::derived::Recipe;
use aios_deployment::esp::Mounted;
use aios_deployment::history::{Failure, History};
use aios_deployment::loader::Loader;
use aios_deployment::{DeploymentError, DeploymentId};
use nix::sys::statvfs::statvfs;
use std::fs;
use std::path::Path;

impl Os {
    /// What there is, by bootc, the boot partition, init and the record.
    pub(super) fn status(&self, budget: &Budget) -> Result<Status> {
        let host = self.host(budget)?;
        let now = Photo {
            laid: self.laid()?,
            ..Photo::of(&host)?
        };
        let history = self.history()?;
        let trial = self.tries_left(&now)?.map(|tries_left| Trial {
            tries_left,
            deadline_ms: self.deadline_ms(budget),
        });
        let next_boot = now.next().0.to_owned();
        let recipe = self.recipe_or_none(&now.booted);
        Ok(Status {
            base: recipe.as_ref().map(types::Base::of),
            packages: recipe.as_ref().map(AddedPackage::all).unwrap_or_default(),
            transient: self.until_the_next_start(&now, recipe.as_ref())?,
            next_boot,
            trial,
            others: host.other_deployments.iter().filter_map(deployment).collect(),
            blessed: history.blessed.as_ref().map(|it| it.deployment.id.to_string()),
            blessed_ms: history.blessed.as_ref().map(|it| it.at_ms),
            failed: history.failed.iter().map(failed).collect(),
            doing: self.activity.words(),
            running: now.booted,
            staged: now.staged,
            rollback: now.rollback,
        })
    }

    /// Packages that the image itself has not.
    fn until_the_next_start(&self, now: &Photo, image: Option<&Recipe>) -> Result<Vec<AddedPackage>> {
        let laid = self.laid_recipe(now)?;
        let mut laid = laid.as_ref().map(AddedPackage::all).unwrap_or_default();
        laid.retain(|it| !image.is_some_and(|image| image.packages.iter().any(|had| had.name == it.name)));
        Ok(laid)
    }

    /// What an upgrade would bring, and what stands in its way.
    pub(super) fn check(&self, budget: &Budget) -> Result<Check> {
        let now = Photo::of(&self.host(budget)?)?;
        let image = self.followed(&now)?;
        let source = Source::find(self, &image, budget)?;
        let standing = source.standing(self)?;
        let room = self.room(&now, &source)?;
        let failed_before = self.failure_of(&source)?.map(|failure| failure.why);
        let (size_bytes, fetch_bytes) = source.sizes(self);
        let digests = source.digests();
        let laid_out = [Some(&now.booted), now.staged.as_ref(), now.rollback.as_ref()];
        let mut available = true;
        for deployment in laid_out.into_iter().flatten() {
            let base = self.recipe(deployment)?.map(|it| it.base.to_string());
            available &= !digests.contains(base.as_ref().unwrap_or(&deployment.digest));
        }
        let obstacles = [
            self.not_on_trial(&now),
            change::nothing_staged(&now),
            self.is_signed(&source),
            self.not_known_bad(&source, false),
            change::not_the_rollback(&now, &source),
            self.has_room(&now, &source),
        ];
        let blocked_by = obstacles.into_iter().filter_map(std::result::Result::err);
        Ok(Check {
            image: image.to_string(),
            available,
            digest: source.digest.to_string(),
            version: source.manifest.version().map(str::to_owned),
            made_at: source.config.created.clone(),
            size_bytes,
            fetch_bytes,
            room,
            signed: standing.enough,
            signature: standing.words,
            failed_before,
            blocked_by: blocked_by.map(|error| Report::of(&error).message).collect(),
        })
    }

    /// What a deployment was made of, for a person, who is told the rest also when that cannot be read.
    pub(crate) fn recipe_or_none(&self, deployment: &Deployment) -> Option<Recipe> {
        self.recipe(deployment).unwrap_or_else(|error| {
            tracing::warn!(error = %error.report(), image = deployment.image, "what it was made of cannot be told");
            None
        })
    }

    /// What was tried, blessed and given up.
    pub(super) fn history(&self) -> Result<History> {
        Ok(History::read(&self.record).map_err(OsError::from)?)
    }

    /// Tries left, while what runs is on trial: the boot partition's own word.
    pub(super) fn tries_left(&self, now: &Photo) -> Result<Option<u32>> {
        self.on_boot_partition(|loader, _| match DeploymentId::new(&now.booted.id) {
            Some(id) => Ok(loader.trial(&id)?.map(|tries| tries.left)),
            None => Ok(None),
        })
    }

    /// Refuses while what runs is on trial: bootc would drop the image that the boot loader falls back to.
    pub(super) fn not_on_trial(&self, now: &Photo) -> Result<()> {
        match self.tries_left(now)? {
            None => Ok(()),
            Some(left) => Err(OsError::OnTrial { left }.into()),
        }
    }

    pub(super) fn is_signed(&self, source: &Source) -> Result<()> {
        let standing = source.standing(self)?;
        if standing.enough {
            return Ok(());
        }
        Err(OsError::NotSigned {
            image: source.title(),
            why: standing.words,
        }
        .into())
    }

    pub(super) fn failure_of(&self, source: &Source) -> Result<Option<Failure>> {
        let history = self.history()?;
        let digests = source.digests();
        Ok(digests
            .iter()
            .find_map(|digest| history.failure_of(digest))
            .cloned())
    }

    pub(super) fn not_known_bad(&self, source: &Source, force: bool) -> Result<()> {
        match self.failure_of(source)? {
            Some(failure) if !force => Err(OsError::KnownBad {
                image: source.title(),
                why: failure.why,
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// Room for an image. What its kernel and initramfs take is not known before it is fetched: as much as those that run.
    pub(super) fn room(&self, now: &Photo, source: &Source) -> Result<Room> {
        let needed_bytes = source.unpacked(self);
        let free_bytes = free(&self.settings.at("/sysroot")).map_err(OsError::from)?;
        let (boot_needed_bytes, boot_free_bytes) = self.on_boot_partition(|_, partition| {
            let linux = partition.join("EFI/Linux");
            let own = linux.join(format!("bootc_composefs-{}", now.booted.id));
            // One directory may serve several deployments: then the largest counts.
            let sizes = if own.is_dir() {
                vec![size_of(&own)]
            } else {
                sizes_below(&linux)
            };
            Ok((sizes.into_iter().max().unwrap_or(0), free(partition)?))
        })?;
        let reserve = self.settings.reserve_bytes;
        Ok(Room {
            needed_bytes,
            free_bytes,
            boot_needed_bytes,
            boot_free_bytes,
            enough: fits(needed_bytes, reserve, free_bytes)
                && fits(boot_needed_bytes, reserve / 100, boot_free_bytes),
        })
    }

    pub(super) fn has_room(&self, now: &Photo, source: &Source) -> Result<()> {
        let (room, reserve) = (self.room(now, source)?, self.settings.reserve_bytes);
        let places = [
            ("/sysroot", room.needed_bytes, reserve, room.free_bytes),
            (
                "the boot partition",
                room.boot_needed_bytes,
                reserve / 100,
                room.boot_free_bytes,
            ),
        ];
        for (place, needed, reserve, free) in places {
            if !fits(needed, reserve, free) {
                return Err(OsError::NoRoom {
                    place,
                    needed,
                    reserve,
                    free,
                }
                .into());
            }
        }
        Ok(())
    }
}

fn fits(needed: u64, reserve: u64, free: u64) -> bool {
    needed.saturating_add(reserve) <= free
}

/// Bytes free for everybody: what is kept for root is not counted on.
pub(super) fn free(path: &Path) -> aios_deployment::Result<u64> {
    let found = statvfs(path).map_err(|error| DeploymentError::Path {
        what: "cannot look at the room of",
        path: path.to_owned(),
        source: error.into(),
    })?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// Bytes of the files of a directory.
fn size_of(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|meta| meta.len())
        .sum()
}

fn sizes_below(dir: &Path) -> Vec<u64> {
    let dirs = fs::read_dir(dir).into_iter().flatten().flatten();
    dirs.map(|dir| size_of(&dir.path())).collect()
}

fn failed(failure: &Failure) -> Failed {
    let to = &failure.attempt.to;
    Failed {
        id: to.id.to_string(),
        image: to.image.clone(),
        digest: to.manifest.clone(),
        why: failure.why.clone(),
        boots: failure.attempt.boots.len() as u64,
        found_ms: failure.found_ms,
    }
}

impl Os {
    /// The entries of the boot loader, on the partition, which is mounted for as long as `look` takes: for writing even where
    /// nothing is written, because one that is mounted for reading keeps bootc from mounting it for writing meanwhile.
    pub(super) fn on_boot_partition<T>(
        &self,
        look: impl FnOnce(&Loader, &Path) -> aios_deployment::Result<T>,
    ) -> Result<T> {
        let given = self.settings.boot_partition.as_path();
        if !given.as_os_str().is_empty() {
            return Ok(look(&Loader::of_partition(given), given).map_err(OsError::from)?);
        }
        let _one_at_a_time = self
            .mounting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mounted = Mounted::open(&self.mount_point, false);
        let looked = mounted.and_then(|esp| look(&Loader::of_partition(esp.path()), esp.path()));
        Ok(looked.map_err(OsError::from)?)
    }
}
