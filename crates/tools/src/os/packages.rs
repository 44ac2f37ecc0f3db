//! The `pkg` namespace on a machine of images. What runs is never changed: a call makes an image of the one that runs and the
//! list of packages that were added, and stages it; the next start has them.
//!
//! The tools, their arguments and their answers are those of [`crate::pkg`], which works on ordinary machines. What only
//! looks is answered by its code, too, from the database that came with the image.

use super::Os;
use super::change::{Intent, identity};
use super::derive::{Wish, names};
use super::error::OsError;
use super::plan::{Photo, Plan, Work};
use super::types::{AddedPackage, Base};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::pkg::args::{
    ChangeResult, Changed, History, HistoryArgs, ImagePackages, InstallArgs, KeyArgs, NewImage, PastCall,
    RemoveArgs,
};
use crate::pkg::error::PkgError;
use crate::pkg::root::Root;
use crate::pkg::status::State;
use crate::pkg::{HOST, Pkg, canonical, history, specs};
use crate::registry::ToolSpec;
use crate::typed::{typed, unknown, value_of};
use crate::worker::journal::{Journal, Past};
use crate::worker::{Call, Namespace, Prepared, Target};
use aios_auth::capability::Access;
use aios_core::clock::{Clock, SystemClock};
use aios_deployment::derived::{Added, Recipe};
use aios_proto::common::v1::Identity;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Taking back is not stopped by the caller's deadline, only by this one.
const TAKING_BACK_MS: u64 = 600_000;
/// Settling what a crash interrupted: nothing else is served meanwhile.
const RECOVERY_MS: u64 = 120_000;
/// Journal entries that are looked at, the newest.
const LOOKED_AT: u32 = 500;
/// What an undo brings back.
const UNDO: &str = "pkg.undo drops the staged image, and what runs starts again as it is; once it was started, os.rollback \
     goes back to the image before";

/// What an undo takes off.
const UNDO_LAID: &str = "pkg.undo takes them off; the next start does so too";

/// The namespace.
pub struct Packages {
    os: Arc<Os>,
    looks: Pkg,
    journal: PathBuf,
    clock: Arc<dyn Clock>,
}

impl Packages {
    /// The packages of the machine whose images `os` stages. `state` is the worker's directory.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(os: Arc<Os>, root: Root, state: &Path) -> Result<Self> {
        Ok(Self {
            os,
            looks: Pkg::open(root, &state.join("pkg"))?,
            journal: state.join("pkg.db"),
            clock: Arc::new(SystemClock),
        })
    }

    fn intent(&self, call: &Call<'_>) -> Result<Intent> {
        match call.tool {
            "pkg.install" => self.install(call, typed(call.tool, call.args)?),
            "pkg.remove" => self.remove(call, typed(call.tool, call.args)?),
            "pkg.rollback" => self.rollback(call, &typed(call.tool, call.args)?),
            "pkg.configure" => Err(PkgError::NothingHalf.into()),
            other => unknown(other),
        }
    }

    fn install(&self, call: &Call<'_>, args: InstallArgs) -> Result<Intent> {
        let required = granted(call, "install", &args.names)?;
        let before = self.os.now(call.budget)?;
        let mut now = self.os.recipe_now(&before)?;
        if args.transient
            && let Some(laid) = self.os.laid_recipe(&before)?
        {
            now = laid;
        }
        let added = |name: &String| Added {
            name: name.clone(),
            version: args.versions.get(name).cloned(),
            recommends: args.recommends,
            call: call.key.to_string(),
            asked_ms: self.clock.now_ms(),
        };
        let new: Vec<Added> = args.names.iter().map(added).collect();
        let is_so = |it: &Added| {
            now.packages.iter().any(|had| had.name == it.name)
                && it
                    .version
                    .as_ref()
                    .is_none_or(|wanted| now.brought.get(&it.name) == Some(wanted))
        };
        let kind = "added-package";
        let identities: Vec<Identity> = new.iter().map(|it| identity(named(it), kind)).collect();
        if (before.staged.is_none() || args.transient) && new.iter().all(is_so) {
            let summary = format!(
                "Nothing to do: {} has {}",
                before.booted.title(),
                args.names.join(", ")
            );
            return Ok(Intent::nothing(before, identities, required, summary));
        }
        let mut packages = now.packages.clone();
        packages.retain(|had| !args.names.contains(&had.name));
        packages.extend(new);
        let recipe = Recipe {
            packages,
            ..now.clone()
        };
        if args.transient {
            let summary = format!(
                "Make an image of {} with {}, and lay what it has more over /usr until the next start; nothing is staged",
                now.follows,
                names(&recipe)
            );
            let wish = Wish {
                before,
                now,
                recipe,
                identities,
                required,
                summary,
            };
            return self.os.intent_lay(call, wish);
        }
        let summary = format!(
            "Make an image of {} with {}, and stage it for the next start; {} runs until then",
            now.follows,
            names(&recipe),
            before.booted.title()
        );
        self.wish(call, before, now, recipe, identities, required, summary)
    }

    fn remove(&self, call: &Call<'_>, args: RemoveArgs) -> Result<Intent> {
        let required = granted(call, "remove", &args.names)?;
        let before = self.os.now(call.budget)?;
        let now = self.os.recipe_now(&before)?;
        if let Some(name) = args
            .names
            .iter()
            .find(|name| now.packages.iter().all(|had| had.name != **name))
        {
            return Err(PkgError::NotAdded { name: name.clone() }.into());
        }
        let mut packages = now.packages.clone();
        packages.retain(|had| !args.names.contains(&had.name));
        let kind = "removed-package";
        let identities = args
            .names
            .iter()
            .map(|name| identity(name.clone(), kind))
            .collect();
        let recipe = Recipe {
            packages,
            ..now.clone()
        };
        let summary = if recipe.packages.is_empty() {
            format!(
                "Without {} nothing is left of what was added",
                args.names.join(", ")
            )
        } else {
            format!("Make an image of {} with {} only", now.follows, names(&recipe))
        };
        self.wish(call, before, now, recipe, identities, required, summary)
    }

    /// The list from before an earlier call.
    fn rollback(&self, call: &Call<'_>, args: &KeyArgs) -> Result<Intent> {
        let required = granted(call, "rollback", &[HOST.to_owned()])?;
        let key = format!("{}/{}", args.task_id, args.step);
        let target = self
            .executions()?
            .into_iter()
            .find(|it| it.execution.key.to_string() == key);
        let plan = target
            .as_ref()
            .and_then(|it| it.execution.plan.as_deref())
            .map(plan_of)
            .transpose()?;
        let unknown = || ToolError::NotUndoable {
            key: key.clone(),
            why: "no call of that key made an image with other packages here".to_owned(),
        };
        let list = match plan.as_ref().map(|it| &it.work) {
            Some(Work::Derive { list_before, .. }) => list_before.clone(),
            _ => return Err(unknown()),
        };
        let before = self.os.now(call.budget)?;
        let now = self.os.recipe_now(&before)?;
        let identities = vec![identity(key.clone(), "call")];
        if before.staged.is_none() && list == now.packages {
            let summary = format!("Nothing to do: {} has these packages", before.booted.title());
            return Ok(Intent::nothing(before, identities, required, summary));
        }
        let recipe = Recipe {
            packages: list,
            ..now.clone()
        };
        let summary = if recipe.packages.is_empty() {
            format!("Before {key} no package was added")
        } else {
            format!(
                "Make an image of {} with {}, as before {key}",
                now.follows,
                names(&recipe)
            )
        };
        self.wish(call, before, now, recipe, identities, required, summary)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is one part of what a person is asked about"
    )]
    fn wish(
        &self,
        call: &Call<'_>,
        before: Photo,
        now: Recipe,
        recipe: Recipe,
        identities: Vec<Identity>,
        required: Vec<Access>,
        summary: String,
    ) -> Result<Intent> {
        self.os.intent_wish(
            call,
            Wish {
                before,
                now,
                recipe,
                identities,
                required,
                summary,
            },
        )
    }

    fn executions(&self) -> Result<Vec<Past>> {
        if !self.journal.exists() {
            return Ok(Vec::new());
        }
        Journal::reader(&self.journal)?.recent(LOOKED_AT)
    }

    fn history(&self, args: &HistoryArgs, budget: &Budget) -> Result<History> {
        let now = self.os.now(budget)?;
        let slots = [
            ("running", Some(&now.booted)),
            ("staged", now.staged.as_ref()),
            ("rollback", now.rollback.as_ref()),
        ];
        let mut images = Vec::new();
        for (slot, deployment) in slots {
            let Some(deployment) = deployment else { continue };
            let recipe = self.os.recipe_or_none(deployment);
            images.push(ImagePackages {
                slot: slot.to_owned(),
                deployment: deployment.clone(),
                base: recipe.as_ref().map(Base::of),
                added: recipe.as_ref().map(AddedPackage::all).unwrap_or_default(),
                brought: recipe.map(|it| it.brought).unwrap_or_default(),
            });
        }
        let calls: Result<Vec<PastCall>> = self.executions()?.into_iter().map(call).collect();
        let mut calls = calls?;
        if let Some(name) = &args.name {
            calls.retain(|call| call.packages.iter().any(|it| it.name == *name));
        }
        calls.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
        let looked = history::history(&self.looks, args)?;
        Ok(History {
            calls,
            images,
            ..looked
        })
    }

    /// What a change answers, in the words of packages.
    fn told(&self, plan: &mut Plan) -> Result<()> {
        let (had, recipe) = match &plan.work {
            Work::Derive { had, image, .. } => {
                let recipe = self.os.images.recipe(image).map_err(OsError::from)?;
                (had.clone(), recipe)
            }
            Work::Lay {
                had, recipe: Some(_), ..
            } => {
                let recipe = plan.after.as_ref().map(|after| self.os.laid_recipe(after));
                (had.clone(), recipe.transpose()?.flatten())
            }
            _ => (BTreeMap::new(), None),
        };
        let transient = matches!(plan.work, Work::Lay { .. });
        let next = plan.after.as_ref().and_then(|after| after.staged.as_ref());
        let next = next.filter(|_| !transient);
        let image = recipe.as_ref().zip(next).map(|(recipe, next)| NewImage {
            image: next.image.clone(),
            digest: next.digest.clone(),
            base: format!("{}@{}", recipe.follows, recipe.base),
            added: recipe.packages.iter().map(|it| it.name.clone()).collect(),
            then: "the next start has it: `aiosctl os reboot` starts the machine again".to_owned(),
        });
        plan.result = value_of(&ChangeResult {
            packages: recipe.map(|it| changed(&had, &it.brought)).unwrap_or_default(),
            conffiles: Vec::new(),
            enablement: Vec::new(),
            undo: if transient { UNDO_LAID } else { UNDO }.to_owned(),
            image,
            transient,
        })?;
        Ok(())
    }
}

impl Namespace for Packages {
    type Plan = Plan;

    fn name(&self) -> &'static str {
        "pkg"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        canonical(tool, args_json)
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        match call.tool {
            "pkg.install" | "pkg.remove" | "pkg.rollback" | "pkg.configure" => {
                self.intent(call).map(Intent::prepared)
            }
            _ => self.looks.prepare_read(call),
        }
    }

    fn prepare_undo(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
        self.os.prepare_back(call, target)
    }

    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value> {
        if call.tool != "pkg.history" {
            return self.looks.read(call, identities);
        }
        same_identities(identities, &self.looks.prepare_read(call)?.identities)?;
        value_of(&self.history(&typed(call.tool, call.args)?, call.budget)?)
    }

    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
        self.os.plan_of(call, self.intent(call)?, identities)
    }

    fn plan_undo(&self, call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
        self.os.plan_back(call, target, identities)
    }

    fn apply(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        self.os.carry_out(plan, budget)?;
        self.told(plan)
    }

    fn roll_back(&self, plan: &Plan) -> Result<()> {
        self.os.take_back(plan, &Budget::of_ms(TAKING_BACK_MS))
    }

    fn finish(&self, plan: &mut Plan) -> Result<bool> {
        let done = self.os.was_done(plan, &Budget::of_ms(RECOVERY_MS))?;
        if done {
            self.told(plan)?;
        }
        Ok(done)
    }

    fn result(&self, plan: &Plan) -> Value {
        plan.result.clone()
    }
}

/// What the call needs of each of its packages, if all of it is granted.
fn granted(call: &Call<'_>, action: &str, names: &[String]) -> Result<Vec<Access>> {
    let required: Vec<Access> = names
        .iter()
        .map(|name| Access::new("pkg", action, name).map_err(ToolError::auth))
        .collect::<Result<_>>()?;
    match required.iter().find(|access| !call.caps.allows_access(access)) {
        None => Ok(required),
        Some(access) => Err(ToolError::NotGranted {
            namespace: "pkg".to_owned(),
            action: access.action().to_owned(),
            path: access.resource().to_owned(),
        }),
    }
}

fn named(added: &Added) -> String {
    match &added.version {
        Some(version) => format!("{}={version}", added.name),
        None => added.name.clone(),
    }
}

/// Packages that are not the same in both.
fn changed(had: &BTreeMap<String, String>, has: &BTreeMap<String, String>) -> Vec<Changed> {
    let names: BTreeSet<&String> = had.keys().chain(has.keys()).collect();
    let other = names.into_iter().filter(|name| had.get(*name) != has.get(*name));
    other
        .map(|name| Changed {
            name: name.clone(),
            version_before: had.get(name).cloned(),
            version_now: has.get(name).cloned(),
            state: if has.contains_key(name) {
                State::Installed
            } else {
                State::NotInstalled
            },
        })
        .collect()
}

fn call(past: Past) -> Result<PastCall> {
    let result: Option<ChangeResult> = past.execution.result.as_deref().map(result_of).transpose()?;
    let packages = result.map(|it| it.packages).unwrap_or_default();
    Ok(history::past_call(past, packages))
}

fn result_of(text: &str) -> Result<ChangeResult> {
    serde_json::from_str(text).map_err(|_| ToolError::Corrupt {
        what: "result of a call in the journal of packages".to_owned(),
    })
}

fn plan_of(text: &str) -> Result<Plan> {
    serde_json::from_str(text).map_err(|_| ToolError::Corrupt {
        what: "plan of a call in the journal of packages".to_owned(),
    })
}
