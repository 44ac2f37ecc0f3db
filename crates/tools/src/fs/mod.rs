//! The `fs` namespace: files and directories. One file a tool; path safety is in [`resolve`], exact
//! restoring in [`image`], [`plan`], [`apply`].
//!
//! Every tool reads its target through the token's grants only. It does not decide what is risky
//! enough to ask for: it states the risk, and policy decides.

pub mod apply;
mod archive;
pub mod args;
mod bits;
mod chmod;
mod chown;
mod copy;
mod delete;
mod disk_usage;
mod grep;
pub mod image;
mod list;
mod make;
mod mkdir;
mod moving;
pub mod plan;
mod read;
pub mod resolve;
mod restore;
mod rollback;
mod search;
mod stat;
pub mod successors;
mod survey;
mod symlink;
mod tree;
mod undo;
pub(crate) mod walk;
mod write;

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::registry::ToolSpec;
use crate::typed::{bad_input, typed, unknown, value_of};
use crate::worker::store::Store;
use crate::worker::{Call, Namespace, Prepared, Target};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_core::clock::Clock;
use aios_proto::common::v1::Identity;
use apply::Applier;
use plan::Plan;
use resolve::{Follow, Place, Resolver, kind_name};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use successors::Successors;

/// Directories whose change touches the system itself.
const SYSTEM: &[&str] = &["/etc", "/usr", "/boot", "/bin", "/sbin", "/lib", "/lib64"];

/// The fs namespace over one snapshot store.
pub struct Fs {
    resolver: Resolver,
    store: Store,
    successors: Successors,
    clock: Arc<dyn Clock>,
}

/// The fs tools.
pub fn specs() -> Vec<ToolSpec> {
    vec![
        list::spec(),
        stat::spec(),
        search::spec(),
        read::spec(),
        disk_usage::spec(),
        grep::spec(),
        write::spec(),
        write::append_spec(),
        delete::spec(),
        mkdir::spec(),
        copy::spec(),
        moving::spec(),
        symlink::spec(),
        chmod::spec(),
        chown::spec(),
        archive::spec(),
        undo::spec(),
    ]
}

impl Fs {
    /// The namespace with these parts.
    ///
    /// # Errors
    /// The store's list of replaced inodes cannot be used.
    pub fn new(resolver: Resolver, store: Store, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self {
            successors: Successors::open(&store.beside("replaced"))?,
            resolver,
            store,
            clock,
        })
    }

    fn resolve(&self, call: &Call<'_>, action: &str, path: &str, follow: Follow) -> Result<Place> {
        self.resolver.resolve(call.caps, action, path, follow)
    }

    fn resolve_name(&self, call: &Call<'_>, action: &str, path: &str, follow: Follow) -> Result<Place> {
        self.resolver.resolve_name(call.caps, action, path, follow)
    }

    /// Resolves a name at which nothing may be, and to which a tool is about to give something.
    fn free_name(&self, call: &Call<'_>, action: &str, path: &str) -> Result<Place> {
        let place = self.resolve_name(call, action, path, Follow::No)?;
        if place.entry.is_some() {
            return Err(ToolError::Exists { path: place.path });
        }
        Ok(place)
    }

    /// Resolves the one target of a reading call and proves that it is what was prepared.
    fn target(
        &self,
        call: &Call<'_>,
        identities: &[Identity],
        action: &str,
        path: &str,
        follow: Follow,
    ) -> Result<Place> {
        let place = self.resolve(call, action, path, follow)?;
        same_identities(identities, &[place.identity()])?;
        Ok(place)
    }

    fn applier(&self) -> Applier<'_> {
        Applier {
            store: &self.store,
            successors: &self.successors,
        }
    }
}

/// Whether the targets are still those that were prepared and authorized.
///
/// # Errors
/// [`ToolError::Changed`] names the first that is not.
pub(crate) fn same_identities(prepared: &[Identity], now: &[Identity]) -> Result<()> {
    let key = |it: &Identity| (it.path.clone(), it.dev, it.ino, it.kind.clone());
    let (then, today): (HashSet<_>, HashSet<_>) =
        (prepared.iter().map(key).collect(), now.iter().map(key).collect());
    let differing = now.iter().find(|it| !then.contains(&key(it)));
    let missing = prepared.iter().find(|it| !today.contains(&key(it)));
    let Some(identity) = differing.or(missing) else {
        return Ok(());
    };
    Err(ToolError::Changed {
        path: identity.path.clone(),
        difference: "it is not the same thing any more".to_owned(),
    })
}

fn access(action: &str, path: &str) -> Result<Access> {
    Access::new("fs", action, path).map_err(ToolError::auth)
}

/// What names a call within temporary file names.
fn tag(call: &Call<'_>) -> String {
    call.key.to_string().replace('/', "-")
}

/// What a call needs on each of some paths.
fn accesses<'a>(action: &str, paths: impl IntoIterator<Item = &'a str>) -> Result<Vec<Access>> {
    paths.into_iter().map(|path| access(action, path)).collect()
}

/// Risk of a change that can be undone: it is high where it touches the system itself.
fn risk_on<'a>(paths: impl IntoIterator<Item = &'a str>, risk: Risk) -> Risk {
    if paths.into_iter().any(is_system) {
        Risk::High
    } else {
        risk
    }
}

/// Sorted by path, each once.
fn sorted(mut identities: Vec<Identity>) -> Vec<Identity> {
    identities.sort_by(|a, b| a.path.cmp(&b.path));
    identities.dedup();
    identities
}

/// What a call that only reads `place` touches.
fn reading(action: &str, place: &Place, summary: String) -> Result<Prepared> {
    Ok(Prepared {
        identities: vec![place.identity()],
        required: vec![access(action, &place.path)?],
        risk: Risk::Read,
        mutating: false,
        reversible: true,
        files: 0,
        bytes: 0,
        summary,
    })
}

/// Whether changing a path touches the system itself.
fn is_system(path: &str) -> bool {
    SYSTEM.iter().any(|dir| {
        path.strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

impl Namespace for Fs {
    type Plan = Plan;

    fn name(&self) -> &'static str {
        "fs"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        canonical(tool, args_json)
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        match call.tool {
            "fs.list" => list::prepare(self, call),
            "fs.stat" => stat::prepare(self, call),
            "fs.search" => search::prepare(self, call),
            "fs.read" => read::prepare(self, call),
            "fs.disk_usage" => disk_usage::prepare(self, call),
            "fs.grep" => grep::prepare(self, call),
            "fs.write" | "fs.append" => write::prepare(self, call),
            "fs.delete" => delete::prepare(self, call),
            "fs.mkdir" => mkdir::prepare(self, call),
            "fs.copy" => copy::prepare(self, call),
            "fs.move" => moving::prepare(self, call),
            "fs.symlink" => symlink::prepare(self, call),
            "fs.chmod" => chmod::prepare(self, call),
            "fs.chown" => chown::prepare(self, call),
            "fs.archive" => archive::prepare(self, call),
            other => unknown(other),
        }
    }

    fn prepare_undo(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
        undo::prepare(self, call, target)
    }

    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value> {
        match call.tool {
            "fs.list" => value_of(&list::run(self, call, identities)?),
            "fs.stat" => value_of(&stat::run(self, call, identities)?),
            "fs.search" => value_of(&search::run(self, call, identities)?),
            "fs.read" => value_of(&read::run(self, call, identities)?),
            "fs.disk_usage" => value_of(&disk_usage::run(self, call, identities)?),
            "fs.grep" => value_of(&grep::run(self, call, identities)?),
            other => unknown(other),
        }
    }

    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
        let since = self.successors.now()?;
        let plan = match call.tool {
            "fs.write" | "fs.append" => write::plan(self, call, identities),
            "fs.delete" => delete::plan(self, call, identities),
            "fs.mkdir" => mkdir::plan(self, call, identities),
            "fs.copy" => copy::plan(self, call, identities),
            "fs.move" => moving::plan(self, call, identities),
            "fs.symlink" => symlink::plan(self, call, identities),
            "fs.chmod" => chmod::plan(self, call, identities),
            "fs.chown" => chown::plan(self, call, identities),
            "fs.archive" => archive::plan(self, call, identities),
            other => unknown(other),
        }?;
        Ok(Plan { since, ..plan })
    }

    fn plan_undo(&self, call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
        let since = self.successors.now()?;
        let plan = undo::plan(self, call, target, identities)?;
        Ok(Plan { since, ..plan })
    }

    fn apply(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        self.applier().apply(plan, budget)
    }

    fn roll_back(&self, plan: &Plan) -> Result<()> {
        self.applier().roll_back(plan)
    }

    fn finish(&self, plan: &mut Plan) -> Result<bool> {
        self.applier().finish(plan)
    }

    fn result(&self, plan: &Plan) -> Value {
        plan.result.clone()
    }
}

/// Arguments of an fs tool in their one canonical form: paths plain, defaults filled in.
///
/// # Errors
/// [`ToolError::BadInput`], [`ToolError::BadPath`] or [`ToolError::UnknownTool`].
pub fn canonical(tool: &str, args_json: &str) -> Result<Value> {
    let spec = specs_by_name(tool)?;
    let args = spec.check_input(args_json)?;
    match tool {
        "fs.list" => value_of(&list::canonical(typed(tool, &args)?)?),
        "fs.stat" => value_of(&stat::canonical(typed(tool, &args)?)?),
        "fs.search" => value_of(&search::canonical(typed(tool, &args)?)?),
        "fs.read" => value_of(&read::canonical(typed(tool, &args)?)?),
        "fs.disk_usage" => value_of(&disk_usage::canonical(typed(tool, &args)?)?),
        "fs.grep" => value_of(&grep::canonical(typed(tool, &args)?)?),
        "fs.write" => value_of(&write::canonical(typed(tool, &args)?)?),
        "fs.append" => value_of(&write::append_canonical(typed(tool, &args)?)?),
        "fs.delete" => value_of(&delete::canonical(typed(tool, &args)?)?),
        "fs.mkdir" => value_of(&mkdir::canonical(typed(tool, &args)?)?),
        "fs.copy" => value_of(&copy::canonical(typed(tool, &args)?)?),
        "fs.move" => value_of(&moving::canonical(typed(tool, &args)?)?),
        "fs.symlink" => value_of(&symlink::canonical(typed(tool, &args)?)?),
        "fs.chmod" => value_of(&chmod::canonical(typed(tool, &args)?)?),
        "fs.chown" => value_of(&chown::canonical(typed(tool, &args)?)?),
        "fs.archive" => value_of(&archive::canonical(typed(tool, &args)?)?),
        "fs.undo" => value_of(&undo::canonical(typed(tool, &args)?)?),
        other => unknown(other),
    }
}

fn specs_by_name(tool: &str) -> Result<&'static ToolSpec> {
    static SPECS: std::sync::LazyLock<crate::registry::Registry> =
        std::sync::LazyLock::new(crate::registry::Registry::builtin);
    SPECS.get(tool)
}
