//! Images that are made here: the image that runs, or a newer one of the same name, and the packages that people added.
//!
//! Where the base comes from, in this order: the worker's own layout, which keeps the base of whatever it made and is still
//! laid out; the place that the image came from, while that still has the very image; bootc, which writes what runs
//! as an image again. The last always works and takes the most room.

mod build;
mod words;

use super::Os;
use super::change::{self, Intent, identity};
use super::error::OsError;
use super::plan::{Photo, Plan, Work};
use super::source::Source;
use super::types::Deployment;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::worker::Call;
use aios_auth::capability::Access;
use aios_core::error::Report;
use aios_core::failpoint;
use aios_core::id::ExecutionKey;
use aios_deployment::derived::{Recipe, Take, base_tag};
use aios_deployment::image::{Digest, Layout, Manifest, Reference};
use aios_proto::common::v1::Identity;
use build::{Made, Workshop};
use std::collections::{BTreeMap, BTreeSet};

/// What bootc calls what it exports.
const EXPORTED: &str = "localhost/aios-base";
/// How often a build has its base at the same time: unpacked in Podman's store, and written out with the new layer.
const TIMES: u64 = 2;

/// Where a base is to be had.
enum Origin {
    Here(Box<Layout>),
    Source(Box<Source>),
    Export,
}

/// A list of packages that an image shall have.
pub(crate) struct Wish {
    pub(crate) before: Photo,
    /// What runs.
    pub(crate) now: Recipe,
    pub(crate) recipe: Recipe,
    pub(crate) identities: Vec<Identity>,
    pub(crate) required: Vec<Access>,
    pub(crate) summary: String,
}

/// An image that was just made, and lies nowhere else yet.
pub(super) struct Fresh<'a> {
    pub(super) base: Layout,
    pub(super) built: Made,
    _workshop: Workshop<'a>,
}

impl Fresh<'_> {
    /// The layers that the base has not, unaltered.
    pub(super) fn new_layers(&self) -> Result<impl Iterator<Item = &Digest>> {
        self.built.layout.verify(&|_| true).map_err(OsError::from)?;
        let below = self.base.manifest.layers.len();
        let layers = self.built.layout.manifest.layers.iter().skip(below);
        Ok(layers.map(|layer| &layer.digest))
    }
}

/// The name of the image that a call makes.
pub(super) fn tag_of(key: &ExecutionKey) -> String {
    format!("added-{}", key.to_string().replace('/', "-"))
}

impl Os {
    /// What a deployment was made of. None for one that was not made here.
    pub(crate) fn recipe(&self, deployment: &Deployment) -> Result<Option<Recipe>> {
        let Ok(image) = Reference::parse(&deployment.image) else {
            return Ok(None);
        };
        Ok(self.images.recipe(&image).map_err(OsError::from)?)
    }

    /// The image that an upgrade follows: that of what runs, or what that was made of.
    pub(super) fn followed(&self, now: &Photo) -> Result<Reference> {
        match self.recipe(&now.booted)? {
            Some(recipe) => Ok(recipe.follows),
            None => change::reference(&now.booted.image),
        }
    }

    /// What runs as a recipe, if only one without packages.
    pub(crate) fn recipe_now(&self, now: &Photo) -> Result<Recipe> {
        if let Some(recipe) = self.recipe(&now.booted)? {
            return Ok(recipe);
        }
        let digest = Digest::try_from(now.booted.digest.clone());
        Ok(Recipe {
            follows: change::reference(&now.booted.image)?,
            base: digest.map_err(|why| OsError::NoBase { why })?,
            base_version: now.booted.version.clone(),
            packages: Vec::new(),
            brought: BTreeMap::new(),
        })
    }

    /// A newer image of the same name, with the packages that were added to the one that runs.
    pub(super) fn intent_rebuild(
        &self,
        call: &Call<'_>,
        before: Photo,
        recipe: Recipe,
        force: bool,
        required: Vec<Access>,
    ) -> Result<Intent> {
        self.not_on_trial(&before)?;
        let source = Source::find(self, &recipe.follows, call.budget)?;
        let new = identity(format!("{}@{}", recipe.follows, source.digest), "os-image");
        let staged = before.staged.as_ref().map(|it| self.recipe(it)).transpose()?;
        let waits = staged.flatten().is_some_and(|it| it.base == source.digest);
        if waits || before.staged.is_none() && source.digest == recipe.base {
            let summary = format!("Nothing to do: {} runs or is staged already", source.title());
            return Ok(Intent::nothing(before, vec![new], required, summary));
        }
        change::nothing_staged(&before)?;
        self.is_signed(&source)?;
        self.not_known_bad(&source, force)?;
        self.has_room(&before, &source)?;
        self.has_room_to_build(&source.manifest, source.sizes(self).0)?;
        let summary = format!(
            "Fetch {} ({} bytes), add {} to it and stage it for the next start; {} runs until then",
            source.title(),
            source.sizes(self).1,
            names(&recipe),
            before.booted.title()
        );
        let work = Work::Derive {
            image: self.images.reference(&tag_of(&call.key)),
            had: recipe.brought.clone(),
            list_before: recipe.packages.clone(),
            recipe: Recipe {
                base: source.digest.clone(),
                base_version: source.manifest.version().map(str::to_owned),
                brought: BTreeMap::new(),
                ..recipe
            },
            upgrade: true,
            force,
        };
        Ok(Intent::derive(
            work,
            before,
            vec![new],
            required,
            summary,
            Some(source),
        ))
    }

    /// The image that runs with another list of packages.
    pub(crate) fn intent_wish(&self, call: &Call<'_>, wish: Wish) -> Result<Intent> {
        self.not_on_trial(&wish.before)?;
        change::nothing_staged(&wish.before)?;
        if wish.recipe.packages.is_empty() {
            // Nothing but the base is left: that is an image that somebody else made.
            let image = wish.recipe.follows.clone();
            let switch = Some(image.clone());
            return self
                .stage(wish.before, switch, image, false, wish.required, call.budget)
                .map(|intent| intent.named(wish.identities, &wish.summary));
        }
        self.has_room_for(&wish, call.budget)?;
        let work = Work::Derive {
            image: self.images.reference(&tag_of(&call.key)),
            had: wish.now.brought,
            list_before: wish.now.packages,
            recipe: Recipe {
                brought: BTreeMap::new(),
                ..wish.recipe
            },
            upgrade: false,
            force: false,
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

    /// Room for making what is wished for.
    pub(super) fn has_room_for(&self, wish: &Wish, budget: &Budget) -> Result<()> {
        match self.origin(&wish.before, &wish.recipe, budget)? {
            Origin::Here(base) => self.has_room_to_build(&base.manifest, 0),
            Origin::Source(source) => self.has_room_to_build(&source.manifest, source.sizes(self).0),
            // How large it is turns out when it is written.
            Origin::Export => Ok(()),
        }
    }

    /// Room for Podman's store, and for what stays here of a base that is fetched.
    fn has_room_to_build(&self, base: &Manifest, kept: u64) -> Result<()> {
        let unpacked = super::source::unpacked_whole(base);
        let needed = unpacked.saturating_mul(TIMES).saturating_add(kept);
        let state = self.images.dir().parent().unwrap_or(self.images.dir());
        let (reserve, free) = (
            self.settings.reserve_bytes,
            super::look::free(state).map_err(OsError::from)?,
        );
        if needed.saturating_add(reserve) <= free {
            return Ok(());
        }
        Err(OsError::NoRoom {
            place: "/var, where the image is made,",
            needed,
            reserve,
            free,
        }
        .into())
    }

    /// Where the base of a recipe is to be had.
    fn origin(&self, before: &Photo, recipe: &Recipe, budget: &Budget) -> Result<Origin> {
        if let Some(base) = self.images.base(&recipe.base).map_err(OsError::from)? {
            return Ok(Origin::Here(Box::new(base)));
        }
        let why = match Source::find(self, &recipe.follows, budget) {
            Ok(source) if source.digest == recipe.base => return Ok(Origin::Source(Box::new(source))),
            Ok(source) => format!("{} is another image by now", source.title()),
            Err(error) => Report::of(&error).message,
        };
        budget.check()?;
        if before.booted.digest == recipe.base.as_str() {
            tracing::info!(why, "what runs is written out as an image");
            return Ok(Origin::Export);
        }
        Err(OsError::NoBase { why }.into())
    }

    /// Makes the image of a plan and stages it.
    pub(super) fn derive(&self, plan: &Plan, budget: &Budget) -> Result<()> {
        let Work::Derive {
            recipe,
            image,
            upgrade,
            force,
            ..
        } = &plan.work
        else {
            return Err(ToolError::Defect("no image is to be made".to_owned()));
        };
        let made = self.made(&plan.before, recipe, *upgrade, budget)?;
        let recipe = Recipe {
            brought: made.built.brought.clone(),
            ..recipe.clone()
        };
        let tag = self.images.tag(image).unwrap_or_default();
        let derived = self
            .images
            .put_derived(&made.base, &made.built.layout, &recipe, tag);
        let derived = derived.map_err(OsError::from)?;
        drop(made);
        failpoint::hit("worker.os.derived");
        let source = Source::find(self, image, budget)?;
        self.not_known_bad(&source, *force)?;
        self.not_laid_out(&plan.before, &derived)?;
        self.has_room(&plan.before, &source)?;
        self.note_shipped(&plan.before)?;
        let said = self.fetch(Some(image), budget)?;
        failpoint::hit("worker.os.mid_effect");
        self.right_one(image, &source.digests(), &said, budget)
    }

    /// Makes an image of a recipe, in a workshop that is open while somebody has the answer.
    pub(super) fn made(
        &self,
        before: &Photo,
        recipe: &Recipe,
        upgrade: bool,
        budget: &Budget,
    ) -> Result<Fresh<'_>> {
        // What nobody needs any more makes room.
        self.collect(budget)?;
        let workshop = Workshop::open(self)?;
        let doing = self
            .activity
            .begin("fetching the image that packages are added to");
        let base = self.bring(&workshop, before, recipe, budget)?;
        failpoint::hit("worker.os.mid_derive");
        drop(doing);
        let _doing = self
            .activity
            .begin(&format!("making an image with {}", names(recipe)));
        let built = workshop.build(&base_tag(&recipe.base), &recipe.packages, budget);
        let built = built.map_err(|error| {
            if upgrade {
                not_rebuilt(error, recipe)
            } else {
                error
            }
        })?;
        Ok(Fresh {
            base,
            built,
            _workshop: workshop,
        })
    }

    /// bootc refuses what is laid out as the image to go back to, which it knows by its content.
    fn not_laid_out(&self, before: &Photo, derived: &Layout) -> Result<()> {
        let Some(rollback) = &before.rollback else {
            return Ok(());
        };
        let image = Reference::parse(&rollback.image).ok();
        let Some(tag) = image.as_ref().and_then(|image| self.images.tag(image)) else {
            return Ok(());
        };
        let other = self.images.open(tag).map_err(OsError::from)?;
        if other.config.rootfs.diff_ids == derived.config.rootfs.diff_ids {
            let image = rollback.title();
            return Err(OsError::IsRollback { image }.into());
        }
        Ok(())
    }

    /// Has the base here.
    fn bring(
        &self,
        workshop: &Workshop<'_>,
        before: &Photo,
        recipe: &Recipe,
        budget: &Budget,
    ) -> Result<Layout> {
        let base = match self.origin(before, recipe, budget)? {
            Origin::Here(base) => return Ok(*base),
            Origin::Source(source) => match source.layout() {
                Some(layout) => self.images.put_base(layout, &recipe.base, Take::Copy),
                None => {
                    let layout = self.copied(workshop, &source, budget)?;
                    self.images.put_base(&layout, &recipe.base, Take::Move)
                }
            },
            Origin::Export => {
                let layout = self.exported(workshop, budget)?;
                self.images.put_base(&layout, &recipe.base, Take::Move)
            }
        };
        Ok(base.map_err(OsError::from)?)
    }

    /// An image of a registry, as it is there; what policy.json asks of its signature is checked along the way.
    fn copied(&self, workshop: &Workshop<'_>, source: &Source, budget: &Budget) -> Result<Layout> {
        let target = workshop.dir().join("base");
        let to = format!("oci:{}:base", target.display());
        let skopeo = workshop.program(&self.settings.skopeo, &[]);
        let args = ["copy", "--quiet", "--preserve-digests", source.name(), &to];
        workshop.run(&skopeo, &args, budget)?;
        let layout = Layout::open(&target.display().to_string()).map_err(OsError::from)?;
        if layout.digest != source.digest {
            let why = format!("{} changed while it was fetched", source.title());
            return Err(OsError::Otherwise { why }.into());
        }
        whole(&layout, budget)?;
        Ok(layout)
    }

    /// What runs, written out by bootc.
    fn exported(&self, workshop: &Workshop<'_>, budget: &Budget) -> Result<Layout> {
        self.bootc(&["image", "copy-to-storage", "--target", EXPORTED], budget)?;
        let target = workshop.dir().join("base");
        let to = format!("--output={}", target.display());
        let podman = workshop.program(&self.settings.podman, &[]);
        let args = [
            "save",
            "--quiet",
            "--format=oci-dir",
            "--uncompressed",
            &to,
            EXPORTED,
        ];
        let saved = workshop.run(&podman, &args, budget);
        // It lies in the store of everybody, whether it could be had or not.
        let removed = workshop.run(&podman, &["rmi", "--force", EXPORTED], budget);
        saved?;
        removed?;
        let layout = Layout::open(&target.display().to_string()).map_err(OsError::from)?;
        whole(&layout, budget)?;
        Ok(layout)
    }

    /// Drops images that were made here and that the machine cannot start any more.
    pub(super) fn collect(&self, budget: &Budget) -> Result<()> {
        let host = self.host(budget)?;
        let entries = [host.booted, host.staged, host.rollback].into_iter().flatten();
        let images = entries.chain(host.other_deployments).filter_map(|it| it.image);
        let tags: BTreeSet<String> = images
            .filter_map(|it| self.images.tag(&it.image).map(str::to_owned))
            .collect();
        self.collect_laid()?;
        Ok(self.images.keep(&tags).map_err(OsError::from)?)
    }

    /// Removes what a build that broke off left.
    pub(super) fn tidy(&self) -> Result<()> {
        build::clear(&self.workshop)
    }
}

/// Reads all of a layout.
fn whole(layout: &Layout, budget: &Budget) -> Result<()> {
    super::stopped(layout.verify(&|_| budget.check().is_ok()), budget)
}

/// The packages of a list, for a person.
pub(crate) fn names(recipe: &Recipe) -> String {
    let names: Vec<String> = recipe
        .packages
        .iter()
        .map(|it| match &it.version {
            Some(version) => format!("{} {version}", it.name),
            None => it.name.clone(),
        })
        .collect();
    names.join(", ")
}

/// The failure of a build that an upgrade asked for: the packages are what stands in its way.
fn not_rebuilt(error: ToolError, recipe: &Recipe) -> ToolError {
    match error {
        ToolError::Os(why @ (OsError::NotBuilt { .. } | OsError::NotWhole { .. })) => OsError::NotRebuilt {
            image: recipe.follows.to_string(),
            why: why.to_string(),
        }
        .into(),
        other => other,
    }
}
