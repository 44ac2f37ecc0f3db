//! The `fs` namespace: files and directories. One file a tool; path safety is in [`resolve`], exact
//! restoring in [`image`], [`plan`], [`apply`].
//!
//! Every tool reads its target through the token's grants only. It does not decide what is risky
//! enough to ask for: it states the risk, and policy decides.

pub mod apply;
pub mod args;
mod delete;
mod disk_usage;
pub mod image;
mod list;
pub mod plan;
mod read;
pub mod resolve;
mod restore;
mod search;
mod stat;
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
use args::{DeleteArgs, DiskUsageArgs, ListArgs, ReadArgs, SearchArgs, StatArgs, UndoArgs, WriteArgs};
use plan::Plan;
use resolve::{Follow, Place, Resolver};
use serde_json::Value;
use std::sync::Arc;

/// Directories whose change touches the system itself.
const SYSTEM: &[&str] = &["/etc", "/usr", "/boot", "/bin", "/sbin", "/lib", "/lib64"];

/// The fs namespace over one snapshot store.
pub struct Fs {
    resolver: Resolver,
    store: Store,
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
        write::spec(),
        delete::spec(),
        undo::spec(),
    ]
}

impl Fs {
    /// The namespace with these parts.
    pub fn new(resolver: Resolver, store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            resolver,
            store,
            clock,
        }
    }

    fn resolve(&self, call: &Call<'_>, action: &str, path: &str, follow: Follow) -> Result<Place> {
        self.resolver.resolve(call.caps, action, path, follow)
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
        Applier { store: &self.store }
    }
}

/// Whether the targets are still those that were prepared and authorized.
///
/// # Errors
/// [`ToolError::Changed`] names the first that is not.
pub(crate) fn same_identities(prepared: &[Identity], now: &[Identity]) -> Result<()> {
    let differing = now.iter().find(|identity| !prepared.contains(identity));
    let missing = prepared.iter().find(|identity| !now.contains(identity));
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
            "fs.write" => write::prepare(self, call),
            "fs.delete" => delete::prepare(self, call),
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
            other => unknown(other),
        }
    }

    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
        match call.tool {
            "fs.write" => write::plan(self, call, identities),
            "fs.delete" => delete::plan(self, call, identities),
            other => unknown(other),
        }
    }

    fn plan_undo(&self, call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
        undo::plan(self, call, target, identities)
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
        "fs.list" => value_of(&list::canonical(typed::<ListArgs>(tool, &args)?)?),
        "fs.stat" => value_of(&stat::canonical(typed::<StatArgs>(tool, &args)?)?),
        "fs.search" => value_of(&search::canonical(typed::<SearchArgs>(tool, &args)?)?),
        "fs.read" => value_of(&read::canonical(typed::<ReadArgs>(tool, &args)?)?),
        "fs.disk_usage" => value_of(&disk_usage::canonical(typed::<DiskUsageArgs>(tool, &args)?)?),
        "fs.write" => value_of(&write::canonical(typed::<WriteArgs>(tool, &args)?)?),
        "fs.delete" => value_of(&delete::canonical(typed::<DeleteArgs>(tool, &args)?)?),
        "fs.undo" => value_of(&undo::canonical(typed::<UndoArgs>(tool, &args)?)?),
        other => unknown(other),
    }
}

fn specs_by_name(tool: &str) -> Result<&'static ToolSpec> {
    static SPECS: std::sync::LazyLock<crate::registry::Registry> =
        std::sync::LazyLock::new(crate::registry::Registry::builtin);
    SPECS.get(tool)
}
